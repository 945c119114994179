"""The tables of services on this machine: SQLite files, each written by one writer here.

Environments see a read-only file system: they read the file, and send what they write to the writer, which takes
one change after another from any number of connections and answers when they are committed. Changes that have come
together share a transaction, and so the wait for the disk.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from pilotlight.errors import TableError
from pilotlight.function.table import Address, variable
from pilotlight.function.table_sqlite import LONGEST, Change, FileWriter
from pilotlight.project import Function
from pilotlight.settings import Table

FILE = ".pilotlight/tables.sqlite"  # in the folder of its service

_EXPIRY_SECONDS = 60.0  # between two removals of what is gone; what is gone is not read anyway

_decode = msgspec.json.Decoder(tuple[str, list[tuple[str, str, float | None]], list[str]]).decode

_T = TypeVar("_T")
_Waiting = tuple[Change, "asyncio.Future[None]"]


class Unusable(OSError):
    """A service's file of tables cannot be opened or made: no environment that needs it can start."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def address(root: Path, name: str, table: Table, writer: str = "") -> Address:
    """Where the table `name` of the service in `root` is; `table.table` is set. `writer` is for SQLite's."""
    if table.store == "dynamodb":
        return Address("dynamodb", str(table.table), table.key, table.expires)
    return Address("sqlite", str(root / FILE), table.key, table.expires, name, writer)


def variables(function: Function, writer: str = "") -> dict[str, str]:
    """The environment variables that tell a function where its tables are."""
    tables = function.tables.items()
    return {variable(name): str(address(function.root, name, table, writer)) for name, table in tables}


class Tables:
    """The writers of all services, each started with the first environment that needs it."""

    def __init__(self) -> None:
        self._writers: dict[Path, asyncio.Task[Writer]] = {}

    async def variables(self, function: Function) -> dict[str, str]:
        """As the function of that name, with a writer that runs. Raises `Unusable`."""
        needs_writer = any(table.store == "sqlite" for table in function.tables.values())
        return variables(function, (await self._writer(function.root)).address if needs_writer else "")

    async def write(self, root: Path, change: Change) -> None:
        """Change a table of the service in `root`. Raises `TableError`, OSError."""
        await (await self._writer(root)).write(change)

    async def _writer(self, root: Path) -> "Writer":
        starting = self._writers.get(root)
        if starting is None or (starting.done() and (starting.cancelled() or starting.exception() is not None)):
            starting = self._writers[root] = asyncio.ensure_future(Writer.start(root / FILE))
        return await asyncio.shield(starting)

    async def close(self) -> None:
        """All that was written is in the files when this returns."""
        for starting in self._writers.values():
            with contextlib.suppress(OSError):
                await (await starting).close()
        self._writers.clear()


class Writer:
    """The one writer of a file, at `address`, "127.0.0.1:port"."""

    def __init__(self, file: FileWriter, thread: ThreadPoolExecutor) -> None:
        self.address = ""
        self._file = file
        self._thread = thread  # which waits for the disk
        self._waiting: list[_Waiting] = []
        self._committing: asyncio.Task[None] | None = None
        self._expiring: asyncio.Task[None]
        self._server: asyncio.Server
        self._connections: set[asyncio.Task[None]] = set()

    @classmethod
    async def start(cls, file: Path) -> "Writer":
        """Raises `Unusable`."""
        writer = cls(FileWriter(str(file)), ThreadPoolExecutor(1, "tables"))
        try:
            await writer._run(writer._file.open)
        except TableError as error:
            writer._thread.shutdown()
            raise Unusable(str(error), error.hint) from None
        writer._server = await asyncio.start_server(writer._serve, "127.0.0.1", 0)
        host, port = writer._server.sockets[0].getsockname()
        writer.address = f"{host}:{port}"
        writer._expiring = asyncio.ensure_future(writer._expire())
        return writer

    async def write(self, change: Change) -> None:
        """Committed when this returns. Raises `TableError`."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((change, done))
        if self._committing is None or self._committing.done():
            self._committing = asyncio.ensure_future(self._commit())
        await done

    async def close(self) -> None:
        """Take nothing more; what was taken is in the file when this returns."""
        self._server.close()
        for task in (self._expiring, *self._connections):
            task.cancel()
        await asyncio.gather(self._expiring, *self._connections, return_exceptions=True)
        if self._committing is not None:
            await self._committing
        await self._run(self._file.close)
        self._thread.shutdown()

    async def _commit(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            errors = await self._run(partial(self._store, [change for change, _ in waiting]))
            for (_, done), error in zip(waiting, errors, strict=True):
                if error is not None and not done.done():
                    done.set_exception(error)
                elif not done.done():  # who waited may be gone
                    done.set_result(None)

    def _store(self, changes: Sequence[Change]) -> list[TableError | None]:
        """What became of each change. When they fail together, each is tried alone."""
        try:
            self._file.write_all(changes)
        except TableError as error:
            return [error] if len(changes) == 1 else [self._store([change])[0] for change in changes]
        return [None] * len(changes)

    async def _expire(self) -> None:
        while True:
            with contextlib.suppress(TableError):  # another process writes, or the disk is full: next time
                await self._run(self._file.remove_expired)
            await asyncio.sleep(_EXPIRY_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while (size := int.from_bytes(await reader.readexactly(4), "big")) <= LONGEST:  # else not ours: a browser?
                answer = await self._answer(await reader.readexactly(size))
                writer.write(len(answer).to_bytes(4, "big") + answer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _answer(self, message: bytes) -> bytes:
        error = TableError("")
        try:
            await self.write(Change(*_decode(message)))
        except msgspec.DecodeError as reason:
            error = TableError(f"writing to a table: this is no change: {reason}")
        except TableError as reason:
            error = reason
        return msgspec.json.encode({"error": str(error), "hint": error.hint})

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
