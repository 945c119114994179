"""The simulation of Lambda against a second one, which is slow and goes from event to event: every count agrees."""

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pilotlight.measure.simulate import Lambda, Times, simulate

_MAY = Lambda()
_TENTHS = st.integers(0, 4000).map(lambda tenths: tenths / 8)  # exact in binary, so that equal times are equal


class Environment:
    """One that is there by itself: when what runs in it ends, and whether it is gone then."""

    def __init__(self, is_provisioned: bool) -> None:
        self.is_provisioned = is_provisioned
        self.end = 0.0
        self.is_gone = False


def by_events(arrivals: list[float], run: float, init: float, may: Lambda) -> dict[str, Any]:
    """The rules of docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html, each looked up in all that was."""
    there = [Environment(True) for _ in range(may.provisioned)]
    accepted: list[float] = []
    started: list[float] = []
    latencies: list[float] = []
    names = ("cold", "throttled", "timed_out", "given_up", "spilled", "peak")
    found: dict[str, Any] = dict.fromkeys(names, 0)
    found |= {"run_seconds": 0.0, "provisioned_seconds": 0.0, "init_seconds": 0.0}
    for now in arrivals:
        there = [
            each
            for each in there
            if each.is_provisioned or each.end > now or (not each.is_gone and now - each.end <= may.keep_alive)
        ]
        running = sum(each.end > now for each in there)
        if running >= may.concurrency or not _has_token(accepted, now, may.concurrency * 10, 1.0):
            found["throttled"] += 1
            continue
        accepted.append(now)
        free = [each for each in there if each.end <= now]
        ready = [each for each in free if each.is_provisioned]
        found["spilled"] += bool(may.provisioned and not ready)
        waited = more = 0.0
        if ready or free:
            taken = max(ready or free, key=lambda each: each.end)
        elif _has_token(started, now, may.starts, 10.0):
            started.append(now)
            taken = Environment(False)
            there.append(taken)
            found["cold"] += 1
            first = init if may.snapstart else min(init, 10.0)
            more = init if first < init else 0.0
            waited = may.platform + first
            found["init_seconds"] += 0.0 if may.snapstart else first
        else:
            found["throttled"] += 1
            continue
        ran = min(run + more, may.timeout)
        taken.is_gone = run + more > may.timeout
        taken.end = now + waited + ran
        found["provisioned_seconds" if taken.is_provisioned else "run_seconds"] += ran
        found["peak"] = max(found["peak"], running + 1)
        if waited + ran > may.gateway:
            found["given_up"] += 1
        elif taken.is_gone:
            found["timed_out"] += 1
        else:
            latencies.append(waited + ran)
    return {**found, "starts": len(started), "latencies": sorted(latencies)}


def _has_token(taken: list[float], now: float, size: float, seconds: float) -> bool:
    """Of a bucket of `size` that fills in `seconds`, after `taken`: filled anew from the beginning."""
    left, since = size, 0.0
    for time in taken:
        left = min(size, left + (time - since) * size / seconds) - 1
        since = time
    return min(size, left + (now - since) * size / seconds) >= 1


@settings(max_examples=150, deadline=None)
@given(
    arrivals=st.lists(_TENTHS, min_size=1, max_size=60).map(sorted),
    gap=st.sampled_from([1.0, 0.125, 0.0078125]),
    run=st.sampled_from([0.0, 0.125, 1.0, 2.0, 40.0]),
    init=st.sampled_from([0.0, 0.25, 3.0, 10.0, 12.0]),
    may=st.builds(
        lambda **given: _MAY._replace(**given),
        concurrency=st.integers(1, 8),
        provisioned=st.integers(0, 3),
        timeout=st.sampled_from([0.25, 1.0, 20.0, 60.0]),
        gateway=st.sampled_from([1.0, 30.0, float("inf")]),
        keep_alive=st.sampled_from([0.0, 8.0, 360.0]),
        starts=st.sampled_from([1.0, 2.0, 16.0]),
        platform=st.sampled_from([0.0, 0.0625]),
        snapstart=st.booleans(),
    ),
)
def test_a_simulation_from_event_to_event_counts_the_same(
    arrivals: list[float], gap: float, run: float, init: float, may: Lambda
) -> None:
    times = [time * gap for time in arrivals]
    outcome = simulate(times, Times([run], [init]), may, Random(0))
    expected = by_events(times, run, init, may)
    assert {name: getattr(outcome, name) for name in expected} == expected
