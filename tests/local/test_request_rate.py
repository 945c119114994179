"""Lambda's limit of ten synchronous requests a second for each of the concurrency: the pool with real environments,
and what the Invoke API and the front ends make of it. Time is the test's."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest
import uvloop

from conftest import MakeService
from pilotlight import limits
from pilotlight.errors import Throttled
from pilotlight.events import Request, Response
from pilotlight.local.gateway import Gateway, Target
from pilotlight.local.invoke_api import InvokeApi
from pilotlight.local.pool import Pool
from pilotlight.project import Function
from pilotlight.settings import Front
from pilotlight.values import Call

T = TypeVar("T")

SOURCE = (
    "import time\n\ndef handler(event, context):\n    time.sleep(event.get('seconds', 0))\n    return {'body': 'x'}\n"
)
TOO_FAST = "ReservedFunctionInvocationRateLimitExceeded"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def run(functions: Sequence[Function], body: Callable[[Pool, Clock], Awaitable[T]]) -> tuple[T, list[str]]:
    """What `body` gives for a pool, and what the functions' logs say of throttling."""
    lines: list[str] = []

    async def main() -> T:
        clock = Clock()
        pool = Pool(lambda key, line: lines.append(f"{key}: {line}"), 100_000, clock)
        pool.deploy(functions)
        try:
            return await body(pool, clock)
        finally:
            await pool.close()

    result = uvloop.run(asyncio.wait_for(main(), 60))
    return result, [line for line in lines if "Throttled" in line]


@pytest.fixture
def make(make_service: MakeService) -> Callable[..., Sequence[Function]]:
    """`make(one=1, free=None)` -> functions of these concurrencies."""

    def functions(**concurrency: int | None) -> Sequence[Function]:
        toml = "".join(f"[functions.{name}]\nconcurrency = {n}\n" for name, n in concurrency.items() if n)
        files = {f"inference/{name}.py": SOURCE for name in concurrency}
        return make_service(files, f"[defaults]\nmemory = 128\n{toml}").functions

    return functions


async def reasons(pool: Pool, name: str, count: int) -> list[str]:
    """Why each of so many requests, one after the other, was refused; "" for one that was not."""
    return [await _reason(pool, Call(name, b"{}")) for _ in range(count)]


async def _reason(pool: Pool, call: Call) -> str:
    try:
        return (await pool(call)).error
    except Throttled as error:
        return error.reason


def test_ten_a_second_for_each_of_the_reserved_concurrency(make: Callable[..., Sequence[Function]]) -> None:
    """However many its environments could answer. Each function has a limit of its own."""

    async def body(pool: Pool, clock: Clock) -> list[list[str]]:
        first = [await reasons(pool, "one", 12), await reasons(pool, "two", 21), await reasons(pool, "free", 30)]
        clock.now += 0.25
        return [*first, await reasons(pool, "one", 3), await reasons(pool, "two", 6)]

    one = "service--one: [ERROR] Throttled: the function's concurrency of 1 allows 10 requests a second"
    two = "service--two: [ERROR] Throttled: the function's concurrency of 2 allows 20 requests a second"
    assert run(make(one=1, two=2, free=None), body) == (
        [
            [""] * 10 + [TOO_FAST] * 2,
            [""] * 20 + [TOO_FAST],
            [""] * 30,
            ["", "", TOO_FAST],
            [""] * 5 + [TOO_FAST],
        ],
        [one, one, two, one, two],
    )


def test_the_account_has_a_limit_across_all_functions(
    make: Callable[..., Sequence[Function]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here of a concurrency of 3: nothing on one machine is called 10,000 times a second."""
    monkeypatch.setattr(limits, "CONCURRENCY_ACCOUNT", 3)

    async def body(pool: Pool, clock: Clock) -> list[list[str]]:
        first = [await reasons(pool, "free", 20), await reasons(pool, "other", 12)]
        clock.now += 0.1
        return [*first, await reasons(pool, "free", 4)]

    too_fast = "FunctionInvocationRateLimitExceeded"
    results, log = run(make(free=None, other=None), body)
    assert results == [[""] * 20, [""] * 10 + [too_fast] * 2, [""] * 3 + [too_fast]]
    other = "service--other: [ERROR] Throttled: the account's concurrency of 3 allows 30 requests a second"
    assert log == [other, other, other.replace("other", "free")]


def test_asynchronous_requests_are_not_held_to_it(make: Callable[..., Sequence[Function]]) -> None:
    async def body(pool: Pool, clock: Clock) -> tuple[list[str], list[str]]:
        events = [(await pool.invoke_event(Call("one", b"{}"))).error for _ in range(15)]
        return events, await reasons(pool, "one", 11)

    assert run(make(one=1), body)[0] == ([""] * 15, [""] * 10 + [TOO_FAST])


def test_what_the_concurrency_refuses_takes_nothing_from_it(make: Callable[..., Sequence[Function]]) -> None:
    async def body(pool: Pool, clock: Clock) -> tuple[list[str], list[str]]:
        running = asyncio.ensure_future(pool(Call("one", b'{"seconds": 0.2}')))
        await asyncio.sleep(0)
        refused = await reasons(pool, "one", 20)
        await running
        return refused, await reasons(pool, "one", 10)

    busy = "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert run(make(one=1), body)[0] == ([busy] * 20, [""] * 9 + [TOO_FAST])


def test_the_invoke_api_says_which_limit_it_was(make: Callable[..., Sequence[Function]]) -> None:
    async def body(pool: Pool, clock: Clock) -> list[tuple[int, str, str]]:
        api = InvokeApi(pool, pool, lambda call: True)
        request = Request("POST", "/2015-03-31/functions/one/invocations", body=b"{}", request_id="id")
        answers = [await api(request) for _ in range(11)]
        headers = (("x-amz-invocation-type", "Event"),)
        answers.append(await api(request._replace(headers=headers)))
        return [
            (answer.status, answer.header("x-amzn-errortype"), answer.body.decode())
            for answer in answers[9:]
            if isinstance(answer, Response)
        ]

    refused = f'{{"Reason": "{TOO_FAST}", "Type": "User", "message": "Rate Exceeded."}}'
    assert run(make(one=1), body)[0] == [
        (200, "", '{"body": "x"}'),
        (429, "TooManyRequestsException", refused),
        (202, "", ""),
    ]


@pytest.mark.parametrize(
    ("front", "status", "body"),
    [
        ("url", 429, f'{{"Reason":"{TOO_FAST}","Type":"User","message":"Rate Exceeded."}}'),
        ("http", 503, '{"message":"Service Unavailable"}'),
        ("rest", 500, '{"message": "Internal server error"}'),
    ],
)
def test_what_the_front_ends_answer(
    make: Callable[..., Sequence[Function]], front: Front, status: int, body: str
) -> None:
    async def ask(pool: Pool, clock: Clock) -> list[tuple[int, str]]:
        gateway = Gateway(pool, [("GET", "/one", Target("one", "GET /one", front))])
        answers = [await gateway(Request("GET", "/one")) for _ in range(11)]
        return [(answer.status, answer.body.decode()) for answer in answers[9:] if isinstance(answer, Response)]

    passed = {"url": '{"body":"x"}', "http": '{"body":"x"}', "rest": "x"}[front]
    assert run(make(one=1), ask)[0] == [(200, passed), (status, body)]
