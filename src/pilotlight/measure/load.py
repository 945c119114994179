"""Load: requests, and what their latencies say.

`run` is a closed loop: each of several connections sends its next request when it has the answer to the last one, so
that a slow server is asked less often, and latencies say nothing of a load beyond that. `run_at` is an open loop:
requests have their times, whether the ones before are answered or not, and latencies count from those times, so that a
request which could not be sent in time has waited too (Tene, How not to measure latency, 2013: coordinated omission).
"""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from math import ceil, inf, isfinite
from statistics import fmean
from time import perf_counter, process_time
from typing import NamedTuple

from pilotlight.measure.latencies import Latencies

PHASE = "t_"
"""What the names of fields begin with in which an answer says how long a phase took, in seconds."""


class Told(NamedTuple):
    """What the function's REPORT line says, in milliseconds. `init` is the init phase before it, or with SnapStart the
    restore phase; 0 where the environment was there."""

    duration: float
    init: float = 0.0


class Reply(NamedTuple):
    """An answer. `error` is "" for a good one, else a word that is the same for all that failed in this way. `told` is
    None where nobody tells."""

    payload: bytes
    error: str = ""
    told: Told | None = None


Send = Callable[[bytes], Awaitable[Reply]]

AT_ONCE = 1_000
"""How many requests of an open loop may be under way: each takes a connection."""

LATE = 10.0
"""Milliseconds; a timer of a busy machine is a millisecond or two late."""
BUSY = 0.9
"""The share of a processor from which a client has no time left: it has one thread, or one of several at a time."""
_BUSY_SECONDS = 0.3  # in a shorter run the share says nothing


class Sample(NamedTuple):
    """One request: when it began, in seconds since the first one did, how many it took, and the answer's phases.

    In an open loop it began when it was due, was `held` for so many seconds since too many were under way, and was sent
    `late` seconds after it could be."""

    began: float
    seconds: float
    error: str
    phases: Mapping[str, float]
    late: float = 0.0
    held: float = 0.0
    told: Told | None = None

    @property
    def is_cold(self) -> bool:
        """Whether an init phase came before it, as far as somebody told."""
        return self.told is not None and self.told.init > 0


class Run(NamedTuple):
    """All requests in the order of their ends, the seconds until the last one had, and of these the share for which
    this process used a processor."""

    samples: Sequence[Sample]
    seconds: float
    busy: float = 0.0


class Stopwatch:
    """Since when a run runs."""

    def __init__(self) -> None:
        self._began = perf_counter()
        self._used = process_time()

    def seconds(self) -> float:
        return perf_counter() - self._began

    def run(self, samples: Sequence[Sample]) -> Run:
        seconds = self.seconds()
        return Run(samples, seconds, (process_time() - self._used) / seconds)


class Summary(NamedTuple):
    """`qps` is good answers a second. Latencies, in milliseconds, and phases, their means in seconds, are of good
    answers alone; None when there was none. `errors` counts each sort.

    `cold` is how many requests began with an init phase, and `init_ms` and `duration_ms` are medians of what the
    function itself took; None where nobody told. `late_ms` and `held_ms` are 99th percentiles of those of `Sample`,
    `busy` is that of `Run`: see `client_limit`."""

    requests: int
    seconds: float
    qps: float
    errors: Mapping[str, int]
    mean_ms: float | None
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    p999_ms: float | None
    max_ms: float | None
    phases: Mapping[str, float]
    cold: int | None = None
    init_ms: float | None = None
    duration_ms: float | None = None
    late_ms: float = 0.0
    held_ms: float = 0.0
    busy: float = 0.0


async def run(
    send: Send,
    bodies: Sequence[bytes],
    concurrency: int,
    requests: float = inf,
    seconds: float = inf,
    answered: Callable[[Sample], None] = lambda sample: None,
) -> Run:
    """Send `bodies` in turn and from the first one again, until `requests` were sent or `seconds` are over.

    What is under way then is waited for. `answered` is told of each: who is cancelled has what was measured.
    """
    samples: list[Sample] = []
    numbers = itertools.count()
    watch = Stopwatch()

    async def ask_in_turn() -> None:
        while (began := watch.seconds()) < seconds and (number := next(numbers)) < requests:
            reply = await send(bodies[number % len(bodies)])
            samples.append(_sample(reply, began, watch.seconds()))
            answered(samples[-1])

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(ask_in_turn())
    return watch.run(samples)


