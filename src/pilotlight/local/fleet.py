"""The environments of one function: who waits, who is free, when to start one more."""

import asyncio
import os
import time
from collections import deque
from collections.abc import Coroutine
from functools import partial
from typing import NamedTuple, Protocol

from pilotlight import limits
from pilotlight.errors import ModelNotInstalled, Throttled
from pilotlight.local.environment import Environment
from pilotlight.local.host import Host
from pilotlight.local.init_errors import InitError, InitTimeout
from pilotlight.local.observer import NOBODY, Watch
from pilotlight.local.report import timed_out
from pilotlight.local.throttle import Bucket, requests_of
from pilotlight.project import Function
from pilotlight.values import Call, Result

# How many environments of a function start at once. More would only share the processors, so that the first, which can
# serve the requests of the others, would be ready no sooner than the last.
_STARTS_AT_ONCE = 4 * (os.cpu_count() or 1)
_NEXT_GRACE = 0.01  # seconds that a runtime which has answered is given to ask for its next event
_SHARING_GRACE = 0.05  # the same for one that may have to wait until it has processor time again


class Place(NamedTuple):
    """A request's place in the line for an environment; `number` counts the requests of all functions. It came at
    `came`, by time.perf_counter."""

    number: int
    call: Call
    answer: asyncio.Future[Result]
    came: float


class Faults(NamedTuple):
    """What its user has asked for to go wrong. `slow_init` is in seconds."""

    throttle: bool = False
    slow_init: float = 0.0


class Machine(Protocol):
    """What a fleet needs of the pool it is part of."""

    host: Host
    rate: Bucket  # of the account's synchronous requests

    def has_room(self, memory: int) -> bool: ...

    def room_changed(self) -> None: ...

    def is_others_turn(self, number: int) -> bool: ...

    def next_number(self) -> int: ...

    def now(self) -> float: ...

    def log(self, key: str, line: str) -> None: ...
    def record(self, key: str, request_id: str, text: str) -> None: ...


