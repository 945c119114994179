"""The index of one table of records in use: its process, and questions to it from threads of this one."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from pilotlight.errors import TableError
from pilotlight.function.table import Item, Table, connect_uri, parse
from pilotlight.measure.records_worker import INDEX

_STOP_SECONDS = 5.0
_START_SECONDS = 60.0
_PAUSE = 0.01

_T = TypeVar("_T")


class Index:
    """Nothing is read, and no process started, before `update`. Methods but `close` may wait: for threads."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.is_remote = parse(uri).store != "sqlite"
        self._table: Table | None = None  # which may need a region, or credentials, once it is asked
        self._reading = ThreadPoolExecutor(1, "records")  # a table is for one thread at a time
        self._worker: subprocess.Popen[str] | None = None
        self._path = ""
        self._updating = threading.Lock()  # two who look at once start one process

    @property
    def is_started(self) -> bool:
        return self._worker is not None

    def update(self) -> None:
        """Read the table, or what is new in it. Raises OSError, `TableError`."""
        with self._updating:
            if self._worker is None or self._worker.poll() is not None:
                self._start()
                return
            assert self._worker.stdin is not None
            with suppress(BrokenPipeError):
                self._worker.stdin.write("\n")
                self._worker.stdin.flush()

    def begin(self) -> None:
        """Read the table, unless that was begun. Raises OSError, `TableError`."""
        with self._updating:
            if self._worker is None:
                self._start()

    def _start(self) -> None:
        self._end()
        folder = tempfile.mkdtemp(prefix="pilotlight-records-")  # which nobody else may read
        self._path = os.path.join(folder, INDEX)
        command = [sys.executable, "-m", "pilotlight.measure.records_worker", folder, self.uri]
        self._worker = subprocess.Popen(  # Ctrl-C is for the server: the end of stdin ends it
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True
        )

    def ask(self, question: Callable[[sqlite3.Connection], _T]) -> _T:
        """What `question` makes of the index. Raises `TableError`."""
        end = time.monotonic() + _START_SECONDS
        while True:
            try:
                return self._asked(question)
            except sqlite3.OperationalError as error:
                if time.monotonic() > end or not self._is_starting(error):
                    raise TableError(f"reading the index of records: {error}", "start again") from None
            time.sleep(_PAUSE)

    def _is_starting(self, error: sqlite3.OperationalError) -> bool:
        waits = any(text in str(error) for text in ("unable to open", "no such table", "locked"))
        return waits and self._worker is not None and self._worker.poll() is None

    def _asked(self, question: Callable[[sqlite3.Connection], _T]) -> _T:
        index = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=_STOP_SECONDS)
        try:
            index.execute("PRAGMA cache_size = -16384")  # KiB
            index.execute("BEGIN")  # one state of it for all that is asked
            return question(index)
        finally:
            index.close()

    def get(self, keys: list[str]) -> list[Item]:
        """The records themselves, in that order; without those that are gone. Raises `TableError`."""
        found = self._reading.submit(self._get, keys).result()
        return [found[key] for key in keys if key in found]

    def close(self) -> None:
        """Ends the process, which removes the index."""
        self._end()
        self._reading.shutdown()
        if self._table is not None:
            self._table.close()

    def _get(self, keys: list[str]) -> dict[str, Item]:
        self._table = self._table or connect_uri(self.uri)
        return self._table.get(keys)

    def _end(self) -> None:
        if self._worker is None:
            return
        assert self._worker.stdin is not None
        with suppress(BrokenPipeError):
            self._worker.stdin.close()
        try:
            self._worker.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._worker.kill()
            self._worker.wait()
        shutil.rmtree(os.path.dirname(self._path), ignore_errors=True)  # what one that was killed has left
        self._worker = None
