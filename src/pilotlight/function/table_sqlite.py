"""A table in a SQLite file: WAL, so that readers and the writer do not wait for each other.

An environment reads the file itself and has the server write (`pilotlight.local.tables`), since its file system is
read-only. That works while the server has the file open: sqlite.org/wal.html#read_only_databases. Without a server
the file is written from here, which is for tools.
"""

from __future__ import annotations

import os
import time
from itertools import islice

from pilotlight.errors import TableError, TableUnreachable
from pilotlight.function import plain_json
from pilotlight.function.items import Item, check_key, decode, encode, expiry, key_of
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    import socket
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Literal, Protocol

    from pilotlight.function.table import Address
else:
    Protocol = object

BATCH = 1_000  # items in one transaction, keys in one query; SQLite allows 32,766
LONGEST = 64 << 20  # bytes of a change as it is sent, in which what is in JSON becomes JSON once more
_CHANGE_BYTES = 4 << 20  # of JSON, before one more item, of 2.4 MB at most
_BUSY_SECONDS = 30.0  # for another process that writes
_ANSWER_SECONDS = 2 * _BUSY_SECONDS

Row = tuple[str, str, "float | None"]  # key, item as JSON, the time after which it is gone

_abandoned: list[object] = []  # connections of the process that this one is a fork of


class Change(NamedTuple):
    """Rows to put in place of others and keys to delete, in one transaction."""

    table: str
    put: Sequence[Row] = ()
    delete: Sequence[str] = ()


class Writer(Protocol):
    """Where a table's changes go. Committed when `write` returns. Raises `TableError`."""

    def write(self, change: Change) -> None: ...
    def close(self) -> None: ...


class SqliteTable:
    """See the module and `table.Table`. A file or a table that is not there yet is empty; writing makes it."""

    def __init__(self, address: Address) -> None:
        self.key = address.key
        self._address = address
        self._reader: sqlite3.Connection | None = None
        self._writer: Writer | None = None
        self._process = os.getpid()

    def get(self, keys: Iterable[str]) -> dict[str, Item]:
        wanted = iter({check_key(each, self.key): None for each in keys})
        found: dict[str, Item] = {}
        while batch := list(islice(wanted, BATCH)):
            marks = ",".join("?" * len(batch))
            found.update((key, decode(plain_json.loads(item))) for key, item in self._rows(f"key IN ({marks})", batch))
        return found

    def put(self, items: Iterable[Item]) -> None:
        rows: list[Row] = []
        size = 0
        for item in items:
            text = encode(item, self.key)
            rows.append((key_of(item, self.key), text, expiry(item, self._address.expires)))
            size += len(text)
            if len(rows) >= BATCH or size >= _CHANGE_BYTES:
                self._write(Change(self._address.table, put=rows))
                rows, size = [], 0
        if rows:
            self._write(Change(self._address.table, put=rows))

    def delete(self, keys: Iterable[str]) -> None:
        rest = iter(keys)
        while batch := [check_key(each, self.key) for each in islice(rest, BATCH)]:
            self._write(Change(self._address.table, delete=batch))

    def scan(self) -> Iterator[Item]:
        last = ""
        while rows := self._rows(f"key > ? ORDER BY key LIMIT {BATCH}", [last]):  # one long read would hold the log
            yield from (decode(plain_json.loads(item)) for _, item in rows)
            last = rows[-1][0]

    def close(self) -> None:
        for each in (self._reader, self._writer):
            if each is not None:
                each.close()
        self._reader = self._writer = None

    def _rows(self, condition: str, values: Sequence[str]) -> list[tuple[str, str]]:
        import sqlite3

        self._notice_fork()
        if self._reader is None and not os.path.exists(self._address.place):
            return []
        try:
            self._reader = self._reader or connect(self._address.place, "ro")
            query = f"SELECT key, item FROM {quoted(self._address.table)} WHERE (expires IS NULL OR expires > ?)"
            return self._reader.execute(f"{query} AND {condition}", [time.time(), *values]).fetchall()
        except sqlite3.Error as error:
            if str(error).startswith("no such table"):
                return []
            raise failure("reading", self._address.place, error) from None

    def _write(self, change: Change) -> None:
        self._notice_fork()
        if self._writer is None:
            here = self._address
            self._writer = ServerWriter(here.writer) if here.writer else FileWriter(here.place)
        self._writer.write(change)

    def _notice_fork(self) -> None:
        """SQLite's connections, and half of a socket's exchange, are of no use in a fork: sqlite.org/howtocorrupt.html.
        To close them would be to use them."""
        if self._process != os.getpid():
            _abandoned.extend((self._reader, self._writer))
            self._reader, self._writer, self._process = None, None, os.getpid()