class Fleet:
    """See the module. `environments` are those that count: starting, busy or idle; `idle` says since when."""

    def __init__(
        self, machine: Machine, function: Function, watch: Watch = NOBODY, faults: Faults | None = None
    ) -> None:
        self.function = function
        self.faults = faults or Faults()
        self._watch = watch
        self.environments: set[Environment] = set()
        self.idle: dict[Environment, float] = {}  # the longest idle first
        self.waiting: deque[Place] = deque()
        self._machine = machine
        self._starter = machine.host.starter(function, self.log)
        self._loop = asyncio.get_running_loop()
        self._requests = 0
        self._idle_since = 0.0  # of the environment taken last
        self._rate = requests_of(function.concurrency, machine.now()) if function.concurrency else None
        self._starting = 0
        self._is_retired = False
        self._is_closed = False
        self._starts: set[asyncio.Task[None]] = set()
        self._stops: set[asyncio.Task[None]] = set()

    def invoke(self, call: Call, *, synchronous: bool = True) -> asyncio.Future[Result]:
        """Run one invocation in an environment that is free, or in a new one. Raises Throttled, ModelNotInstalled.

        Cancelled while it waits for an environment, it does not run; later, it runs on. A streamed answer counts as a
        request under way until it has ended."""
        self._admit(synchronous)
        answer: asyncio.Future[Result] = self._loop.create_future()
        environment = self._take()
        if environment is None:
            self._wait(call, answer)
        else:
            self._begin(environment, call, answer)
        self._requests += 1
        answer.add_done_callback(self._answered)
        return answer

    def _answered(self, answer: asyncio.Future[Result]) -> None:
        stream = None if answer.cancelled() or answer.exception() else answer.result().stream
        if stream is None:
            self._requests -= 1
        else:
            stream.ended.add_done_callback(self._stream_ended)

    def _admit(self, synchronous: bool) -> None:
        """Raises Throttled. Asynchronous requests are held to the concurrency alone, see `limits`."""
        if self.faults.throttle:
            raise self._throttled("you have asked for it", "ReservedFunctionConcurrentInvocation")
        if self._requests >= self._concurrency:
            limit = "ReservedFunctionConcurrentInvocation" if self.function.concurrency else "ConcurrentInvocation"
            raise self._throttled(f"all {self._concurrency} of the function's concurrency are in use", limit)
        if synchronous:
            self._admit_by_rate(self._machine.now())

    def _admit_by_rate(self, now: float) -> None:
        """Raises Throttled. The account's limit holds across all functions."""
        if self._rate is not None and not self._rate.take(now):
            raise self._throttled(_too_fast("function's", self._concurrency), "ReservedFunctionInvocationRate")
        if not self._machine.rate.take(now):
            raise self._throttled(_too_fast("account's", limits.CONCURRENCY_ACCOUNT), "FunctionInvocationRate")

    def _throttled(self, why: str, limit: str) -> Throttled:
        self.log(f"[ERROR] Throttled: {why}")
        self._watch.throttled()
        return Throttled("Rate Exceeded.", f"raise the concurrency of {self.function.name}", f"{limit}LimitExceeded")

    def _stream_ended(self, _: asyncio.Future[Result]) -> None:
        self._requests -= 1

    def _take(self) -> Environment | None:
        """The idle environment used last, so that the others grow old enough to go."""
        while self.idle:
            environment, self._idle_since = self.idle.popitem()
            if environment.room:  # else it has been killed, and its end is not known yet
                return environment
        return None

    def _begin(self, environment: Environment, call: Call, answer: asyncio.Future[Result], waited: float = 0.0) -> None:
        environment.invoke(call, answer, waited)
        if environment.room:
            self.idle[environment] = self._idle_since

    def _wait(self, call: Call, answer: asyncio.Future[Result]) -> None:
        if self._is_closed:
            answer.cancel()  # as those that were waiting
            return
        if not self.function.is_installed:
            reason = self.function.unmade or f"the model of {self.function.name} is not installed"
            raise ModelNotInstalled(reason, self.function.how_to_install)
        place = Place(self._machine.next_number(), call, answer, time.perf_counter())
        self.waiting.append(place)
        answer.add_done_callback(lambda _: self._give_up(place))
        if any(environment.is_finishing for environment in self.environments):
            grace = _SHARING_GRACE if self._machine.host.is_sharing else _NEXT_GRACE
            self._loop.call_later(grace, self.grow)
        else:
            self.grow()

    def _give_up(self, place: Place) -> None:
        """Nobody waits for it any more, if it waits still."""
        if place in self.waiting:
            self.waiting.remove(place)
            self._machine.room_changed()  # functions that stood back for it may go on

    @property
    def is_done(self) -> bool:
        """Whether nothing runs, waits or is being stopped here."""
        return not (self._requests or self.environments or self._starts or self._stops)

    @property
    def is_starved(self) -> bool:
        """Whether requests wait and no environment is there to serve them."""
        return bool(self.waiting) and not self.environments

    @property
    def _coming(self) -> int:
        """How many requests those environments will take that are being started."""
        several = sum(environment.coming for environment in self.environments) if self._slots > 1 else 0
        return self._starting * self._slots + several

    @property
    def _init_timeout(self) -> float:
        return limits.SNAPSTART_TIMEOUT if self.function.snapstart else limits.INIT_TIMEOUT

    @property
    def _slots(self) -> int:
        return self.function.environment_concurrency

    @property
    def _concurrency(self) -> int:
        return self.function.concurrency or limits.CONCURRENCY_ACCOUNT

    # growing

    def grow(self) -> None:
        """Start an environment for every request that waits without one, as far as there is room."""
        while (
            not self._is_closed
            and self._starting < _STARTS_AT_ONCE
            and self._coming < len(self.waiting)
            and len(self.environments) * self._slots < self._concurrency
            and not self._machine.is_others_turn(self.waiting[0].number)
            and self._machine.has_room(self.function.memory)
        ):
            self._starting += 1
            _spawn(self._start(self._make()), self._starts)

    def _make(self) -> Environment:
        record = partial(self._machine.record, self.function.key)
        environment = Environment(
            self.function,
            self._starter,
            self.log,
            record,
            self._offer,
            self._forget,
            self._watch,
            self.faults.slow_init,
        )
        self.environments.add(environment)
        self._watch.changed()
        return environment

    async def _start(self, environment: Environment) -> None:
        try:
            self._offer(await self._init(environment))
        except InitError as error:
            self._fail(error)
        except Exception as error:  # the boundary to this machine: whatever it refuses, somebody waits for an answer
            self._fail(InitError("Runtime.Unknown", f"Error: starting the environment: {error}"))
        finally:
            self._starting -= 1
            self.grow()

    async def _init(self, environment: Environment) -> Environment:
        """Init, which Lambda does again when it took more than 10 s, then inside the invocation and its timeout."""
        try:
            await self._start_or_forget(environment, self._init_timeout)
        except InitTimeout:
            environment = self._make()
            try:
                await self._start_or_forget(environment, self.function.timeout, inside_invocation=True)
            except InitTimeout:
                raise InitError("Sandbox.Timedout", timed_out(self.function.timeout)) from None
        return environment

    async def _start_or_forget(self, environment: Environment, timeout: float, inside_invocation: bool = False) -> None:
        try:
            await environment.start(timeout, inside_invocation)
        except BaseException:
            self.environments.discard(environment)
            raise

    def _fail(self, error: InitError) -> None:
        """A request waited for the environment that could not start: the longest waiting gets the error."""
        if not error.payload:  # else the runtime has reported it, and logged it too
            self.log(f"[ERROR] {error}")
        while self.waiting:
            place = self.waiting.popleft()
            if not place.answer.done():
                self._watch.failed(place.call.request_id, error.kind)
                place.answer.set_result(error.result(place.call))
                break
        self._machine.room_changed()

    # environments

    def _offer(self, environment: Environment) -> None:
        """An environment is free: the longest waiting request gets it, unless it has to make room for a function that
        waits for longer and has none."""
        if environment.room:
            self.idle.pop(environment, None)
            self.idle[environment] = self._machine.now()
        if self.waiting and self._machine.is_others_turn(self.waiting[0].number):
            self._machine.room_changed()
        while self.waiting:
            place = self.waiting[0]
            free = None if place.answer.done() else self._take()
            if free is not None:
                self._begin(free, place.call, place.answer, time.perf_counter() - place.came)
            elif not place.answer.done():
                break
            self.waiting.popleft()
        if self.waiting:
            self.grow()
        if self._is_retired:
            self.retire()
        if self.idle:
            self._machine.room_changed()

    def _forget(self, environment: Environment) -> None:
        """Its process has ended."""
        self.environments.discard(environment)
        self.idle.pop(environment, None)
        self.grow()
        self._machine.room_changed()

    def at_rest(self) -> dict[Environment, float]:
        """The environments in which nothing runs, and since when."""
        return {environment: since for environment, since in self.idle.items() if not environment.is_busy}

    def prepare(self) -> None:
        """Do what can be done before the first request."""
        self._starter.prepare()

    def dismiss(self, environment: Environment, reason: str) -> None:
        """Stop an idle environment."""
        del self.idle[environment]
        self.environments.discard(environment)
        _spawn(environment.stop(reason), self._stops)

    def retire(self) -> None:
        """Finish what runs and waits, then have no environments."""
        self._is_retired = True
        for environment in self.at_rest():
            self.dismiss(environment, "replaced")

    async def close(self) -> None:
        """Kill every environment; requests that wait are cancelled, and nothing starts any more."""
        self._is_closed = True
        self._starter.cancel()  # else a start would wait for an init phase that may never end
        for place in list(self.waiting):
            place.answer.cancel()
        starts = list(self._starts)
        for start in starts:
            start.cancel()
        await asyncio.gather(*starts, return_exceptions=True)
        await asyncio.gather(*self._stops, *(environment.stop("stopped") for environment in list(self.environments)))
        await self._starter.close()

    def log(self, line: str) -> None:
        self._watch.logged(len(line))
        self._machine.log(self.function.key, line)


def _too_fast(whose: str, concurrency: int) -> str:
    rate = limits.REQUESTS_PER_CONCURRENCY * concurrency
    return f"the {whose} concurrency of {concurrency} allows {rate} requests a second"


def _spawn(work: Coroutine[None, None, None], tasks: set[asyncio.Task[None]]) -> None:
    task = asyncio.get_running_loop().create_task(work)
    tasks.add(task)  # the event loop itself holds tasks weakly
    task.add_done_callback(tasks.discard)
