"""Whether values of now are distributed as those of a reference were. Pure.

The Population Stability Index compares shares of categories, or of the tenths of the reference:

    PSI = sum over categories of (now - reference) * ln(now / reference)

By its usual reading below 0.1 is stable, up to 0.25 a shift to look at, above it a large one: N. Siddiqi, "Credit Risk
Scorecards", Wiley 2006. Where nothing has changed its mean is still about (categories - 1) (1/n + 1/m): B. Yurdakul and
J. Naranjo, "Statistical properties of the population stability index", Journal of Risk Model Validation 14 (4), 2020.
Where that alone reaches half of the first threshold, there are too few values to tell.

The two-sample Kolmogorov-Smirnov statistic D is the largest distance between the two distribution functions. Its
p-value is that of the limiting distribution, with the correction of M. A. Stephens for small samples, Journal of the
Royal Statistical Society B 32 (1), 1970. With many values the p-value is tiny for differences that matter to nobody:
the verdict is by PSI.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import exp, log, sqrt
from typing import NamedTuple

STABLE, SHIFTED = 0.1, 0.25
TOO_FEW = "too few to tell"

_NOISE = STABLE / 2
_FLOOR = 1e-4  # the share of a category that has none: its logarithm is needed
_TENTHS = 10
_CATEGORIES = 20  # of classes; the rarer ones together are one more
_OTHER = "(other)"
_LEAST = 1e-9  # of a p-value


class Bin(NamedTuple):
    """A category, or the values from `low` up to and without `high`, where None is no end; shares of both sides."""

    name: str
    low: float | None
    high: float | None
    reference: float
    now: float


class Drift(NamedTuple):
    """`size` and `reference_size` values were compared. `distance` and `p` are of Kolmogorov-Smirnov, for numbers."""

    verdict: str
    psi: float
    reference_size: int
    size: int
    distance: float | None
    p: float | None
    bins: list[Bin]


def psi(reference: Sequence[int], now: Sequence[int]) -> float:
    """Of the counts of the same categories; both have some."""
    before, after = _shares(reference), _shares(now)
    return sum((new - old) * log(new / old) for old, new in zip(before, after, strict=True))


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [max(count / total, _FLOOR) for count in counts]


def kolmogorov_smirnov(reference: Sequence[float], now: Sequence[float]) -> tuple[float, float]:
    """D and its two-sided p-value; both have some values."""
    first, second = sorted(reference), sorted(now)
    values = sorted({*first, *second})
    distance = max(
        abs(bisect_right(first, value) / len(first) - bisect_right(second, value) / len(second)) for value in values
    )
    root = sqrt(len(first) * len(second) / (len(first) + len(second)))
    return distance, _probability((root + 0.12 + 0.11 / root) * distance)


def _probability(x: float) -> float:
    """That the limiting statistic is larger than `x`."""
    if x < 0.2:  # 1 to many digits, and the series converges slowly
        return 1.0
    terms = [(2.0 if k % 2 else -2.0) * exp(-2 * k * k * x * x) for k in range(1, 101)]
    return min(1.0, max(_LEAST, sum(terms)))


def of_classes(reference: Sequence[str], now: Sequence[str]) -> Drift:
    before, after = Counter(reference), Counter(now)
    names = [name for name, _ in (before + after).most_common(_CATEGORIES)]
    left = [sum(each.values()) - sum(each[name] for name in names) for each in (before, after)]
    counts = [([each[name] for name in names], rest) for each, rest in zip((before, after), left, strict=True)]
    if any(left):
        names.append(_OTHER)
        counts = [([*each, rest], rest) for each, rest in counts]
    return _drift([(name, None, None) for name in names], counts[0][0], counts[1][0], None)


def of_numbers(reference: Sequence[float], now: Sequence[float]) -> Drift:
    edges = _tenths(reference)
    ends = [None, *edges, None]
    places = [("", low, high) for low, high in pairwise(ends)]
    distance = kolmogorov_smirnov(reference, now) if reference and now else None
    return _drift(places, _counts(reference, edges), _counts(now, edges), distance)


def _tenths(values: Sequence[float]) -> list[float]:
    """The deciles, each once: of values that are often the same there are fewer."""
    ordered = sorted(values)
    deciles = [ordered[len(ordered) * tenth // _TENTHS] for tenth in range(1, _TENTHS)] if ordered else []
    return sorted(set(deciles))


def _counts(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    ordered = sorted(values)
    ends = [0, *(bisect_left(ordered, edge) for edge in edges), len(ordered)]
    return [high - low for low, high in pairwise(ends)]


Place = tuple[str, float | None, float | None]


def _drift(
    places: Sequence[Place], reference: Sequence[int], now: Sequence[int], distance: tuple[float, float] | None
) -> Drift:
    n, m = sum(reference), sum(now)
    value = psi(reference, now) if n and m else 0.0
    shares = [(old / max(n, 1), new / max(m, 1)) for old, new in zip(reference, now, strict=True)]
    bins = [Bin(*place, *share) for place, share in zip(places, shares, strict=True)]
    d, p = distance or (None, None)
    return Drift(_verdict(value, len(places), n, m), value, n, m, d, p, bins)


def _verdict(value: float, categories: int, n: int, m: int) -> str:
    if not n or not m or max(categories - 1, 1) * (1 / n + 1 / m) > _NOISE:
        return TOO_FEW
    return "stable" if value < STABLE else "shifted" if value < SHIFTED else "shifted far"
