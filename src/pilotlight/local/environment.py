"""One execution environment: a process of its own, with a Runtime API listener of its own.

    start -> (idle -> invoke -> busy -> idle ...) -> stop

One invocation at a time. What happens on Lambda happens here instead of being simulated: a process that exits, hangs
or is killed is one. Each environment has its own listener because the pending `next` of a killed runtime would
otherwise swallow an event meant for its successor.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pilotlight import limits
from pilotlight.local import process, report
from pilotlight.local.invocation import Invocation, from_trailers
from pilotlight.local.log_pipe import LogLine, LogPipe
from pilotlight.local.runtime_api import Connection, RuntimeRequest
from pilotlight.local.streams import Stream, too_large
from pilotlight.project import Function
from pilotlight.values import Call, Result

_API = "/2018-06-01/runtime"


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
        failed = (
            Result(self.payload, "Unhandled") if self.payload else report.failure(self.kind, self.text, call.request_id)
        )
        return failed._replace(request_id=call.request_id, log=self.log if call.tail else b"")


class InitTimeout(Exception):
    """The init phase took longer than it may."""


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
        self._current: Invocation | None = None
        self._is_killed = False
        self._budget = float(function.timeout)  # seconds that the next invocation may take
        self._init_seconds = 0.0  # of an init that no REPORT line has named yet
        self._pipe = LogPipe(log)  # its tail is that since the last answer
        self._folder: Path | None = None
        self._server: asyncio.Server | None = None

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
        self._server = await self._loop.create_server(
            lambda: Connection(self._handle, self._handle_stream_end, self._forget), sock=listener
        )
        host, port = listener.getsockname()[:2]
        return f"{host}:{port}"

    async def _execute(self, variables: Mapping[str, str]) -> None:
        write_end = self._pipe.open()
        try:
            await self._loop.subprocess_exec(
                lambda: process.Watch(self._process_started, self._process_exited),
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
        self._pipe.finish()
        self._exited.set_result(status)
        reason = report.exited(status)
        self._fail_init("Runtime.ExitError", reason)
        if self._current is not None:
            self._end(report.failure("Runtime.ExitError", reason, self._current.request_id))
        self._finish()
        self._release()
        self._on_exit(self)

    def _fail_init(self, kind: str, text: str, payload: bytes = b"") -> None:
        if not self._ready.done():
            self._ready.set_exception(InitError(kind, text, payload, bytes(self._pipe.tail)))
            self._ready.exception()  # retrieved: `start` may have given up waiting

    def _release(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._waiting is not None:
            self._waiting.close()
        self._pipe.close()
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
        self._current = Invocation(call, timer)
        self._pipe.tail += f"START RequestId: {call.request_id} Version: $LATEST\n".encode()
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
        self._end(report.failure("Sandbox.Timedout", report.timed_out(self.function.timeout), self._current.request_id))
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
        self._pipe.read()  # the runtime flushed before it answered, so what the invocation wrote is in the pipe
        init, self._init_seconds = self._init_seconds, 0.0
        log = self._report(invocation, init) if invocation.tail else b""
        invocation.end(result._replace(request_id=invocation.request_id, log=log))
        self._pipe.tail.clear()

    def _report(self, invocation: Invocation, init: float) -> bytes:
        """The log as LogType=Tail gives it: Lambda's own lines around the function's, 4 KB at most."""
        seconds = time.perf_counter() - invocation.began
        peak = report.peak_memory(self.pid)
        end = report.lines(invocation.request_id, seconds, init, self.function.memory, peak)
        return bytes(self._pipe.tail + end.encode())[-limits.LOG_TAIL :]

    def _finish(self) -> None:
        if self._current is not None:
            self._current.timer.cancel()
            self._current = None

    # the Runtime API

    def _handle(self, connection: Connection, request: RuntimeRequest) -> None:
        match request.method, request.path.removeprefix(_API).strip("/").split("/"):
            case "GET", ["invocation", "next"]:
                self._handle_next(connection)
            case "POST", ["invocation", request_id, "response"] if request.stream is not None:
                self._handle_stream(connection, request_id, request.stream)
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
        if self._accepts(connection, request_id) is None:
            return
        if len(result.payload) > limits.PAYLOAD:
            text = f"Exceeded maximum allowed payload size ({limits.PAYLOAD} bytes)."
            connection.refuse(413, "RequestEntityTooLarge", text)
            self._answer(too_large(limits.PAYLOAD))
        else:
            connection.reply(202)
            self._answer(result)

    def _accepts(self, connection: Connection, request_id: str) -> Invocation | None:
        """The invocation that an answer is for; None when it has been refused."""
        invocation = self._current
        if invocation is None or invocation.request_id != request_id:
            connection.refuse(400, "InvalidRequestID", "Invalid request ID")
        elif invocation.answered or invocation.stream is not None:
            connection.refuse(403, "InvalidStateTransition", "The invocation has been answered")
        else:
            return invocation
        return None

    def _handle_stream(self, connection: Connection, request_id: str, stream: Stream) -> None:
        invocation = self._accepts(connection, request_id)
        if invocation is None:
            stream.drop()
        else:
            invocation.begin(stream, connection)

    def _handle_stream_end(self, connection: Connection, stream: Stream, trailers: Mapping[str, str]) -> None:
        if self._current is None or self._current.stream is not stream:
            return  # it was refused when it began
        if stream.is_too_large:
            text = f"Exceeded maximum allowed payload size ({limits.STREAMED_PAYLOAD} bytes)."
            connection.refuse(413, "RequestEntityTooLarge", text)
            self._end(too_large(limits.STREAMED_PAYLOAD))
            return
        connection.reply(202)
        self._answer(from_trailers(trailers))

    def _handle_init_error(self, connection: Connection, request: RuntimeRequest) -> None:
        if self._ready.done():
            connection.refuse(403, "InvalidStateTransition", "The init phase is over")
            return
        connection.reply(202)
        self._pipe.read()
        self._fail_init("Runtime.InitError", "the runtime reported an error", request.body)

    def _forget(self, connection: Connection) -> None:
        if self._waiting is connection:
            self._waiting = None
            self._kill()  # a runtime that hung up can take no invocation
        elif self._current is not None and self._current.source is connection and not self._current.answered:
            self._kill()  # nor finish its answer; most often it has just exited
