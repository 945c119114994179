"""What a use of AWS costs: a pure function from usages to the items of a bill.

Prices are those of us-east-1 in USD, without the free tier, as they were told of in November 2026: [lambda]
aws.amazon.com/lambda/pricing, [gateway] aws.amazon.com/api-gateway/pricing, [dynamodb]
aws.amazon.com/dynamodb/pricing/on-demand, [logs] aws.amazon.com/cloudwatch/pricing, [transfer]
aws.amazon.com/ec2/pricing/on-demand. "(belief)" marks what was not seen on its page. Prices that fall with the amount
hold for a month and for all functions of an account together. What is paid by the hour is in `prices`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import NamedTuple

from pilotlight.prices import HOURS
from pilotlight.usage import Usage

REGION = "us-east-1"

_MILLION = 1_000_000
_BILLION = 1_000_000_000
_GB = 1024  # MB
_BYTES = 2**30  # of a GB
_TMP_FREE = 512  # MB [lambda]
_SNAPSTART_MIN = 3 * 3600.0  # seconds [lambda]: a version is in the cache for three hours at least


class Price(NamedTuple):
    """USD for one `unit`. `tiers` are `(up to, price)`, in units, the last up to infinity."""

    what: str
    unit: str
    tiers: tuple[tuple[float, float], ...]


class Item(NamedTuple):
    """One line of a bill: `quantity` times `price` is `amount`."""

    function: str
    what: str
    quantity: float
    unit: str
    price: float
    amount: float


class Projection(NamedTuple):
    """What a million more requests like those of a function would cost."""

    function: str
    amount: float


class Bill(NamedTuple):
    items: tuple[Item, ...]
    total: float
    per_million: tuple[Projection, ...]
    notes: tuple[str, ...]


def _flat(what: str, unit: str, price: float) -> Price:
    return Price(what, unit, ((inf, price),))


def _millions(*tiers: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    """Of tiers and prices that are for a million each."""
    return tuple((up_to * _MILLION, price / _MILLION) for up_to, price in tiers)


REQUESTS = _flat("Requests", "requests", 0.20 / _MILLION)  # [lambda]
DURATION: Mapping[str, Price] = {  # [lambda]; arm64, and the tiers after the first, (belief)
    "x86_64": Price(
        "Duration (x86_64)",
        "GB-s",
        ((6 * _BILLION, 0.0000166667), (15 * _BILLION, 0.000015), (inf, 0.0000133334)),
    ),
    "arm64": Price(
        "Duration (arm64)",
        "GB-s",
        ((7.5 * _BILLION, 0.0000133334), (18.75 * _BILLION, 0.0000120001), (inf, 0.0000106667)),
    ),
}
PROVISIONED: Mapping[str, Price] = {  # [lambda]; arm64 (belief). Used or not
    "x86_64": _flat("Provisioned concurrency (x86_64)", "GB-s", 0.0000041667),
    "arm64": _flat("Provisioned concurrency (arm64)", "GB-s", 0.0000033334),
}
PROVISIONED_DURATION: Mapping[str, Price] = {  # [lambda] (belief). In use, beside the former
    "x86_64": _flat("Duration in provisioned concurrency (x86_64)", "GB-s", 0.0000097222),
    "arm64": _flat("Duration in provisioned concurrency (arm64)", "GB-s", 0.0000077778),
}
TMP = _flat("Ephemeral storage above 512 MB", "GB-s", 0.0000000309)  # [lambda]
STREAMED = _flat("Streamed bytes after the first 6 MB", "GB", 0.008)  # [lambda] (belief)
SNAPSHOT = _flat("SnapStart cache", "GB-s", 0.0000015046)  # [lambda]
RESTORED = _flat("SnapStart restores", "GB", 0.0001397998)  # [lambda]
FRONTS: Mapping[str, Price] = {  # [gateway]; tiers after the first (belief); a function URL costs nothing beside
    "http": Price("HTTP API requests", "requests", _millions((300, 1.00), (inf, 0.90))),
    "rest": Price("REST API requests", "requests", _millions((333, 3.50), (1_000, 2.80), (20_000, 2.38), (inf, 1.51))),
}
WRITES = _flat("DynamoDB writes of records", "writes", 0.625 / _MILLION)  # [dynamodb] (belief)
LOGS = _flat("CloudWatch log ingestion", "GB", 0.50)  # [logs] (belief): the first of its tiers
SENT = Price(  # [transfer] (belief): to the internet, the first 100 GB of an account's month free
    "Data transfer out",
    "GB",
    ((100, 0.0), (10_240, 0.09), (51_200, 0.085), (153_600, 0.07), (inf, 0.05)),
)
FREE = {"Requests": 1_000_000.0, "Duration": 400_000.0}  # [lambda]: of an account's month, for as long as it exists

_ONCE = {SNAPSHOT.what, *(price.what for price in PROVISIONED.values())}  # what requests do not cause


def bill(usages: Iterable[Usage], notes: Sequence[str] = ()) -> Bill:
    """The bill for several functions of one account in one month."""
    known = list(usages)
    meter: dict[str, float] = {}
    items = tuple(
        item for usage in known for price, units in _used(usage) for item in _charge(meter, usage, price, units)
    )
    projected = tuple(_projected(usage, items) for usage in known if usage.requests)
    return Bill(items, sum(item.amount for item in items), projected, (*_notes(known), *notes))


def _used(usage: Usage) -> Iterator[tuple[Price, float]]:
    """What is paid for, and how many units of it."""
    memory = usage.memory / _GB
    seconds, provisioned = usage.billed_ms / 1000, usage.provisioned_ms / 1000
    yield REQUESTS, usage.requests
    yield DURATION[usage.architecture], seconds * memory
    yield PROVISIONED[usage.architecture], usage.provisioned_seconds * memory
    yield PROVISIONED_DURATION[usage.architecture], provisioned * memory
    yield TMP, (seconds + provisioned) * max(0, usage.tmp - _TMP_FREE) / _GB
    yield STREAMED, usage.streamed / _BYTES
    if usage.snapstart:
        yield SNAPSHOT, max(usage.seconds, _SNAPSTART_MIN) * memory
        yield RESTORED, usage.restores * memory
    if usage.front in FRONTS:
        yield FRONTS[usage.front], usage.front_requests
    yield WRITES, usage.write_units
    yield LOGS, usage.log_bytes / _BYTES
    yield SENT, usage.sent / _BYTES


def _charge(meter: dict[str, float], usage: Usage, price: Price, units: float) -> Iterator[Item]:
    """An item for each tier that is reached. `meter` has what others of the account have used before."""
    at = meter.get(price.what, 0.0)
    meter[price.what] = end = at + units
    for up_to, each in price.tiers:
        part = min(end, up_to) - at
        if part > 0:
            yield Item(usage.function, price.what, part, price.unit, each, part * each)
            at += part


def amount(price: Price, units: float) -> float:
    """What so many units cost an account that has used none before."""
    return sum(item.amount for item in _charge({}, Usage(""), price, units))


def _projected(usage: Usage, items: Iterable[Item]) -> Projection:
    amount = sum(item.amount for item in items if item.function == usage.function and item.what not in _ONCE)
    return Projection(usage.function, amount / usage.requests * _MILLION)


def _notes(usages: Iterable[Usage]) -> Iterator[str]:
    for usage in usages:
        if usage.provisioned and not usage.provisioned_seconds:
            amount = provisioned_month(usage)
            yield (
                f"Provisioned concurrency of {usage.provisioned} for {usage.function} would cost ${amount:.2f} a "
                "month, used or not; durations in it cost less than is billed here."
            )


def provisioned_month(usage: Usage) -> float:
    """USD a month for the function's provisioned concurrency, used or not."""
    gigabytes = usage.provisioned * usage.memory / _GB
    return gigabytes * HOURS * 3600 * PROVISIONED[usage.architecture].tiers[0][1]


def free_tier(bill: Bill) -> Bill:
    """The same with what AWS does not charge of it, as items of their own."""
    free = [item for what, most in FREE.items() for item in _given(bill.items, what, most)]
    return bill._replace(items=(*bill.items, *free), total=bill.total + sum(item.amount for item in free))


def _given(items: Sequence[Item], what: str, most: float) -> Iterator[Item]:
    for item in items:
        units = min(most, item.quantity)
        if units > 0 and (item.what == what or item.what.startswith(f"{what} (")):
            most -= units
            yield Item(item.function, f"Free tier: {item.what}", units, item.unit, -item.price, -units * item.price)
