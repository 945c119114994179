"""Drift, against values worked out by hand and by SciPy 1.17.1."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as some

from pilotlight.measure.drift import Bin, kolmogorov_smirnov, of_classes, of_numbers, psi

FIRST = [number * 37 % 100 / 100 for number in range(100)]
SECOND = [(number * 61 % 150 / 150) ** 1.25 for number in range(150)]


def test_psi_by_hand() -> None:
    # (.4 - .5) ln(.4 / .5) + 0 + (.3 - .2) ln(.3 / .2)
    assert psi([50, 30, 20], [40, 30, 30]) == pytest.approx(0.06286087)
    assert psi([50, 30, 20], [5, 3, 2]) == 0
    assert psi([1, 1], [2, 0]) == pytest.approx(4.60431847)  # none is taken for one in 10,000


@pytest.mark.parametrize(
    ("first", "second", "distance", "p", "within"),
    [  # scipy.stats.ks_2samp: the statistic, and the exact p-value
        (FIRST, SECOND, 0.08666666666666667, 0.7359035391357898, 0.01),
        (FIRST, [value + 0.3 for value in FIRST], 0.31, 0.00012016164291946694, 0.00005),
        ([1.0, 2, 3, 4, 5, 6, 7, 8], [3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5], 0.375, 0.5076923076923078, 0.06),
        ([1.0, 1, 2, 2, 3], [1.0, 2, 2, 2, 3], 0.2, 1.0, 0.001),
    ],
)
def test_kolmogorov_smirnov(first: list[float], second: list[float], distance: float, p: float, within: float) -> None:
    found = kolmogorov_smirnov(first, second)
    assert found[0] == pytest.approx(distance)
    assert found[1] == pytest.approx(p, abs=within)


def test_classes() -> None:
    found = of_classes(["a"] * 600 + ["b"] * 400, ["a"] * 300 + ["b"] * 690 + ["c"] * 10)
    assert (found.verdict, round(found.psi, 4)) == ("shifted far", 0.4117)
    assert found.bins == [
        Bin("b", None, None, 0.4, 0.69),
        Bin("a", None, None, 0.6, 0.3),
        Bin("c", None, None, 0.0, 0.01),
    ]
    assert found.distance is None


def test_rare_classes_are_taken_together() -> None:
    names = [f"c{number:02}" for number in range(30) for _ in range(30 - number)]
    found = of_classes(names, names)
    assert [each.name for each in found.bins] == [*(f"c{number:02}" for number in range(20)), "(other)"]
    assert sum(each.now for each in found.bins) == pytest.approx(1)


@pytest.mark.parametrize(("shift", "verdict"), [(0, "stable"), (0.4, "shifted"), (1, "shifted far")])
def test_numbers(shift: float, verdict: str) -> None:
    random = Random(3)
    before = [random.gauss(0, 1) for _ in range(5000)]
    now = [random.gauss(shift, 1) for _ in range(5000)]
    found = of_numbers(before, now)
    assert (found.verdict, found.reference_size, found.size) == (verdict, 5000, 5000)
    assert len(found.bins) == 10
    assert all(each.reference == pytest.approx(0.1, abs=0.001) for each in found.bins)


def test_too_few_to_tell() -> None:
    values = [float(number) for number in range(359)]
    assert of_numbers(values, values).verdict == "too few to tell"  # 9 (1/359 + 1/359) > 0.05
    assert of_numbers([*values, 359.0], [*values, 359.0]).verdict == "stable"
    assert of_classes(["a"] * 100, []).verdict == "too few to tell"
    assert of_numbers([], [1.0]).verdict == "too few to tell"


def test_values_that_are_often_the_same() -> None:
    found = of_numbers([1.0] * 900 + [2.0] * 100, [1.0] * 500 + [2.0] * 500)
    assert [(each.low, each.high, each.reference, each.now) for each in found.bins] == [
        (None, 1.0, 0.0, 0.0),
        (1.0, 2.0, 0.9, 0.5),
        (2.0, None, 0.1, 0.5),
    ]
    assert found.verdict == "shifted far"


numbers = some.lists(some.floats(-1e6, 1e6), min_size=1, max_size=60)


@given(numbers, numbers)
def test_both_are_symmetric_where_they_should_be(first: list[float], second: list[float]) -> None:
    distance, p = kolmogorov_smirnov(first, second)
    assert kolmogorov_smirnov(second, first) == (distance, p)
    assert 0 <= distance <= 1
    assert 0 < p <= 1
    assert kolmogorov_smirnov(first, first)[0] == 0
    found = of_numbers(first, second)
    assert found.psi >= 0
    assert sum(each.reference for each in found.bins) == pytest.approx(1)
    assert sum(each.now for each in found.bins) == pytest.approx(1)
