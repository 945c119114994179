"""What the index of a table of records answers: pages, counts over time, distributions, drift.

Counts are exact. Percentiles and distributions are of a sample where many records are asked for, which is said: they
come from `SAMPLE` records at most, drawn by their keys.
"""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Sequence
from math import ceil
from typing import NamedTuple, TypeVar

from pilotlight.measure import drift
from pilotlight.measure.drift import Drift
from pilotlight.measure.records_rows import SHARES, Progress

SAMPLE = 30_000
BINS = 48

_SHOWN = 12  # classes with a name of their own
_TIMED = 5  # of these over time
_TALLEST = 24  # bins of a histogram
_TAIL = 0.995  # what is above this part of all is in the last of them
_MOST_FUNCTIONS = 200

_T = TypeVar("_T")
Sampled = tuple[int, "str | None", "float | None", "float | None"]  # time, class, score, latency


class Look(NamedTuple):
    """Which records. Times in ms since 1970, 0 for no bound; `until` is not included. `name` is a class.

    `function` is its name on Lambda, or without the service's before it.
    """

    function: str = ""
    since: int = 0
    until: int = 0
    contains: str = ""
    failed: bool = False
    cold: bool = False
    name: str = ""

    def where(self) -> tuple[str, list[object]]:
        """As SQL, with its values; what has expired is gone."""
        parts: list[tuple[str, list[object]]] = [("(expires IS NULL OR expires > ?)", [time.time()])]
        if self.function:
            parts.append(
                ("(function = ? OR function LIKE ? ESCAPE '\\')", [self.function, f"%--{_plain(self.function)}"])
            )
        if self.since:
            parts.append(("time >= ?", [self.since]))
        if self.until:
            parts.append(("time < ?", [self.until]))
        if self.failed:
            parts.append(("failed", []))
        if self.cold:
            parts.append(("cold", []))
        if self.name:
            parts.append(("class = ?", [self.name]))
        if self.contains:
            parts.append(("text LIKE ? ESCAPE '\\'", [f"%{_plain(self.contains.casefold())}%"]))
        return " AND ".join(part for part, _ in parts), [value for _, values in parts for value in values]


