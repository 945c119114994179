"""What the environments do now, as server-sent events: to whoever looks, and nothing for nobody.

One task works out a state for all readers: when something has happened, five times a second at most, and every five
seconds. A reader that takes them slowly gets the newest one, and of the series the steps that it has not had: what
waits for it is bounded by what there is. Source: html.spec.whatwg.org/multipage/server-sent-events.html.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec

from pilotlight import limits
from pilotlight.events import Request, Response
from pilotlight.local.activity import STEP, Activity, Counts, Step
from pilotlight.local.environment import Environment
from pilotlight.local.latency import Latencies
from pilotlight.local.memory import Processes, resident
from pilotlight.local.observer import Dead
from pilotlight.local.pool import Pool
from pilotlight.local.streams import Streamed

_PAUSE = 0.2  # seconds between two states
_AT_LEAST = 5.0
_MEASURE = 1.0  # seconds for which what was read of /proc holds
_RETRY = 2_000  # ms after which a browser connects again
_HEADERS = (("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "no"))


class Reader:
    """One who looks. `state` is the number of the last state it has had, `step` that of the first step it has not."""

    def __init__(self) -> None:
        self.state = -1
        self.step = 0
        self.is_closed = False
        self.news = asyncio.Event()

    def close(self) -> None:
        self.is_closed = True
        self.news.set()


class Live:
    """See the module."""

    def __init__(self, pool: Pool, activity: Activity) -> None:
        self.looks = 0  # how often a state was worked out
        self._pool = pool
        self._activity = activity
        self._readers: set[Reader] = set()
        self._task: asyncio.Task[None] | None = None
        self._state = b""
        self._number = 0
        self._version = -1  # of the activity, when it was looked at last
        self._at = 0.0
        self._memory = Memory()

    def page(self, request: Request, parameters: Mapping[str, str]) -> Response | Streamed:
        """GET /_pilotlight/live. A client of HTTP/1.0 gets the first events, and comes again for the next."""
        if request.protocol == "HTTP/1.0":
            return Response(200, _HEADERS, self._first(Reader()))
        reader = Reader()
        return Streamed(Response(200, _HEADERS), self._events(reader), reader.close)

    async def _events(self, reader: Reader) -> AsyncIterator[bytes]:
        if reader.is_closed:
            return
        self._readers.add(reader)
        try:
            yield self._first(reader)
            self._begin()
            while not reader.is_closed:
                await reader.news.wait()
                reader.news.clear()
                yield self._next(reader)
        finally:
            self._readers.discard(reader)
            self._end()

    def _first(self, reader: Reader) -> bytes:
        self._look()
        return b"retry: %d\n\n" % _RETRY + self._next(reader) + self._series(reader, whole=True)

    def _next(self, reader: Reader) -> bytes:
        """What the reader has not had: the newest state, and steps that have ended; b"" for nothing."""
        events = b""
        if reader.state != self._number:
            reader.state = self._number
            events = self._state
        return events + (self._series(reader) if reader.step else b"")

    def _series(self, reader: Reader, whole: bool = False) -> bytes:
        points = [_point(key, each) for key, each in self._steps(reader.step)]
        reader.step = int(self._activity.clock() // STEP)
        return _event("series", {"step_ms": STEP * 1000, "points": points}) if points or whole else b""

    def _steps(self, since: int) -> list[tuple[str, Step]]:
        return [(key, step) for key, counts in self._activity.counts.items() for step in counts.steps(since)]

    # one task for all readers

    def _begin(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def _end(self) -> None:
        if not self._readers and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_PAUSE)
            if self._activity.version != self._version or time.monotonic() - self._at > _AT_LEAST - _PAUSE:
                self._look()
                for reader in self._readers:
                    reader.news.set()

    def _look(self) -> None:
        self.looks += 1
        self._version, self._at = self._activity.version, time.monotonic()
        self._number += 1
        self._state = _event("state", self._now())

    def _now(self) -> dict[str, object]:
        pool = self._pool
        fleets = pool.fleets()
        waiting: dict[str, int] = {}
        memory: dict[str, float] = {}
        environments = []
        for fleet in fleets:
            key = fleet.function.key
            waiting[key] = waiting.get(key, 0) + len(fleet.waiting)
            for environment in fleet.environments:
                size = self._memory.of(environment)
                memory[key] = memory.get(key, 0.0) + size
                environments.append(_environment(environment, size))
        gone = [_gone(key, dead) for key, dead in self._activity.lately_dead()]
        return {
            "time": _ms(self._activity.clock()),
            "memory": {"used_mb": pool.used(), "limit_mb": pool.memory},
            "functions": [self._function(each.key, waiting, memory) for each in pool.functions()],
            "environments": sorted([*environments, *gone], key=lambda entry: int(entry["id"])),
        }

    def _function(self, key: str, waiting: Mapping[str, int], memory: Mapping[str, float]) -> dict[str, object]:
        counts, faults = self._activity.of(key), self._pool.faults(key)
        counts.measured(memory.get(key, 0.0))
        return {
            "key": key,
            "concurrency_limit": counts.function.concurrency or limits.CONCURRENCY_ACCOUNT,
            "running": counts.running,
            "waiting": waiting[key],
            **_counted(counts),
            **_percentiles(counts.last_minute()),
            "faults": {"throttle": faults.throttle, "slow_init_ms": round(faults.slow_init * 1000)},
        }


class Memory:
    """Resident memory of environments in MB, looked up anew when a moment has passed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._processes = Processes()
        self._known: dict[str, tuple[float, float]] = {}

    def of(self, environment: Environment) -> float:
        at, size = self._known.get(environment.id, (0.0, 0.0))
        if self._clock() - at > _MEASURE:
            if len(self._known) > limits.CONCURRENCY_ACCOUNT:  # of environments that are gone, most of them
                self._known.clear()
            size = resident(self._processes.family(environment.pid)) / 2**20 if environment.pid else 0.0
            self._known[environment.id] = self._clock(), size
        return size


def _environment(environment: Environment, memory: float) -> dict[str, Any]:
    return {
        "id": environment.id,
        "function": environment.function.key,
        "state": environment.state,
        "since": _ms(environment.since),
        "pid": environment.pid,
        "rss_mb": round(memory, 1),
        "invocations": environment.invocations,
        "reason": "",
    }


def _gone(key: str, dead: Dead) -> dict[str, Any]:
    return {
        "id": dead.id,
        "function": key,
        "state": "dead",
        "since": _ms(dead.since),
        "pid": dead.pid,
        "rss_mb": 0,
        "invocations": dead.invocations,
        "reason": dead.reason,
    }


def _point(key: str, step: Step) -> dict[str, object]:
    return {
        "time": _ms(step.number * STEP),
        "function": key,
        **_counted(step),
        "concurrency": step.concurrency,
        **_percentiles(step.latencies),
        "memory_mb": None if step.memory is None else round(step.memory, 1),
    }


def _counted(counted: Counts | Step) -> dict[str, int]:
    return {
        "invocations": counted.invocations,
        "cold_starts": counted.cold_starts,
        "errors": counted.errors,
        "throttles": counted.throttles,
    }


def _percentiles(latencies: Latencies) -> dict[str, float | None]:
    found = latencies.percentiles(0.5, 0.95, 0.99)
    rounded = [None if each is None else round(each * 1000, 2) for each in found]
    return dict(zip(("p50_ms", "p95_ms", "p99_ms"), rounded, strict=True))


def _event(name: str, value: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(value))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
