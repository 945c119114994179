"""Starts processes through a process of its own, which forks and isolates them: see `launch.py`.

The server has threads and much memory; a fork of it is slow, and unsafe for anything but an exec. A launcher has
neither. One that has loaded a function (`loads`) starts environments that need no init phase of their own.
"""

import asyncio
import contextlib
import errno
import itertools
import json
import os
import signal
import socket
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, cast

import pilotlight
from pilotlight.local import report
from pilotlight.local.isolation import Level, Plan
from pilotlight.local.launch import Order

__all__ = ["Launcher", "LoadFailed", "Order", "Plan"]

Exited = Callable[[int], None]

_SIZE = 65_536
_GRACE = 2.0  # seconds that a launcher has to end its processes and itself
_PLAIN = "import sys; sys.path.append({path!r}); from pilotlight.local.launch import main; main({control}, {server})"
_LOADS = "from pilotlight.local.launch import main; main({control}, {server}, True, {plan}, {groups})"


class LoadFailed(Exception):
    """The function's init failed. `payload` is the JSON object that Lambda makes of it."""

    def __init__(self, payload: bytes) -> None:
        super().__init__(payload.decode("utf-8", "replace"))
        self.payload = payload


class _Asked(NamedTuple):
    """A question that the launcher has not answered: for a process, which tells `exited`, or for a level."""

    answer: asyncio.Future[object]
    exited: Exited


