"""When requests come: arrivals in seconds since a midnight, drawn at random or read from a file. Pure.

Clients do not wait for one another, so that arrivals are a Poisson process whose rate may change with the time. It is
drawn by thinning: as many as at the highest rate, of which each stays with the share that the rate of its moment is of
the highest (Lewis and Shedler, Simulation of nonhomogeneous Poisson processes by thinning, 1979).
"""

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain, islice, pairwise
from math import ceil
from random import Random
from typing import NamedTuple

from pilotlight.errors import UsageError

MINUTE, DAY = 60.0, 86_400.0
MOST = 20_000_000
"""Requests that a file may tell of: as many as memory holds, and minutes simulate."""

_LATEST = 1e11  # seconds since 1970 are that in 5138; milliseconds were it in 1973
_DIGITS = 12  # of a minute or a count
_SHOWN = 40  # characters of what is wrong
_HINT = (
    "a line is one request's time, in seconds (not milliseconds) or as 2026-11-28T08:30:00Z, the earliest first; "
    "a header is skipped"
)
_COUNTS = "with the header minute,count a line is a minute, 0 or later and later than the one before, and its requests"


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

    arrivals: list[float] = []
    for number in range(ceil(seconds / every)):
        middle, end = number * every + every - lasting, (number + 1) * every
        for begin, until, each in ((number * every, middle, rate), (middle, end, burst)):
            arrivals += [begin + time for time in constant(each, min(until, seconds) - begin, random)]
    return arrivals


class Trace(NamedTuple):
    """`arrivals` within `seconds`; `gap` is the longest time without one, from `gap_from` on. `begins` is the second of
    the day (UTC where that is told) from which all of these count."""

    arrivals: Sequence[float]
    seconds: float
    gap: float
    gap_from: float
    begins: float = 0.0


def traced(arrivals: Sequence[float], seconds: float = 0.0) -> Trace:
    """The trace of these, which ends with the last one if `seconds` says nothing later."""
    end = max(seconds, arrivals[-1] if arrivals else 0.0)
    gap, since = max(((later - earlier, earlier) for earlier, later in pairwise((0.0, *arrivals, end))), default=(0, 0))
    return Trace(arrivals, end, gap, since)


def read_trace(lines: Iterable[str], name: str, random: Random) -> Trace:
    """The arrivals of a file as `read` has it, or of counts: under the header `minute,count` each line is a minute and
    how many requests came at random moments of it; minutes that are left out have none. A trace lasts a minute
    at least.

    Raises `UsageError`, with the number of the line.
    """
    rows = _rows(lines, name)
    first = next(rows, [])
    header = [cell.strip().lower() for cell in first]
    if header == ["minute", "count"]:
        return _counted(rows, name, random)
    if header and header[0].startswith("minute"):
        raise UsageError(f"reading {name}, line 1: {','.join(header)!r} is not the header minute,count", _COUNTS)
    times = _times(chain([first], rows), name)
    return traced(_since_first(times), MINUTE)._replace(begins=times[0] % DAY)


def _rows(lines: Iterable[str], name: str) -> Iterator[list[str]]:
    """Without the mark that some programs write before UTF-8. Quotes are not looked at: one that has no end would take
    the rest of the file for a cell. Raises `UsageError`."""
    whole = iter(lines)
    marked = (line.removeprefix("\ufeff") for line in islice(whole, 1))
    reader = csv.reader(chain(marked, whole), quoting=csv.QUOTE_NONE)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UsageError(f"reading {name}, line {reader.line_num}: {error}", _HINT) from None
        except UnicodeDecodeError:
            raise UsageError(f"reading {name}: it is no text in UTF-8", _HINT) from None
        yield [cell.strip().strip('"') for cell in row]


def _counted(rows: Iterator[list[str]], name: str, random: Random) -> Trace:
    arrivals: list[float] = []
    before = -1
    for number, row in enumerate(rows, 2):
        if row:
            try:
                minute, count = _count(row, before, MOST - len(arrivals))
            except ValueError as error:
                raise UsageError(f"reading {name}, line {number}: {error}", _COUNTS) from None
            arrivals += sorted(minute * MINUTE + random.random() * MINUTE for _ in range(count))
            before = minute
    if not arrivals:
        raise UsageError(f"reading {name}: it has no requests", _COUNTS)
    return traced(arrivals, (before + 1) * MINUTE)


def _count(row: Sequence[str], before: int, room: int) -> tuple[int, int]:
    """Raises `ValueError` for what is no minute and its count."""
    if len(row) != 2 or not all(row):
        raise ValueError("the minute or the count is missing" if len(row) <= 2 else f"it has {len(row)} values")
    for what, text in zip(("minute", "count"), row, strict=True):
        if not text.isascii() or not text.isdecimal():
            negative = text.startswith("-") and text[1:].isdecimal()
            raise ValueError(f"the {what} {_short(text)} is negative" if negative else f"{_short(text)!r} is no {what}")
        if len(text) > _DIGITS:
            raise ValueError(f"the {what} {_short(text)} is too large")
    minute, count = (int(text) for text in row)
    if minute <= before:
        raise ValueError(f"the minute {minute} is not later than the one before")
    if count > room:
        raise ValueError(f"with it there are more than {MOST:,} requests")
    return minute, count


def read(lines: Iterable[str], name: str) -> list[float]:
    """The arrivals that a CSV file tells in its first column, in seconds since the first.

    Raises `UsageError`, with the number of the line, for what is no time, negative or earlier than the one before, and
    for counts of minutes.
    """
    rows = _rows(lines, name)
    first = next(rows, [])
    if first and first[0].lower().startswith("minute"):
        raise UsageError(f"reading {name}, line 1: it counts the requests of minutes, without their times", _HINT)
    return _since_first(_times(chain([first], rows), name))


def _since_first(times: Sequence[float]) -> list[float]:
    return [time - times[0] for time in times]


def _times(rows: Iterable[list[str]], name: str) -> list[float]:
    times: list[float] = []
    for number, row in enumerate(rows, 1):
        if not row:
            continue  # the line is empty
        text = row[0]
        time = _time(text)
        if time is None and not times and number == 1:
            continue  # a header
        reason = _wrong(text, time, times)
        if reason or time is None:
            raise UsageError(f"reading {name}, line {number}: {reason}", _HINT)
        times.append(time)
    if not times:
        raise UsageError(f"reading {name}: it has no requests", _HINT)
    return times


def _wrong(text: str, time: float | None, before: list[float]) -> str:
    if time is None:
        return f"{_short(text)!r} is no time" if text else "the time is missing"
    if time < 0:
        return f"the time {text} is negative"
    if time > _LATEST:
        return f"the time {text} is too late for seconds, also for those since 1970"
    if before and time < before[-1]:
        return f"the time {text} is earlier than the one before"
    if len(before) >= MOST:
        return f"with it there are more than {MOST:,} requests"
    return ""


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


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
