"""What is counted of invocations, step by step, and what is kept of the last ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import MakeService
from pilotlight.local.activity import Activity, Counts
from pilotlight.local.latency import ERROR, Latencies
from pilotlight.local.log_pipe import Lines
from pilotlight.local.observer import Dead, Ended
from pilotlight.local.report import Init, Report
from pilotlight.local.requests import Requests


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counts(make_service: MakeService, clock: Clock) -> Counts:
    source = "def handler(event, context): ..."
    return Activity(clock).watch(make_service({"inference/echo.py": source}).functions[0])


def ended(
    request_id: str = "1",
    seconds: float = 0.1,
    init: Init = Init(),  # noqa: B008
    waited: float = 0.0,
    error: str = "",
    streamed: int = 0,
    log: tuple[str, ...] = (),
) -> Ended:
    return Ended(Report(request_id, seconds, init, 512, 40, error), "7", waited, error, streamed, log, False)


@given(st.lists(st.floats(1e-6, 1e4), min_size=1), st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_within_two_percent(times: list[float], share: float) -> None:
    latencies = Latencies()
    for each in times:
        latencies.add(each)
    rank = max(1, -(-len(times) * round(share * 100) // 100))
    (found,) = latencies.percentiles(share)
    assert found == pytest.approx(sorted(times)[rank - 1], rel=ERROR * 1.001)


@given(st.lists(st.lists(st.floats(0, 1e4)), max_size=4))
def test_percentiles_of_several_are_those_of_all(parts: list[list[float]]) -> None:
    whole, several = Latencies(), [Latencies() for _ in parts]
    for each, times in zip(several, parts, strict=True):
        for seconds in times:
            each.add(seconds)
            whole.add(seconds)
    assert Latencies.merged(several).percentiles(0.5, 0.99) == whole.percentiles(0.5, 0.99)


def test_nothing_has_no_percentile() -> None:
    assert Latencies().percentiles(0.5, 1.0) == [None, None]


def test_counts_go_on_and_steps_begin_anew(counts: Counts, clock: Clock) -> None:
    counts.began()
    counts.began()
    counts.ended(ended(init=Init(0.4), waited=0.5))
    counts.ended(ended(error="ValueError"))
    assert list(counts.steps()) == []  # that of now has not ended
    clock.now += 5
    counts.throttled()
    clock.now += 10
    first, second = counts.steps()
    assert (first.number, first.invocations, first.cold_starts, first.errors, first.concurrency) == (
        200_000,
        2,
        1,
        1,
        2,
    )
    assert first.latencies.percentiles(0.5, 1.0) == pytest.approx([0.1, 0.6], rel=0.02)
    assert (second.number, second.throttles, second.invocations) == (200_001, 1, 0)
    assert [each.number for each in counts.steps(200_001)] == [200_001]
    assert (counts.invocations, counts.cold_starts, counts.errors, counts.throttles, counts.running) == (2, 1, 1, 1, 0)
    assert counts.billed_ms == 500 + 100


def test_an_invocation_of_many_steps_runs_in_each(counts: Counts, clock: Clock) -> None:
    counts.began()
    clock.now += 20
    counts.ended(ended(seconds=20))
    clock.now += 5
    assert [(each.number, each.concurrency, each.invocations) for each in counts.steps()] == [
        (200_000, 1, 0),
        (200_001, 1, 0),
        (200_002, 1, 0),
        (200_003, 1, 0),
        (200_004, 1, 1),
    ]


def test_a_quarter_of_an_hour_is_kept(counts: Counts, clock: Clock) -> None:
    for _ in range(1_000):
        counts.throttled()
        clock.now += 5
    assert len(list(counts.steps())) == 180
    clock.now += 800
    assert len(list(counts.steps())) == 20
    clock.now += 901
    assert list(counts.steps()) == []


def test_what_is_paid_for(counts: Counts) -> None:
    counts.ended(ended(seconds=0.1, init=Init(2.0, restore=0.3)))  # SnapStart: restoring is billed, init is not
    counts.ended(ended(streamed=7 * 2**20))
    counts.logged(74)
    counts.recorded(1_025)
    counts.called("http", 10, 600_000, "a=", "1")
    counts.called("rest", 10, 600_000, "b=", "2")
    assert (counts.billed_ms, counts.restores, counts.streamed) == (100 + 300 + 100, 1, 2**20)
    assert (counts.log_bytes, counts.write_units, counts.front_requests) == (100, 2, 3)


def test_the_dead_are_told_of_for_ten_seconds(make_service: MakeService, clock: Clock) -> None:
    activity = Activity(clock)
    counts = activity.watch(make_service({"inference/echo.py": "def handler(event, context): ..."}).functions[0])
    dead = Dead("3", "killed by you", 42, 5, clock.now)
    counts.died(dead)
    assert activity.lately_dead() == [("service--echo", dead)]
    clock.now += 10.1
    assert activity.lately_dead() == []


def test_a_request_is_shown_with_what_its_time_went_to() -> None:
    requests = Requests()
    told = ended("r1", seconds=0.25, init=Init(1.0), waited=1.5, log=("loading", "answering"))
    requests.keep("service--echo", told, 1_000.0)
    requests.name("abc=", "r1")
    assert requests.find("r2") is None
    assert (
        requests.find("abc=")
        == requests.find("r1")
        == {
            "request_id": "r1",
            "function": "service--echo",
            "environment": "7",
            "began": 998_250,
            "cold": True,
            "init_ms": 1000.0,
            "restore_ms": 0.0,
            "wait_ms": 500.0,
            "duration_ms": 250.0,
            "billed_ms": 1250,
            "memory_mb": 512,
            "max_memory_mb": 40,
            "error": "",
            "report": "REPORT RequestId: r1\tDuration: 250.00 ms\tBilled Duration: 1250 ms\tMemory Size: 512 MB\t"
            "Max Memory Used: 40 MB\tInit Duration: 1000.00 ms",
            "log": ["loading", "answering"],
            "log_shared": False,
            "phases": [{"name": "wait", "ms": 500.0}, {"name": "init", "ms": 1000.0}, {"name": "run", "ms": 250.0}],
        }
    )


def test_few_requests_are_kept_and_logs_go_first() -> None:
    requests = Requests(kept=3, logs=10)
    for number in range(5):
        requests.keep("f", ended(str(number), log=("four",)), 0.0)
    assert [requests.find(str(number)) is not None for number in range(5)] == [False, False, True, True, True]
    assert [(requests.find(str(number)) or {})["log"] for number in (2, 3, 4)] == [[], ["four"], ["four"]]


def test_lines_are_bounded() -> None:
    lines = Lines()
    for number in range(20_000):
        lines.add(f"line {number}")
    taken = lines.take()
    assert taken[-1] == "line 19999"
    assert sum(map(len, taken)) <= 65_536
    lines.add("x" * 100_000)
    assert lines.take() == ("x" * 65_536,)
    assert lines.take() == ()
