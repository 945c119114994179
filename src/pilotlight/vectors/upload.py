"""Vectors into a table, in constant memory, going on where an earlier run was broken off."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from pilotlight import limits
from pilotlight.errors import VectorError
from pilotlight.function.items import Item
from pilotlight.function.table import Table
from pilotlight.function.vectors import to_item
from pilotlight.vectors import source
from pilotlight.vectors.problems import Problem, Tell, shown
from pilotlight.vectors.source import Layout, Read

_SAVED_EVERY = 1.0  # seconds
_CHUNK = 1_000  # items between two notes of how far it is: one transaction of SQLite, 40 requests to DynamoDB


class Kind(NamedTuple):
    """How numbers are stored: the attribute `type`, and bytes for each."""

    name: str
    size: int


HALF, SINGLE = Kind("f2", 2), Kind("f4", 4)


class Numbered(NamedTuple):
    """An item and the line that it comes from."""

    line: int
    word: str
    item: Item


class Upload(NamedTuple):
    """Which vectors go into a table with the key attribute `key`: all of a file, or those that are `wanted`."""

    file: Path
    layout: Layout
    kind: Kind
    key: str
    wanted: frozenset[str] | None = None

    def items(self, tell: Tell, read: Read = lambda done, size: None) -> Iterator[Numbered]:
        """Their items. What is wrong is told, and left out, as by `source.entries`, which raises too.

        Raises `VectorError` when vectors are too large for an item.
        """
        if self.layout.dim * self.kind.size + 2 * limits.ITEM_KEY > limits.ITEM:
            raise VectorError(f"{self.file}: {self.layout.dim} numbers are too many for an item of a table")
        for line, word, vector in source.entries(self.file, self.layout, tell, self.wanted, read):
            try:
                yield Numbered(line, word, to_item(word, vector, self.kind.name, self.key))
            except OverflowError:
                tell(Problem(line, "too large", f"{shown(word)} has a number that is too large for a half float"))

    def identity(self) -> dict[str, object]:
        """What an upload that goes on has in common with the one before it."""
        state = self.file.stat()
        words = sha256("\n".join(sorted(self.wanted)).encode()).hexdigest() if self.wanted is not None else ""
        return {
            "file": [str(self.file.resolve()), state.st_size, state.st_mtime_ns],
            "stored": [self.layout, self.kind, self.key],
            "words": words,
        }


class Done(NamedTuple):
    """How far an upload is: everything up to `line` is stored, `items` of `total`; `word` is the last of them."""

    total: int
    line: int = 0
    items: int = 0
    word: str = ""


class Journal:
    """What is known of an upload that was broken off, in a file of `folder`, as `identity` says which upload it is."""

    def __init__(self, folder: Path, identity: Mapping[str, object]) -> None:
        text = json.dumps(identity, sort_keys=True)
        self._file = folder / f"{sha256(text.encode()).hexdigest()[:32]}.json"
        self._saved = 0.0

    def read(self) -> Done | None:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Done)
        except (OSError, msgspec.MsgspecError):
            return None

    def note(self, done: Done) -> None:
        """Save it, unless that was done just now: to upload some items again does no harm."""
        if time.monotonic() - self._saved >= _SAVED_EVERY:
            self.save(done)

    def save(self, done: Done) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(done))
        part.replace(self._file)
        self._saved = time.monotonic()

    def remove(self) -> None:
        self._file.unlink(missing_ok=True)


def send(numbered: Iterable[Numbered], table: Table, done: Done, stored: Callable[[Done], None]) -> Done:
    """Store the items of the lines after `done.line`, and tell `stored` how far that is. Raises `TableError`.

    The table itself does several requests at once.
    """
    rest = (each for each in numbered if each.line > done.line)
    for batch in iter(lambda: list(islice(rest, _CHUNK)), []):
        table.put(each.item for each in batch)
        done = done._replace(line=batch[-1].line, items=done.items + len(batch), word=batch[-1].word)
        stored(done)
    return done
