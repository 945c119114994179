"""Which memory setting is the cheapest, the fastest, and a balance of both: what a sweep has found, judged.

The balance is that of AWS Lambda Power Tuning (github.com/alexcasalboni/aws-lambda-power-tuning, lambda/analyzer.js):
the least `weight * cost / largest cost + (1 - weight) * time / largest time`. Other than there, a setting is not better
than another when the rounds do not tell them apart: then it is the smaller one.
"""

from collections.abc import Callable, Mapping, Sequence
from math import comb
from statistics import fmean, median
from typing import NamedTuple

from pilotlight.measure import cost
from pilotlight.measure.load import percentile
from pilotlight.measure.sweep import Round, Sample, Tried
from pilotlight.usage import Usage

GOALS = ("cheapest", "fastest", "balanced")
ALIKE = 0.02
"""A difference of no more than this part is none."""
UNMEASURED = "not measured"
_TRIMMED = 0.1  # at each end of a round's warm requests
_CONFIDENCE = 0.95
_REQUESTS = 1_000_000


class Figures(NamedTuple):
    """What there is to know of one setting. Times in milliseconds, memory in MB; `time` and `dollars`, of a million
    requests, are what settings are compared by, medians of their rounds."""

    memory: int
    architecture: str
    reason: str = ""
    runs: int = 0
    requests: int = 0
    time: float = 0.0
    dollars: float = 0.0
    warm_p50: float = 0.0
    warm_p99: float = 0.0
    cold_p50: float = 0.0
    cold_p99: float = 0.0
    latency_p50: float = 0.0
    init: float = 0.0
    billed: float = 0.0
    billed_cold: float = 0.0
    peak: float = 0.0


class Choice(NamedTuple):
    """The setting for a goal; `alike` are larger and smaller ones that the rounds do not tell from the best one."""

    goal: str
    memory: int
    alike: tuple[int, ...]


class Pricing(NamedTuple):
    """`cold` is the part of requests that begin with a cold start; `tmp` in MB."""

    cold: float = 0.01
    tmp: int = 512

    def dollars(self, memory: int, architecture: str, warm: float, cold: float) -> float:
        """Of a million requests, of which warm and cold ones are billed so many milliseconds on average: requests,
        durations and ephemeral storage, in us-east-1 without the free tier. What does not depend on memory, as front
        ends and logs, is not in it."""
        billed = ((1 - self.cold) * warm + self.cold * cold) * _REQUESTS
        usage = Usage("", architecture, memory, self.tmp, front="url", requests=_REQUESTS, billed_ms=billed)
        return cost.bill([usage]).total


def figures(tried: Tried, pricing: Pricing) -> Figures:
    rounds = tried.rounds
    if tried.reason or not rounds:
        return Figures(tried.memory, tried.architecture, tried.reason or UNMEASURED)
    warm = [each for one in rounds for each in one.warm]
    return Figures(
        tried.memory,
        tried.architecture,
        runs=len(rounds),
        requests=len(warm),
        time=median(map(_time, rounds)),
        dollars=median(_dollars(tried, pricing)),
        warm_p50=_percentile(warm, 50),
        warm_p99=_percentile(warm, 99),
        cold_p50=_percentile([one.cold for one in rounds], 50, _whole),
        cold_p99=_percentile([one.cold for one in rounds], 99, _whole),
        latency_p50=_percentile(warm, 50, lambda each: each.latency),
        init=median(one.cold.init for one in rounds),
        billed=median(_mean([each.billed for each in one.warm]) for one in rounds),
        billed_cold=median(one.cold.billed for one in rounds),
        peak=max(each.peak for one in rounds for each in (one.cold, *one.warm)),
    )


def _whole(cold: Sample) -> float:
    """What a client waits for a cold start, without the way to it."""
    return cold.init + cold.duration


def _percentile(
    samples: Sequence[Sample], percent: int, of: Callable[[Sample], float] = lambda each: each.duration
) -> float:
    return percentile(sorted(map(of, samples)), percent) or 0.0


def _mean(values: Sequence[float]) -> float:
    """Without the extremes, which are the machine's. Not the median: a share of a processor makes some runs whole
    periods longer than others, and all of them are billed."""
    ordered, cut = sorted(values), round(len(values) * _TRIMMED)
    return fmean(ordered[cut : len(ordered) - cut])


def _time(one: Round) -> float:
    return _mean([each.duration for each in one.warm])


def _dollars(tried: Tried, pricing: Pricing) -> list[float]:
    """Round by round."""
    return [
        pricing.dollars(tried.memory, tried.architecture, _mean([each.billed for each in one.warm]), one.cold.billed)
        for one in tried.rounds
    ]


def choose(tried: Sequence[Tried], pricing: Pricing, weight: float = 0.5) -> dict[str, Choice]:
    """For each goal its setting, of one architecture's; `weight` 0 balances for time alone, 1 for cost alone.

    Settings that have no round are none.
    """
    measured = [each for each in tried if each.rounds and not each.reason]
    if not measured:
        return {}
    costs = {each.memory: _dollars(each, pricing) for each in measured}
    times = {each.memory: list(map(_time, each.rounds)) for each in measured}
    most_cost, most_time = (max(map(median, found.values())) for found in (costs, times))
    both = {
        memory: [
            weight * dollars / most_cost + (1 - weight) * time / most_time
            for dollars, time in zip(costs[memory], times[memory], strict=True)
        ]
        for memory in costs
    }
    return {goal: _choice(goal, found) for goal, found in zip(GOALS, (costs, times, both), strict=True)}


def _choice(goal: str, found: Mapping[int, Sequence[float]]) -> Choice:
    best = min(found, key=lambda memory: (median(found[memory]), memory))
    alike = sorted(memory for memory in found if memory == best or not is_less(found[best], found[memory]))
    return Choice(goal, alike[0], tuple(alike[1:]))


def is_less(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether the rounds tell that the first is less: their ratios' median by more than `ALIKE`, and the whole of its
    95 % interval, which is between two of the ratios in their order. Of fewer than six rounds no interval is that
    sure: then all of them have to say it."""
    ratios = sorted(mine / its for mine, its in zip(one, other, strict=False))
    return median(ratios) < 1 - ALIKE and ratios[len(ratios) - 1 - _beyond(len(ratios))] < 1


def _beyond(count: int) -> int:
    """How many of so many values may be beyond each end of an interval that has their median with 95 % confidence: the
    sign test's."""
    tail, beyond = 0.5**count, 0
    while 2 * (tail + comb(count, beyond + 1) * 0.5**count) <= 1 - _CONFIDENCE:
        tail += comb(count, beyond + 1) * 0.5**count
        beyond += 1
    return beyond


def break_even() -> float:
    """How many times as long arm64 may take before it costs more than x86_64: by the prices of a GB-second."""
    (_, x86), (_, arm) = (cost.DURATION[name].tiers[0] for name in ("x86_64", "arm64"))
    return x86 / arm


def as_if(tried: Tried, architecture: str) -> Tried:
    """The same times at the price of another architecture: an assumption, until they are measured there."""
    other = Tried(tried.memory, architecture)
    other.rounds, other.reason = tried.rounds, tried.reason
    return other
