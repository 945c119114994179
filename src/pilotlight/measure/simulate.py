"""What Lambda would do with a function's traffic: which requests start cold, which are refused, how long each takes.

A discrete-event simulation over arrivals, with times of init and of invocations that were measured. One request after
the other is looked at; between two of them only the ends of invocations and of minutes matter. So a million requests
take seconds. Pure: the same `Random` gives the same run.

Rules and numbers are those of docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html: a request gets an
environment that is free, a provisioned one first, else a new one; a function starts at most 1,000 of them in 10 s, and
takes ten requests a second for each of its concurrency. "(belief)" marks what no document says.
"""

from collections import deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from random import Random
from typing import NamedTuple

from pilotlight import limits
from pilotlight.measure.load import percentile
from pilotlight.measure.scaling import MINUTE, Allocation, Scaling

STARTS, STARTS_SECONDS = 1_000, 10.0  # new environments of one function, by lambda-concurrency.html
KEEP_ALIVE = 360.0  # seconds that an idle environment stays (belief): reports have from five minutes to some more


class Times(NamedTuple):
    """Measured seconds, of which one is drawn for each event: of invocations, and of init phases, or with SnapStart of
    restore phases. `errors` is the share of invocations that fail, as long as others and billed as they are."""

    run: Sequence[float]
    init: Sequence[float]
    errors: float = 0.0


class Lambda(NamedTuple):
    """What the function may have. `concurrency` is reserved for it, or the account's; `timeout` its own and `gateway`
    that of the front before it, in seconds; `provisioned` environments are always there, more as `scaling` has it.
    `platform` seconds of a cold start pass before its init phase begins. With `snapstart` inits are restores."""

    concurrency: int = limits.CONCURRENCY_ACCOUNT
    provisioned: int = 0
    timeout: float = limits.TIMEOUT_DEFAULT
    gateway: float = limits.HTTP_TIMEOUT
    keep_alive: float = KEEP_ALIVE
    requests_per_concurrency: float = limits.REQUESTS_PER_CONCURRENCY
    starts: float = STARTS
    platform: float = 0.0
    snapstart: bool = False
    scaling: Scaling = Scaling()


class Minute(NamedTuple):
    """Requests that came in it, those of them that started cold and were refused; the most invocations at once;
    environments that there were at its end, on demand and provisioned."""

    requests: int
    cold: int
    throttled: int
    busy: int
    environments: int
    provisioned: int


class Outcome(NamedTuple):
    """What came of the arrivals. `latencies` are the seconds of all that were answered well, the shortest first.

    `throttled` were refused, `timed_out` ended by the function's timeout, `given_up` by the gateway's while the
    function ran on, `failed` by an error of its own. `run_seconds` and `init_seconds` are what Lambda bills, and what
    took place in provisioned environments is in `provisioned_seconds`, beside `allocated_seconds`, for which these were
    there. `peak` is the most invocations at once, `environments` the most on demand at once, and `starts` are all that
    were started; `spilled` are the requests that found no provisioned environment free.
    """

    requests: int
    cold: int
    throttled: int
    timed_out: int
    given_up: int
    failed: int
    latencies: Sequence[float]
    run_seconds: float
    provisioned_seconds: float
    allocated_seconds: float
    init_seconds: float
    peak: int
    environments: int
    starts: int
    spilled: int
    minutes: Sequence[Minute]

    @property
    def invocations(self) -> int:
        """What Lambda bills as requests: those that it refuses are free."""
        return self.requests - self.throttled

    @property
    def cold_share(self) -> float:
        """Of all invocations."""
        return self.cold / self.invocations if self.invocations else 0.0

    def latency(self, percent: int) -> float | None:
        """By the nearest rank; None where no request was answered."""
        return percentile(self.latencies, percent)


class _Bucket:
    """So many at once at most, and as many again in `seconds`."""

    __slots__ = ("_full", "_left", "_rate", "_since")

    def __init__(self, size: float, seconds: float) -> None:
        self._full = self._left = size
        self._rate = size / seconds
        self._since = 0.0

    def take(self, now: float) -> bool:
        left = min(self._full, self._left + (now - self._since) * self._rate)
        self._since = now
        self._left = left - 1 if left >= 1 else left
        return left >= 1


def simulate(
    arrivals: Sequence[float],
    times: Times,
    function: Lambda,
    random: Random,
    seconds: float = 0.0,
    told: Callable[[int], None] = lambda requests: None,
) -> Outcome:
    """What Lambda does with requests that arrive then, in seconds since a midnight, the earliest first.

    The time that is simulated ends after `seconds`, or with the last arrival; `told` is how many of them are done."""
    return _Simulation(times, function, random).run(arrivals, seconds, told)


