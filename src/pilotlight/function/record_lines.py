"""Records as lines of a log, from which they are recovered when a store did not take them.

    pilotlight.record REQUEST-ID 1/2 |{"primary_key": {"S": "REQUEST-|
    pilotlight.record REQUEST-ID 2/2 |ID"}, ...}|
    pilotlight.stored REQUEST-ID

Between the bars is an item as DynamoDB's JSON, in ASCII, cut into parts: a pipe takes no more than 4,096 bytes in one
piece while others write to it too (pipe(7)), and a log may cut what is long. A part is found wherever it stands in a
line, behind a time stamp or what a function wrote without an end of line. The lines are no JSON, since Lambda would
filter such by their level where a function's log format is JSON (docs.aws.amazon.com/lambda/latest/dg/
monitoring-cloudwatchlogs-log-level.html).
"""

from __future__ import annotations

from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterator


MARK = "pilotlight."  # is in every such line, and seldom in others
UNSTORED, UNMADE = "[WARN] the record of", "[ERROR] recording"
"""How lines begin that say: a record is in the log only; there is none. An alarm counts them."""
_RECORD, _STORED = "pilotlight.record ", "pilotlight.stored "
_LINE = 4_096  # PIPE_BUF


class Part(NamedTuple):
    """One line: part `number` of `of` of a record, or that it has been stored, where both are 0.

    `before` is what stood in front of it.
    """

    request_id: str
    number: int
    of: int
    text: str
    before: str


def record(request_id: str, text: str) -> Iterator[bytes]:
    """The lines of a record; `text` is ASCII."""
    room = _LINE - len(f"{_RECORD}{request_id} 9999/9999 ||\n")
    count = -(-len(text) // room)
    for number in range(count):
        yield _line(request_id, number + 1, count, text[number * room : (number + 1) * room])


def whole(request_id: str, text: str) -> str:
    """A record as one line, however long, without its end."""
    return f"{_RECORD}{request_id} 1/1 |{text}|"


def _line(request_id: str, number: int, count: int, part: str) -> bytes:
    return f"{_RECORD}{request_id} {number}/{count} |{part}|\n".encode()


def stored(request_id: str) -> bytes:
    """The line that says that the record has been stored."""
    return f"{_STORED}{request_id}\n".encode()


def find(line: str) -> Part | None:
    """The part in a line of a log, if there is one."""
    before, mark, rest = line.partition(_RECORD)
    if mark:
        request_id, _, rest = rest.partition(" ")
        if rest.startswith("1/1 |") and rest.endswith("|"):  # nearly all are
            return Part(request_id, 1, 1, rest[5:-1], before)
        place, bar, text = rest.partition(" |")
        number, slash, count = place.partition("/")
        end = text.rfind("|")
        if not (bar and slash and number.isdecimal() and count.isdecimal()) or end < 0:
            return None
        return Part(request_id, int(number), int(count), text[:end], before)
    before, mark, rest = line.partition(_STORED)
    request_id = rest.split(maxsplit=1)[0] if rest.strip() else ""
    return Part(request_id, 0, 0, "", before) if mark and request_id else None


class Reader:
    """Puts records together from their parts, in the order of a log. `records` are whole and not said to be stored."""

    def __init__(self) -> None:
        self.records: dict[str, str] = {}
        self._parts: dict[str, dict[int, str]] = {}
        self._counts: dict[str, int] = {}

    @property
    def broken(self) -> int:
        """Of how many records parts are missing."""
        return len(self._parts)

    def lines(self) -> Iterator[bytes]:
        """The lines of all that it has, parts of records that are not whole yet among them."""
        for request_id, text in self.records.items():
            yield from record(request_id, text)
        for request_id, parts in self._parts.items():
            yield from (_line(request_id, number, self._counts[request_id], text) for number, text in parts.items())

    def take(self, part: Part) -> None:
        """Of two records with one id, as an invocation that was tried again makes them, the last one stays."""
        if part.of == 0:
            self.records.pop(part.request_id, None)
            self._parts.pop(part.request_id, None)
            self._counts.pop(part.request_id, None)
            return
        if not 1 <= part.number <= part.of:
            return  # a function has printed what only looks like one
        if part.of == 1:
            self.records[part.request_id] = part.text
            return
        parts = self._parts.setdefault(part.request_id, {})
        if part.number in parts or self._counts.get(part.request_id) != part.of:  # another one
            parts.clear()
        self._counts[part.request_id] = part.of
        parts[part.number] = part.text
        if len(parts) == part.of:
            del self._parts[part.request_id], self._counts[part.request_id]
            self.records[part.request_id] = "".join(parts[number + 1] for number in range(part.of))
