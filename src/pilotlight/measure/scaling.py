"""How many environments of provisioned concurrency there are at which time. Pure.

Application Auto Scaling sees ProvisionedConcurrencyUtilization once a minute, as its mean, by two alarms: three
minutes above the target and there are more, fifteen below it and there are fewer (G. Mao, Understanding Lambda
Provisioned Concurrency AutoScaling, 2020); in both cases as many as bring the use of the last minute to the target. The
lower alarm stands a tenth below the target, and minutes without a request have no use to tell (beliefs). Lambda
allocates up to 6,000 a minute, after a minute or two, and none is there before all are: docs.aws.amazon.com/lambda/
latest/dg/provisioned-concurrency.html, whose "minute or two" is taken for 90 s.
"""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

MINUTE = 60.0
DAY = 86_400.0
TARGET = 0.7
"""Of `provisioned_max`, as `deploy` has it."""

_OUT, _IN = 3, 15  # minutes
_BELOW = 0.9  # of the target
_ALLOCATION, _RATE = 90.0, 6_000 / MINUTE


class Scaling(NamedTuple):
    """`most` environments at most, as many as `target` of them are in use; 0 tracks nothing. `schedule` has the least
    from a second of the day on, in the order of the day, the last also before the first."""

    most: int = 0
    target: float = TARGET
    schedule: Sequence[tuple[float, int]] = ()

    def least(self, now: float, usual: int) -> int:
        """At `now` seconds after a midnight."""
        if not self.schedule:
            return usual
        passed = [count for second, count in self.schedule if second <= now % DAY]
        return passed[-1] if passed else self.schedule[-1][1]


def since(begins: float, schedule: Sequence[tuple[float, int]]) -> tuple[tuple[float, int], ...]:
    """The schedule of a day for times that count from its second `begins` on."""
    return tuple(sorted(((second - begins) % DAY, count) for second, count in schedule))


class Allocation:
    """`allocated` are there now; `minute` is told at the end of each minute what the use in it was."""

    __slots__ = ("_coming", "_over", "_ready", "_scaling", "_under", "_usual", "allocated")

    def __init__(self, provisioned: int, scaling: Scaling) -> None:
        self.allocated = scaling.least(0.0, provisioned)
        self._usual = provisioned
        self._scaling = scaling
        self._coming = 0
        self._ready = 0.0
        self._over = self._under = 0

    def minute(self, now: float, use: float | None) -> None:
        """`use` is the mean share of the allocated ones that were busy; None where no request came."""
        if self._coming and now >= self._ready:
            self.allocated, self._coming = self._coming, 0
        if use is not None:
            target = self._scaling.target
            self._over = self._over + 1 if use > target else 0
            self._under = self._under + 1 if use < target * _BELOW else 0
        if not self._coming:
            self._scale(now, self._wanted(now, use))

    def _wanted(self, now: float, use: float | None) -> int:
        least = self._scaling.least(now, self._usual)
        if use is None or self._scaling.most <= least:
            return least if self._scaling.most <= least else max(least, self.allocated)
        if self._over >= _OUT or self._under >= _IN:
            tracked = ceil(round(self.allocated * use / self._scaling.target, 6))
        else:
            tracked = self.allocated
        return min(self._scaling.most, max(least, tracked))

    def _scale(self, now: float, wanted: int) -> None:
        if wanted > self.allocated:
            self._coming = wanted
            self._ready = now + _ALLOCATION + (wanted - self.allocated) / _RATE
        else:
            self.allocated = wanted