class _Simulation:
    """The environments of one function. `_busy` has the ends of what runs, `_idle` those of what is free, the longest
    idle first; which environment is which does not matter. Of provisioned ones only how many are `_in_use` is known."""

    def __init__(self, times: Times, function: Lambda, random: Random) -> None:
        self._times = times
        self._function = function
        self._random = random
        self._busy: list[tuple[float, bool, bool]] = []  # end, whether provisioned, whether it is gone then
        self._idle: deque[float] = deque()
        self._provisioned = Allocation(function.provisioned, function.scaling)
        self._in_use = 0
        self._rate = _Bucket(function.concurrency * function.requests_per_concurrency, 1.0)
        self._starts = _Bucket(function.starts, STARTS_SECONDS)
        self._latencies: list[float] = []
        self._minutes: list[Minute] = []
        self._minute = MINUTE  # the end of the one that runs
        self._used = self._used_before = 0.0  # the sum of ends less that of begins of what ran in provisioned ones
        self._requests = self._cold = self._throttled = self._busiest = 0
        self._before = (0, 0, 0)  # these counts at the last minute's end
        self._timed_out = self._given_up = self._failed = self._spilled = self._started = self._environments = 0
        self._run_seconds = self._provisioned_seconds = self._allocated_seconds = self._init_seconds = 0.0

    def run(self, arrivals: Sequence[float], seconds: float, told: Callable[[int], None]) -> Outcome:
        for now in arrivals:
            while now >= self._minute:
                self._end_minute(self._minute)
                told(self._requests)
            self._end(now)
            self._request(now)
        self._finish(max(seconds, arrivals[-1] if arrivals else 0.0))
        self._latencies.sort()
        return Outcome(
            self._requests, self._cold, self._throttled, self._timed_out, self._given_up, self._failed, self._latencies,
            self._run_seconds, self._provisioned_seconds, self._allocated_seconds, self._init_seconds,
            max((minute.busy for minute in self._minutes), default=0), self._environments, self._started, self._spilled,
            self._minutes,
        )  # fmt: skip

    def _finish(self, end: float) -> None:
        while self._minute <= end:
            self._end_minute(self._minute)
        if self._minute - MINUTE < end or not self._minutes:
            self._end_minute(end)

    def _end_minute(self, now: float) -> None:
        """Note what was, and scale what is provisioned. `now` is before the minute's end where the time ends."""
        self._end(now)
        lasted = now - (self._minute - MINUTE)
        allocated = self._provisioned.allocated
        self._allocated_seconds += allocated * lasted
        counts = (self._requests, self._cold, self._throttled)
        requests, cold, throttled = (after - before for after, before in zip(counts, self._before, strict=True))
        environments = len(self._busy) - self._in_use + len(self._idle)
        self._minutes.append(Minute(requests, cold, throttled, self._busiest, environments, allocated))
        used = self._used + self._in_use * now
        if allocated or self._function.scaling.schedule:
            use = (used - self._used_before) / (allocated * lasted) if requests and allocated and lasted else None
            self._provisioned.minute(now, use)
        self._before, self._used_before, self._busiest = counts, used, len(self._busy)
        self._minute += MINUTE

    def _end(self, now: float) -> None:
        """What has ended by now is free; what is free for too long is gone."""
        busy, idle = self._busy, self._idle
        while busy and busy[0][0] <= now:
            end, is_provisioned, is_gone = heappop(busy)
            if is_provisioned:
                self._in_use -= 1
                self._used += end
            elif not is_gone:
                idle.append(end)
        oldest = now - self._function.keep_alive
        while idle and idle[0] < oldest:
            idle.popleft()

    def _request(self, now: float) -> None:
        self._requests += 1
        if len(self._busy) >= self._function.concurrency or not self._rate.take(now):
            self._throttled += 1
            return
        if self._provisioned.allocated:
            if self._in_use < self._provisioned.allocated:
                self._in_use += 1
                self._used -= now
                self._invoke(now, is_provisioned=True)
                return
            self._spilled += 1
        if self._idle:
            self._idle.pop()  # the one used last, so that the others grow old enough to go
            self._invoke(now)
        elif self._starts.take(now):
            self._start(now)
        else:
            self._throttled += 1

    def _start(self, now: float) -> None:
        """Init, again and within the invocation's time where it takes too long."""
        init = self._random.choice(self._times.init)
        self._started += 1
        self._cold += 1
        if self._function.snapstart:
            self._invoke(now, waited=self._function.platform + init)
        elif init <= limits.INIT_TIMEOUT:
            self._init_seconds += init
            self._invoke(now, waited=self._function.platform + init)
        else:
            self._init_seconds += limits.INIT_TIMEOUT
            self._invoke(now, waited=self._function.platform + limits.INIT_TIMEOUT, more=init)
        self._environments = max(self._environments, len(self._busy) - self._in_use + len(self._idle))

    def _invoke(self, now: float, waited: float = 0.0, more: float = 0.0, *, is_provisioned: bool = False) -> None:
        """Run an invocation, `waited` seconds after its request came, that takes `more` than one does."""
        wanted = self._random.choice(self._times.run) + more
        is_late = wanted > self._function.timeout
        seconds = self._function.timeout if is_late else wanted
        latency = waited + seconds
        if is_provisioned:
            self._provisioned_seconds += seconds
        else:
            self._run_seconds += seconds
        heappush(self._busy, (now + latency, is_provisioned, is_late))
        if len(self._busy) > self._busiest:
            self._busiest = len(self._busy)
        self._answer(latency, is_late)

    def _answer(self, latency: float, is_late: bool) -> None:
        if latency > self._function.gateway:
            self._given_up += 1
        elif is_late:
            self._timed_out += 1
        elif self._times.errors and self._random.random() < self._times.errors:
            self._failed += 1
        else:
            self._latencies.append(latency)