class Launcher:
    """One launcher process. `start` makes one; it is over when its process has ended for whatever reason."""

    def __init__(self, loads: bool, plan: Plan | None, cgroups: tuple[str, ...]) -> None:
        self.pid = 0
        self._loads = loads
        self._plan = plan
        self._cgroups = cgroups
        self._loop = asyncio.get_running_loop()
        self._connection, self._theirs = socket.socketpair()
        self._connection.setblocking(False)
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._numbers = itertools.count()
        self._asked: dict[int, _Asked] = {}
        self._children: dict[int, Exited] = {}
        self._outgoing: deque[tuple[bytes, int]] = deque()  # each with a descriptor until that is sent, then -1
        self._incoming = b""
        self._is_lost = False

    @property
    def is_running(self) -> bool:
        """Whether it can start processes; once it cannot, it never can again."""
        return not self._is_lost

    # life

    @classmethod
    async def start(
        cls,
        python: str | Path,
        variables: Mapping[str, str] | None = None,
        root: str | Path | None = None,
        output: int | None = None,
        loads: bool = False,
        plan: Plan | None = None,
        cgroups: tuple[str, ...] = (),
        spawned: Callable[[int], None] = lambda pid: None,
    ) -> "Launcher":
        """Start a launcher with that interpreter; with `loads`, one that loads the function that `variables` name.

        `output` is the descriptor that it writes to, where not to this process's own. A `plan` whose level is
        "namespace" isolates the function's init phase too, and what that leaves in /tmp is in each fork's; with it,
        `cgroups` are joined first. `spawned` gets the process's id before anything is loaded in it.

        Raises OSError when it cannot be started and LoadFailed when the function cannot be loaded, however long that
        takes.
        """
        launcher = cls(loads, plan, cgroups)
        try:
            spawn = launcher._loop.create_task(launcher._spawn(python, variables, root, output))
            try:
                await asyncio.shield(spawn)
            finally:
                await asyncio.gather(spawn, return_exceptions=True)  # half a spawn could not be undone
            spawned(launcher.pid)
            await asyncio.shield(launcher._ready)
        except BaseException:
            await launcher.close()
            raise
        return launcher

    async def _spawn(
        self, python: str | Path, variables: Mapping[str, str] | None, root: str | Path | None, output: int | None
    ) -> None:
        self._loop.add_reader(self._connection, self._read)
        with self._theirs:
            transport, _ = await self._loop.subprocess_exec(
                lambda: _Watch(self._process_ended),
                *self._command(str(python)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=root,
                env=variables,
                pass_fds=(self._theirs.fileno(),),
                start_new_session=True,  # a terminal's Ctrl-C is the server's to handle
            )
        self.pid = transport.get_pid() or 0

    def _command(self, python: str) -> list[str]:
        path = str(Path(pilotlight.__file__).parent.parent)
        code = (_LOADS if self._loads else _PLAIN).format(
            path=path,
            control=self._theirs.fileno(),
            server=os.getpid(),
            plan=tuple(self._plan or ()),
            groups=self._cgroups,
        )
        return [python, *([] if self._loads else ["-I", "-S"]), "-c", code]

    async def close(self) -> None:
        """End the launcher and all that it has started. Each `exited` has been called or will be at once."""
        if self.pid:
            await asyncio.shield(self._end())
        self._lose()

    async def _end(self) -> None:
        if not self._is_lost:
            self._connection.shutdown(socket.SHUT_WR)
        if self._ready.done():  # else it loads a function, and does not look
            await asyncio.wait([self._ended], timeout=_GRACE)
        self._kill()
        await self._ended

    def _process_ended(self, pid: int, status: int) -> None:
        _kill_group(pid)  # what a function's init phase has started
        self._read()  # its last words
        self._ended.set_result(status)
        self._lose()
        self._fail_load(report.failure("Runtime.ExitError", report.exited(status)).payload)

    def _fail_load(self, payload: bytes) -> None:
        if not self._ready.done():
            error = LoadFailed(payload) if self._loads else OSError(errno.ECHILD, "the launcher could not start")
            self._ready.set_exception(error)
            self._ready.exception()  # retrieved: `start` may have given up waiting

    def _lose(self) -> None:
        """The launcher is gone, and so are its processes: the kernel kills them, and here what they have started."""
        if self._is_lost:
            return
        self._is_lost = True
        self._loop.remove_reader(self._connection)
        self._loop.remove_writer(self._connection)
        self._connection.close()
        for _, output in self._outgoing:
            _close(output)
        for asked in self._asked.values():
            _fail(asked.answer, _gone())
        for pid, exited in self._children.items():
            _kill_group(pid)
            self._loop.call_soon(exited, -signal.SIGKILL)
        self._asked.clear()
        self._children.clear()
        if not self._ended.done():
            self._loop.call_later(_GRACE, self._kill)

    def _kill(self) -> None:
        if self.pid and not self._ended.done():
            _kill_group(self.pid)

    # processes

    async def launch(self, order: Order, output: int, exited: Exited) -> int:
        """Start a process that writes to the descriptor `output`, in a session of its own; its id.

        `exited` is called when it has ended, once this has returned: with its status, or the signal as a negative
        number. Raises OSError when it cannot be isolated or executed.
        """
        pid = await self._ask("launch", order, output, exited)
        assert isinstance(pid, int)
        return pid

    async def probe(self) -> Level:
        """The strongest isolation that works on this machine, by trying. Raises OSError."""
        plan = Plan("none", 1, tempfile.gettempdir(), ())
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            level = await self._ask("probe", Order((), {}, "/", plan), null, lambda status: None)
        finally:
            os.close(null)
        return cast(Level, level)

    async def _ask(self, kind: str, order: Order, output: int, exited: Exited) -> object:
        if self._is_lost:
            raise _gone()
        number = next(self._numbers)
        line = json.dumps([number, kind, order._replace(variables=dict(order.variables))]).encode() + b"\n"
        self._outgoing.append((line, os.dup(output)))  # its owner may close it before it is sent
        answer: asyncio.Future[object] = self._loop.create_future()
        self._asked[number] = _Asked(answer, exited)
        self._write()
        return await answer

    # the socket

    def _write(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._outgoing:
                self._write_one()
        if self._outgoing:
            self._loop.add_writer(self._connection, self._write)
        elif not self._is_lost:
            self._loop.remove_writer(self._connection)

    def _write_one(self) -> None:
        line, output = self._outgoing[0]
        try:
            send = self._connection.send
            sent = socket.send_fds(self._connection, [line], [output]) if output >= 0 else send(line)
        except BlockingIOError:
            raise
        except OSError:
            self._lose()
            self._outgoing.clear()
            return
        _close(output)
        if sent == len(line):
            self._outgoing.popleft()
        else:
            self._outgoing[0] = (line[sent:], -1)

    def _read(self) -> None:
        while not self._is_lost:
            try:
                data = self._connection.recv(_SIZE)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._lose()
            *lines, self._incoming = (self._incoming + data).split(b"\n")
            for line in lines:
                self._handle(json.loads(line))

    def _handle(self, message: list[object]) -> None:
        match message:
            case ["ready"]:
                self._ready.set_result(None)
            case ["unloaded", error]:
                self._fail_load(json.dumps(error).encode())
            case ["refused", int(code), str(text)]:
                self._ready.set_exception(OSError(code, text))
            case ["launched", int(number), int(pid)]:
                self._handle_launched(self._asked.pop(number), pid)
            case ["answered", int(number), answer]:
                _answer(self._asked.pop(number).answer, answer)
            case ["failed", int(number), int(code), str(text)]:
                _fail(self._asked.pop(number).answer, OSError(code, text))
            case ["exited", int(pid), int(status)]:
                self._loop.call_soon(self._children.pop(pid), status)  # after the one who awaits `launch`

    def _handle_launched(self, asked: _Asked, pid: int) -> None:
        if asked.answer.done():  # nobody awaits it any more
            _kill_group(pid)
            self._children[pid] = lambda status: None
        else:
            self._children[pid] = asked.exited
            asked.answer.set_result(pid)


class _Watch(asyncio.SubprocessProtocol):
    def __init__(self, ended: Callable[[int, int], None]) -> None:
        self._ended = ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)  # uvloop's is none by name
        self._pid = self._transport.get_pid() or 0

    def process_exited(self) -> None:
        self._ended(self._pid, self._transport.get_returncode() or 0)
        self._transport.close()


def _gone() -> OSError:
    return OSError(errno.ECHILD, "the process that starts environments has ended")


def _answer(future: asyncio.Future[object], answer: object) -> None:
    if not future.done():
        future.set_result(answer)


def _fail(future: asyncio.Future[object], error: OSError) -> None:
    if not future.done():
        future.set_exception(error)


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)


def _kill_group(pid: int) -> None:
    assert pid > 0, "0 is the server's own group"
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: a group of zombies
        os.killpg(pid, signal.SIGKILL)
