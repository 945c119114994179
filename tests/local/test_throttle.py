"""Token buckets and quotas under a clock of the test's, and what the gateway answers when they are empty."""

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.events import Request, Response
from pilotlight.local.gateway import Gateway, Target
from pilotlight.local.keys import KeyRing
from pilotlight.local.throttle import Bucket, Quota, number_of
from pilotlight.settings import Cors, Period, Throttle, UsagePlan
from pilotlight.values import Call, Result


def passed(bucket: Bucket, *times: float) -> list[bool]:
    return [bucket.take(now) for now in times]


@pytest.mark.parametrize(
    ("rate", "burst", "times", "expected"),
    [
        (1, 3, [0, 0, 0, 0], [True, True, True, False]),
        (1, 1, [0, 0.5, 0.99, 1.0, 1.5, 2.0], [True, False, False, True, False, True]),
        (10, 1, [0, 0.1, 0.2, 0.3, 0.35, 0.4], [True, True, True, True, False, True]),
        (2, 2, [0, 0, 0, 0.5, 0.5, 100, 100, 100], [True, True, False, True, False, True, True, False]),
        (0.5, 1, [0, 1, 2, 3, 4], [True, False, True, False, True]),
        (1, 1, [5, 3, 4, 5, 5.9, 6], [True, False, False, False, False, True]),  # a clock that goes back brings nothing
    ],
)
def test_a_bucket(rate: float, burst: int, times: list[float], expected: list[bool]) -> None:
    assert passed(Bucket(Throttle(rate=rate, burst=burst), times[0]), *times) == expected


@given(
    st.floats(0.01, 1000),
    st.integers(1, 50),
    st.lists(st.floats(0, 10), max_size=200).map(lambda steps: [sum(steps[:n]) for n in range(len(steps))]),
)
def test_no_more_pass_than_rate_and_burst_allow(rate: float, burst: int, times: list[float]) -> None:
    bucket = Bucket(Throttle(rate=rate, burst=burst), 0.0)
    for count, now in enumerate((now for now in times if bucket.take(now)), 1):
        assert count <= burst + now * rate + 1e-6


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("period", "last", "first"),
    [
        ("DAY", "2026-11-21T23:59:59.9", "2026-11-22"),
        ("WEEK", "2026-11-21T23:59:59.9", "2026-11-22"),  # a Saturday, a Sunday
        ("MONTH", "2026-11-30T23:59:59.9", "2026-12-01"),
        ("MONTH", "2026-12-31T23:59:59.9", "2027-01-01"),
        ("MONTH", "2028-02-29T23:59:59.9", "2028-03-01"),
    ],
)
def test_a_quota_begins_anew_with_its_period(period: Period, last: str, first: str) -> None:
    assert number_of(period, at(first)) == number_of(period, at(last)) + 1
    quota = Quota(2, period)
    assert [quota.take(at(time)) for time in [last, last, last, first, first, first]] == [True, True, False] * 2


def test_a_clock_that_goes_back_brings_no_quota() -> None:
    quota = Quota(1, "DAY")
    assert [quota.take(at(day)) for day in ["2026-11-21", "2026-11-20", "2026-11-21"]] == [True, False, False]


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def invoke(call: Call) -> Result:
    return Result(b'{"statusCode": 200, "body": "ok"}')


PLAN = UsagePlan(keys=("mobile", "partner"), throttle=Throttle(rate=1, burst=2), quota=4, period="DAY")
VALUES = {"PILOTLIGHT_API_KEY_MOBILE": "m" * 20, "PILOTLIGHT_API_KEY_PARTNER": "p" * 20}


@pytest.fixture
def clock() -> Clock:
    return Clock()


def served(clock: Clock, target: Target) -> Gateway:
    return Gateway(invoke, [("GET", "/a", target), ("GET", "/b", target)], now=clock, clock=clock)


def get(gateway: Gateway, path: str = "/a", *headers: tuple[str, str]) -> tuple[int, str]:
    response = asyncio.run(gateway(Request("GET", path, headers=headers)))
    assert isinstance(response, Response)
    return response.status, response.body.decode()


OK = (200, "ok")
TOO_MANY = (429, '{"message":"Too Many Requests"}')
LIMIT = (429, '{"message":"Limit Exceeded"}')


@pytest.mark.parametrize("front", ["http", "rest"])
def test_each_route_has_a_bucket_of_its_own(clock: Clock, front: str) -> None:
    target = Target("f", "GET /a", front, throttle=Throttle(rate=0.5, burst=2))  # type: ignore[arg-type]
    gateway = served(clock, target)
    assert [get(gateway), get(gateway), get(gateway), get(gateway, "/b")] == [OK, OK, TOO_MANY, OK]
    clock.now += 2
    assert [get(gateway), get(gateway)] == [OK, TOO_MANY]
    clock.now += 3600
    assert [get(gateway), get(gateway), get(gateway)] == [OK, OK, TOO_MANY]


