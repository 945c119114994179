"""Percentiles by HdrHistogram."""

import math
from importlib import util

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.errors import UsageError
from pilotlight.measure import latencies
from pilotlight.measure.latencies import Latencies
from pilotlight.measure.load import percentile


@given(st.lists(st.floats(0, 3_600), min_size=1), st.integers(1, 100))
def test_it_is_the_nearest_rank_to_three_digits(seconds: list[float], percent: int) -> None:
    exact = percentile(sorted(seconds), percent)
    found = Latencies(seconds).at(percent)
    assert exact is not None
    assert found is not None
    assert found == pytest.approx(exact * 1000, rel=0.0011, abs=0.0011)
    assert found <= max(seconds) * 1000


def test_the_rarest_and_the_longest() -> None:
    found = Latencies([0.001] * 998 + [0.5, 3.0])
    assert [found.at(percent) for percent in (50, 99, 99.9)] == [1.0, 1.0, pytest.approx(500, rel=0.001)]
    assert found.longest == 3000.0


def test_none_of_none() -> None:
    assert (Latencies([]).at(50), Latencies([]).longest) == (None, None)


def test_what_is_too_long_counts_as_the_longest() -> None:
    found = Latencies([5_000.0, 1e-9])
    assert (found.longest, found.at(50)) == (5_000_000.0, 0.001)
    assert found.at(100) == pytest.approx(3_600_000, rel=0.001)


def test_all_of_them_are_in_its_encoding() -> None:
    read = HdrHistogram.decode(Latencies([0.002, 0.002, 0.1]).encoded())
    assert (read.get_total_count(), read.get_value_at_percentile(50)) == (3, 2000)
    assert math.isclose(read.get_max_value(), 100_000, rel_tol=0.001)


def test_it_is_said_where_the_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    latencies.check()
    monkeypatch.setattr(latencies, "find_spec", lambda name: None if name == "hdrh" else util.find_spec(name))
    with pytest.raises(UsageError) as caught:
        latencies.check()
    assert str(caught.value) == "measuring latencies: hdrhistogram is missing"
    assert caught.value.hint == "pip install 'pilotlight[measure]'"
