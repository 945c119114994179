"""Two runs of `bench load` compared: each figure's difference, with the interval that has it with 95 % confidence.

Nothing is assumed of how latencies are distributed. A percentile lies between two of the ordered latencies whose ranks
the binomial distribution gives, however heavy the tail is; where there are too few requests for such ranks, there is no
interval at all (Le Boudec, Performance Evaluation of Computer and Communication Systems, 2010, theorem 2.1). The mean's
is of the central limit theorem, and refused where a single request makes much of the variance (the ratio of maximum and
sum in Embrechts, Klueppelberg and Mikosch, Modelling Extremal Events, 1997, 6.2.6). The throughput's is of batch means,
that of a share is Wilson's. The interval of a difference or a ratio comes of the two by the method of variance
estimates recovery (Zou and Donner, Construction of confidence limits about effect measures, Statistics in Medicine 27,
2008; of shares it is Newcombe's, ibid. 17, 1998).

Requests of one moment share what happens in it: a queue, a neighbour. So a run is cut into parts of its time, and
counts for as many requests as would, if independent, differ as much between parts (Heidelberger and Lewis, Quantile
estimation in dependent sequences, Operations Research 32, 1984). What differs between whole runs is in no interval.
Pure.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cache
from statistics import fmean, stdev, variance
from typing import NamedTuple

from pilotlight.measure import load, run_file
from pilotlight.measure.run_file import Saved

PERCENTS = (50, 90, 99)

_OUTSIDE = 0.025  # on each side of the interval
_NORMAL = 1.959964  # the normal distribution's quantile for that
_STUDENT = 2.093024  # and Student's, with the degrees of freedom of `run_file.PARTS` values
_PART = 5  # values of a part of the time, below which parts say nothing
_ENOUGH = 100  # good answers, for what is not distribution-free; what is seen of tests with skewed latencies
_LEAST = 1e-9  # what a figure counts as at least, since 0 has no logarithm
_ONE_REQUEST = 0.1  # the share of the variance from which one request decides the mean


class Interval(NamedTuple):
    """A figure, and between what the true one is."""

    value: float
    low: float
    high: float


class Estimate(NamedTuple):
    """A figure of one run; `reason` is why there is no interval."""

    value: float | None
    interval: Interval | None = None
    reason: str = ""


class Row(NamedTuple):
    """One figure of both runs. `difference` with `low` and `high` is in per cent of that before, of shares in points of
    per cent; None where it cannot be said, for which `reason` is. `verdict` is "" where the difference may be none."""

    name: str
    before: float | None
    after: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: str = ""
    reason: str = ""


def compare(before: Saved, after: Saved) -> list[Row]:
    """p50, p90, p99 and mean of the latencies, the throughput, and the shares of errors and cold starts."""
    return [*_latencies(before, after), *_others(before, after)]


def slower(rows: Sequence[Row], percent: float) -> list[Row]:
    """Of the latencies' rows those that are slower by more than that: the whole interval lies above it."""
    return [row for row in rows if row.name.endswith("_ms") and row.low is not None and row.low > percent]


def misfits(before: Saved, after: Saved) -> list[str]:
    """What makes the runs no fair comparison."""
    found = [
        f"{what}: {one or 'unknown'} before, {other or 'unknown'} after"
        for what, one, other in (
            ("they asked something else", before.target, after.target),
            ("the machines differ", before.machine, after.machine),
            ("the loads differ", manner(before), manner(after)),
            ("the memory differs", _sized(before), _sized(after)),
        )
        if one != other
    ]
    if before.sent and after.sent and before.sent != after.sent:
        found.append("the requests that were sent differ")
    for name, run in (("before", before), ("after", after)):
        if reason := load.client_limit(run.late, run.held, run.busy, run.seconds):
            found.append(f"the client was the limit in the run {name}: {reason}")
    return found


def manner(run: Saved) -> str:
    """How its requests were sent, such as "4 at once"."""
    if run.rate:
        return f"{run.rate:.4g} a second"
    return f"{run.concurrency} at once" if run.concurrency else "all at one time"


def _sized(run: Saved) -> str:
    return f"{run.memory} MB, {run.architecture}" if run.memory else ""


def _latencies(before: Saved, after: Saved) -> Iterator[Row]:
    one, other, words = before.latencies, after.latencies, ("faster", "slower")
    for percent in PERCENTS:
        yield _ratio(f"p{percent}_ms", percentile(one, percent), percentile(other, percent), words)
    yield _ratio("mean_ms", mean(one), mean(other), words)


def _others(before: Saved, after: Saved) -> Iterator[Row]:
    yield _ratio("qps", throughput(before), throughput(after), ("lower", "higher"))
    yield _shares("errors", *(share(sum(each.errors.values()), each.requests) for each in (before, after)))
    yield _shares("cold", *(share(each.cold, each.told) for each in (before, after)))


# figures of one run


