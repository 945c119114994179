"""An index of a table of records: what of each is looked for, sorted and counted, in a SQLite file of its own.

A table can only be read whole, in no order (`function.table.Table`). The index has a row of a few columns for each
record; input and output stay in the table, but for the beginnings that are searched. `share` is drawn from the key, 0
to 1023: all below some number are a sample that is as good as one drawn at random, and one index finds them together.
"""

import sqlite3
from datetime import UTC, datetime
from typing import NamedTuple
from zlib import crc32

from pilotlight.function.table import Item
from pilotlight.measure.answer_class import is_error, judged
from pilotlight.values import RECORD_EXPIRES, RECORD_KEY

SHARES = 1024

_SEARCHED = {"input": 400, "output": 200, "error": 200}  # characters
_SCHEMA = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = OFF;
    PRAGMA cache_size = -65536;
    BEGIN;
    CREATE TABLE record (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL, time INTEGER NOT NULL, share INTEGER NOT NULL,
        function TEXT NOT NULL, failed INTEGER NOT NULL, cold INTEGER NOT NULL, class TEXT, score REAL, latency REAL,
        expires REAL, text TEXT);
    CREATE INDEX by_time ON record (time, id, function, failed, cold, class, expires, score, latency, share);
    CREATE INDEX by_share ON record (share, time, function, failed, cold, class, expires, score, latency);
    CREATE INDEX by_expiry ON record (expires) WHERE expires IS NOT NULL;
    CREATE TABLE progress (done INTEGER, total INTEGER, skipped INTEGER, runs INTEGER, is_busy INTEGER, error TEXT,
        hint TEXT);
    INSERT INTO progress VALUES (0, 0, 0, 0, 1, '', '');
    COMMIT;
"""
_INSERT = "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Progress(NamedTuple):
    """How far the index is: `done` of `total` items read, of which `skipped` are no records; `runs` through the table
    have ended. `error` is why the last one broke off."""

    done: int
    total: int
    skipped: int
    runs: int
    is_busy: bool
    error: str
    hint: str


class Row(NamedTuple):
    """`time` in ms since 1970, `latency` in ms, `expires` in seconds since 1970. `id` None is a new one."""

    id: int | None
    key: str
    time: int
    share: int
    function: str
    failed: bool
    cold: bool
    name: str | None
    score: float | None
    latency: float | None
    expires: float | None
    text: str


def create(path: str) -> sqlite3.Connection:
    """An empty index in a new file, to be written; who reads meanwhile sees no table yet, or all of it."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(_SCHEMA)
    return connection


def insert(connection: sqlite3.Connection, rows: list[Row]) -> None:
    connection.executemany(_INSERT, rows)


def row(item: Item, id: int | None = None) -> Row | None:
    """What the index has of a record; None for what is none."""
    key, created = item.get(RECORD_KEY), item.get("createdAt")
    if not isinstance(key, str) or not isinstance(created, str):
        return None
    try:
        time = milliseconds(created)
    except (ValueError, OverflowError):
        return None
    name, score = judged(str(item.get("output", "")))
    share = crc32(key.encode()) % SHARES
    latency, expires = _number(item.get("latency_ms")), _number(item.get(RECORD_EXPIRES))
    failed, cold = is_error(item), item.get("cold") is True
    function = str(item.get("function", ""))
    return Row(id, key, time, share, function, failed, cold, name, score, latency, expires, _searched(item))


def milliseconds(text: str) -> int:
    """Since 1970, of a time in ISO 8601; without a zone it is UTC. Raises ValueError, OverflowError."""
    when = datetime.fromisoformat(text)
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _searched(item: Item) -> str:
    """In one case, as `look.Look` searches it."""
    return "\n".join(str(item.get(name, ""))[:size] for name, size in _SEARCHED.items()).casefold()
