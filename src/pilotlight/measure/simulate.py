"""What Lambda would do with a function's traffic: which requests start cold, which are refused, how long each takes.

A discrete-event simulation over arrivals, with times of init and of invocations that were measured. One request after
the other is looked at; between two of them only the ends of invocations matter, which a heap keeps. So a million
requests take seconds. Pure: the same `Random` gives the same run.

Rules and numbers are those of docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html: a request gets an
environment that is free, else a new one; a function starts at most 1,000 of them in 10 s, and takes ten requests a
second for each of its concurrency. "(belief)" marks what no document says.
"""

import math
from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush, heapreplace
from random import Random
from typing import NamedTuple

from pilotlight import limits
from pilotlight.measure.load import percentile

STARTS, STARTS_SECONDS = 1_000, 10.0  # new environments of one function, by lambda-concurrency.html
KEEP_ALIVE = 360.0  # seconds that an idle environment stays (belief): reports have from five minutes to some more


class Times(NamedTuple):
    """Measured seconds, of which one is drawn for each event: of invocations, and of init phases, or with SnapStart of
    restore phases."""

    run: Sequence[float]
    init: Sequence[float]


class Lambda(NamedTuple):
    """What the function may have. `concurrency` is reserved for it, or the account's; `timeout` its own and `gateway`
    that of the front before it, in seconds; `provisioned` environments are always there."""

    concurrency: int = limits.CONCURRENCY_ACCOUNT
    provisioned: int = 0
    timeout: float = limits.TIMEOUT_DEFAULT
    gateway: float = limits.HTTP_TIMEOUT
    keep_alive: float = KEEP_ALIVE
    requests_per_concurrency: float = limits.REQUESTS_PER_CONCURRENCY
    starts: float = STARTS


class Outcome(NamedTuple):
    """What came of the arrivals. `latencies` are the seconds of all that were answered, the shortest first.

    `throttled` were refused, `timed_out` ended by the function's timeout, `given_up` by the gateway's while the
    function ran on. `run_seconds` and `init_seconds` are what Lambda bills; `peak` is the most invocations at once,
    `starts` are all environments; `spilled` are the requests that found no provisioned environment free.
    """

    requests: int
    cold: int
    throttled: int
    timed_out: int
    given_up: int
    latencies: Sequence[float]
    run_seconds: float
    provisioned_seconds: float
    init_seconds: float
    peak: int
    starts: int
    spilled: int

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


def simulate(arrivals: Sequence[float], times: Times, function: Lambda, random: Random) -> Outcome:
    """What Lambda does with requests that arrive then, in seconds, the earliest first."""
    return _Simulation(times, function, random).run(arrivals)


