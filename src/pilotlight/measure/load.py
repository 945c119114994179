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
from math import ceil, inf
from statistics import fmean
from time import perf_counter
from typing import NamedTuple

from pilotlight.errors import UsageError

PHASE = "t_"
"""What the names of fields begin with in which an answer says how long a phase took, in seconds."""


class Reply(NamedTuple):
    """An answer. `error` is "" for a good one, else a word that is the same for all that failed in this way."""

    payload: bytes
    error: str = ""


Send = Callable[[bytes], Awaitable[Reply]]

AT_ONCE = 1_000
"""How many requests of an open loop may be under way: each takes a connection."""


class Sample(NamedTuple):
    """One request: when it began, in seconds since the first one did, how many it took, and the answer's phases.

    In an open loop it began when it was due, and was sent `late` seconds after that."""

    began: float
    seconds: float
    error: str
    phases: Mapping[str, float]
    late: float = 0.0


class Run(NamedTuple):
    """All requests in the order of their ends, and the seconds until the last one had."""

    samples: Sequence[Sample]
    seconds: float


class Summary(NamedTuple):
    """`qps` is good answers a second. Latencies, in milliseconds, and phases, their means in seconds, are of good
    answers alone; None when there was none. `errors` counts each sort. `late_ms` is the 99th percentile of how long
    after their times requests were sent: where it is not small, the client was the limit."""

    requests: int
    seconds: float
    qps: float
    errors: Mapping[str, int]
    mean_ms: float | None
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    phases: Mapping[str, float]
    late_ms: float = 0.0


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
    start = perf_counter()

    async def ask_in_turn() -> None:
        while perf_counter() - start < seconds and (number := next(numbers)) < requests:
            began = perf_counter()
            reply = await send(bodies[number % len(bodies)])
            taken = perf_counter() - began
            samples.append(Sample(began - start, taken, reply.error, {} if reply.error else phases(reply.payload)))
            answered(samples[-1])

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(ask_in_turn())
    return Run(samples, perf_counter() - start)


async def run_at(
    send: Send,
    bodies: Sequence[bytes],
    arrivals: Sequence[float],
    answered: Callable[[Sample], None] = lambda sample: None,
    at_once: int = AT_ONCE,
) -> Run:
    """Send `bodies` in turn at those times, in seconds from now, the earliest first.

    No more than `at_once` are under way; those that are due then are late."""
    samples: list[Sample] = []
    room = asyncio.Semaphore(at_once)
    start = perf_counter()

    async def ask(number: int, due: float) -> None:
        late = perf_counter() - start - due
        reply = await send(bodies[number % len(bodies)])
        room.release()
        seconds = perf_counter() - start - due
        samples.append(Sample(due, seconds, reply.error, {} if reply.error else phases(reply.payload), late))
        answered(samples[-1])

    async with asyncio.TaskGroup() as group:
        for number, due in enumerate(arrivals):
            wait = due - (perf_counter() - start)
            if wait > 0:
                await asyncio.sleep(wait)
            await room.acquire()
            group.create_task(ask(number, due))
    return Run(samples, perf_counter() - start)


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
    return {name: float(value) for name, value in fields if name.startswith(PHASE) and type(value) in (int, float)}


def summary(run: Run) -> Summary:
    good = [sample for sample in run.samples if not sample.error]
    latencies = sorted(sample.seconds * 1000 for sample in good)
    names = dict.fromkeys(name for sample in good for name in sample.phases)
    return Summary(
        requests=len(run.samples),
        seconds=run.seconds,
        qps=len(good) / run.seconds,
        errors=dict(Counter(sample.error for sample in run.samples if sample.error).most_common()),
        mean_ms=fmean(latencies) if latencies else None,
        p50_ms=percentile(latencies, 50),
        p90_ms=percentile(latencies, 90),
        p99_ms=percentile(latencies, 99),
        max_ms=latencies[-1] if latencies else None,
        phases={name: fmean(each.phases[name] for each in good if name in each.phases) for name in names},
        late_ms=percentile(sorted(max(0.0, each.late) * 1000 for each in run.samples), 99) or 0.0,
    )


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """The nearest rank: the least value that at least so many per cent are not above. None of none."""
    return ordered[ceil(len(ordered) * percent / 100) - 1] if ordered else None


def bodies(lines: Iterable[bytes], fields: Sequence[str], name: str) -> list[bytes]:
    """A request's body for each line of the file `name`; empty lines are none.

    With `fields` a line holds the value of each, separated by tabs; without, the first line tells whether all are JSON
    objects or each is the value of `input`. Raises `UsageError`, with the number of the line.
    """
    read = _fields(fields) if fields else None
    made = []
    for number, line in enumerate(lines, 1):
        if not line.isspace():
            read = read or (_object if line.lstrip().startswith(b"{") else _fields(["input"]))
            try:
                made.append(read(line.decode().rstrip("\r\n")))
            except ValueError as error:
                raise UsageError(f"reading {name}, line {number}: {error}", _FORMS) from None
    if not made:
        raise UsageError(f"reading {name}: it has no lines", _FORMS)
    return made


_FORMS = "a line is a JSON object, a sentence, or with --field A --field B two texts with a tab between them"


def _object(text: str) -> bytes:
    if not isinstance(json.loads(text), dict):
        raise ValueError("not a JSON object")
    return text.encode()


def _fields(names: Sequence[str]) -> Callable[[str], bytes]:
    def body(text: str) -> bytes:
        values = text.split("\t") if len(names) > 1 else [text]
        if len(values) != len(names):
            raise ValueError(f"{len(values)} texts for the {len(names)} fields {', '.join(names)}")
        return json.dumps(dict(zip(names, values, strict=True))).encode()

    return body
