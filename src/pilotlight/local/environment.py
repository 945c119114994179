"""One execution environment: a process of its own, with a Runtime API listener of its own.

    start -> (idle -> invoke -> busy -> idle ...) -> stop

One invocation at a time, or as many as `environment_concurrency` says. What happens on Lambda happens here instead of
being simulated: a process that exits, hangs, is frozen or is killed is one. Each environment has its own listener
because the pending `next` of a killed runtime would otherwise swallow an event meant for its successor.
"""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pilotlight import limits
from pilotlight.local import process, report
from pilotlight.local.exchange import Exchange
from pilotlight.local.freezer import Freezer
from pilotlight.local.host import Started, Starter
from pilotlight.local.init_errors import InitError, InitTimeout, why
from pilotlight.local.invocation import Invocation
from pilotlight.local.launcher import LoadFailed
from pilotlight.local.log_pipe import Lines, LogLine, LogPipe
from pilotlight.local.observer import NOBODY, Dead, Ended, Watch
from pilotlight.local.report import Report
from pilotlight.project import Function
from pilotlight.values import Call, Result

_PATIENCE = 10.0  # seconds that a process may take to go when it has been killed
_numbers = itertools.count(1)

State = Literal["init", "idle", "running", "frozen", "dead"]


class Environment:
    """See the module. `record` is given an invocation's id and record before its answer is out. `on_idle` is called
    whenever it can take an invocation, `on_exit` once when its process ends. Each init phase is made longer by
    `slow_init` seconds, in which its process is stopped."""

    def __init__(
        self,
        function: Function,
        starter: Starter,
        log: LogLine,
        record: Callable[[str, str], None],
        on_idle: Callable[["Environment"], None],
        on_exit: Callable[["Environment"], None],
        watch: Watch = NOBODY,
        slow_init: float = 0.0,
    ) -> None:
        self.id = str(next(_numbers))
        self.function = function
        self.invocations = 0  # that it was given
        self._starter = starter
        self._log = log
        self._record = record
        self._on_idle = on_idle
        self._on_exit = on_exit
        self._watch = watch
        self._slow_init = slow_init
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._exited: asyncio.Future[int] = self._loop.create_future()
        self._exchange = Exchange(self, function.environment_concurrency)
        self._freezer = Freezer(self._signal)
        self._started: Started | None = None
        self._is_killed = False
        self._is_out_of_memory = False
        self._budget = float(function.timeout)  # seconds that the next invocation may take
        self._began = time.perf_counter()
        self._ready_at = 0.0
        self._idle_at = 0.0
        self._reason = ""  # why it ends, where its exit status does not say
        self._is_released = False
        self._init = report.Init()  # of which no REPORT line has told yet
        self._lines = Lines()  # since the last answer
        self._pipe = LogPipe(self._tell)  # its tail is that since the last answer
        self._folder: Path | None = None
        self._arn = process.arn(function)

    @property
    def pid(self) -> int:
        """The process id of the runtime, 0 before there is one."""
        return self._started.pid if self._started else 0

    @property
    def room(self) -> int:
        """How many more invocations it can take."""
        return 0 if self._is_killed else self._exchange.free

    @property
    def coming(self) -> int:
        """How many more it will soon take: of several processes, some may still load the function."""
        is_young = self._ready_at and time.perf_counter() - self._ready_at < limits.INIT_TIMEOUT
        return self._exchange.missing if is_young and not self._is_killed else 0

    @property
    def is_busy(self) -> bool:
        """Whether an invocation runs in it."""
        return bool(self._exchange.running)

    @property
    def is_finishing(self) -> bool:
        """Whether the function has answered and the runtime has not yet asked for the next event."""
        return self._exchange.is_finishing

    @property
    def state(self) -> State:
        if self._is_killed:
            return "dead"
        if "user" in self._freezer.held:
            return "frozen"
        if not self._ready_at:
            return "init"
        return "running" if self.is_busy else "idle"

    @property
    def since(self) -> float:
        """When it came into its state, in seconds since 1970."""
        match self.state:
            case "frozen":
                at = self._freezer.held["user"]
            case "running":
                at = min(invocation.began for invocation in self._exchange.running.values())
            case "idle":
                at = self._idle_at
            case _:
                at = self._began
        return time.time() - (time.perf_counter() - at)

    # life

    async def start(self, timeout: float, inside_invocation: bool = False) -> None:
        """Spawn the process and wait for its first `next`, for which it has `timeout` seconds.

        Inside an invocation, what the init took is taken from the time that the invocation has. Raises InitError or
        InitTimeout, and then the environment is gone.
        """
        self._began = time.perf_counter()
        spawn = self._loop.create_task(self._spawn())
        try:
            await asyncio.shield(spawn)
            if inside_invocation and self._started:
                self._started.throttle()
            await asyncio.wait_for(asyncio.shield(self._ready), timeout)
        except BaseException as error:
            await asyncio.gather(spawn, return_exceptions=True)  # half a spawn could not be undone
            await self.stop(why(error))
            seconds = time.perf_counter() - self._began
            if isinstance(error, TimeoutError):
                self._log(report.init(seconds, "timeout"))
                raise InitTimeout from None
            if isinstance(error, InitError):
                self._log(report.init(seconds, "error", error.kind))
            raise
        self._init = self._init.ended(time.perf_counter() - self._began)
        if self._started:
            self._started.throttle()
        if inside_invocation:
            self._budget -= self._init.seconds

    async def _spawn(self) -> None:
        try:
            await self._starter.ready()
            self._began = time.perf_counter()
            self._folder = process.make_folder()
            runtime_api = await self._exchange.listen()
            write_end = self._pipe.open()
            try:
                self._started = await self._starter.start(
                    runtime_api, self._folder, write_end, self._process_exited, self._use_up_memory
                )
            finally:
                os.close(write_end)
            if self._slow_init:
                self._freezer.hold("slow init", self._slow_init)
        except OSError as error:  # no such interpreter, no file descriptor left, no space on the device
            text = f"Error: starting the environment: {error.strerror or error}"
            raise InitError("Runtime.InvalidEntrypoint", text) from error
        except LoadFailed as error:
            kind = report.error_type(error.payload) or "Runtime.InitError"
            raise InitError(kind, "the runtime reported an error", error.payload) from None

    async def stop(self, reason: str = "stopped") -> None:
        """Kill the process and whatever it started; nothing of the environment is left when this returns."""
        self.kill(reason)
        if self._started:
            await asyncio.wait([self._exited], timeout=_PATIENCE)  # who tells of it may have been stopped
        self._release()

    def kill(self, reason: str) -> None:
        """SIGKILL to all that runs in it; its end is told of when it is seen."""
        self._reason = self._reason or reason
        self._kill()

    def freeze(self) -> None:
        """SIGSTOP in the middle of whatever runs; it stays so until `thaw`, or until it is killed."""
        self._freezer.hold("user")
        self._watch.changed()

    def thaw(self) -> None:
        self._freezer.let_go("user")
        self._watch.changed()

    def _kill(self) -> None:
        self._is_killed = True
        if self._started and not self._exited.done():
            self._started.kill()

    def _signal(self, number: int) -> None:
        if self._started:
            self._started.signal(number)

    def _process_exited(self, status: int) -> None:
        self._is_killed = True
        if self._started:
            self._started.kill()  # what it had started and left behind
        self._pipe.finish()
        self._exited.set_result(status)
        if status == -signal.SIGKILL and self._started and self._started.is_out_of_memory():
            self._is_out_of_memory = True
        if self._is_out_of_memory:
            self._tell(
                f"[WARN] ended: it used more than its memory of {self.function.memory} MB; set a larger `memory`"
            )
        self._reason = self._reason or ("out of memory" if self._is_out_of_memory else report.ending(status))
        reason = report.exited(status)
        self._fail_init("Runtime.ExitError", reason)
        for invocation in list(self._exchange.running.values()):
            self.end(invocation, report.failure("Runtime.ExitError", reason, invocation.request_id))
            invocation.timer.cancel()
        self._exchange.running.clear()
        self._release()
        self._on_exit(self)

    def _use_up_memory(self, used: int) -> None:
        """The environment has more memory than its function's setting allows."""
        self._is_out_of_memory = True
        self._kill()

    def _fail_init(self, kind: str, text: str, payload: bytes = b"") -> None:
        if not self._ready.done():
            self._ready.set_exception(InitError(kind, text, payload, bytes(self._pipe.tail)))
            self._ready.exception()  # retrieved: `start` may have given up waiting

    def _release(self) -> None:
        self._exchange.close()
        self._freezer.close()
        self._pipe.close()
        if self._started is not None:
            self._started.release()
        if self._folder is not None:
            process.remove_folder(self._folder)
            self._folder = None
        if not self._is_released:
            self._is_released = True
            self._watch.died(Dead(self.id, self._reason, self.pid, self.invocations, time.time()))

    def _tell(self, line: str) -> None:
        self._lines.add(line)
        self._log(line)

    # invocations

    def invoke(
        self, call: Call, answer: asyncio.Future[Result] | None = None, waited: float = 0.0
    ) -> asyncio.Future[Result]:
        """Run one invocation, which has `waited` for so many seconds; the environment must have room. `answer`, or else
        a new future, is done when the function has answered, failed, exited or run out of time; the environment may
        still be busy then, and tells `on_idle` when it is not."""
        answer = answer or self._loop.create_future()
        budget, self._budget = self._budget, float(self.function.timeout)
        invocation = Invocation(call, answer, waited)
        invocation.timer = self._loop.call_later(budget, self._time_out, invocation)
        if call.tail:
            self._pipe.tail += f"START RequestId: {call.request_id} Version: $LATEST\n".encode()
        self._exchange.send(invocation, call.payload, self._event_headers(call, time.time() + budget))
        self._freezer.thaw()
        self.invocations += 1
        self._watch.began()
        return answer

    def _event_headers(self, call: Call, deadline: float) -> str:
        trace = f"Lambda-Runtime-Trace-Id: {call.trace_id}\r\n" if call.trace_id else ""
        client = f"Lambda-Runtime-Client-Context: {call.client_context}\r\n" if call.client_context else ""
        return (
            f"Lambda-Runtime-Aws-Request-Id: {call.request_id}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {int(deadline * 1000)}\r\n"
            f"Lambda-Runtime-Invoked-Function-Arn: {self._arn}\r\n{trace}{client}"
        )

    def _time_out(self, invocation: Invocation) -> None:
        """Lambda ends the invocation and, since the function would run on, the environment with it."""
        self.end(
            invocation,
            report.failure("Sandbox.Timedout", report.timed_out(self.function.timeout), invocation.request_id),
        )
        self.kill("timed out")

    def _report(self, invocation: Invocation, result: Result) -> Report:
        init, self._init = self._init, report.Init()
        peak = self._started.peak() if self._started else 0
        return Report(
            invocation.request_id,
            time.perf_counter() - invocation.began,
            init,
            self.function.memory,
            self.function.memory if self._is_out_of_memory else peak,
            "Runtime.OutOfMemory" if self._is_out_of_memory else report.kind(result),
        )

    # what the Runtime API tells

    def restoring(self) -> bool:
        if not self.function.snapstart or self._ready.done():
            return False
        self._init = self._init.ended(time.perf_counter() - self._began)
        self._began = time.perf_counter()
        return True

    def ready(self, finished: Invocation | None) -> None:
        if finished is not None:
            finished.timer.cancel()
        if self._is_killed:
            return  # its last breath
        is_first = not self._ready.done()
        if is_first:
            self._ready.set_result(None)
            self._ready_at = time.perf_counter()
        self._idle_at = time.perf_counter()
        self._rest()
        self._watch.changed()
        if not is_first:
            self._on_idle(self)

    def _rest(self) -> None:
        if not self._exchange.running and not self.coming:  # others of several processes may still load the function
            self._freezer.rest()

    def recorded(self, invocation: Invocation, text: str) -> None:
        self._record(invocation.request_id, text)

    def answered(self, invocation: Invocation, result: Result) -> None:
        """Give an invocation its result, once."""
        if invocation.answered:
            return
        self._pipe.read()  # the runtime flushed before it answered, so what the invocation wrote is in the pipe
        told = self._report(invocation, result)
        line = told.line()
        self._log(line)
        log = b""
        if invocation.tail:
            self._pipe.tail += f"END RequestId: {invocation.request_id}\n{line}\n".encode()
            log = bytes(self._pipe.tail[-limits.LOG_TAIL :])
        self._pipe.tail.clear()
        self._watch.ended(self._ended(invocation, told, result))
        invocation.end(Result(result.payload, result.error, invocation.request_id, log))

    def _ended(self, invocation: Invocation, told: Report, result: Result) -> Ended:
        error = (told.error or report.error_type(result.payload) or result.error) if result.error else ""
        streamed = invocation.stream.size if invocation.stream else 0
        is_shared = self.function.environment_concurrency > 1
        return Ended(told, self.id, invocation.waited, error, streamed, self._lines.take(), is_shared)

    def end(self, invocation: Invocation, result: Result) -> None:
        """Lambda ends an invocation: then nobody else has said why."""
        if not invocation.answered:
            self._tell(f"[ERROR] {result.payload.decode()}")
            self.answered(invocation, result)

    def init_failed(self, payload: bytes, restoring: bool) -> bool:
        if self._ready.done():
            return False
        self._pipe.read()
        kind = report.error_type(payload) or ("Runtime.RestoreError" if restoring else "Runtime.InitError")
        self._fail_init(kind, "the runtime reported an error", payload)
        return True

    def lost(self, running: list[Invocation]) -> None:
        for invocation in running:
            invocation.timer.cancel()
            self.end(invocation, report.failure("Runtime.ExitError", report.exited(0), invocation.request_id))
        if self._ready.done() and not self._is_killed:
            self._rest()
            self._on_idle(self)  # it will take less than was expected of it

    def hung_up(self) -> None:
        self._kill()  # a runtime that hung up can take no invocation, nor finish its answer
