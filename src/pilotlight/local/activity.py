"""What has happened, kept bounded: counts since the start, those of each 5 seconds of the last 15 minutes, the last
requests one by one.

An invocation costs a few counters here, whether somebody looks or not; everything else is worked out when it is asked
for. An `observer.Observer`.
"""

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from math import ceil

from pilotlight import limits
from pilotlight.local.latency import Latencies
from pilotlight.local.observer import Dead, Ended
from pilotlight.local.report import Report
from pilotlight.local.requests import Requests
from pilotlight.project import Function
from pilotlight.settings import Front

STEP = 5.0  # seconds
STEPS = 180  # 15 minutes
DEAD_SECONDS = 10.0  # for which an environment that is gone is told of
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)  # seconds
_DEAD = 256  # environments
_HTTP_UNIT = 524_288  # aws.amazon.com/api-gateway/pricing (belief): HTTP APIs are metered by 512 KB
_WRITE_UNIT = 1_024  # docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html
_LOG_LINE = 26  # aws.amazon.com/cloudwatch/pricing (belief): bytes that each log event counts for beside its text


class Histogram:
    """Times in seconds, counted below each of `BOUNDS`."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)  # the last: longer than all of them
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds


class Step:
    """The invocations that have ended in one step, by its number: seconds since 1970 divided by `STEP`."""

    __slots__ = ("cold_starts", "concurrency", "errors", "invocations", "latencies", "memory", "number", "throttles")

    def __init__(self, number: int, running: int) -> None:
        self.number = number
        self.invocations = 0
        self.cold_starts = 0
        self.errors = 0
        self.throttles = 0
        self.concurrency = running  # the most at once
        self.latencies = Latencies()  # as their callers have them: the wait for an environment included
        self.memory: float | None = None  # MB, the last that was measured; None where nobody looked

    @property
    def is_empty(self) -> bool:
        return not (self.invocations or self.errors or self.throttles or self.concurrency or self.memory)


class Counts:
    """Of one function since the start (an `observer.Watch`). `steps` are those that have ended, and the last one."""

    def __init__(self, activity: "Activity", function: Function) -> None:
        self.function = function
        self.running = 0
        self.invocations = 0
        self.cold_starts = 0
        self.errors = 0
        self.throttles = 0
        self.billed_ms = 0
        self.restores = 0
        self.streamed = 0
        self.log_bytes = 0
        self.write_units = 0
        self.front_requests = 0
        self.durations = Histogram()
        self.inits = Histogram()
        self.since = activity.clock()
        self._activity = activity
        self._clock = activity.clock
        self._step = Step(int(self.since // STEP), 0)
        self._ends = (self._step.number + 1) * STEP
        self._past: deque[Step] = deque(maxlen=STEPS)

    # what is told

    def began(self) -> None:
        self.running += 1
        step = self._now()
        step.concurrency = max(step.concurrency, self.running)
        self._activity.version += 1

    def ended(self, ended: Ended) -> None:
        report, step, init = ended.report, self._now(), ended.report.init
        self.running -= 1
        self.invocations += 1
        step.invocations += 1
        self.durations.add(report.seconds)
        step.latencies.add(ended.waited + report.seconds)
        if init.seconds or init.restore:
            self._started_cold(step, report)
        else:
            self.billed_ms += ceil(report.seconds * 1000)
        if ended.error:
            self.errors += 1
            step.errors += 1
        if ended.streamed > limits.STREAM_FREE_URL:
            self.streamed += ended.streamed - limits.STREAM_FREE_URL
        self._activity.requests.keep(self.function.key, ended, self._clock())
        self._activity.version += 1

    def _started_cold(self, step: Step, report: Report) -> None:
        init = report.init
        self.billed_ms += report.billed + ceil(init.restore * 1000)
        self.cold_starts += 1
        step.cold_starts += 1
        self.inits.add(init.restore or init.seconds)
        self.restores += 1 if init.restore else 0

    def failed(self, request_id: str, error: str) -> None:
        """Its init phase counts for no cold start: the environment has taken no request."""
        step = self._now()
        self.invocations += 1
        self.errors += 1
        step.invocations += 1
        step.errors += 1
        self._activity.requests.keep_failed(self.function.key, request_id, error, self._clock())
        self._activity.version += 1

    def throttled(self) -> None:
        self.throttles += 1
        self._now().throttles += 1
        self._activity.version += 1

    def changed(self) -> None:
        self._activity.version += 1

    def died(self, dead: Dead) -> None:
        self._activity.dead.append((self.function.key, dead))
        self._activity.version += 1

    def logged(self, size: int) -> None:
        self.log_bytes += size + _LOG_LINE

    def recorded(self, size: int) -> None:
        self.write_units += ceil(size / _WRITE_UNIT)

    def called(self, front: Front, sent: int, answered: int, extended_id: str, request_id: str) -> None:
        """An HTTP API meters the larger of the two bodies (belief)."""
        size = max(sent, answered) if front == "http" else 0
        self.front_requests += ceil(size / _HTTP_UNIT) or 1
        self._activity.requests.name(extended_id, request_id)

    def measured(self, memory: float) -> None:
        """The resident memory of its environments, in MB."""
        self._now().memory = memory

    # what is asked

    def steps(self, since: int = 0) -> Iterator[Step]:
        """Those of the last 15 minutes that have ended and are not empty, from the number `since` on."""
        current = self._now().number
        for step in self._past:
            if step.number >= max(since, current - STEPS):
                yield step

    def last_minute(self) -> Latencies:
        step = self._now()
        recent = [each.latencies for each in self._past if each.number > step.number - 60 / STEP]
        return Latencies.merged([*recent, step.latencies])

    def _now(self) -> Step:
        """The step of now."""
        return self._step if self._clock() < self._ends else self._turn()

    def _turn(self) -> Step:
        """A new step, when the one before has been put away."""
        number = int(self._clock() // STEP)
        self._put_away(self._step, number)
        self._step, self._ends = Step(number, self.running), (number + 1) * STEP
        return self._step

    def _put_away(self, step: Step, until: int) -> None:
        """A step that has ended, and those since in which nothing has begun or ended."""
        if not step.is_empty:
            self._past.append(step)
        if self.running:
            self._past.extend(Step(each, self.running) for each in range(max(step.number + 1, until - STEPS), until))


class Activity:
    """See the module. `clock` gives seconds since 1970. `version` is another whenever something has happened."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.since = clock()
        self.version = 0
        self.requests = Requests()
        self.dead: deque[tuple[str, Dead]] = deque(maxlen=_DEAD)
        self._counts: dict[str, Counts] = {}

    def watch(self, function: Function) -> Counts:
        counts = self._counts.setdefault(function.key, Counts(self, function))
        counts.function = function
        self.version += 1
        return counts

    def of(self, key: str) -> Counts:
        return self._counts[key]

    @property
    def counts(self) -> Mapping[str, Counts]:
        """By the functions' keys, those that are gone too."""
        return self._counts

    def lately_dead(self) -> list[tuple[str, Dead]]:
        """With the keys of their functions."""
        since = self.clock() - DEAD_SECONDS
        return [(key, dead) for key, dead in self.dead if dead.since >= since]
