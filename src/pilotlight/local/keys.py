"""API keys and usage plans of REST APIs: who a request is from, and whether it may pass.

Source: docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html. A key's value is known to
the client, to `serve` that shows it once, and to requestContext.identity, nowhere else.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from hashlib import blake2s
from hmac import compare_digest
from typing import Literal, NamedTuple

from pilotlight import limits
from pilotlight.errors import ProjectError
from pilotlight.local.throttle import Bucket, Quota
from pilotlight.settings import UsagePlan

Refusal = Literal["", "throttled by the gateway", "quota"]


class Made(NamedTuple):
    """A key that the user has to be told of: its value is only there when it was made here."""

    name: str
    variable: str
    value: str = ""


class ApiKey:
    """One key in its usage plan. `id` is as long as those of API Gateway."""

    def __init__(self, name: str, value: str, plan: UsagePlan, now: float) -> None:
        self.id = blake2s(name.encode(), digest_size=5).hexdigest()
        self.value = value
        self.plan = plan
        self._bucket = Bucket(plan.throttle, now) if plan.throttle else None
        self._quota = Quota(plan.quota, plan.period) if plan.quota else None

    def admit(self, now: float, seconds: float) -> Refusal:
        """Whether a request passes; one that is throttled does not count in the quota (belief)."""
        if self._bucket is not None and not self._bucket.take(now):
            return "throttled by the gateway"
        if self._quota is not None and not self._quota.take(seconds):
            return "quota"
        return ""


class Keys(NamedTuple):
    """The keys of one service."""

    keys: tuple[ApiKey, ...]

    def find(self, sent: str) -> ApiKey | None:
        """The key whose value was sent, found in the same time wherever the two differ."""
        given = sent.encode()
        found = None
        for key in self.keys:
            if compare_digest(given, key.value.encode()):
                found = key
        return found


class KeyRing:
    """The keys of all services. A value is made once, and a key whose plan stays as it is keeps its count."""

    def __init__(self, environ: Mapping[str, str], now: Callable[[], float] = time.monotonic) -> None:
        self._environ = environ
        self._now = now
        self._values: dict[str, str] = {}
        self._keys: dict[tuple[str, str], ApiKey] = {}
        self._untold: list[Made] = []

    def of(self, service: str, plans: Mapping[str, UsagePlan]) -> Keys:
        """The keys of a service. Raises `ProjectError` for a value that AWS would refuse."""
        return Keys(tuple(self._key(service, name, plan) for plan in plans.values() for name in plan.keys))

    def told(self) -> list[Made]:
        """The keys that were not told of yet."""
        told, self._untold = self._untold, []
        return told

    def _key(self, service: str, name: str, plan: UsagePlan) -> ApiKey:
        value = self._values.get(name) or self._new(name)
        key = self._keys.get((service, name))
        if key is None or key.plan != plan:
            key = self._keys[service, name] = ApiKey(name, value, plan, self._now())
        return key

    def _new(self, name: str) -> str:
        variable = f"PILOTLIGHT_API_KEY_{name.upper().replace('-', '_')}"
        value = self._environ.get(variable, "")
        if value:
            _check(variable, value, self._values)
        self._untold.append(Made(name, variable, "" if value else (value := secrets.token_hex(20))))
        self._values[name] = value
        return value


def _check(variable: str, value: str, others: Mapping[str, str]) -> None:
    low, high = limits.API_KEY_MIN, limits.API_KEY_MAX
    if not (low <= len(value) <= high and value.isascii() and value.isprintable()) or " " in value:
        raise ProjectError(
            f"{variable}: API Gateway takes keys of {low} to {high} printable characters without spaces",
            "make one with: openssl rand -hex 20; or leave the variable out, and serve makes one",
        )
    if value in others.values():
        raise ProjectError(f"{variable}: another key has this value", "give each key a value of its own")