class _Simulation:
    """The environments of one function. `_busy` has the ends of what runs, `_idle` those of what is free, the longest
    idle first; which environment is which does not matter. Provisioned ones never end, and go first."""

    def __init__(self, times: Times, function: Lambda, random: Random) -> None:
        self._times = times
        self._function = function
        self._random = random
        self._busy: list[tuple[float, bool, bool]] = []  # end, whether provisioned, whether it is gone then
        self._idle: deque[float] = deque()
        self._provisioned = function.provisioned  # of these, free ones
        self._rate = _Bucket(function.concurrency * function.requests_per_concurrency, 1.0)
        self._starts = _Bucket(function.starts, STARTS_SECONDS)
        self._latencies: list[float] = []
        self._cold = self._throttled = self._timed_out = self._given_up = self._spilled = self._peak = self._started = 0
        self._run_seconds = self._provisioned_seconds = self._init_seconds = 0.0

    def run(self, arrivals: Sequence[float]) -> Outcome:
        for now in arrivals:
            self._end(now)
            self._request(now)
        self._latencies.sort()
        return Outcome(
            len(arrivals), self._cold, self._throttled, self._timed_out, self._given_up, self._latencies,
            self._run_seconds, self._provisioned_seconds, self._init_seconds, self._peak, self._started, self._spilled,
        )  # fmt: skip

    def _end(self, now: float) -> None:
        """What has ended by now is free; what is free for too long is gone."""
        busy, idle = self._busy, self._idle
        while busy and busy[0][0] <= now:
            end, is_provisioned, is_gone = heappop(busy)
            if is_provisioned:
                self._provisioned += 1
            elif not is_gone:
                idle.append(end)
        oldest = now - self._function.keep_alive
        while idle and idle[0] < oldest:
            idle.popleft()

    def _request(self, now: float) -> None:
        if len(self._busy) >= self._function.concurrency or not self._rate.take(now):
            self._throttled += 1
        elif self._provisioned:
            self._provisioned -= 1
            self._invoke(now, is_provisioned=True)
        elif self._idle:
            self._idle.pop()  # the one used last, so that the others grow old enough to go
            self._spilled += bool(self._function.provisioned)
            self._invoke(now)
        elif self._starts.take(now):
            self._spilled += bool(self._function.provisioned)
            self._start(now)
        else:
            self._throttled += 1

    def _start(self, now: float) -> None:
        """Init, again and within the invocation's time where it takes too long."""
        init = self._random.choice(self._times.init)
        self._started += 1
        self._cold += 1
        if init <= limits.INIT_TIMEOUT:
            self._init_seconds += init
            self._invoke(now, waited=init)
        else:
            self._init_seconds += limits.INIT_TIMEOUT
            self._invoke(now, waited=limits.INIT_TIMEOUT, more=init)

    def _invoke(self, now: float, waited: float = 0.0, more: float = 0.0, *, is_provisioned: bool = False) -> None:
        """Run an invocation, `waited` seconds after its request came, that takes `more` than one does."""
        wanted = self._random.choice(self._times.run) + more
        is_late = wanted > self._function.timeout
        seconds = min(wanted, self._function.timeout)
        latency = waited + seconds
        if is_provisioned:
            self._provisioned_seconds += seconds
        else:
            self._run_seconds += seconds
        heappush(self._busy, (now + latency, is_provisioned, is_late))
        self._peak = max(self._peak, len(self._busy))
        if latency > self._function.gateway:
            self._given_up += 1
        elif is_late:
            self._timed_out += 1
        else:
            self._latencies.append(latency)


class Queued(NamedTuple):
    """What servers that are always there make of arrivals: seconds each waited, and took in all, the shortest first."""

    waits: Sequence[float]
    latencies: Sequence[float]
    busy_seconds: float


def always_on(arrivals: Sequence[float], run: Sequence[float], workers: int, random: Random) -> Queued:
    """Requests that queue for `workers`, the first come first: a container, or an endpoint, that is always on."""
    free = [0.0] * workers
    waits, latencies, busy = [], [], 0.0
    for now in arrivals:
        seconds = random.choice(run)
        begin = max(now, free[0])
        heapreplace(free, begin + seconds)
        waits.append(begin - now)
        latencies.append(begin - now + seconds)
        busy += seconds
    return Queued(sorted(waits), sorted(latencies), busy)


def erlang_b(servers: int, load: float) -> float:
    """The share of requests that find all servers busy and are refused; `load` is arrivals a second times the seconds
    each takes. Erlang's loss formula, by its recursion over the number of servers."""
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked


def erlang_c(servers: int, load: float) -> float:
    """The share of requests that wait where they queue; 1 where the servers cannot keep up."""
    if load >= servers:
        return 1.0
    blocked = erlang_b(servers, load)
    return blocked / (1 - load / servers * (1 - blocked))


def mean_wait(servers: int, load: float, seconds: float) -> float:
    """The mean wait in the queue of M/M/c, for invocations of `seconds` on average; endless where load has no end."""
    return erlang_c(servers, load) * seconds / (servers - load) if load < servers else math.inf
