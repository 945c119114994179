"""One execution environment: a process of its own, with a Runtime API listener of its own.

    start -> (idle -> invoke -> busy -> idle ...) -> stop

One invocation at a time. What happens on Lambda happens here instead of being simulated: a process that exits, hangs
or is killed is one. Each environment has its own listener because the pending `next` of a killed runtime would
otherwise swallow an event meant for its successor.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from pilotlight import limits
from pilotlight.local import process, report
from pilotlight.local.runtime_api import Connection, RuntimeRequest
from pilotlight.project import Function
from pilotlight.values import Call, Result

_API = "/2018-06-01/runtime"
_PIPE_SIZE = 65_536  # bytes that a pipe holds: pipe(7)

LogLine = Callable[[str], None]


class InitError(Exception):
    """The init phase ended without a `next`. `log` is the end of what the function had written by then."""

    def __init__(self, kind: str, text: str, payload: bytes = b"", log: bytes = b"") -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text
        self.payload = payload
        self.log = log

    def result(self, call: Call) -> Result:
        """What the caller of the function gets: the runtime's own report, or Lambda's words."""
        failed = Result(self.payload, "Unhandled") if self.payload else failure(self.kind, self.text, call.request_id)
        return failed._replace(request_id=call.request_id, log=self.log if call.tail else b"")


class InitTimeout(Exception):
    """The init phase took longer than it may."""


class _Invocation:
    __slots__ = ("answered", "began", "request_id", "result", "tail", "timer")

    def __init__(self, call: Call, result: "asyncio.Future[Result]", timer: asyncio.TimerHandle) -> None:
        self.request_id = call.request_id
        self.tail = call.tail
        self.result = result
        self.timer = timer
        self.began = time.perf_counter()
        self.answered = False


class Environment:
    """See the module. `on_idle` is called whenever it can take an invocation, `on_exit` once when its process ends."""

    def __init__(
        self,
        function: Function,
        log: LogLine,
        on_idle: Callable[["Environment"], None],
        on_exit: Callable[["Environment"], None],
    ) -> None:
        self.function = function
        self.pid = 0
        self._log = log
        self._on_idle = on_idle
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._exited: asyncio.Future[int] = self._loop.create_future()
        self._waiting: Connection | None = None  # the client whose `next` is pending
        self._current: _Invocation | None = None
        self._is_killed = False
        self._budget = float(function.timeout)  # seconds that the next invocation may take
        self._init_seconds = 0.0  # of an init that no REPORT line has named yet
        self._tail = bytearray()  # the end of the log since the last answer
        self._partial_line = b""
        self._folder: Path | None = None
        self._server: asyncio.Server | None = None
        self._pipe = -1

    @property
    def is_idle(self) -> bool:
        """Whether it can take an invocation."""
        return self._waiting is not None and not self._is_killed

    @property
    def is_finishing(self) -> bool:
        """Whether the function has answered and the runtime has not yet asked for the next event."""
        return self._current is not None and self._current.answered

    # life

    async def start(self, timeout: float, inside_invocation: bool = False) -> None:
        """Spawn the process and wait for its first `next`, for which it has `timeout` seconds.

        Inside an invocation, what the init took is taken from the time that the invocation has. Raises InitError or
        InitTimeout, and then the environment is gone.
        """
        began = time.perf_counter()
        spawn = self._loop.create_task(self._spawn())
        try:
            await asyncio.shield(spawn)
            await asyncio.wait_for(asyncio.shield(self._ready), timeout)
        except BaseException as error:
            await asyncio.gather(spawn, return_exceptions=True)  # half a spawn could not be undone
            await self.stop()
            if isinstance(error, TimeoutError):
                raise InitTimeout from None
            raise
        self._init_seconds = time.perf_counter() - began
        if inside_invocation:
            self._budget -= self._init_seconds

    async def _spawn(self) -> None:
        try:
            self._folder = process.make_folder()
            runtime_api = await self._listen()
            await self._execute(process.variables(self.function, runtime_api, self._folder))
        except OSError as error:  # no such interpreter, no file descriptor left, no space on the device
            text = f"Error: starting the environment: {error.strerror or error}"
            raise InitError("Runtime.InvalidEntrypoint", text) from error

    async def _listen(self) -> str:
        listener = socket.create_server(("127.0.0.1", 0), backlog=4)
        self._server = await self._loop.create_server(lambda: Connection(self._handle, self._forget), sock=listener)
        host, port = listener.getsockname()[:2]
        return f"{host}:{port}"

    async def _execute(self, variables: Mapping[str, str]) -> None:
        self._pipe, write_end = os.pipe()
        os.set_blocking(self._pipe, False)
        self._loop.add_reader(self._pipe, self._read_log)
        try:
            await self._loop.subprocess_exec(
                lambda: _Process(self._process_started, self._process_exited),
                *process.command(self.function),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                cwd=self.function.root,
                env=variables,
                start_new_session=True,  # so that what the function starts can be stopped with it
            )
        finally:
            os.close(write_end)

    async def stop(self) -> None:
        """Kill the process and whatever it started; nothing of the environment is left when this returns."""
        self._kill()
        if self.pid:
            await asyncio.shield(self._exited)
        self._release()

    def _kill(self) -> None:
        self._is_killed = True
        if self.pid and not self._exited.done():
            self._kill_group()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: a group of zombies
            os.killpg(self.pid, signal.SIGKILL)

    def _process_started(self, pid: int) -> None:
        self.pid = pid
        if self._is_killed:  # stopped while it was being spawned
            self._kill_group()

    def _process_exited(self, status: int) -> None:
        self._is_killed = True
        self._kill_group()  # what it had started and left behind
        self._read_log()
        if self._partial_line:
            self._log(self._partial_line.decode("utf-8", "replace"))
        self._exited.set_result(status)
        reason = f"Error: {_exit_reason(status)}"
        self._fail_init("Runtime.ExitError", reason)
        if self._current is not None:
            self._end(failure("Runtime.ExitError", reason, self._current.request_id))
        self._finish()
        self._release()
        self._on_exit(self)

    def _fail_init(self, kind: str, text: str, payload: bytes = b"") -> None:
        if not self._ready.done():
            self._ready.set_exception(InitError(kind, text, payload, bytes(self._tail[-limits.LOG_TAIL :])))
            self._ready.exception()  # retrieved: `start` may have given up waiting

    def _release(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._waiting is not None:
            self._waiting.close()
        if self._pipe >= 0:
            self._loop.remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = -1
        if self._folder is not None:
            process.remove_folder(self._folder)
            self._folder = None

    # invocations

    async def invoke(self, call: Call) -> Result:
        """Run one invocation; the environment must be idle. Returns when the function has answered, failed, exited or
        run out of time; the environment may still be busy then, and tells `on_idle` when it is not."""
        assert self._waiting is not None
        waiting, self._waiting = self._waiting, None
        budget, self._budget = self._budget, float(self.function.timeout)
        timer = self._loop.call_later(budget, self._time_out)
        self._current = _Invocation(call, self._loop.create_future(), timer)
        self._tail += f"START RequestId: {call.request_id} Version: $LATEST\n".encode()
        waiting.reply(200, call.payload, self._event_headers(call, time.time() + budget))
        return await self._current.result

    def _event_headers(self, call: Call, deadline: float) -> dict[str, str]:
        headers = {
            "Lambda-Runtime-Aws-Request-Id": call.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": process.arn(self.function),
        }
        optional = {
            "Lambda-Runtime-Trace-Id": call.trace_id,
            "Lambda-Runtime-Client-Context": call.client_context,
        }
        return headers | {name: value for name, value in optional.items() if value}

    def _time_out(self) -> None:
        if self._current is None:
            return
        self._end(failure("Sandbox.Timedout", timed_out(self.function.timeout), self._current.request_id))
        self._kill()

    def _end(self, result: Result) -> None:
        """Lambda, not the function, ends the current invocation: then nobody else has said why."""
        if self._current is not None and not self._current.answered:
            self._log(f"[ERROR] {result.payload.decode()}")
            self._answer(result)

    def _answer(self, result: Result) -> None:
        """Give the current invocation its result, once."""
        invocation = self._current
        if invocation is None or invocation.answered:
            return
        invocation.answered = True
        self._read_log()  # the runtime flushed before it answered, so what the invocation wrote is in the pipe
        init, self._init_seconds = self._init_seconds, 0.0
        if not invocation.result.done():  # done: nobody waits for it any more
            log = self._report(invocation, init) if invocation.tail else b""
            invocation.result.set_result(result._replace(request_id=invocation.request_id, log=log))
        self._tail.clear()

    def _report(self, invocation: _Invocation, init: float) -> bytes:
        """The log as LogType=Tail gives it: Lambda's own lines around the function's, 4 KB at most."""
        seconds = time.perf_counter() - invocation.began
        peak = report.peak_memory(self.pid)
        end = report.lines(invocation.request_id, seconds, init, self.function.memory, peak)
        return bytes(self._tail + end.encode())[-limits.LOG_TAIL :]

    def _finish(self) -> None:
        if self._current is not None:
            self._current.timer.cancel()
            self._current = None

    # the Runtime API

    def _handle(self, connection: Connection, request: RuntimeRequest) -> None:
        match request.method, request.path.removeprefix(_API).strip("/").split("/"):
            case "GET", ["invocation", "next"]:
                self._handle_next(connection)
            case "POST", ["invocation", request_id, "response"]:
                self._handle_answer(connection, request_id, Result(request.body))
            case "POST", ["invocation", request_id, "error"]:
                self._handle_answer(connection, request_id, Result(request.body, "Unhandled"))
            case "POST", ["init", "error"]:
                self._handle_init_error(connection, request)
            case _:
                connection.refuse(404, "NotFound", f"no such operation: {request.method} {request.path}")

    def _handle_next(self, connection: Connection) -> None:
        if self._current is not None and not self._current.answered:
            text = "Transition from Invoked to Ready is not allowed: answer the invocation first"
            connection.refuse(403, "InvalidStateTransition", text)
            return
        if self._is_killed:
            return  # its last breath
        if self._waiting is not None:
            connection.refuse(403, "InvalidStateTransition", "The next invocation is being waited for already")
            return
        self._finish()
        self._waiting = connection
        if not self._ready.done():
            self._ready.set_result(None)
        else:
            self._on_idle(self)

    def _handle_answer(self, connection: Connection, request_id: str, result: Result) -> None:
        if self._current is None or self._current.request_id != request_id:
            connection.refuse(400, "InvalidRequestID", "Invalid request ID")
        elif self._current.answered:
            connection.refuse(403, "InvalidStateTransition", "The invocation has been answered")
        elif len(result.payload) > limits.PAYLOAD:
            text = f"Exceeded maximum allowed payload size ({limits.PAYLOAD} bytes)."
            connection.refuse(413, "RequestEntityTooLarge", text)
            text = f"Response payload size exceeded maximum allowed payload size ({limits.PAYLOAD} bytes)."
            self._answer(failure("Function.ResponseSizeTooLarge", text))
        else:
            connection.reply(202)
            self._answer(result)

    def _handle_init_error(self, connection: Connection, request: RuntimeRequest) -> None:
        if self._ready.done():
            connection.refuse(403, "InvalidStateTransition", "The init phase is over")
            return
        connection.reply(202)
        self._read_log()
        self._fail_init("Runtime.InitError", "the runtime reported an error", request.body)

    def _forget(self, connection: Connection) -> None:
        if self._waiting is connection:
            self._waiting = None
            self._kill()  # a runtime that hung up can take no invocation

    # logs

    def _read_log(self) -> None:
        """Take what is in the pipe: no more than it holds, since a function can write faster than this reads."""
        if self._pipe < 0:
            return
        try:
            data = os.read(self._pipe, _PIPE_SIZE)
        except BlockingIOError:
            return
        if data:
            self._take_log(data)
        else:
            self._loop.remove_reader(self._pipe)  # end of file: every writer is gone

    def _take_log(self, data: bytes) -> None:
        self._tail += data
        del self._tail[: -limits.LOG_TAIL]
        *lines, self._partial_line = (self._partial_line + data).split(b"\n")
        if len(self._partial_line) > _PIPE_SIZE:
            lines, self._partial_line = [*lines, self._partial_line], b""
        for line in lines:
            self._log(line.decode("utf-8", "replace"))


def timed_out(timeout: int) -> str:
    return f"Error: Task timed out after {timeout:.2f} seconds"


def failure(kind: str, text: str, request_id: str = "") -> Result:
    """The result of an invocation that Lambda itself ended."""
    message = f"RequestId: {request_id} {text}" if request_id else text
    return Result(json.dumps({"errorType": kind, "errorMessage": message}).encode(), "Unhandled")


def _exit_reason(status: int) -> str:
    """Lambda's words for how a runtime ended; a negative status is the signal that ended it."""
    if status == 0:
        return "Runtime exited without providing a reason"
    if status < 0:
        return f"Runtime exited with error: signal: {(signal.strsignal(-status) or str(-status)).lower()}"
    return f"Runtime exited with error: exit status {status}"


class _Process(asyncio.SubprocessProtocol):
    def __init__(self, started: Callable[[int], None], exited: Callable[[int], None]) -> None:
        self._started = started
        self._exited = exited

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)  # uvloop's is none by name
        self._started(self._transport.get_pid() or 0)

    def process_exited(self) -> None:
        self._exited(self._transport.get_returncode() or 0)
        self._transport.close()
