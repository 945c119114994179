"""Plots of runs: percentile curves on an axis of nines, as HdrHistogram's own have it, and what came over time."""

from collections.abc import Sequence
from itertools import accumulate
from math import log10
from pathlib import Path
from random import Random
from typing import Any

from pilotlight.measure.load import Run, Sample, ended
from pilotlight.measure.plot import COLOURS, figure

_POINTS = 5_000  # of a kind are drawn at most, the shortest and the longest among them
_STEPS = 1_000  # of a percentile curve
_PARTS = 60  # of the time, for the throughput
_BLUE, _ORANGE, _, _, _RED, _GREY = COLOURS


def draw(path: Path, run: Run, title: str) -> None:
    """Three plots: the percentile curve, latencies over time with cold starts and errors marked, the throughput.
    Raises `UsageError`."""
    good = [sample for sample in run.samples if not sample.error]
    with figure(path, rows=3) as (curve, scatter, rate):
        curve.set_title(title)
        _curve(curve, [sample.seconds * 1000 for sample in good], "good answers", _BLUE)
        _finish(curve, "latency in ms")
        _over_time(scatter, run.samples)
        _throughput(rate, run)
        for axes in (scatter, rate):
            axes.set_xlabel("seconds")
            axes.set_xlim(-run.seconds / _PARTS, run.seconds + run.seconds / _PARTS)


def compare(path: Path, before: Sequence[float], after: Sequence[float], title: str) -> None:
    """The percentile curves of both, in milliseconds. Raises `UsageError`."""
    with figure(path) as axes:
        axes.set_title(title)
        _curve(axes, before, "before", _GREY)
        _curve(axes, after, "after", _BLUE)
        _finish(axes, "latency in ms")


def _curve(axes: Any, latencies: Sequence[float], label: str, colour: str) -> None:
    """Each latency over the share of answers that were faster."""
    from matplotlib.ticker import MultipleLocator

    ordered, count = sorted(latencies), len(latencies)
    shown = _ranks(count)
    nines, values = [_nines(rank / count) for rank in shown], [ordered[rank] for rank in shown]
    axes.plot(nines, values, label=label, color=colour, marker="." if len(shown) == 1 else "")
    axes.xaxis.set_major_locator(MultipleLocator(1))
    axes.xaxis.set_major_formatter(lambda nines, _: f"{100 - 100 / 10**nines:.10g} %")
    axes.set_xlabel("percentile")


def _finish(axes: Any, label: str) -> None:
    """Once all is drawn: limits that are set no longer follow it."""
    axes.set_ylabel(label)
    axes.set_ylim(bottom=0)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="best")


def _ranks(count: int) -> list[int]:
    """Of what is drawn, from 0: as far from one another on the axis."""
    last = log10(count or 1)
    steps = {round(count * (1 - 10 ** (-last * step / _STEPS))) for step in range(_STEPS + 1)}
    return sorted(min(rank, count - 1) for rank in steps) if count else []


def _nines(share: float) -> float:
    """0 for 0, 1 for 0.9, 2 for 0.99."""
    return -log10(1 - share)


def _over_time(axes: Any, samples: Sequence[Sample]) -> None:
    errors = [sample for sample in samples if sample.error]
    good = [sample for sample in samples if not sample.error]
    cold = [sample for sample in good if sample.is_cold]
    warm = [sample for sample in good if not sample.is_cold]
    for kind, label, marker, colour in (
        (warm, "good answers", ".", _BLUE),
        (cold, "with a cold start", "o", _ORANGE),
        (errors, "errors", "x", _RED),
    ):
        shown = _some(kind)
        if shown:
            times, took = [each.began for each in shown], [each.seconds * 1000 for each in shown]
            axes.scatter(times, took, s=12, marker=marker, color=colour, label=label, linewidths=0.8)
    _finish(axes, "latency in ms")


def _some(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Enough for the eye, with the slowest, which it looks for."""
    if len(samples) <= _POINTS:
        return samples
    ordered = sorted(samples, key=lambda sample: sample.seconds)
    half = _POINTS // 2
    return ordered[-half:] + Random(0).sample(ordered[:-half], half)


def _throughput(axes: Any, run: Run) -> None:
    """Answers a second, of each part of the time."""
    width = run.seconds / _PARTS
    edges = list(accumulate([width] * _PARTS, initial=0.0))
    for label, colour, is_error in (("good answers", _BLUE, False), ("errors", _RED, True)):
        counts = ended([sample for sample in run.samples if bool(sample.error) is is_error], run.seconds, _PARTS)
        if any(counts):
            axes.stairs([count / width for count in counts], edges, label=label, color=colour)
    _finish(axes, "answers a second")