def _plain(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


class Place(NamedTuple):
    """Of a record: where a page ends."""

    time: int
    id: int


class Found(NamedTuple):
    """The keys of a page, the newest first, and where the next begins; None at the end."""

    keys: list[str]
    next: Place | None


class Span(NamedTuple):
    """A part of the time: exact counts; percentiles of latency and score, and counts of the most frequent classes, in
    the sample. None where there is nothing."""

    time: int
    total: int
    failed: int
    cold: int
    latency: tuple[float, float, float] | None
    score: tuple[float, float, float] | None
    classes: list[int]


class Bar(NamedTuple):
    low: float
    high: float
    size: int


class Overview(NamedTuple):
    """`sampled` of `total` records are in the distributions. `step` in ms; `classless` have no class, `others` one that
    is not among `classes`. Latencies in ms."""

    total: int
    failed: int
    cold: int
    since: int
    until: int
    sampled: int
    step: int
    spans: list[Span]
    classes: list[tuple[str, int]]
    others: int
    classless: int
    scores: list[Bar]
    latencies: list[Bar]


def progress(index: sqlite3.Connection) -> Progress:
    return Progress(*index.execute("SELECT * FROM progress").fetchone())


def functions(index: sqlite3.Connection) -> list[str]:
    """Those with records, by name: one step for each in place of reading all."""
    names: list[str] = []
    query = (
        "SELECT DISTINCT function FROM (SELECT function FROM record ORDER BY time DESC LIMIT 20000) ORDER BY 1 LIMIT ?"
    )
    names += [name for (name,) in index.execute(query, [_MOST_FUNCTIONS])]
    return names


def page(index: sqlite3.Connection, look: Look, limit: int, after: Place | None = None) -> Found:
    """The newest `limit` records, or those that come after a place."""
    condition, values = look.where()
    if after is not None:
        condition, values = f"(time, id) < (?, ?) AND {condition}", [*after, *values]
    query = f"SELECT key, time, id FROM record INDEXED BY by_time WHERE {condition} ORDER BY time DESC, id DESC LIMIT ?"
    rows = index.execute(query, [*values, limit + 1]).fetchall()
    return Found([key for key, _, _ in rows[:limit]], Place(*rows[limit - 1][1:]) if len(rows) > limit else None)


def bounds(index: sqlite3.Connection) -> tuple[int, int]:
    """The times of the oldest and, one ms later, the newest record; 0 and 0 for none."""
    oldest = index.execute("SELECT min(time) FROM record").fetchone()[0]
    newest = index.execute("SELECT max(time) FROM record").fetchone()[0]
    return (0, 0) if oldest is None else (oldest, newest + 1)


def _narrowed(index: sqlite3.Connection, look: Look) -> Look:
    """Text is looked for once: what has it is a table of this connection, which goes before the one of that name."""
    if not look.contains:
        return look
    condition, values = Look(contains=look.contains).where()
    names = "id, time, share, function, failed, cold, class, score, latency, expires"
    source = f"SELECT {names} FROM main.record NOT INDEXED WHERE {condition}"
    index.execute(f"CREATE TEMP TABLE record AS {source}", values)
    index.execute("CREATE INDEX temp.by_time ON record (time)")
    index.execute("CREATE INDEX temp.by_share ON record (share)")
    return look._replace(contains="")


def overview(index: sqlite3.Connection, look: Look) -> Overview:
    look = _narrowed(index, look)
    oldest, newest = bounds(index)
    since, until = look.since or oldest, look.until or newest
    step = max(1, ceil((until - since) / BINS))
    counts = [
        _count(index, look._replace(since=begin, until=min(begin + step, until)))
        for begin in _begins(since, until, step)
    ]
    count, failed, cold = (sum(each[place] for each in counts) for place in range(3))
    found = sample(index, look._replace(since=since, until=until), count)
    return _overview(found, counts, Overview(count, failed, cold, since, until, len(found), step, [], [], 0, 0, [], []))


def _begins(since: int, until: int, step: int) -> range:
    return range(since, until, step)


def _count(index: sqlite3.Connection, look: Look) -> tuple[int, int, int]:
    condition, values = look.where()
    query = f"SELECT count(*), total(failed), total(cold) FROM record INDEXED BY by_time WHERE {condition}"
    return tuple(map(int, index.execute(query, values).fetchone()))  # type: ignore[return-value]


def sample(index: sqlite3.Connection, look: Look, count: int) -> list[Sampled]:
    """Time, class, score, latency of all `count` records, or of about `SAMPLE`."""
    condition, values = look.where()
    by = "by_time"
    if count > SAMPLE:
        condition, values = f"share < ? AND {condition}", [SHARES * SAMPLE // count, *values]
        by = "by_share" if count * count > SAMPLE * _size(index) else "by_time"  # where fewer rows are read
    query = f"SELECT time, class, score, latency FROM record INDEXED BY {by} WHERE {condition}"
    return index.execute(query, values).fetchall()


def _size(index: sqlite3.Connection) -> int:
    """About how many records there are."""
    return int(index.execute("SELECT coalesce(max(id), 0) FROM record").fetchone()[0])


def _overview(found: Sequence[Sampled], counts: Sequence[tuple[int, int, int]], bare: Overview) -> Overview:
    classes = Counter(name for _, name, _, _ in found if name is not None)
    shown = classes.most_common(_SHOWN)
    timed = [name for name, _ in shown[:_TIMED]]
    parts: list[list[Sampled]] = [[] for _ in counts]
    for each in found:
        parts[(each[0] - bare.since) // bare.step].append(each)
    spans = [
        Span(bare.since + place * bare.step, *count, *_distributions(part, timed))
        for place, (count, part) in enumerate(zip(counts, parts, strict=True))
    ]
    return bare._replace(
        spans=spans,
        classes=shown,
        others=classes.total() - sum(count for _, count in shown),
        classless=len(found) - classes.total(),
        scores=histogram([score for _, _, score, _ in found if score is not None]),
        latencies=histogram([latency for _, _, _, latency in found if latency is not None]),
    )


Three = tuple[float, float, float]


def _distributions(part: Sequence[Sampled], timed: Sequence[str]) -> tuple[Three | None, Three | None, list[int]]:
    latencies = sorted(latency for _, _, _, latency in part if latency is not None)
    scores = sorted(score for _, _, score, _ in part if score is not None)
    named = Counter(name for _, name, _, _ in part)
    return _at(latencies, (50, 95, 99)), _at(scores, (10, 50, 90)), [named[name] for name in timed]


def _at(ordered: Sequence[float], percents: Sequence[int]) -> Three | None:
    """Percentiles, each a value that there is (nearest rank)."""
    if not ordered:
        return None
    first, second, third = (ordered[max(0, ceil(len(ordered) * each / 100) - 1)] for each in percents)
    return first, second, third


def histogram(values: Sequence[float]) -> list[Bar]:
    """Bins of one width; the last one has the highest half a percent too, where those are far away."""
    if not values:
        return []
    ordered = sorted(values)
    low, high = ordered[0], ordered[min(len(ordered) - 1, int(len(ordered) * _TAIL))]
    if high <= low:
        return [Bar(low, ordered[-1], len(values))]
    width = (high - low) / _TALLEST
    places = Counter(min(_TALLEST - 1, int((value - low) / width)) for value in values)
    ends = [low + width * place for place in range(_TALLEST)] + [ordered[-1]]
    return [Bar(ends[place], ends[place + 1], places[place]) for place in range(_TALLEST)]


class Drifts(NamedTuple):
    """Each is None where records have no such value. `reference` and `now` count the records of both windows."""

    reference: int
    now: int
    classes: Drift | None
    scores: Drift | None
    latencies: Drift | None


def drifts(index: sqlite3.Connection, look: Look, since: int, until: int) -> Drifts:
    """The records of `look` against those of the window from `since` to `until`, other things being equal."""
    look = _narrowed(index, look)
    before = look._replace(since=since, until=until)
    reference, now = _count(index, before)[0], _count(index, look)[0]
    old, new = sample(index, before, reference), sample(index, look, now)
    classes = _drift(drift.of_classes, *([name for _, name, _, _ in rows] for rows in (old, new)))
    scores = _drift(drift.of_numbers, *([score for _, _, score, _ in rows] for rows in (old, new)))
    latencies = _drift(drift.of_numbers, *([latency for _, _, _, latency in rows] for rows in (old, new)))
    return Drifts(reference, now, classes, scores, latencies)


def _drift(
    compare: Callable[[Sequence[_T], Sequence[_T]], Drift], old: Sequence[_T | None], new: Sequence[_T | None]
) -> Drift | None:
    before, after = ([value for value in values if value is not None] for values in (old, new))
    return compare(before, after) if before or after else None
