"""Which records to show, and records in the logs of others. Pure."""

import heapq
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pilotlight.errors import UsageError
from pilotlight.function import record_lines
from pilotlight.function.record_lines import Reader
from pilotlight.function.table import Item
from pilotlight.measure.answer_class import is_error

FIELDS = (  # of a record, in the order of exports
    *("primary_key", "createdAt", "function", "model", "route", "status", "error", "latency_ms", "cold"),
    *("input", "output", "expires"),
)

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Filter(NamedTuple):
    """Records to show. `since` and `until` are as `createdAt` is written, "" for no bound; `until` is not included."""

    function: str = ""
    since: str = ""
    until: str = ""
    contains: str = ""
    errors: bool = False
    cold: bool = False

    def admits(self, record: Item) -> bool:
        created, function = str(record.get("createdAt", "")), str(record.get("function", ""))
        return (
            (not self.function or self.function in (function, function.rpartition("--")[2]))
            and created >= self.since
            and (not self.until or created < self.until)
            and (not self.contains or any(self._is_in(record.get(name)) for name in ("input", "output", "error")))
            and (not self.errors or is_error(record))
            and (not self.cold or record.get("cold") is True)
        )

    def _is_in(self, text: object) -> bool:
        return isinstance(text, str) and self.contains.casefold() in text.casefold()


def moment(text: str, now: datetime) -> str:
    """A time as `createdAt` has it: "90s", "15m", "2h", "3d" and "1w" are so long ago, else ISO 8601, in UTC unless it
    says otherwise. Raises `UsageError`."""
    if ago := re.fullmatch(r"(\d{1,6})([smhdw])", text):
        return _stamp(now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}))
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        hint = "write 15m, 2h or 3d for so long ago, 2026-11-28, or 2026-11-28T08:30"
        raise UsageError(f"{text!r} is no time", hint) from None
    return _stamp(read if read.tzinfo else read.replace(tzinfo=UTC))


def _stamp(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z"


def newest(records: Iterable[Item], limit: int) -> list[Item]:
    """The newest first, `limit` at most (0: all), in no more memory than those take."""
    if limit:
        return heapq.nlargest(limit, records, key=_age)
    return sorted(records, key=_age, reverse=True)


def _age(record: Item) -> tuple[str, str]:
    return str(record.get("createdAt", "")), str(record.get("primary_key", ""))


def exported(record: Item) -> dict[str, object]:
    """In the order of FIELDS, whatever else it has after them; inputs and outputs that are JSON taken apart."""
    names = [*(name for name in FIELDS if name in record), *(name for name in record if name not in FIELDS)]
    return {name: _parsed(record[name]) if name in ("input", "output") else record[name] for name in names}


def _parsed(text: object) -> object:
    if isinstance(text, str) and text.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):  # it was cut, or never was any
            return text
    return text


def read(lines: Iterable[str]) -> Reader:
    """The records in a log that nothing says of that they were stored. Lines may be as a function wrote them, as `aws
    logs tail` prints them, or JSON that holds them, such as the events of CloudWatch."""
    reader = Reader()
    for line in lines:
        if record_lines.MARK in line:
            for part in filter(None, map(record_lines.find, _texts(line))):
                reader.take(part)
    return reader


def _texts(line: str) -> Iterator[str]:
    """The lines of a log within a line of a file."""
    text = line.strip().rstrip(",")
    if text[:1] in ("{", "[", '"'):
        field = re.fullmatch(r'"\w+"\s*:\s*(".*")', text)  # of JSON that was written over many lines
        try:
            yield from _strings(json.loads(field[1] if field else text))
            return
        except (ValueError, RecursionError):
            pass
    yield line


def _strings(value: object) -> Iterator[str]:
    match value:
        case str():
            yield from value.splitlines()
        case list():
            for each in value:
                yield from _strings(each)
        case dict():
            for each in value.values():
                yield from _strings(each)
