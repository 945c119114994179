"""Percentiles of how long something took, of any number of times, in little memory.

Each time is counted in a bucket whose upper bound is 1.04 times its lower one; what is read from a bucket is less than
2 % from every time in it. Counts of several can be added. The buckets are those of DDSketch (Masson, Rim and Lee, VLDB
2019, doi.org/10.14778/3352063.3352135).
"""

from collections.abc import Iterable
from math import ceil, log

ERROR = 0.02  # relative
_GAMMA = (1 + ERROR) / (1 - ERROR)
_PER_BUCKET = 1 / log(_GAMMA)
_SHORTEST = 1e-6  # seconds; what is shorter counts as that


class Latencies:
    """See the module; in seconds."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def add(self, seconds: float) -> None:
        bucket = ceil(log(max(seconds, _SHORTEST)) * _PER_BUCKET)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1

    @classmethod
    def merged(cls, several: Iterable["Latencies"]) -> "Latencies":
        result = cls()
        counts = result._counts
        for each in several:
            for bucket, count in each._counts.items():
                counts[bucket] = counts.get(bucket, 0) + count
        return result

    def percentiles(self, *shares: float) -> list[float | None]:
        """For each share (0.5 is the median) the time that so many were not longer than; None where there was none."""
        total = sum(self._counts.values())
        ordered = sorted(self._counts.items())
        return [_at(ordered, share * total) for share in shares]


def _at(ordered: Iterable[tuple[int, int]], rank: float) -> float | None:
    seen = 0
    for bucket, count in ordered:
        seen += count
        if seen >= rank:
            return float(2 * _GAMMA**bucket / (_GAMMA + 1))
    return None
