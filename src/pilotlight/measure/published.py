"""Traffic of the shape that was published of a whole platform: Shahrad et al., Serverless in the Wild, USENIX ATC 2020.

They tell of all applications of Azure Functions in two weeks of July 2019. What is taken from their section 3.3:

- "45% of the applications are invoked once per hour or less on average, and 81% once per minute or less" (figure 5a);
  invocations a day vary by over 8 orders of magnitude (ibid.);
- the 18.6 % that are invoked at least once a minute make 99.6 % of all invocations (figure 5b);
- clear diurnal and weekly patterns, above a constant baseline of roughly half of the invocations (figure 4);
- 40 % of the applications have gaps between invocations whose coefficient of variation (CV) is above 1 (figure 6);
- 13 % of the applications have only timers (figure 3b), which fire at even times.

"(ours)" marks what is between these points: they do not tell it, or by curves alone. Pure.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from random import Random
from typing import NamedTuple

from pilotlight.measure.traffic import DAY

WEEK = 7 * DAY
ONLY_TIMERS, ABOVE_ONE = 0.13, 0.40  # shares of applications: CV 0, and CV above 1
_HOURLY, _EACH_MINUTE = 24.0, 1440.0  # invocations a day

# Share of applications, invocations a day. The least is one in the two weeks; the most is 8 orders of magnitude above
# it. That a thousandth of them is above a million (ours) makes the most popular 19 % have 99.6 % of all invocations.
_PER_DAY = ((0.0, 1 / 14), (0.45, _HOURLY), (0.81, _EACH_MINUTE), (0.999, 1e6), (1.0, 1e8 / 14))
_CV = ((1 - ABOVE_ONE, 1.0), (1.0, 10.0))  # above 1: as many in each ratio, up to 10 (ours)

_HOUR = 3600.0
_BASELINE = 0.5
_WEEKEND = 0.5  # of the swing of a working day (ours)


class Application(NamedTuple):
    """Invocations a day on average, and the CV of the times between them, were it not for days and weeks."""

    per_day: float
    cv: float


def application(random: Random) -> Application:
    """One of the platform's. Its rate says nothing of its CV (ours)."""
    return Application(per_day(random.random()), _cv(random.random()))


def per_day(share: float) -> float:
    """The invocations a day that `share` of the applications do not exceed; between the points as many applications
    in each ratio of rates (ours)."""
    return _between(_PER_DAY, share)


def _cv(share: float) -> float:
    if share < ONLY_TIMERS:
        return 0.0
    if share < 1 - ABOVE_ONE:
        return (share - ONLY_TIMERS) / (1 - ABOVE_ONE - ONLY_TIMERS)  # as many in each step from 0 to 1 (ours)
    return _between(_CV, share)


def _between(points: Sequence[tuple[float, float]], share: float) -> float:
    index = min(bisect_right([at for at, _ in points], share), len(points) - 1)
    (left, low), (right, high) = points[index - 1], points[index]
    return float(low * (high / low) ** ((share - left) / (right - left)))


def arrivals(rate: float, cv: float, seconds: float, random: Random) -> list[float]:
    """`rate` requests a second over whole weeks that begin on a Monday, `cv` as `Application` has it.

    With `cv` 0 they come at even times, as a timer fires; else the gaps are of a gamma distribution (ours) on a clock
    that goes as fast as the week's rate is high. With `cv` 1 that is a Poisson process.
    """
    if rate <= 0:
        return []
    if cv == 0:
        first = random.random() / rate
        return [first + number / rate for number in range(max(0, math.ceil((seconds - first) * rate)))]
    return list(_on_the_weeks_clock(_gaps(rate, cv, random), seconds))


def _gaps(rate: float, cv: float, random: Random) -> Iterator[float]:
    shape = 1 / cv**2
    while True:
        yield random.gammavariate(shape, 1 / (shape * rate))


def _on_the_weeks_clock(gaps: Iterator[float], seconds: float) -> Iterator[float]:
    """Moments whose distances are `gaps` where the rate is as on average."""
    weights = _weights()
    ends = list(accumulate(weight * _HOUR for weight in weights))
    hour, week, passed = 0, 0.0, 0.0
    for gap in gaps:
        passed += gap
        while passed >= ends[hour]:
            hour += 1
            if hour == len(ends):
                passed -= ends[-1]
                week += WEEK
                hour = 0
        at = week + (hour + 1) * _HOUR - (ends[hour] - passed) / weights[hour]
        if at >= seconds:
            return
        yield at


def _weights() -> list[float]:
    """The rate in each hour of a week, beside the average one."""
    swing = [(1 - math.cos(2 * math.pi * (hour + 0.5) / 24)) / 2 for hour in range(24)]  # the most at noon
    days = [1.0] * 5 + [_WEEKEND] * 2
    volume = [day * each for day in days for each in swing]
    above = (1 - _BASELINE) / (sum(volume) / len(volume))
    return [_BASELINE + above * each for each in volume]
