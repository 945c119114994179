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
from collections.abc import Callable
from typing import cast

from pilotlight import limits
from pilotlight.local import process, report
from pilotlight.local.runtime_api import Connection, RuntimeRequest
from pilotlight.project import Function
from pilotlight.values import Call, Result

_API = "/2018-06-01/runtime"

LogLine = Callable[[str], None]


class InitError(Exception):
    """The init phase ended without a `next`: `result` is what the caller of the function gets."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.payload)
        self.result = result


class InitTimeout(Exception):
    """The init phase took longer than it may."""


class _Invocation:
    __slots__ = ("answered", "log", "request_id", "result", "started", "tail", "timer")

    def __init__(self, call: Call, result: "asyncio.Future[Result]", timer: asyncio.TimerHandle) -> None:
        self.request_id = call.request_id
        self.tail = call.tail
        self.result = result
        self.timer = timer
        self.started = time.perf_counter()
        self.answered = False
        self.log = bytearray()


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
        self.init_seconds = 0.0
        self._unreported_init = 0.0  # a REPORT line names the init once, with the first invocation
        self.pid = 0
        self._log = log
        self._on_idle = on_idle
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._exited: asyncio.Future[int] = self._loop.create_future()
        self._waiting: Connection | None = None  # the client whose `next` is pending
        self._current: _Invocation | None = None
        self._partial_line = b""
        self._folder = process.make_folder()
        self._server: asyncio.Server | None = None
        self._pipe = -1

    @property
    def is_finishing(self) -> bool:
        """Whether the function has answered and the runtime has not yet asked for the next event."""
        return self._current is not None and self._current.answered

    # life

    async def start(self, timeout: float) -> None:
        """Spawn the process and wait for its first `next`. Raises InitError or InitTimeout, and then it is gone."""
        began = time.perf_counter()
        try:
            await self._spawn()
            await asyncio.wait_for(asyncio.shield(self._ready), timeout)
        except TimeoutError:
            await self.stop()
            raise InitTimeout from None
        except BaseException:
            await self.stop()
            raise
        self.init_seconds = self._unreported_init = time.perf_counter() - began

    async def _spawn(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=4)
        host, port = listener.getsockname()[:2]
        self._server = await self._loop.create_server(lambda: Connection(self._handle, self._forget), sock=listener)
        self._pipe, write_end = os.pipe()
        os.set_blocking(self._pipe, False)
        self._loop.add_reader(self._pipe, self._read_log)
        try:
            transport, _ = await self._loop.subprocess_exec(
                lambda: _Exit(self._process_exited),
                *process.command(self.function),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                cwd=self.function.root,
                env=process.variables(self.function, f"{host}:{port}", self._folder),
                start_new_session=True,  # so that what the function starts can be stopped with it
            )
        except OSError as error:
            raise InitError(failure("Runtime.InvalidEntrypoint", f"Error: {error.strerror}")) from error
        finally:
            os.close(write_end)
        self.pid = transport.get_pid() or 0

    async def stop(self) -> None:
        """Kill the process and whatever it started; nothing of the environment is left when this returns."""
        self._kill()
        if self.pid:
            await asyncio.shield(self._exited)
        self._release()

    def _kill(self) -> None:
        if self.pid and not self._exited.done():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def _process_exited(self, status: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # what it had started and left behind
        self._read_log()
        self._exited.set_result(status)
        request_id = self._current.request_id if self._current else ""
        result = failure("Runtime.ExitError", f"Error: {_exit_reason(status)}", request_id)
        self._fail_init(result)
        self._answer(result)
        self._finish()
        self._release()
        self._on_exit(self)

    def _fail_init(self, result: Result) -> None:
        if not self._ready.done():
            self._ready.set_exception(InitError(result))
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
        process.remove_folder(self._folder)

    # invocations

    async def invoke(self, call: Call) -> Result:
        """Run one invocation; the environment must be idle. Returns when the function has answered, failed, exited or
        run out of time; the environment may still be busy then, and tells `on_idle` when it is not."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:  # it died since it was last heard of
            return failure("Runtime.ExitError", "Error: Runtime exited without providing a reason", call.request_id)
        timer = self._loop.call_later(self.function.timeout, self._time_out)
        self._current = _Invocation(call, self._loop.create_future(), timer)
        waiting.reply(200, call.payload, self._event_headers(call))
        return await self._current.result

    def _event_headers(self, call: Call) -> dict[str, str]:
        headers = {
            "Lambda-Runtime-Aws-Request-Id": call.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + self.function.timeout) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": process.arn(self.function),
            "Lambda-Runtime-Trace-Id": call.trace_id,
        }
        if call.client_context:
            headers["Lambda-Runtime-Client-Context"] = call.client_context
        return headers

    def _time_out(self) -> None:
        if self._current is None:
            return
        text = f"Error: Task timed out after {self.function.timeout:.2f} seconds"
        self._answer(failure("Sandbox.Timedout", text, self._current.request_id))
        self._kill()

    def _answer(self, result: Result) -> None:
        """Give the current invocation its result, once."""
        invocation = self._current
        if invocation is None or invocation.answered:
            return
        invocation.answered = True
        self._read_log()  # the runtime flushed before it answered, so all the invocation wrote is in the pipe
        if not invocation.result.done():  # done: nobody waits for it any more
            log = self._tail(invocation) if invocation.tail else b""
            invocation.result.set_result(result._replace(request_id=invocation.request_id, log=log))

    def _tail(self, invocation: _Invocation) -> bytes:
        """The log as LogType=Tail gives it: Lambda's own lines around the function's, 4 KB at most."""
        seconds = time.perf_counter() - invocation.started
        init, self._unreported_init = self._unreported_init, 0.0
        start = f"START RequestId: {invocation.request_id} Version: $LATEST\n"
        text = start.encode() + bytes(invocation.log)
        end = report.lines(invocation.request_id, seconds, init, self.function.memory, report.peak_memory(self.pid))
        return (text + end.encode())[-limits.LOG_TAIL :]

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
        self._fail_init(Result(request.body, "Unhandled"))

    def _forget(self, connection: Connection) -> None:
        if self._waiting is connection:
            self._waiting = None
            self._kill()  # a runtime that hung up can take no invocation

    # logs

    def _read_log(self) -> None:
        if self._pipe < 0:
            return
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._pipe, 65_536):
                self._take_log(data)
            self._loop.remove_reader(self._pipe)  # end of file: every writer is gone

    def _take_log(self, data: bytes) -> None:
        if self._current is not None:
            self._current.log += data
            del self._current.log[: -limits.LOG_TAIL]
        *lines, self._partial_line = (self._partial_line + data).split(b"\n")
        if len(self._partial_line) > 65_536:
            lines, self._partial_line = [*lines, self._partial_line], b""
        for line in lines:
            self._log(line.decode("utf-8", "replace"))


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


class _Exit(asyncio.SubprocessProtocol):
    def __init__(self, exited: Callable[[int], None]) -> None:
        self._exited = exited

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)  # uvloop's is none by name

    def process_exited(self) -> None:
        self._exited(self._transport.get_returncode() or 0)
        self._transport.close()
