"""Traffic of the published shape: what is drawn has the shares that the paper tells of."""

from itertools import pairwise
from random import Random
from statistics import fmean, pstdev

import pytest

from pilotlight.measure import published
from pilotlight.measure.traffic import DAY

APPLICATIONS = [published.application(random) for random in [Random(1)] for _ in range(30_000)]


def share(of: list[bool]) -> float:
    return sum(of) / len(of)


def test_applications_are_invoked_as_rarely_as_figure_5a_has_it() -> None:
    assert share([each.per_day <= 24 for each in APPLICATIONS]) == pytest.approx(0.45, abs=0.01)
    assert share([each.per_day <= 1440 for each in APPLICATIONS]) == pytest.approx(0.81, abs=0.01)
    assert published.per_day(1.0) / published.per_day(0.0) == pytest.approx(1e8)


def test_the_most_popular_have_the_share_of_figure_5b() -> None:
    popular = sum(each.per_day for each in APPLICATIONS if each.per_day > 1440)
    assert popular / sum(each.per_day for each in APPLICATIONS) == pytest.approx(0.996, abs=0.001)


def test_gaps_vary_as_often_as_the_paper_says() -> None:
    assert share([each.cv > 1 for each in APPLICATIONS]) == pytest.approx(0.40, abs=0.01)
    assert share([each.cv == 0 for each in APPLICATIONS]) == pytest.approx(0.13, abs=0.01)


def test_half_of_the_week_is_a_baseline_below_days_and_weekends() -> None:
    arrivals = published.arrivals(0.5, 1.0, published.WEEK, Random(2))
    hours = [0] * (7 * 24)
    for time in arrivals:
        hours[int(time // 3600)] += 1
    average = len(arrivals) / len(hours)
    assert len(arrivals) == pytest.approx(0.5 * published.WEEK, rel=0.01)
    assert fmean(sorted(hours)[:14]) / average == pytest.approx(0.5, abs=0.06)  # the nights
    assert hours[2 * 24 + 12] > 1.3 * hours[2 * 24]  # a Wednesday
    assert sum(hours[5 * 24 : 6 * 24]) < 0.9 * sum(hours[2 * 24 : 3 * 24])  # a Saturday


@pytest.mark.parametrize("cv", [0.5, 1.0, 3.0])
def test_gaps_have_their_coefficient_of_variation(cv: float) -> None:
    """Within one hour of the week, where the rate is constant."""
    arrivals = [time for seed in range(100) for time in [*published.arrivals(1.0, cv, 3600, Random(seed)), -1.0]]
    gaps = [later - earlier for earlier, later in pairwise(arrivals) if 0 <= earlier <= later]
    assert pstdev(gaps) / fmean(gaps) == pytest.approx(cv, rel=0.08)


def test_a_timer_fires_at_even_times() -> None:
    arrivals = published.arrivals(1 / 300, 0.0, DAY, Random(3))
    assert len(arrivals) == 288
    assert {round(later - earlier, 6) for earlier, later in pairwise(arrivals)} == {300.0}


def test_no_rate_is_no_request() -> None:
    assert published.arrivals(0.0, 1.0, DAY, Random(4)) == []
