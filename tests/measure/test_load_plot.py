"""Plots of runs: what is on them, and that they can be drawn of whatever was measured."""

from pathlib import Path

import pytest

from pilotlight.measure import load_plot
from pilotlight.measure.load import Run, Sample, Told

GOOD = [Sample(number / 100, 0.01, "", {}) for number in range(100)]
COLD = [Sample(0.5, 0.3, "", {}, told=Told(9.0, 290.0))]
ERRORS = [Sample(0.7, 0.02, "ValueError", {})]


@pytest.mark.parametrize(
    ("samples", "shown", "hidden"),
    [
        (GOOD, ["good answers", "90 %", "99 %", "answers a second"], ["with a cold start", "errors"]),
        ([*GOOD, *COLD, *ERRORS], ["good answers", "with a cold start", "errors"], []),
        (ERRORS, ["errors"], ["with a cold start"]),
        (GOOD[:1], ["good answers"], ["errors"]),
        (GOOD * 300, ["99.9 %", "99.99 %"], []),
    ],
)
def test_what_is_on_a_plot(tmp_path: Path, samples: list[Sample], shown: list[str], hidden: list[str]) -> None:
    load_plot.draw(tmp_path / "run.svg", Run(samples, 1.0), "service--qa, 4 at once")
    drawn = (tmp_path / "run.svg").read_text()
    for text in ("service--qa, 4 at once", "percentile", "latency in ms", *shown):
        assert f">{text}<" in drawn
    for text in hidden:
        assert f">{text}<" not in drawn


def test_the_times_of_both_plots_are_those_of_the_run(tmp_path: Path) -> None:
    """Of an open loop all requests were due long before the last answer came."""
    load_plot.draw(tmp_path / "run.svg", Run([*GOOD, Sample(0.5, 19.5, "", {})], 20.0), "qa")
    drawn = (tmp_path / "run.svg").read_text()
    assert (drawn.count(">seconds<"), drawn.count(">20.0<")) == (2, 2)


def test_two_curves_are_both_whole(tmp_path: Path) -> None:
    load_plot.compare(tmp_path / "both.svg", [1.0] * 100, [800.0] * 100, "before and after")
    assert ">800<" in (tmp_path / "both.svg").read_text()
