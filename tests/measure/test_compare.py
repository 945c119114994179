"""Two runs compared: intervals against what is known of distributions, and what is refused."""

import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.measure import compare
from pilotlight.measure.compare import Row
from pilotlight.measure.run_file import Saved


def saved(latencies: Sequence[float], **given: Any) -> Saved:
    usual = {
        "target": "service--qa", "began": "2026-11-29T04:00:00+00:00", "machine": "two processors",
        "requests": len(latencies), "seconds": 10.0, "errors": {}, "latencies": latencies, "concurrency": 4,
        "memory": 1769, "architecture": "x86_64", "sent": "ab", "told": len(latencies),
        "each": [len(latencies) // 20] * 20,
    }  # fmt: skip
    return Saved(**{**usual, **given})


def row(name: str, before: Saved, after: Saved) -> Row:
    return next(each for each in compare.compare(before, after) if each.name == name)


def drawn(seed: int, count: int, draw: Callable[[Random], float]) -> list[float]:
    random = Random(seed)
    return [draw(random) for _ in range(count)]


# percentiles


@given(st.integers(0, 1000), st.sampled_from([50, 90, 99]))
def test_ranks_are_those_of_the_binomial_distribution(count: int, percent: int) -> None:
    """The percentile is below the one with no more than 2.5 %, and above the other with no more, and no rank nearer to
    it has that; where there is none, there is none of that count."""
    share = percent / 100
    found = compare.ranks(count, percent)
    assert (found is None) == (count < compare.needed(percent))
    if found:
        at_most = [math.comb(count, hits) * share**hits * (1 - share) ** (count - hits) for hits in range(count)]
        low, high = found
        assert sum(at_most[:low]) <= 0.025 + 1e-9
        assert sum(at_most[: low + 1]) > 0.025 - 1e-9
        assert sum(at_most[:high]) >= 0.975 - 1e-9
        assert sum(at_most[: high - 1]) < 0.975 + 1e-9


def test_how_many_requests_a_percentile_needs() -> None:
    """0.5 ** 6, 0.9 ** 36 and 0.99 ** 368 are the first below 0.025; the ranks of 10 are of tables of the sign test."""
    assert [compare.needed(percent) for percent in (50, 90, 99)] == [6, 36, 368]
    assert compare.ranks(10, 50) == (2, 9)


def test_too_few_requests_are_not_compared() -> None:
    one, other = saved(drawn(1, 100, expovariate)), saved(drawn(2, 100, expovariate))
    found = row("p99_ms", one, other)
    assert (found.low, found.high, found.verdict) == (None, None, "")
    assert found.reason == "not enough requests for p99: 368 are needed"
    assert row("p90_ms", one, other).low is not None
    assert row("mean_ms", saved([1.0] * 99), other).reason == "not enough requests for the mean: 100 are needed"


def expovariate(random: Random) -> float:
    return random.expovariate(1) + 0.1


def test_one_slow_spell_is_not_many_requests() -> None:
    """Twenty slow ones in a row are one event; spread over the run, they are twenty."""
    usual = drawn(1, 2000, lambda random: random.gauss(10, 1))
    random = Random(3)
    spread = [100.0 if random.random() < 0.01 else each for each in usual]
    spell = [*usual[:1000], *[100.0] * 20, *usual[1020:]]
    assert row("p99_ms", saved(spread), saved(spread)).low is not None
    found = row("p99_ms", saved(spread), saved(spell))
    assert found.low is None
    assert found.reason.startswith("not enough requests for p99: 368 are needed, and 2,000 count for ")
    assert found.reason.endswith(", as slow ones came together")


def test_a_difference_that_is_there_is_found_and_another_is_not() -> None:
    before = saved(drawn(1, 2000, expovariate))
    slower = saved([each * 1.5 for each in drawn(2, 2000, expovariate)])
    same = saved(drawn(3, 2000, expovariate))
    for name in ("p50_ms", "p90_ms", "p99_ms", "mean_ms"):
        found = row(name, before, slower)
        assert found.low is not None
        assert found.low > 0
        assert found.high is not None
        assert found.low < 50 < found.high
        assert found.verdict == "slower"
        assert row(name, slower, before).verdict == "faster"
        assert row(name, before, same).verdict == ""


@pytest.mark.system
@pytest.mark.parametrize(
    "draw",
    [
        lambda random: random.expovariate(1) + 0.1,
        lambda random: random.lognormvariate(0, 1.5),
        lambda random: random.paretovariate(1.1),  # no variance
        lambda random: random.gauss(1, 0.05) if random.random() < 0.985 else random.gauss(100, 5),  # cold starts
        lambda random: float(round(random.expovariate(0.1)) + 1),  # many are equal
    ],
    ids=["exponential", "log-normal", "Pareto", "with cold starts", "whole numbers"],
)
def test_intervals_have_the_true_difference_as_often_as_they_say(draw: Callable[[Random], float]) -> None:
    """19 in 20; of 300 comparisons 93 % are three standard deviations below what they have, which is more than that."""
    random, rounds = Random(7), 300
    hits = dict.fromkeys(("p50_ms", "p90_ms", "p99_ms"), 0)
    for _ in range(rounds):
        before, after = ([factor * draw(random) for _ in range(1000)] for factor in (1.0, 1.1))
        for name in hits:
            found = row(name, saved(before), saved(after))
            hits[name] += found.low is None or found.high is None or found.low <= 10 + 1e-9 <= found.high + 2e-9
    assert all(count >= 0.93 * rounds for count in hits.values()), hits


@pytest.mark.system
def test_intervals_hold_where_requests_queue() -> None:
    """M/M/1 at half its load, whose latencies are exponential: successive ones are like one another."""

    def queued(random: Random) -> list[float]:
        waited, found = 0.0, []
        for _ in range(4000):
            took = random.expovariate(1)
            found.append(waited + took)
            waited = max(0.0, waited + took - random.expovariate(0.5))
        return found[2000:]

    random, rounds, hits = Random(7), 200, 0
    for _ in range(rounds):
        found = row("p90_ms", saved(queued(random)), saved(queued(random)))
        hits += found.low is None or found.high is None or found.low <= 0 <= found.high
    assert hits >= 0.9 * rounds


# the mean, the throughput, shares


def test_one_request_does_not_decide_the_mean() -> None:
    before, after = saved([10.0, 11.0] * 500), saved([*[10.0, 11.0] * 500, 5000.0])
    found = row("mean_ms", before, after)
    assert found.difference == pytest.approx(47.5, abs=0.1)
    assert (found.low, found.reason) == (None, "one request alone decides the mean: more of them are needed")


def test_the_throughput_varies_as_parts_of_the_run_do() -> None:
    steady, other = saved([1.0] * 2000), saved([1.0] * 2200)
    assert row("qps", steady, other) == Row("qps", 200.0, 220.0, *[pytest.approx(10.0, abs=0.1)] * 3, "higher")
    at_a_rate = row("qps", steady, saved([1.0] * 2000, seconds=10.001))
    assert (at_a_rate.low, at_a_rate.verdict) == (pytest.approx(-0.08, abs=0.01), "")
    uneven = saved([1.0] * 2200, each=[20, 200] * 10)
    found = row("qps", steady, uneven)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0 < found.high
    assert found.verdict == ""
    assert row("qps", saved([1.0] * 2000, each=()), other).reason.endswith("the file does not say when answers came")
    assert row("qps", saved([1.0] * 20), other).reason == "not enough requests for the throughput: 100 are needed"


def test_shares_are_those_of_published_examples() -> None:
    """56 of 70 and 48 of 80: Newcombe, 1998, table II, example (a), by method 10: 0.2000 in 0.0524 to 0.3339."""
    before, after = (saved([1.0] * (count - errors), requests=count, errors={"500": errors}) for errors, count in
                     ((48, 80), (56, 70)))  # fmt: skip
    found = row("errors", before, after)
    assert (found.difference, found.low, found.high) == tuple(
        pytest.approx(each, abs=0.005) for each in (20.0, 5.24, 33.39)
    )
    assert found.verdict == "more"


def test_cold_starts_that_nobody_told_of() -> None:
    found = row("cold", saved([1.0] * 10, told=0), saved([1.0] * 10, cold=1))
    assert found == Row("cold", None, 0.1, reason="nobody told")


def test_nothing_but_errors_has_no_latency() -> None:
    found = row("p50_ms", saved([1.0] * 10), saved([], requests=10, errors={"500": 10}))
    assert found == Row("p50_ms", 1.0, None, reason="there is no good answer")


@given(st.lists(st.floats(0, 1e6), max_size=60), st.lists(st.floats(0, 1e6), max_size=60))
def test_whatever_was_measured_can_be_compared(before: list[float], after: list[float]) -> None:
    for found in compare.compare(saved(before), saved(after)):
        assert found.low is None or found.high is None or found.low <= found.high
        assert found.low is not None or found.reason or not found.before


def test_ten_thousand_latencies_are_compared_at_once() -> None:
    one = saved(drawn(1, 10_000, expovariate))
    assert all(each.low is not None for each in compare.compare(one, one))


# what is slower, and what is no fair comparison


def test_what_fails_is_slower_for_certain() -> None:
    rows = [
        Row("p50_ms", 10.0, 11.0, 10.0, 6.0, 14.0, "slower"),
        Row("p90_ms", 10.0, 11.0, 10.0, 4.0, 16.0, "slower"),
        Row("p99_ms", 10.0, 20.0, 100.0, reason="not enough"),
        Row("qps", 10.0, 20.0, 100.0, 90.0, 110.0, "higher"),
    ]
    assert [each.name for each in compare.slower(rows, 5.0)] == ["p50_ms"]


@pytest.mark.parametrize(
    ("given", "manner"),
    [
        ({"concurrency": 4}, "4 at once"),
        ({"concurrency": 0, "rate": 50.0}, "50 a second"),
        ({"concurrency": 0}, "all at one time"),  # of a trace that says so
    ],
)
def test_how_requests_were_sent(given: dict[str, float], manner: str) -> None:
    assert compare.manner(saved([1.0], **given)) == manner


def test_what_makes_runs_incomparable() -> None:
    before = saved([1.0] * 10)
    assert compare.misfits(before, before) == []
    after = msgspec.structs.replace(
        before, target="service--other", machine="", concurrency=0, rate=50.0, memory=512, sent="cd", late=25.0
    )
    assert compare.misfits(before, after) == [
        "they asked something else: service--qa before, service--other after",
        "the machines differ: two processors before, unknown after",
        "the loads differ: 4 at once before, 50 a second after",
        "the memory differs: 1769 MB, x86_64 before, 512 MB, x86_64 after",
        "the requests that were sent differ",
        "the client was the limit in the run after: 1 in 100 requests was sent 25 ms late, or later",
    ]
