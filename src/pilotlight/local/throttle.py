"""How many requests pass: token buckets and quotas, as API Gateway keeps them. They have no timers: what the clock has
brought since the last request is counted when the next one comes.

Sources: docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html, .../developerguide/
api-gateway-api-usage-plans.html.
"""

from time import gmtime

from pilotlight import limits
from pilotlight.settings import Period, Throttle

_DAY = 86_400
_ALMOST_ONE = 1 - 1e-9  # tokens are sums of fractions


class Bucket:
    """Holds `burst` tokens at most, gets `rate` of them a second, and gives one to each request that passes."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, throttle: Throttle, now: float) -> None:
        self._rate = throttle.rate
        self._burst = throttle.burst
        self._tokens = float(throttle.burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Whether a request passes at `now`, in seconds; a clock that went back brings nothing."""
        if now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
        if self._tokens < _ALMOST_ONE:
            return False
        self._tokens -= 1
        return True


def requests_of(concurrency: int, now: float) -> Bucket:
    """The synchronous requests that Lambda lets through: ten a second for each of the concurrency, whatever the
    environments could do. That so many may come at one moment is a (belief)."""
    rate = limits.REQUESTS_PER_CONCURRENCY * concurrency
    return Bucket(Throttle(rate=rate, burst=rate), now)


class Quota:
    """Lets `limit` requests pass in each period."""

    __slots__ = ("_limit", "_number", "_period", "_taken")

    def __init__(self, limit: int, period: Period) -> None:
        self._limit = limit
        self._period = period
        self._number = 0
        self._taken = 0

    def take(self, seconds: float) -> bool:
        """Whether a request passes at that time, in seconds since 1970."""
        number = number_of(self._period, seconds)
        if number > self._number:
            self._number, self._taken = number, 0
        if self._taken >= self._limit:
            return False
        self._taken += 1
        return True


def number_of(period: Period, seconds: float) -> int:
    """Periods since 1970, which began on a Thursday; weeks begin on Sundays, everything at midnight UTC."""
    days = int(seconds // _DAY)
    match period:
        case "DAY":
            return days
        case "WEEK":
            return (days + 4) // 7
        case "MONTH":
            now = gmtime(days * _DAY)
            return now.tm_year * 12 + now.tm_mon
