"""The simulation of Lambda beside the local pool, which has the same requests in real environments; and its speed.

    python benchmarks/simulate.py [--seconds 50] [--rounds 2]

The function waits, in its init phase and in each invocation: no processor is fought for. Idle environments end after
seconds instead of minutes, in both, so that bursts find none. The simulation has the times of requests sent one after
the other before, as `pilotlight simulate` measures them; how long the pool takes to begin is not in them.
"""

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import machine

from pilotlight import project
from pilotlight.deploy import log_lines
from pilotlight.deploy.log_lines import Report
from pilotlight.errors import InvokeError
from pilotlight.local.pool import Pool
from pilotlight.measure import load, traffic
from pilotlight.measure.load import Reply, percentile
from pilotlight.measure.scaling import Scaling
from pilotlight.measure.simulate import Lambda, Times, simulate
from pilotlight.project import Function
from pilotlight.values import Call

INIT, RUN = 0.3, 0.12
IDLE = 3.0
CONCURRENCY = 10
WAITS = f"""
import time
time.sleep({INIT})

def handler(event, context):
    time.sleep({RUN})
    return "ok"
"""
MEMORY = 16_384  # MB that the pool may share out: the concurrency is the limit, not the machine
REAPED = 0.05  # seconds between two looks for environments that are idle too long


class Found(NamedTuple):
    """Of a trace: cold starts, the most environments at once, requests that were refused, latencies in seconds."""

    cold: int
    environments: int
    throttled: int
    latencies: Sequence[float]


@contextlib.contextmanager
def waiting(idle: float = IDLE, concurrency: int = CONCURRENCY) -> Iterator[Function]:
    """A function that waits."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "inference").mkdir()
        (folder / "inference" / "waits.py").write_text(WAITS)
        settings = f"[functions.waits]\nmemory = 128\nidle = {idle}\nconcurrency = {concurrency}\n"
        (folder / "pilotlight.toml").write_text(settings)
        yield project.load(folder).functions[0]


@contextlib.asynccontextmanager
async def pool_of(function: Function, lines: list[str]) -> AsyncIterator[Pool]:
    """Idle environments end in time, and what is logged is in `lines`."""
    pool = Pool(lambda key, line: lines.append(line), MEMORY)
    await pool.host.launcher()
    pool.deploy([function])

    async def reap() -> None:
        while True:
            await asyncio.sleep(REAPED)
            pool.reap()

    reaping = asyncio.create_task(reap())
    try:
        yield pool
    finally:
        reaping.cancel()
        await pool.close()


async def drive(function: Function, arrivals: Sequence[float]) -> Found:
    """The pool with these requests."""
    lines: list[str] = []
    most = 0
    async with pool_of(function, lines) as pool:

        async def send(body: bytes) -> Reply:
            nonlocal most
            try:
                answer = asyncio.ensure_future(pool(Call(function.key, body)))
                await asyncio.sleep(0)
                most = max(most, sum(len(fleet.environments) for fleet in pool.fleets()))
                return Reply((await answer).payload)
            except InvokeError as error:
                return Reply(b"", type(error).__name__)

        run = await load.run_at(send, [b"{}"], arrivals)
    latencies = sorted(sample.seconds for sample in run.samples if not sample.error)
    throttled = sum(sample.error == "Throttled" for sample in run.samples)
    return Found(sum(bool(report.init_ms) for report in reports(lines)), most, throttled, latencies)


async def times(function: Function, starts: int = 5, requests: int = 10) -> Times:
    """As `pilotlight simulate` measures them."""
    found: list[Report] = []
    for _ in range(starts):
        lines: list[str] = []
        async with pool_of(function, lines) as pool:
            for _ in range(1 + requests):
                await pool(Call(function.key, b"{}"))
        found += reports(lines)
    inits = [report.init_ms / 1000 for report in found if report.init_ms]
    return Times([report.duration_ms / 1000 for report in found if not report.init_ms], inits)


def reports(lines: Sequence[str]) -> list[Report]:
    return [report for report in map(log_lines.report, lines) if report]


def simulated(arrivals: Sequence[float], known: Times, seed: int, idle: float, concurrency: int) -> Found:
    """The same requests in the simulation."""
    outcome = simulate(arrivals, known, Lambda(concurrency=concurrency, keep_alive=idle), Random(seed))
    return Found(outcome.cold, outcome.environments, outcome.throttled, outcome.latencies)


def speed(requests: int = 1_000_000) -> tuple[float, float]:
    """Seconds in which a day of them is drawn, and simulated with provisioned concurrency that scales."""
    random = Random(1)
    began = time.perf_counter()
    arrivals = traffic.diurnal(requests / traffic.DAY, traffic.DAY, random)
    drawn = time.perf_counter()
    known = Times([random.expovariate(8) for _ in range(5_000)], [0.4, 0.5, 0.6])
    simulate(arrivals, known, Lambda(provisioned=2, scaling=Scaling(20)), random, traffic.DAY)
    return drawn - began, time.perf_counter() - drawn


def table(pairs: Sequence[tuple[int, Found, Found]]) -> Iterator[str]:
    yield "| seed | | requests | cold | environments at once | throttled | p50 ms | p99 ms |"
    yield "|---|---|---|---|---|---|---|---|"
    for seed, real, predicted in pairs:
        requests = len(real.latencies) + real.throttled
        for name, found in (("pool", real), ("simulated", predicted)):
            p50, p99 = ((percentile(found.latencies, percent) or 0.0) * 1000 for percent in (50, 99))
            yield (
                f"| {seed} | {name} | {requests} | {found.cold} ({found.cold / requests:.1%}) | {found.environments} | "
                f"{found.throttled} | {p50:.1f} | {p99:.1f} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=50.0, help="of traffic in each round")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    pairs = []
    with waiting() as function:
        known = asyncio.run(times(function))
        for seed in range(1, options.rounds + 1):
            arrivals = traffic.bursts(3.0, options.seconds, Random(seed), burst=60.0, every=10.0, lasting=1.0)
            real = asyncio.run(drive(function, arrivals))
            pairs.append((seed, real, simulated(arrivals, known, seed, IDLE, CONCURRENCY)))
    drawn, taken = speed()
    machine.write(
        "simulate",
        [
            "# The simulation of Lambda beside the local pool",
            "",
            f"{options.seconds:.0f} s of 3 requests a second, and 60 in 1 s of 10, "
            f"to a function that waits {INIT * 1000:.0f} ms to start and {RUN * 1000:.0f} ms to answer, with a "
            f"concurrency of {CONCURRENCY}. Environments end when they were idle for {IDLE:.0f} s, in both.",
            "",
            *table(pairs),
            "",
            f"A million requests of a day are drawn in {drawn:.1f} s, and simulated in {taken:.1f} s.",
        ],
    )


if __name__ == "__main__":
    main()
