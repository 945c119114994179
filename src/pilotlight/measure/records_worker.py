"""The process that makes the index of a table of records, and keeps it up to date.

    python -m pilotlight.measure.records_worker FOLDER URI

A million records take most of a minute, in which the server has requests to answer: so this is a process of its own.
It makes FOLDER/index.sqlite, newest records first where the table has an order, and reads on for each line on stdin. At
the end of that it removes the folder: whatever ends the server, no copy of its records is left. Records are read in
batches: memory is bounded.
"""

import json
import os
import queue
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from pilotlight.errors import PilotlightError
from pilotlight.function import items
from pilotlight.function.table import Address, Item, connect_uri, parse
from pilotlight.function.table_sqlite import connect, quoted
from pilotlight.measure import records_rows
from pilotlight.measure.records_rows import Row

INDEX = "index.sqlite"

_BATCH = 2_000
_NICE = 10  # the server's requests go first

Read = tuple[int | None, Item]


class Worker:
    """See the module. `wishes` are lines of stdin, None their end."""

    def __init__(self, folder: Path, uri: str, wishes: "queue.SimpleQueue[str | None]") -> None:
        self._address = parse(uri)
        self._uri = uri
        self._wishes = wishes
        self._ended = False
        self._index = records_rows.create(str(folder / INDEX))
        self._highest = self._lowest = 0  # of the rows of a file that were read
        self._is_whole = False
        if self._address.store != "sqlite":  # what is read again has no number by which it would be found
            self._index.execute("CREATE UNIQUE INDEX by_key ON record (key)")

    def run(self) -> None:
        self._update()
        while not self._ended:
            self._take(self._wishes.get())
            self._update()
        self._index.close()

    def _take(self, wish: str | None) -> None:
        self._ended = self._ended or wish is None

    def _update(self) -> None:
        if self._ended:
            return
        self._say(is_busy=1, error="", hint="", done=0, total=0, skipped=0)
        try:
            for batch in _batches(self._read()):
                self._store(batch)
                while not self._wishes.empty():
                    self._take(self._wishes.get())
                if self._ended:
                    return
            self._index.execute("DELETE FROM record WHERE expires <= ?", [time.time()])
            self._end()
        except (PilotlightError, sqlite3.Error, OSError) as error:
            self._end(str(error), getattr(error, "hint", ""))

    def _end(self, error: str = "", hint: str = "") -> None:
        said = "UPDATE progress SET is_busy = 0, runs = runs + 1, error = ?, hint = ?"
        self._index.execute(said, [error, hint])

    def _say(self, **fields: object) -> None:
        names = ", ".join(f"{name} = ?" for name in fields)
        self._index.execute(f"UPDATE progress SET {names}", list(fields.values()))

    def _store(self, batch: list[Read]) -> None:
        numbers = [number for number, _ in batch if number is not None]
        rows = [records_rows.row(item, number) for number, item in batch]
        found: list[Row] = [row for row in rows if row is not None]
        self._index.execute("BEGIN")
        with self._index:
            records_rows.insert(self._index, found)
            skipped = len(rows) - len(found)
            self._index.execute("UPDATE progress SET done = done + ?, skipped = skipped + ?", [len(rows), skipped])
        if numbers:
            self._highest = max(self._highest, *numbers)
            self._lowest = min(self._lowest or numbers[0], *numbers)

    def _read(self) -> Iterator[Read]:
        if self._address.store == "sqlite":
            return self._read_file() if os.path.exists(self._address.place) else iter(())
        table = connect_uri(self._uri)
        return ((None, item) for item in table.scan())

    def _read_file(self) -> Iterator[Read]:
        """What is new in the file; the first time, and when a run broke off, what is older too."""
        table = connect(self._address.place, "ro")
        try:
            newest = self._extent(table)
            if newest < self._highest:  # it was emptied, or is another one
                self._forget()
            if self._lowest:
                yield from _numbered(table, self._address, "rowid > ? ORDER BY rowid", self._highest)
            if not self._is_whole:
                older = self._lowest or newest + 1
                yield from _numbered(table, self._address, "rowid < ? ORDER BY rowid DESC", older)
                self._is_whole = newest > 0
        except sqlite3.OperationalError as error:
            if not str(error).startswith("no such table"):
                raise
        finally:
            table.close()

    def _extent(self, table: sqlite3.Connection) -> int:
        name = quoted(self._address.table)
        count = "count(*)" if self._lowest == 0 else f"(SELECT count(*) FROM {name} WHERE rowid > {self._highest})"
        total, newest = table.execute(f"SELECT {count}, coalesce(max(rowid), 0) FROM {name}").fetchone()
        self._say(total=total)
        return int(newest)

    def _forget(self) -> None:
        self._index.execute("DELETE FROM record")
        self._highest = self._lowest = 0
        self._is_whole = False


def _numbered(table: sqlite3.Connection, address: Address, condition: str, last: int) -> Iterator[tuple[int, Item]]:
    """Rows of the file in the order of `condition`, a batch at a time: one long read would hold the log."""
    query = f"SELECT rowid, item FROM {quoted(address.table)} WHERE {condition} LIMIT {_BATCH}"
    while rows := table.execute(query, [last]).fetchall():
        yield from ((number, items.decode(json.loads(item))) for number, item in rows)
        last = rows[-1][0]


def _batches(read: Iterable[Read]) -> Iterator[list[Read]]:
    rest = iter(read)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _listen(wishes: "queue.SimpleQueue[str | None]") -> None:
    for line in sys.stdin:
        wishes.put(line)
    wishes.put(None)


def main(folder: Path, uri: str) -> None:
    with suppress(OSError):
        os.nice(_NICE)
    wishes: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(wishes,), daemon=True).start()
    try:
        Worker(folder, uri, wishes).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
