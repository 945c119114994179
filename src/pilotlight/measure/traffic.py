"""When requests come: arrivals in seconds since the first moment, drawn at random or read from a file. Pure.

Clients do not wait for one another, so that arrivals are a Poisson process whose rate may change with the time. It is
drawn by thinning: as many as at the highest rate, of which each stays with the share that the rate of its moment is of
the highest (Lewis and Shedler, Simulation of nonhomogeneous Poisson processes by thinning, 1979).
"""

import csv
import math
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from random import Random

from pilotlight.errors import UsageError

DAY = 86_400.0
_HINT = "a line is one request's time, in seconds or as 2026-11-28T08:30:00Z, the earliest first; a header is skipped"


def poisson(rate: Callable[[float], float], highest: float, seconds: float, random: Random) -> list[float]:
    """Arrivals of which `rate` says how many come a second at a time; never more than `highest`."""
    arrivals = []
    now = random.expovariate(highest) if highest > 0 else math.inf
    while now < seconds:
        if random.random() * highest < rate(now):
            arrivals.append(now)
        now += random.expovariate(highest)
    return arrivals


def constant(rate: float, seconds: float, random: Random) -> list[float]:
    """`rate` requests a second, on average."""
    return poisson(lambda time: rate, rate, seconds, random)


def diurnal(rate: float, seconds: float, random: Random, swing: float = 0.8, period: float = DAY) -> list[float]:
    """`rate` requests a second over a whole `period`; at noon 1 + `swing` times as many, at midnight 1 - `swing`."""

    def at(time: float) -> float:
        return rate * (1 - swing * math.cos(2 * math.pi * time / period))

    return poisson(at, rate * (1 + swing), seconds, random)


def bursts(
    rate: float, seconds: float, random: Random, burst: float, every: float = 300.0, lasting: float = 10.0
) -> list[float]:
    """`rate` requests a second, and `burst` instead for `lasting` seconds at the end of every `every` seconds."""

    def at(time: float) -> float:
        return burst if time % every >= every - lasting else rate

    return poisson(at, max(rate, burst), seconds, random)


def read(lines: Iterable[str], name: str) -> list[float]:
    """The arrivals that a CSV file tells in its first column, in seconds since the first.

    Raises `UsageError`, with the number of the line, for what is no time, negative or earlier than the one before.
    """
    times: list[float] = []
    for number, text in _cells(lines):
        time = _time(text)
        if time is None and not times and number == 1:
            continue  # a header
        reason = _wrong(text, time, times)
        if reason or time is None:
            raise UsageError(f"reading {name}, line {number}: {reason}", _HINT)
        times.append(time)
    if not times:
        raise UsageError(f"reading {name}: it has no requests", _HINT)
    return [time - times[0] for time in times]


def _cells(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    for number, row in enumerate(csv.reader(lines), 1):
        if row:  # else the line is empty
            yield number, row[0].strip()


def _wrong(text: str, time: float | None, before: list[float]) -> str:
    if time is None:
        return f"{text!r} is no time" if text else "the time is missing"
    if time < 0:
        return f"the time {text} is negative"
    if before and time < before[-1]:
        return f"the time {text} is earlier than the one before"
    return ""


def _time(text: str) -> float | None:
    try:
        time = float(text)
    except ValueError:
        return _moment(text)
    return time if math.isfinite(time) else None


def _moment(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