def test_each_key_has_a_bucket_and_a_quota_of_its_own(clock: Clock) -> None:
    keys = KeyRing(VALUES, clock).of("service", {"plan": PLAN})
    gateway = served(clock, Target("f", "GET /a", "rest", keys=keys))
    mobile, partner = ("x-api-key", "m" * 20), ("x-api-key", "p" * 20)
    assert [get(gateway, "/a", mobile), get(gateway, "/b", mobile), get(gateway, "/a", mobile)] == [OK, OK, TOO_MANY]
    assert get(gateway, "/a", partner) == OK
    clock.now += 2
    assert [get(gateway, "/a", mobile), get(gateway, "/a", mobile)] == [OK, OK]  # the quota's fourth
    clock.now += 2
    assert [get(gateway, "/a", mobile), get(gateway, "/a", partner)] == [LIMIT, OK]
    clock.now += 86_400
    assert get(gateway, "/a", mobile) == OK


def test_a_key_that_is_throttled_takes_nothing_from_the_route(clock: Clock) -> None:
    keys = KeyRing(VALUES, clock).of("service", {"plan": PLAN})
    gateway = served(clock, Target("f", "GET /a", "rest", throttle=Throttle(rate=1, burst=3), keys=keys))
    mobile, partner = ("x-api-key", "m" * 20), ("x-api-key", "p" * 20)
    assert [get(gateway, "/a", mobile) for _ in range(4)] == [OK, OK, TOO_MANY, TOO_MANY]
    assert [get(gateway, "/a", partner) for _ in range(2)] == [OK, TOO_MANY]  # now the route's is empty


@pytest.mark.parametrize("front", ["http", "rest"])
def test_a_page_can_read_that_it_was_too_fast_and_its_preflights_pass(clock: Clock, front: str) -> None:
    settings = Cors(origins=("https://a.example",))
    target = Target("f", "GET /a", front, settings, throttle=Throttle(rate=1, burst=1))  # type: ignore[arg-type]
    gateway = served(clock, target)
    origin = ("origin", "https://a.example")
    assert [get(gateway, "/a", origin), get(gateway, "/a", origin)] == [OK, TOO_MANY]
    refused = asyncio.run(gateway(Request("GET", "/a", headers=(origin,))))
    assert isinstance(refused, Response)
    assert refused.header("access-control-allow-origin") == "https://a.example"
    preflight = Request("OPTIONS", "/a", headers=(origin, ("access-control-request-method", "GET")))
    answers = [asyncio.run(gateway(preflight)) for _ in range(3)]
    assert [answer.status for answer in answers if isinstance(answer, Response)] == [204, 204, 204]


@pytest.mark.parametrize(
    ("headers", "status", "body", "error"),
    [
        ((), 403, '{"message":"Forbidden"}', "ForbiddenException"),
        ((("x-api-key", ""),), 403, '{"message":"Forbidden"}', "ForbiddenException"),
        ((("x-api-key", "wrong"),), 403, '{"message":"Forbidden"}', "ForbiddenException"),
        ((("x-api-key", "m" * 19),), 403, '{"message":"Forbidden"}', "ForbiddenException"),
        ((("x-api-key", "ü" * 20),), 403, '{"message":"Forbidden"}', "ForbiddenException"),
        ((("x-api-key", "m" * 20),), 429, '{"message":"Too Many Requests"}', "TooManyRequestsException"),
        ((("x-api-key", "p" * 20),), 429, '{"message":"Limit Exceeded"}', "LimitExceededException"),
    ],
)
def test_what_a_rest_api_answers_to_whom_it_does_not_let_in(
    clock: Clock, headers: tuple[tuple[str, str], ...], status: int, body: str, error: str
) -> None:
    plans = {
        "slow": UsagePlan(keys=("mobile",), throttle=Throttle(rate=0.01, burst=1)),
        "small": UsagePlan(keys=("partner",), quota=1, period="MONTH"),
    }
    gateway = served(clock, Target("f", "GET /a", "rest", keys=KeyRing(VALUES, clock).of("service", plans)))
    assert [get(gateway, "/a", ("x-api-key", letter * 20)) for letter in "mp"] == [OK, OK]
    request = Request("GET", "/a", headers=headers, request_id="uuid", extended_id="id=")
    assert asyncio.run(gateway(request)) == Response(
        status,
        (
            ("content-type", "application/json"),
            ("x-amzn-errortype", error),
            ("x-amzn-requestid", "uuid"),
            ("x-amz-apigw-id", "id="),
        ),
        body.encode(),
    )
