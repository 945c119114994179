"""From how many requests a month on what is always on costs less than Lambda. Pure."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

LEAST, MOST = 1e3, 1e10  # requests a month that are looked at
_STEP = 10 ** (1 / 48)

Price = Callable[[float], float]
"""Dollars a month for so many requests in it."""


class Point(NamedTuple):
    requests: float
    function: float
    always_on: float


def curve(function: Price, always_on: Price, least: float, most: float) -> list[Point]:
    """Both prices at 48 points a decade."""
    points, requests = [], least
    while requests <= most * _STEP:
        points.append(Point(requests, function(requests), always_on(requests)))
        requests *= _STEP
    return points


def solve(function: Price, always_on: Price) -> float | None:
    """The requests from which on `always_on` costs less, and goes on to; None where it does not at `MOST`."""
    if always_on(MOST) >= function(MOST):
        return None
    above = MOST
    while above > LEAST:
        below = above / _STEP
        if always_on(below) >= function(below):
            return _between(function, always_on, below, above)
        above = below
    return LEAST


def _between(function: Price, always_on: Price, below: float, above: float) -> float:
    while above - below > 0.5 and above / below > 1 + 1e-6:
        middle = (below + above) / 2
        below, above = (below, middle) if always_on(middle) < function(middle) else (middle, above)
    return above


def span(points: Sequence[float]) -> tuple[float, float]:
    """What a plot shows around these: a decade on either side."""
    return max(LEAST, min(points) / 10), min(MOST, max(points) * 10)
