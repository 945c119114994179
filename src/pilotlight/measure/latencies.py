"""Percentiles of latencies by HdrHistogram (hdrhistogram.org): in little memory, to three digits, up to an hour.

The library is in the extra `measure`, and is imported when something is measured.
"""

from collections.abc import Iterable
from importlib.util import find_spec
from math import ceil

from pilotlight.errors import UsageError

LONGEST = 3_600_000_000
"""Microseconds, four times the longest timeout of a function; what takes longer counts as that."""
_DIGITS = 3


def check() -> None:
    """To be called before anything is measured. Raises `UsageError`."""
    if find_spec("hdrh") is None:
        raise UsageError("measuring latencies: hdrhistogram is missing", "pip install 'pilotlight[measure]'")


class Latencies:
    """Of those `seconds`. `longest` is the longest in milliseconds, exactly; None of none."""

    def __init__(self, seconds: Iterable[float]) -> None:
        from hdrh.histogram import HdrHistogram

        self._histogram = HdrHistogram(1, LONGEST, _DIGITS)
        self.longest: float | None = None
        longest = 0.0
        for each in seconds:
            longest = max(longest, each)
            self._histogram.record_value(min(max(1, round(each * 1e6)), LONGEST))
        if self._histogram.get_total_count():
            self.longest = longest * 1000

    def at(self, percent: float) -> float | None:
        """In milliseconds, by the nearest rank: what so many per cent are not above; too large by a thousandth at most.
        None of none."""
        if self.longest is None:
            return None
        count = self._histogram.get_total_count()
        rank = ceil(round(count * percent / 100, 6))  # the library itself rounds it
        return min(float(self._histogram.get_value_at_percentile(100 * rank / count)) / 1000, self.longest)

    def encoded(self) -> str:
        """All of them, in microseconds, in HdrHistogram's V2 encoding."""
        return str(self._histogram.encode().decode())
