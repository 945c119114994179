"""Asynchronous invocations: the queue that InvocationType=Event puts an event into, its retries, its age limit.

A function that fails is tried again one minute later, then two minutes later; what never reached a function is tried
again after 1, 2, 4 ... seconds, at most 5 minutes, until the event is too old. An event that is dropped is named in the
function's log. Source: docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html.

Lambda keeps its queue on disks, and it may run an event twice. This one is in memory, and it runs each once.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from pilotlight.errors import NotFound, PilotlightError
from pilotlight.local.streams import collected
from pilotlight.project import Function
from pilotlight.values import Call, Invoke

EVENTS = 10_000  # that may wait or run, of all functions together; one is about 2 KB beside its payload
BYTES = 256 * 2**20  # of their payloads

# Of one function, where its concurrency is not less: the pool takes as many at once as it has room for, and the others
# would wait there before requests whose callers wait for an answer.
_AT_ONCE = 100
_RETRY_WAIT = 60.0  # seconds after the first failure; twice that after the second
_BACKOFF_MAX = 300.0


class Timer(Protocol):
    def cancel(self) -> None: ...


Later = Callable[[float, Callable[[], None]], Timer]  # seconds, what to do then


class Event(NamedTuple):
    """An event that was accepted. `accepted` is by the clock; `refusals` are the last attempts, that never reached the
    function, and `failures` those in which it failed."""

    number: int
    call: Call
    accepted: float
    attempts: int = 0
    failures: int = 0
    refusals: int = 0


class End(NamedTuple):
    """How an attempt ended: the function answered, it failed, it was not reached, or it is no more."""

    kind: Literal["done", "failed", "refused", "gone"]
    reason: str = ""

    def counted(self, event: Event) -> Event:
        match self.kind:
            case "failed":
                return event._replace(failures=event.failures + 1, refusals=0)
            case "refused":
                return event._replace(refusals=event.refusals + 1)
            case _:
                return event


class Retry(NamedTuple):
    delay: float


class Drop(NamedTuple):
    reason: str


def after_failure(failures: int, age: float, retries: int, max_age: int) -> Retry | Drop:
    """What comes after the function has failed that often. `age`, of the event, and `max_age` are in seconds."""
    return Drop("") if failures > retries else _in_time(_RETRY_WAIT * failures, age, max_age)


def after_refusal(refusals: int, age: float, max_age: int) -> Retry | Drop:
    """What comes after that many attempts in a row that were throttled or ended in a system error."""
    return _in_time(min(2.0 ** min(refusals - 1, 10), _BACKOFF_MAX), age, max_age)


def _in_time(delay: float, age: float, max_age: int) -> Retry | Drop:
    if age + delay > max_age:  # Lambda keeps it until then and drops it when its turn comes
        return Drop(f"; at the next attempt it would be older than {max_age} seconds")
    return Retry(delay)


class _Line:
    """The events of one function whose turn it is, in their order, and the attempts under way."""

    def __init__(self) -> None:
        self.ready: deque[Event] = deque()
        self.running: set[asyncio.Task[None]] = set()


def _later(seconds: float, action: Callable[[], None]) -> Timer:
    return asyncio.get_running_loop().call_later(seconds, action)


class EventQueue:
    """See the module. `function` gives the settings of a key, or raises NotFound; `log` takes the key and a line."""

    def __init__(
        self,
        invoke: Invoke,
        function: Callable[[str], Function],
        log: Callable[[str, str], None],
        clock: Callable[[], float] = time.monotonic,
        later: Later = _later,
    ) -> None:
        self._invoke = invoke
        self._function = function
        self._log = log
        self._clock = clock
        self._later = later
        self._events: dict[int, Event] = {}  # in the order in which they were accepted
        self._bytes = 0
        self._accepted = 0
        self._lines: dict[str, _Line] = {}
        self._timers: dict[int, Timer] = {}
        self._is_closed = False

    def __len__(self) -> int:
        """How many events wait or run."""
        return len(self._events)

    def accept(self, call: Call) -> bool:
        """Take an event, whose `function` is a key and which has a request id; False when the queue is full."""
        size = self._bytes + len(call.payload)
        if self._is_closed or len(self._events) >= EVENTS or size > BYTES:
            return False
        self._bytes = size
        self._accepted += 1
        event = Event(self._accepted, call, self._clock())
        self._events[event.number] = event
        self._line_up(event)
        return True

    async def close(self) -> None:
        """Stop, and name the events that are lost with the queue."""
        self._is_closed = True
        for timer in self._timers.values():
            timer.cancel()
        running = [task for line in self._lines.values() for task in line.running]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for event in self._events.values():
            self._say("ERROR", event, f"lost after {_attempts(event.attempts)}: the server has stopped")
        self._events.clear()

    # whose turn it is

    def _line_up(self, event: Event) -> None:
        self._timers.pop(event.number, None)
        self._lines.setdefault(event.call.function, _Line()).ready.append(event)
        self._advance(event.call.function)

    def _advance(self, key: str) -> None:
        """Start attempts, as far as the function's concurrency goes."""
        line = self._lines[key]
        while line.ready and len(line.running) < self._at_once(key) and not self._is_closed:
            task = asyncio.get_running_loop().create_task(self._run(line.ready.popleft()))
            line.running.add(task)
            task.add_done_callback(lambda task: self._ran(key, task))
        if not line.ready and not line.running:
            del self._lines[key]

    def _at_once(self, key: str) -> int:
        try:
            return min(self._function(key).concurrency or _AT_ONCE, _AT_ONCE)
        except NotFound:
            return _AT_ONCE  # they are dropped

    def _ran(self, key: str, task: asyncio.Task[None]) -> None:
        self._lines[key].running.discard(task)
        self._advance(key)

    # one event

    async def _run(self, event: Event) -> None:
        try:
            function = self._function(event.call.function)
        except NotFound:
            return self._drop(event, "the function is gone")
        if self._age(event) > function.max_event_age:
            return self._drop(event, f"it has waited for more than {function.max_event_age} seconds")
        event = self._events[event.number] = event._replace(attempts=event.attempts + 1)
        end = await self._attempt(event.call)
        event = end.counted(event)
        match end.kind:
            case "done":
                self._forget(event)
            case "gone":
                self._drop(event, end.reason)
            case "failed":
                step = after_failure(event.failures, self._age(event), function.retries, function.max_event_age)
                self._follow(event, end.reason, step)
            case "refused":
                self._follow(event, end.reason, after_refusal(event.refusals, self._age(event), function.max_event_age))

    async def _attempt(self, call: Call) -> End:
        try:
            result = await collected(await self._invoke(call))
        except NotFound:
            return End("gone", "the function is gone")
        except PilotlightError as error:
            return End("refused", f"{error}; {error.hint}" if error.hint else str(error))
        except Exception as error:  # whatever this machine cannot do is a system error: the event must not be lost
            return End("refused", f"{type(error).__name__}: {error}")
        return End("failed", "the function failed") if result.error else End("done")

    def _follow(self, event: Event, reason: str, step: Retry | Drop) -> None:
        if isinstance(step, Drop):
            return self._drop(event, reason + step.reason)
        self._events[event.number] = event
        self._say("WARN", event, f"attempt {event.attempts}: {reason}; the next one in {step.delay:g} s")
        self._timers[event.number] = self._later(step.delay, lambda: self._line_up(event))

    def _drop(self, event: Event, reason: str) -> None:
        self._say("ERROR", event, f"dropped after {_attempts(event.attempts)}: {reason}")
        self._forget(event)

    def _forget(self, event: Event) -> None:
        del self._events[event.number]
        self._bytes -= len(event.call.payload)

    def _age(self, event: Event) -> float:
        return self._clock() - event.accepted

    def _say(self, level: str, event: Event, text: str) -> None:
        self._log(event.call.function, f"[{level}] RequestId: {event.call.request_id} Asynchronous event: {text}")


def _attempts(number: int) -> str:
    return f"{number} attempt{'' if number == 1 else 's'}"
