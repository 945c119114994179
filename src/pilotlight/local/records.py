"""Records on this machine: taken out of what functions log, kept in a file until they are stored.

The lines of a record (`record_lines`) are in `.pilotlight/records.log` of its service before its answer reaches the
client: an environment that is killed loses none, nor does a server. The table in SQLite is written from here, many
records in one transaction. Into DynamoDB functions put their records themselves, as on Lambda; what they could not is
stored from here some time later. What no store has taken when the server stops stays in the file, for the next
`pilotlight serve` or `pilotlight records recover`.
"""

import asyncio
import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import msgspec

from pilotlight.errors import TableError
from pilotlight.function import items, record_lines
from pilotlight.function.record_lines import Part, Reader
from pilotlight.function.records import remote
from pilotlight.function.table_sqlite import Change
from pilotlight.local.tables import Tables, address
from pilotlight.project import Function
from pilotlight.settings import Table
from pilotlight.values import RECORD_EXPIRES, RECORDS

FOLDER = ".pilotlight"

_PAUSE = 0.1  # seconds from a record to the transaction that stores it
_BUSY_PAUSE = 2.0  # and while more of them come: a page of the file that many have changed is written once
_PATIENCE = 15.0  # seconds in which a function has stored its record itself, or will not
_LONGEST_PAUSE = 30.0  # between two tries, when the store fails
_LAST_SECONDS = 10.0  # for storing when the server stops
_TIDY = 8 << 20  # bytes of a file that is written anew without what has been stored
_MOST = 256 << 20  # bytes of a file that takes no more

Log = Callable[[str, str], None]  # the function's key, a line

_EXPIRES = f'"{RECORD_EXPIRES}":{{"N":"'


class Spool:
    """A file of record lines that one process has for itself. Raises OSError."""

    def __init__(self, path: Path) -> None:
        """Raises BlockingIOError when another process has it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = _open(path)
        while not _is_at(path, self._file):  # who had it has removed it in this moment
            os.close(self._file)
            self._file = _open(path)
        self.size = os.fstat(self._file).st_size

    def read(self) -> Reader:
        """What it holds."""
        reader = Reader()
        with self.path.open(encoding="utf-8", errors="replace") as lines:
            for part in filter(None, map(record_lines.find, lines)):
                reader.take(part)
        return reader

    def append(self, line: bytes) -> None:
        os.write(self._file, line)
        self.size += len(line)

    def replace(self, lines: Iterable[bytes]) -> None:
        """Let it hold these lines instead, at once."""
        new = self.path.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        file = _open(new)
        try:
            self.size = sum(os.write(file, line) for line in lines)
            os.replace(new, self.path)
        except OSError:
            os.close(file)
            raise
        os.close(self._file)
        self._file = file

    def close(self) -> None:
        """An empty file goes."""
        if self.size == 0:
            self.path.unlink(missing_ok=True)
        os.close(self._file)


def _open(path: Path) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise
    return file


def _is_at(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


def spools(root: Path) -> Iterator[Path]:
    """Where servers of the service in `root` keep what is not stored: one file each."""
    return iter(sorted((root / FOLDER).glob("records*.log")))


def open_spool(root: Path) -> Spool:
    """The first file that no other process has. Raises OSError."""
    for number in range(1, 100):
        with contextlib.suppress(BlockingIOError):
            return Spool(root / FOLDER / (f"records-{number}.log" if number > 1 else "records.log"))
    raise OSError(f"{root / FOLDER}: a hundred servers keep records there")


class Records:
    """The records of all functions. `log` is what their lines go to, but for those that are kept here."""

    def __init__(self, tables: Tables, log: Log) -> None:
        self._tables = tables
        self._log = log
        self._keepers: dict[Path, Keeper] = {}
        self._of: dict[str, Keeper] = {}  # by the function's key

    def deploy(self, functions: Iterable[Function]) -> None:
        """These are the functions now. Those that are gone may still have something to say."""
        for function in functions:
            if function.records is not None:
                self._of[function.key] = self._keeper(function)

    def _keeper(self, function: Function) -> "Keeper":
        table, key = function.tables[RECORDS], function.key
        if function.root not in self._keepers:
            log = partial(self._log, key)
            self._keepers[function.root] = Keeper(function.root, table, self._tables, log)
        keeper = self._keepers[function.root]
        keeper.table = table
        keeper.begin()
        return keeper

    def log(self, key: str, line: str) -> None:
        """A line of a function's log."""
        part = record_lines.find(line) if record_lines.MARK in line else None
        keeper = self._of.get(key)
        if part is None or keeper is None or not keeper.take(part, line):
            self._log(key, line)
        elif part.before:
            self._log(key, part.before)

    def record(self, key: str, request_id: str, text: str) -> None:
        """The record of an invocation that came along with its answer."""
        keeper = self._of.get(key)
        if keeper is None or not keeper.keep(request_id, text):
            self._log(key, record_lines.whole(request_id, text))

    async def close(self) -> None:
        """Store what is left, as far as that can be done soon."""
        await asyncio.gather(*(keeper.close() for keeper in self._keepers.values()))