def percentile(values: Sequence[float], percent: int) -> Estimate:
    """Of values in the order in which they came; by the nearest rank."""
    ordered, count = sorted(values), len(values)
    value = load.percentile(ordered, percent)
    if value is None:
        return Estimate(None, reason="there is no good answer")
    independent = round(count / _dependence([each <= value for each in values]))
    between = ranks(independent, percent)
    if between is None:
        spells = f", and {count:,} count for {independent:,}, as slow ones came together" if independent < count else ""
        return Estimate(value, reason=f"not enough requests for p{percent}: {needed(percent)} are needed{spells}")
    low, high = (rank * count / independent for rank in between)
    return Estimate(value, Interval(value, ordered[math.floor(low) - 1], ordered[math.ceil(high) - 1]))


def _dependence(values: Sequence[float]) -> float:
    """By how much parts of the time differ more than parts of so many independent values would, in variances; 1 at
    least."""
    size = len(values) // run_file.PARTS
    if size < _PART:
        return 1.0
    means = [fmean(values[begin : begin + size]) for begin in range(0, size * run_file.PARTS, size)]
    expected = variance(values) / size
    return max(1.0, variance(means) / expected) if expected else 1.0


@cache
def ranks(count: int, percent: int) -> tuple[int, int] | None:
    """Between which two of `count` ordered values, the least of rank 1, the percentile lies; None where there may be
    too few beyond it."""
    share, low, below = percent / 100, 0, 0.0
    logs = math.log(share), math.log1p(-share)
    for hits in range(count):
        ways = math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1)
        below += math.exp(ways + hits * logs[0] + (count - hits) * logs[1])  # the share of samples with `hits` or fewer
        if below <= _OUTSIDE:
            low = hits + 1
        if below >= 1 - _OUTSIDE:
            return (low, hits + 1) if low else None
    return None


def needed(percent: int) -> int:
    """The least number of values for which there are `ranks`."""
    further = max(percent, 100 - percent) / 100
    return math.ceil(math.log(_OUTSIDE) / math.log(further))


def mean(values: Sequence[float]) -> Estimate:
    if not values:
        return Estimate(None, reason="there is no good answer")
    value = fmean(values)
    if len(values) < _ENOUGH:
        return Estimate(value, reason=f"not enough requests for the mean: {_ENOUGH} are needed")
    spread = variance(values, value)
    if spread and max((each - value) ** 2 for each in values) > _ONE_REQUEST * spread * (len(values) - 1):
        return Estimate(value, reason="one request alone decides the mean: more of them are needed")
    return _around(value, _STUDENT * math.sqrt(_dependence(values) * spread / len(values)))


def throughput(run: Saved) -> Estimate:
    """Good answers a second."""
    good = sum(run.each)
    value = good / run.seconds if run.each else (run.requests - sum(run.errors.values())) / run.seconds
    if good < _ENOUGH:
        reason = f"{_ENOUGH} are needed" if run.each else "the file does not say when answers came"
        return Estimate(value, reason=f"not enough requests for the throughput: {reason}")
    spread = _STUDENT * stdev(run.each) / math.sqrt(len(run.each)) / fmean(run.each)
    return _around(value, value * max(spread, 1 / good))  # at a rate all parts have as many, to one that is on its way


def _around(value: float, reach: float) -> Estimate:
    """By the delta method on the logarithm: limits that are as many times below as above."""
    factor = math.exp(reach / value) if value else 1.0
    return Estimate(value, Interval(value, value / factor, value * factor))


def share(hits: int, count: int) -> Estimate:
    """Wilson's interval (Journal of the American Statistical Association 22, 1927)."""
    if not count:
        return Estimate(None, reason="nobody told")
    value, square = hits / count, _NORMAL**2 / count
    middle = (value + square / 2) / (1 + square)
    reach = math.sqrt(value * (1 - value) * square + square**2 / 4) / (1 + square)
    return Estimate(value, Interval(value, max(0.0, middle - reach), min(1.0, middle + reach)))


# both


def _ratio(name: str, before: Estimate, after: Estimate, words: tuple[str, str]) -> Row:
    difference = _percent(after.value / before.value) if before.value and after.value is not None else None
    if difference is None or before.interval is None or after.interval is None:
        return Row(name, before.value, after.value, difference, reason=before.reason or after.reason)
    low, high = _recovered(_logarithms(before.interval), _logarithms(after.interval))
    found = difference, _percent(math.exp(low)), _percent(math.exp(high))
    return Row(name, before.value, after.value, *found, verdict=_verdict(low, high, words))


def _logarithms(interval: Interval) -> Interval:
    return Interval(*(math.log(max(each, _LEAST)) for each in interval))


def _percent(ratio: float) -> float:
    return (ratio - 1) * 100


def _shares(name: str, before: Estimate, after: Estimate) -> Row:
    if before.interval is None or after.interval is None:
        return Row(name, before.value, after.value, reason=before.reason or after.reason)
    low, high = _recovered(before.interval, after.interval)
    points = (after.interval.value - before.interval.value) * 100, low * 100, high * 100
    return Row(name, before.value, after.value, *points, verdict=_verdict(low, high, ("fewer", "more")))


def _recovered(before: Interval, after: Interval) -> tuple[float, float]:
    """The interval of the difference between the two."""
    middle = after.value - before.value
    down = math.hypot(after.value - after.low, before.high - before.value)
    up = math.hypot(after.high - after.value, before.value - before.low)
    return middle - down, middle + up


def _verdict(low: float, high: float, words: tuple[str, str]) -> str:
    return words[0] if high < 0 else words[1] if low > 0 else ""
