"""The simulation of Lambda: by hand, where a few requests tell. Queueing theory is in `test_queues`."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.measure.simulate import Lambda, Minute, Outcome, Times, simulate

SECOND = Times(run=[1.0], init=[0.5])


def of(arrivals: list[float], times: Times = SECOND, **settings: Any) -> Outcome:
    return simulate(arrivals, times, Lambda()._replace(**settings), Random(0))


def test_the_first_request_is_cold_and_the_next_finds_its_environment() -> None:
    assert of([0, 2, 4]) == Outcome(
        requests=3, cold=1, throttled=0, timed_out=0, given_up=0, failed=0, latencies=[1.0, 1.0, 1.5],
        run_seconds=3.0, provisioned_seconds=0.0, allocated_seconds=0.0, init_seconds=0.5, peak=1, environments=1,
        starts=1, spilled=0, minutes=[Minute(3, 1, 0, 1, 1, 0)],
    )  # fmt: skip


def test_requests_at_once_start_an_environment_each() -> None:
    outcome = of([0, 0.1, 0.2, 5])
    assert (outcome.cold, outcome.starts, outcome.peak) == (3, 3, 3)


def test_an_idle_environment_goes_after_its_time() -> None:
    assert of([0, 361.4]).cold == 1  # idle since 1.5
    assert of([0, 361.6]).cold == 2
    assert of([0, 0, 300, 600, 900]).cold == 2  # the one used last is used again


def test_no_more_run_at_once_than_the_concurrency() -> None:
    outcome = of([0, 0.1, 0.2, 3], concurrency=2)
    assert (outcome.throttled, outcome.cold, outcome.peak) == (1, 2, 2)


def test_ten_requests_a_second_for_each_of_the_concurrency() -> None:
    quick = Times(run=[0.001], init=[0.0])
    outcome = of([index / 1000 for index in range(1000)], quick, concurrency=5)
    assert outcome.throttled == 1000 - 50 - 49  # a second's worth at once, and what flows in during that second


def test_a_thousand_environments_start_in_ten_seconds() -> None:
    outcome = of([0.0] * 1500, concurrency=2000)
    assert (outcome.cold, outcome.throttled) == (1000, 500)
    outcome = of([0.0] * 1000 + [5.0] * 1600, SECOND._replace(run=[100.0]), concurrency=3000, timeout=900)
    assert (outcome.cold, outcome.throttled) == (1500, 1100)


def test_provisioned_environments_are_never_cold_and_go_first() -> None:
    outcome = of([0, 0, 0, 5, 5], provisioned=2)
    assert (outcome.cold, outcome.spilled, outcome.provisioned_seconds, outcome.run_seconds) == (1, 1, 4.0, 1.0)


def test_what_takes_too_long_is_ended_and_its_environment_with_it() -> None:
    outcome = of([0, 5, 10], SECOND._replace(run=[4.0]), timeout=3)
    assert (outcome.timed_out, outcome.cold, outcome.latencies, outcome.run_seconds) == (3, 3, [], 9.0)


def test_the_gateway_does_not_wait_as_long_as_the_function_may_take() -> None:
    outcome = of([0, 50], SECOND._replace(run=[40.0]), timeout=60, gateway=30)
    assert (outcome.given_up, outcome.timed_out, outcome.cold, outcome.run_seconds) == (2, 0, 1, 80.0)


def test_an_init_phase_of_more_than_ten_seconds_is_done_again_in_the_invocation() -> None:
    slow = Times(run=[1.0], init=[12.0])
    assert of([0], slow, timeout=20).latencies == [10.0 + 12.0 + 1.0]
    assert of([0], slow, timeout=5).timed_out == 1


def test_no_request_has_no_latency() -> None:
    assert of([]).latency(99) is None


def test_snapstart_restores_in_place_of_init_phases() -> None:
    slow = Times(run=[1.0], init=[12.0])
    outcome = of([0, 5], slow, snapstart=True, timeout=20, platform=0.25)
    assert (outcome.latencies, outcome.init_seconds, outcome.cold) == ([13.25, 13.25], 0.0, 2)


def test_what_aws_takes_before_an_init_phase_is_waited_for_and_not_billed() -> None:
    outcome = of([0, 5], platform=0.25)
    assert (outcome.latencies, outcome.run_seconds, outcome.init_seconds) == ([1.0, 1.75], 2.0, 0.5)


def test_a_function_that_always_fails_is_billed_and_answers_nothing() -> None:
    outcome = of([0, 2, 4], SECOND._replace(errors=1.0))
    assert (outcome.failed, outcome.latencies, outcome.run_seconds, outcome.cold) == (3, [], 3.0, 1)


def test_minutes_tell_what_was_in_each() -> None:
    assert of([0, 0, 61, 500]).minutes[:3] == [
        Minute(2, 2, 0, 2, 2, 0),
        Minute(1, 0, 0, 1, 2, 0),
        Minute(0, 0, 0, 0, 2, 0),
    ]
    assert [minute.environments for minute in of([0, 0, 61, 500]).minutes[5:]] == [2, 1, 0, 1]
    assert len(simulate([], SECOND, Lambda(), Random(0), seconds=600).minutes) == 10


def test_provisioned_environments_are_there_as_long_as_is_simulated() -> None:
    outcome = simulate([1.0], SECOND, Lambda(provisioned=3), Random(0), seconds=150)
    assert outcome.allocated_seconds == pytest.approx(450)


@given(
    st.lists(st.floats(0, 1000), max_size=60).map(sorted),
    st.integers(1, 20),
    st.integers(0, 5),
    st.lists(st.floats(0.001, 40), min_size=1, max_size=5),
)
def test_every_request_has_one_end(arrivals: list[float], concurrency: int, provisioned: int, run: list[float]) -> None:
    settings = Lambda(concurrency, min(provisioned, concurrency), timeout=35)
    outcome = simulate(arrivals, Times(run, [0.2, 11.0]), settings, Random(1))
    ends = outcome.throttled + outcome.timed_out + outcome.given_up + outcome.failed + len(outcome.latencies)
    assert ends == outcome.requests == len(arrivals)
    assert outcome.peak <= concurrency
    assert outcome.starts == outcome.cold