async def run_at(
    send: Send,
    bodies: Sequence[bytes],
    arrivals: Sequence[float],
    answered: Callable[[Sample], None] = lambda sample: None,
    at_once: int = AT_ONCE,
) -> Run:
    """Send `bodies` in turn at those times, in seconds from now, the earliest first.

    No more than `at_once` are under way; those that are due then are held until one has ended."""
    samples: list[Sample] = []
    room = asyncio.Semaphore(at_once)
    watch = Stopwatch()
    freed = free = 0.0  # when a request ended last, and since when there has been room

    async def ask(number: int, due: float, free: float) -> None:
        nonlocal freed
        sent = watch.seconds()
        reply = await send(bodies[number % len(bodies)])
        freed = watch.seconds()
        room.release()
        sample = _sample(reply, due, freed)
        samples.append(sample._replace(late=sent - max(due, free), held=max(0.0, free - due)))
        answered(samples[-1])

    async with asyncio.TaskGroup() as group:
        for number, due in enumerate(arrivals):
            while (wait := due - watch.seconds()) > 0:  # uvloop's timers end up to half a millisecond early
                await asyncio.sleep(wait)
            is_full = room.locked()
            await room.acquire()
            free = freed if is_full else free
            group.create_task(ask(number, due, free))
    return watch.run(samples)


def _sample(reply: Reply, began: float, ended: float) -> Sample:
    named = {} if reply.error else phases(reply.payload)
    return Sample(began, ended - began, reply.error, named, told=reply.told)


def even(rate: float, seconds: float) -> list[float]:
    """The times of `rate` requests a second, each as long after the one before."""
    return [number / rate for number in range(ceil(rate * seconds))]


def phases(payload: bytes) -> dict[str, float]:
    """The phases that an answer names, if it is a JSON object that names some."""
    try:
        answer = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    fields = answer.items() if isinstance(answer, dict) else ()
    return {name: float(value) for name, value in fields if name.startswith(PHASE) and _is_time(value)}


def _is_time(value: object) -> bool:
    """Python's JSON also has NaN, infinity and integers that no float holds."""
    try:
        return type(value) in (int, float) and isfinite(value)  # type: ignore[arg-type]
    except OverflowError:
        return False


def summary(run: Run) -> Summary:
    good = [sample for sample in run.samples if not sample.error]
    latencies = Latencies(sample.seconds for sample in good)
    names = dict.fromkeys(name for sample in good for name in sample.phases)
    told = [sample.told for sample in run.samples if sample.told]
    inits = sorted(each.init for each in told if each.init)
    return Summary(
        requests=len(run.samples),
        seconds=run.seconds,
        qps=len(good) / run.seconds,
        errors=dict(Counter(sample.error for sample in run.samples if sample.error).most_common()),
        mean_ms=fmean(sample.seconds for sample in good) * 1000 if good else None,
        p50_ms=latencies.at(50),
        p90_ms=latencies.at(90),
        p99_ms=latencies.at(99),
        p999_ms=latencies.at(99.9),
        max_ms=latencies.longest,
        phases={name: fmean(each.phases[name] for each in good if name in each.phases) for name in names},
        cold=len(inits) if told else None,
        init_ms=percentile(inits, 50),
        duration_ms=percentile(sorted(sample.told.duration for sample in good if sample.told), 50),
        late_ms=_p99_ms(sample.late for sample in run.samples),
        held_ms=_p99_ms(sample.held for sample in run.samples),
        busy=run.busy,
    )


def ended(samples: Sequence[Sample], seconds: float, parts: int) -> list[int]:
    """How many of them ended in each of so many equal parts of the time."""
    counts = [0] * parts
    for sample in samples:
        counts[min(int((sample.began + sample.seconds) / seconds * parts), parts - 1)] += 1
    return counts


def _p99_ms(seconds: Iterable[float]) -> float:
    return percentile(sorted(max(0.0, each) * 1000 for each in seconds), 99) or 0.0


def client_limit(late_ms: float, held_ms: float, busy: float, seconds: float) -> str:
    """Why the client, and not what it asked, was the limit; "" where it was not, as far as the client can tell: of
    requests that were held for longer many answers come at once, and as many are sent after them, one by one."""
    if late_ms > max(LATE, held_ms):
        return f"1 in 100 requests was sent {late_ms:.0f} ms late, or later"
    if busy > BUSY and seconds >= _BUSY_SECONDS:
        return f"it used {min(busy, 1):.0%} of a processor, which is all that it can use"
    return ""


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """The nearest rank: the least value that at least so many per cent are not above. None of none."""
    return ordered[ceil(len(ordered) * percent / 100) - 1] if ordered else None
