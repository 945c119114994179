"""The simulation beside a real pool with the same requests: `benchmarks/simulate.py`, without its times."""

import asyncio
import sys
from pathlib import Path
from random import Random

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))

import simulate as benchmark  # noqa: E402

pytestmark = pytest.mark.system

IDLE, CONCURRENCY = 6.0, 4


def test_bursts_start_and_refuse_as_many_in_both() -> None:
    """Two bursts, each of twelve requests at once, for four of which there is concurrency, with a gap that no
    environment outlives: however slow the machine is, each burst finds none and starts four."""
    arrivals = [0.0] * 12 + [30.0] * 12
    with benchmark.waiting(IDLE, CONCURRENCY) as function:
        known = asyncio.run(benchmark.times(function, starts=1, requests=2))
        real = asyncio.run(benchmark.drive(function, arrivals))
    simulated = benchmark.simulated(arrivals, known, 1, IDLE, CONCURRENCY)
    assert (simulated.cold, simulated.environments, simulated.throttled) == (8, 4, 16)
    assert real[:3] == simulated[:3]
    assert len(real.latencies) == len(simulated.latencies) == 8
    assert real.latencies[0] >= benchmark.INIT + benchmark.RUN


def test_requests_one_after_the_other_have_one_environment_in_both() -> None:
    arrivals = [0.0, *(10.0 + 2 * number for number in range(5))]
    with benchmark.waiting(idle=60.0) as function:
        known = asyncio.run(benchmark.times(function, starts=1, requests=2))
        real = asyncio.run(benchmark.drive(function, arrivals))
    simulated = benchmark.simulated(arrivals, known, 1, 60.0, benchmark.CONCURRENCY)
    assert real[:3] == simulated[:3] == (1, 1, 0)
    assert simulated.latencies[0] >= benchmark.RUN
    assert simulated.latencies[-1] >= benchmark.INIT + benchmark.RUN


def test_a_random_trace_has_the_same_bounds() -> None:
    """What holds for every trace: no more environments than the concurrency, no more cold starts than requests, one
    end for each request."""
    arrivals = benchmark.traffic.bursts(2.0, 12.0, Random(3), burst=40.0, every=6.0, lasting=1.0)
    with benchmark.waiting(idle=2.0, concurrency=CONCURRENCY) as function:
        known = asyncio.run(benchmark.times(function, starts=1, requests=2))
        real = asyncio.run(benchmark.drive(function, arrivals))
    for found in (real, benchmark.simulated(arrivals, known, 3, 2.0, CONCURRENCY)):
        assert CONCURRENCY <= found.cold <= len(found.latencies)
        assert found.environments == CONCURRENCY
        assert found.throttled > 0
        assert len(found.latencies) + found.throttled == len(arrivals)