class FileWriter:
    """Writes the file itself; opens it, and makes it, when something is written."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._connection: sqlite3.Connection | None = None

    def write(self, change: Change) -> None:
        self.write_all([change])

    def write_all(self, changes: Sequence[Change]) -> None:
        """Several changes in one transaction, in their order."""
        self._run(lambda connection: _apply(connection, changes))

    def remove_expired(self) -> None:
        """Remove what is gone by now from all tables of the file."""
        self._run(_remove_expired)

    def open(self) -> None:
        """Make the file, and let processes read it whose file system is read-only."""
        self._run(lambda _: None)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, work: Callable[[sqlite3.Connection], object]) -> None:
        import sqlite3

        try:
            if self._connection is None:
                os.makedirs(os.path.dirname(self._place), exist_ok=True)
                self._connection = connect(self._place, "rwc")
            self._connection.execute("BEGIN IMMEDIATE")
            with self._connection:  # commits, or rolls back
                work(self._connection)
        except (sqlite3.Error, OSError) as error:
            raise failure("writing", self._place, error) from None


def _apply(connection: sqlite3.Connection, changes: Iterable[Change]) -> None:
    for change in changes:
        table = quoted(change.table)
        columns = "key TEXT PRIMARY KEY, item TEXT NOT NULL, expires REAL"
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
        index = f"CREATE INDEX IF NOT EXISTS {quoted(change.table + '.expires')} ON {table} (expires)"
        connection.execute(f"{index} WHERE expires IS NOT NULL")
        put = f"INSERT INTO {table} VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
        connection.executemany(f"{put} item = excluded.item, expires = excluded.expires", change.put)
        connection.executemany(f"DELETE FROM {table} WHERE key = ?", [(key,) for key in change.delete])


def _remove_expired(connection: sqlite3.Connection) -> None:
    tables = connection.execute("SELECT tbl_name FROM sqlite_schema WHERE name = tbl_name || '.expires'").fetchall()
    for (table,) in tables:
        connection.execute(f"DELETE FROM {quoted(table)} WHERE expires <= ?", [time.time()])


class ServerWriter:
    """Sends changes to the server at "host:port", each as its length in 4 bytes and JSON; the answer comes so too."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._socket: socket.socket | None = None

    def write(self, change: Change) -> None:
        message = plain_json.dumps(change).encode()
        try:
            answer = self._ask(message)
        except OSError as error:
            self.close()  # an answer that came later would be taken for the next
            hint = "is `pilotlight serve`, which started this function, still running?"
            raise TableUnreachable(f"writing to the table {change.table!r} by {self._address}: {error}", hint) from None
        if answer["error"]:
            raise TableError(answer["error"], answer["hint"])

    def _ask(self, message: bytes) -> dict[str, str]:
        if self._socket is not None:
            try:
                return self._exchange(self._socket, message)
            except ConnectionError:  # the server has closed what was idle; to write twice is to write once
                self.close()
        return self._exchange(self._open(), message)

    def _open(self) -> socket.socket:
        import socket

        host, _, port = self._address.partition(":")
        self._socket = socket.socket()
        self._socket.settimeout(_ANSWER_SECONDS)
        self._socket.connect((host, int(port)))  # create_connection would import IDNA, for 3 ms
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def _exchange(self, connection: socket.socket, message: bytes) -> dict[str, str]:
        connection.sendall(len(message).to_bytes(4, "big") + message)
        size = int.from_bytes(_receive(connection, 4), "big")
        answer: dict[str, str] = plain_json.loads(_receive(connection, size))
        return answer

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionResetError("it closed the connection")
        data += part
    return data


def quoted(table: str) -> str:
    """A name in SQL."""
    return '"' + table.replace('"', '""') + '"'


def connect(place: str, mode: Literal["ro", "rwc"]) -> sqlite3.Connection:
    """A connection to the file; with "rwc" it is made, and brought to WAL, where need be. Raises `sqlite3.Error`."""
    import sqlite3

    uri = f"file:{place.replace('%', '%25').replace('?', '%3f').replace('#', '%23')}?mode={mode}"
    connection = sqlite3.connect(uri, _BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=True)
    if mode == "rwc":
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")  # what is answered as stored outlives a loss of power
        connection.execute(f"PRAGMA journal_size_limit = {64 << 20}")
        connection.execute(
            "PRAGMA cache_size = -16384"
        )  # KiB: keys come in any order, and 2 MB hold those of 40,000 items
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """The change to WAL does not wait for others that make it: sqlite.org/c3ref/busy_timeout.html, "deadlock"."""
    import sqlite3

    end = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.01)


_HINTS = {
    "unable to open database file": "may this user use file and folder? A function can, while `pilotlight serve` runs",
    "attempt to write a readonly database": "may this user write to the file and its folder?",
    "file is not a database": "move it away, and what it should hold is made anew",
    "database is locked": "another process is writing for a long time; is it still needed?",
    "database or disk is full": "make room on the disk",
}


def failure(doing: str, place: str, error: Exception) -> TableError:
    """What SQLite or the file system says, as an error with a remedy."""
    reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return TableError(f"{doing} {place}: {reason[:1].lower()}{reason[1:]}", _HINTS.get(reason, ""))