class Keeper:
    """The records of one service. `table` is where they belong."""

    def __init__(self, root: Path, table: Table, tables: Tables, log: Callable[[str], None]) -> None:
        self.table = table
        self._root = root
        self._tables = tables
        self._log = log
        self._reader = Reader()
        self._seen: set[str] = set()  # of those that wait, the ones that a function has had the time to store
        self._work: asyncio.Task[None] | None = None
        self._spool: Spool | None = None
        try:
            self._spool = open_spool(root)
            self._reader.records = self._spool.read().records
        except OSError as error:
            self._warn(f"keeping records: {error}; they are in this log only")
        for request_id in list(self._reader.records):
            self._check(request_id)
        self._seen.update(self._reader.records)

    def begin(self) -> None:
        """Store what a server before this one has left."""
        if self._reader.records and self._work is None:
            self._work = asyncio.ensure_future(self._tend())

    def keep(self, request_id: str, text: str) -> bool:
        """Keep a record; False where that is not possible."""
        if not self._append(record_lines.whole(request_id, text)):
            return False
        self._reader.records[request_id] = text
        if self._work is None:
            self.begin()
        return True

    def take(self, part: Part, line: str) -> bool:
        """Keep a part of a record, or that it is stored, out of a function's log; False where that is not possible."""
        if not self._append(line[len(part.before) :]):
            return False
        self._reader.take(part)
        self._check(part.request_id)
        self.begin()
        return True

    def _append(self, line: str) -> bool:
        if self._spool is None or self._spool.size > _MOST:
            return False
        try:
            self._spool.append(f"{line}\n".encode())
        except OSError as error:
            self._warn(f"keeping a record: {error}; it is in this log only")
            return False
        return True

    def _check(self, request_id: str) -> None:
        """Drop what only looks like a record: whatever a function has printed, or a full disk has torn."""
        text = self._reader.records.get(request_id)
        if text is not None and not _is_record(request_id, text):
            self._warn(f"{request_id}: what the log says is no record")
            del self._reader.records[request_id]

    async def _tend(self) -> None:
        """Store what waits, until nothing does."""
        is_remote = self.table.store == "dynamodb"
        pause, failed = _PATIENCE if is_remote else _PAUSE, False
        while self._reader.records:
            await asyncio.sleep(pause)
            try:
                await self._store(self._due())
                pause, failed = _PATIENCE if is_remote else _BUSY_PAUSE, False
            except (TableError, OSError) as error:
                if not failed:
                    self._warn(f"storing records: {error}; they are kept, and tried again")
                pause, failed = min(2 * pause, _LONGEST_PAUSE), True
            self._tidy()
        self._work = None

    def _due(self) -> dict[str, str]:
        records = self._reader.records
        if self.table.store == "sqlite":
            return dict(records)
        due = {request_id: text for request_id, text in records.items() if request_id in self._seen}
        self._seen = set(records)
        return due

    async def _store(self, due: dict[str, str]) -> None:
        if not due:
            return
        try:
            await self._write(due)
        except ValueError:  # a client of the Runtime API other than ours has sent what is no record with its answer
            for request_id in due:
                self._check(request_id)
            return
        for request_id, text in due.items():
            if self._reader.records.get(request_id) is text:
                del self._reader.records[request_id]

    async def _write(self, due: dict[str, str]) -> None:
        if self.table.store == "sqlite":
            await self._tables.write(self._root, Change(RECORDS, [_row(*each) for each in due.items()]))
        else:
            await asyncio.get_running_loop().run_in_executor(None, self._put, list(due.values()))

    def _put(self, texts: list[str]) -> None:
        table = remote(address(self._root, RECORDS, self.table))
        try:
            table.put(items.decode(json.loads(text)) for text in texts)
        finally:
            table.close()

    def _tidy(self) -> None:
        """Take out of the file what has been stored."""
        if self._spool is not None and self._spool.size and (not self._reader.records or self._spool.size > _TIDY):
            try:
                self._spool.replace(self._reader.lines())
            except OSError as error:  # it grows, then
                self._warn(f"tidying {self._spool.path}: {error}")

    async def close(self) -> None:
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        self._seen.update(self._reader.records)
        with contextlib.suppress(TimeoutError, TableError, OSError):
            await asyncio.wait_for(self._store(self._due()), _LAST_SECONDS)
        self._tidy()
        if self._reader.records:
            self._warn(f"{len(self._reader.records)} records could not be stored: `pilotlight records recover` does")
        if self._spool is not None:
            self._spool.close()

    def _warn(self, text: str) -> None:
        self._log(f"[WARN] {text}")


def _is_record(request_id: str, text: str) -> bool:
    try:
        item = items.decode(msgspec.json.decode(text))
        return _row(request_id, text) is not None and item["primary_key"] == request_id
    except Exception:  # the boundary to user code: whatever a function has printed
        return False


def _row(request_id: str, text: str) -> tuple[str, str, float | None]:
    _, mark, rest = text.rpartition(_EXPIRES)  # within a text the quotes would be escaped
    return request_id, text, float(rest.partition('"')[0]) if mark else None
