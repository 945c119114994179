"""The phases of warm requests, from moments and spans."""

import asyncio
import json

import pytest

from http_servers import Request, answer, serving
from pilotlight.errors import FunctionError
from pilotlight.measure import warm
from pilotlight.measure.warm import PHASES, Times, invocations, split

MS = 1_000_000
SPANS = [
    ("weights", 1 * MS, 2 * MS),
    ("decode", 12 * MS, 13 * MS),
    ("tokenize", 14 * MS, 15 * MS),
    ("run", 15 * MS, 19 * MS),
    ("handler", 13 * MS, 20 * MS),
    ("encode", 20 * MS, 21 * MS),
    ("respond", 21 * MS, 23 * MS),
    ("decode", 32 * MS, 33 * MS),
    ("handler", 33 * MS, 34 * MS),
    ("encode", 34 * MS, 35 * MS),
    ("respond", 35 * MS, 35 * MS),
]


def test_phases_add_up() -> None:
    found = split(Times(5 * MS, 8 * MS, 26 * MS, 30 * MS), SPANS[1:7])
    assert found.phases == {
        "front": 3.0,
        "invoke": 4.0,
        "decode": 1.0,
        "tokenize": 1.0,
        "picture": 0.0,
        "run": 4.0,
        "handler": 2.0,
        "encode": 1.0,
        "respond": 2.0,
        "return": 3.0,
        "answer": 4.0,
    }
    assert tuple(found.phases) == PHASES
    assert sum(found.phases.values()) == found.total == 25.0


def test_spans_belong_to_the_invocation_that_they_are_in() -> None:
    assert invocations(SPANS) == [SPANS[1:7], SPANS[7:]]


def test_a_client_asks_and_tells_when() -> None:
    seen: list[Request] = []

    def reply(request: Request) -> bytes:
        seen.append(request)
        return answer(200, b"{}")

    with serving(reply) as server:
        request = b"POST /a HTTP/1.1\r\nhost: here\r\ncontent-length: 2\r\n\r\n{}"
        times, cpu = asyncio.run(warm.ask(f"http://127.0.0.1:{server.port}", request, 3))
    assert [each.body for each in seen] == [b"{}"] * 3
    moments = [moment for pair in times for moment in pair]
    assert moments == sorted(moments)
    assert len(times) == 3
    assert cpu > 0


def test_a_refusal_is_an_error() -> None:
    with serving(lambda _: answer(400, json.dumps({"message": "no"}).encode())) as server:
        request = b"GET /a HTTP/1.1\r\nhost: here\r\n\r\n"
        with pytest.raises(FunctionError, match=r'400: \{"message": "no"\}'):
            asyncio.run(warm.ask(f"http://127.0.0.1:{server.port}", request, 1))
