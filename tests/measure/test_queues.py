"""Queueing theory: the formulas by tables, and what is simulated by the formulas."""

import math
from random import Random
from statistics import fmean

import pytest

from pilotlight.measure import queues, traffic
from pilotlight.measure.simulate import Lambda, Times, simulate

ENDLESS = Lambda(timeout=math.inf, gateway=math.inf, requests_per_concurrency=math.inf, starts=math.inf)


def exponential(seed: int) -> list[float]:
    random = Random(seed)
    return [random.expovariate(1.0) for _ in range(50_000)]


@pytest.mark.parametrize(("servers", "load"), [(10, 8.0), (30, 25.0), (5, 9.0)])
def test_what_is_refused_is_by_erlangs_loss_formula(servers: int, load: float) -> None:
    random = Random(7)
    times = Times(exponential(7), [0.0])
    arrivals = traffic.constant(load, 100_000 / load, random)
    outcome = simulate(arrivals, times, ENDLESS._replace(concurrency=servers), random)
    drawn = len(arrivals) / arrivals[-1] * fmean(times.run)
    assert outcome.throttled / outcome.requests == pytest.approx(queues.erlang_b(servers, drawn), rel=0.08)


@pytest.mark.parametrize(("provisioned", "load"), [(4, 3.0), (20, 15.0)])
def test_what_spills_from_provisioned_environments_is_by_it_too(provisioned: int, load: float) -> None:
    random = Random(9)
    times = Times(exponential(9), [0.0])
    arrivals = traffic.constant(load, 100_000 / load, random)
    outcome = simulate(arrivals, times, ENDLESS._replace(provisioned=provisioned), random)
    drawn = len(arrivals) / arrivals[-1] * fmean(times.run)
    assert outcome.throttled == 0
    assert outcome.spilled / outcome.requests == pytest.approx(queues.erlang_b(provisioned, drawn), rel=0.08)
    in_use = outcome.provisioned_seconds / outcome.allocated_seconds
    assert in_use == pytest.approx(drawn * (1 - queues.erlang_b(provisioned, drawn)) / provisioned, rel=0.02)


@pytest.mark.parametrize("rate", [0.002, 0.006])
def test_who_comes_after_a_gap_longer_than_the_keep_alive_starts_cold(rate: float) -> None:
    """Where invocations take next to nothing there is one environment, which is gone with probability exp(-rate x
    keep-alive): the share of gaps of a Poisson process that are longer."""
    random = Random(10)
    arrivals = traffic.constant(rate, 15_000 / rate, random)
    outcome = simulate(arrivals, Times([1e-6], [0.0]), ENDLESS._replace(keep_alive=360.0), random)
    assert outcome.environments == 1
    assert outcome.cold_share == pytest.approx(math.exp(-rate * 360.0), rel=0.05)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.5), (8, 6.0)])
def test_what_waits_for_servers_that_are_always_on_is_by_erlangs_other_formula(servers: int, load: float) -> None:
    random = Random(8)
    run = exponential(8)
    arrivals = traffic.constant(load, 150_000 / load, random)
    queued = queues.always_on(arrivals, run, servers, random)
    drawn = len(arrivals) / arrivals[-1] * fmean(run)
    waited = sum(wait > 0 for wait in queued.waits) / len(queued.waits)
    assert waited == pytest.approx(queues.erlang_c(servers, drawn), rel=0.05)
    assert fmean(queued.waits) == pytest.approx(queues.mean_wait(servers, drawn, fmean(run)), rel=0.08)
    late = sum(wait > 1.0 for wait in queued.waits) / len(queued.waits)
    assert late == pytest.approx(queues.late(servers, drawn, fmean(run), 1.0), rel=0.15)


def test_erlangs_formulas_have_the_values_of_tables() -> None:
    """Of one server both are known by hand: load / (1 + load), and the load itself."""
    assert queues.erlang_b(1, 0.5) == pytest.approx(0.5 / 1.5)
    assert queues.erlang_c(1, 0.5) == pytest.approx(0.5)
    assert queues.erlang_b(10, 8.0) == pytest.approx(0.12166, abs=1e-5)
    assert queues.erlang_c(10, 8.0) == pytest.approx(0.40918, abs=1e-5)
    assert queues.erlang_c(4, 4.0) == 1.0
    assert queues.mean_wait(4, 4.0, 1.0) == math.inf
    assert queues.late(4, 4.0, 1.0, 9.0) == 1.0


@pytest.mark.parametrize(
    ("rate", "seconds", "within"), [(1, 0.1, 0.05), (40, 0.25, 0.0), (1_000, 0.2, 0.1), (0, 1.0, 0.0)]
)
def test_the_fewest_servers_hold_and_one_less_does_not(rate: float, seconds: float, within: float) -> None:
    servers = queues.fewest(rate, seconds, within)
    assert queues.late(servers, rate * seconds, seconds, within) <= 0.01
    assert servers == 1 or queues.late(servers - 1, rate * seconds, seconds, within) > 0.01
