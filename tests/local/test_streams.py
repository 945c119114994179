"""Streams inside the server: what becomes of their chunks, and what runtimes other than Pilotlight's may send."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from typing import TypeVar

import pytest
import uvloop

from conftest import MakeService
from pilotlight.fronts import MalformedResult
from pilotlight.local import streams
from pilotlight.local.pool import Pool
from pilotlight.local.streams import Cut, Stream
from pilotlight.values import Call, Result

T = TypeVar("T")
PRELUDE = "application/vnd.awslambda.http-integration-response"


def run(work: Coroutine[None, None, T]) -> T:
    return uvloop.run(asyncio.wait_for(work, 60))


def written(*chunks: bytes, kind: str = PRELUDE, end: Result | None = None) -> Stream:
    stream = Stream(kind, lambda: None, lambda: None)
    for chunk in chunks:
        stream.write(chunk)
    stream.end(end or Result(b""))
    return stream


async def response(stream: Stream) -> tuple[int, tuple[tuple[str, str], ...], list[bytes]]:
    head, chunks, _ = await streams.opened(stream)
    return head.status, head.headers, [chunk async for chunk in chunks]


TEXT = (("content-type", "text/plain"),)
BINARY = (("content-type", "application/octet-stream"),)


@pytest.mark.parametrize(
    ("chunks", "kind", "expected"),
    [
        ([b'{"statusCode": 201}' + bytes(8), b"a", b"b"], PRELUDE, (201, BINARY, [b"a", b"b"])),
        ([b'{"headers": {"Content-Type": "text/plain"}}' + bytes(8) + b"a"], PRELUDE, (200, TEXT, [b"a"])),
        ([b"{", b"}\0\0\0", b"\0\0\0\0", b"\0\0\0"], PRELUDE, (200, BINARY, [b"\0\0"])),
        ([b'{"cookies": ["a=b", "c=d"]}' + bytes(8)], PRELUDE,
         (200, (*BINARY, ("set-cookie", "a=b"), ("set-cookie", "c=d")), [])),
        ([b"a", bytes(8)], "text/plain", (200, TEXT, [b"a", bytes(8)])),
        ([], "", (200, BINARY, [])),
    ],
)  # fmt: skip
def test_what_a_function_url_makes_of_a_stream(chunks: list[bytes], kind: str, expected: object) -> None:
    async def main() -> object:
        return await response(written(*chunks, kind=kind))

    assert run(main()) == expected


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [b'{"statusCode": 200}'],
        [b"[]" + bytes(8)],
        [b"no JSON" + bytes(8)],
        [b"[" * 60_000 + bytes(8)],
        [b'{"statusCode": 99}' + bytes(8)],
        [b" " * 40_000, b" " * 40_000, b"{}" + bytes(8)],
    ],
)
def test_what_is_no_prelude(chunks: list[bytes]) -> None:
    async def main() -> None:
        with pytest.raises(MalformedResult):
            await response(written(*chunks))

    run(main())


def test_an_answer_that_is_cut_raises_after_its_last_chunk() -> None:
    async def main() -> list[bytes]:
        _, chunks, _ = await streams.opened(written(b"{}" + bytes(8), b"a", end=Result(b"{}", "Unhandled")))
        seen = [await anext(chunks)]
        with pytest.raises(Cut):
            await anext(chunks)
        return seen

    assert run(main()) == [b"a"]


def test_the_writer_is_paused_while_much_waits() -> None:
    async def main() -> list[object]:
        told: list[object] = []
        stream = Stream("", lambda: told.append("pause"), lambda: told.append("resume"))
        stream.write(bytes(40_000))
        assert told == []
        stream.write(bytes(40_000))
        chunks = aiter(stream)
        told.append(len(await anext(chunks)))
        told.append(len(await anext(chunks)))
        stream.end(Result(b""))
        return told

    assert run(main())[:4] == ["pause", 40_000, "resume", 40_000]


def test_what_is_dropped_does_not_hold_the_writer_up() -> None:
    async def main() -> list[str]:
        told: list[str] = []
        stream = Stream("", lambda: told.append("pause"), lambda: told.append("resume"))
        stream.write(bytes(100_000))
        stream.drop()
        stream.write(bytes(100_000))
        stream.end(Result(b""))
        assert [chunk async for chunk in stream] == []
        return told[:2]

    assert run(main()) == ["pause", "resume"]


OWN = """
    import http.client, os

    def post(request_id, *chunks, trailers=b""):
        connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
        connection.putrequest("POST", f"/2018-06-01/runtime/invocation/{request_id}/response")
        connection.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.putheader("Content-Type", "text/x-own")
        connection.endheaders()
        for chunk in chunks:
            connection.send(b"%x\\r\\n%b\\r\\n" % (len(chunk), chunk))
        connection.send(b"0\\r\\n" + trailers + b"\\r\\n")
        print(connection.getresponse().status)

    def handler(event, context):
        post("another", b"nothing")
        post(context.aws_request_id, b"one", b"two", trailers=event["trailers"].encode())
        post(context.aws_request_id, b"three")
        os._exit(0)
"""


@pytest.mark.parametrize(
    ("trailers", "error", "kind"),
    [
        ("", "", None),
        ("Lambda-Runtime-Function-Error-Type: Own.Error\r\n", "Unhandled", "Own.Error"),
        ("Lambda-Runtime-Function-Error-Type: Own.Error\r\nLambda-Runtime-Function-Error-Body: ?\r\n", "Unhandled",
         "Own.Error"),
    ],
)  # fmt: skip
def test_a_runtime_of_another_make(make_service: MakeService, trailers: str, error: str, kind: str | None) -> None:
    function = make_service({"inference/own.py": OWN}).functions[0]
    lines: list[str] = []

    async def main() -> tuple[str, list[bytes], Result]:
        pool = Pool(lambda key, line: lines.append(line) if line.isdigit() else None, 10_000)
        pool.deploy([function])
        result = await pool(Call("own", json.dumps({"trailers": trailers}).encode(), "r-1"))
        assert result.stream is not None
        chunks = [chunk async for chunk in result.stream]
        end = await result.stream.ended
        while len(lines) < 3:
            await asyncio.sleep(0.01)
        await pool.close()
        return result.stream.content_type, chunks, end

    content_type, chunks, end = run(main())
    assert (content_type, chunks, end.error) == ("text/x-own", [b"one", b"two"], error)
    assert (json.loads(end.payload)["errorType"] if end.payload else None) == kind
    assert lines[:3] == ["400", "202", "403"]


# what a REST API asks of a stream, bandwidth, and time


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b'{"statusCode": 201, "headers": {"x-a": "1"}}' + bytes(8) + b"a"],
         (201, (*BINARY, ("x-a", "1")), [b"a"])),
        ([b'{"multiValueHeaders": {"X-A": ["1", "2"], "Content-Type": ["text/plain"]}}' + bytes(8)],
         (200, (("x-a", "1"), ("x-a", "2"), ("content-type", "text/plain")), [])),
        ([b" " * 16_000 + b"{}" + bytes(8) + b"a"], (200, BINARY, [b"a"])),
    ],
)  # fmt: skip
def test_what_a_rest_api_makes_of_a_stream(chunks: list[bytes], expected: object) -> None:
    async def main() -> object:
        head, body, _ = await streams.opened(written(*chunks), "rest")
        return head.status, head.headers, [chunk async for chunk in body]

    assert run(main()) == expected


@pytest.mark.parametrize(
    ("chunks", "kind"),
    [([b"a"], "text/plain"), ([b"a"], ""), ([b"a"], PRELUDE), ([b" " * 17_000, b"{}" + bytes(8)], PRELUDE)],
)
def test_what_a_rest_api_refuses(chunks: list[bytes], kind: str) -> None:
    async def main() -> None:
        with pytest.raises(MalformedResult):
            await streams.opened(written(*chunks, kind=kind), "rest")

    run(main())


MB = 2**20


@pytest.mark.parametrize(
    ("sizes", "pauses", "expected"),
    [
        ([1, 1, 1, 1, 1, 1], 0, [0, 0, 0, 0, 0, 0]),
        ([2, 2, 2, 2, 2, 2], 0, [0, 0, 0, 0, 1, 2]),  # the first above goes at once, the next when it would be through
        ([7, 4, 1], 0, [0, 0.5, 2.5]),
        ([6, 2, 2, 2], 1, [0, 1, 2, 3]),  # a function that is as slow as the limit is not held up
        ([6, 2, 2, 2], 10, [0, 10, 20, 30]),  # and what it did not use is lost
    ],
)
def test_bandwidth(sizes: list[int], pauses: int, expected: list[float]) -> None:
    now = 0.0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal now
        for number, size in enumerate(sizes):
            now = max(now, float(number * pauses))
            yield bytes(size * MB)

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def main() -> list[float]:
        return [now async for _ in streams.paced(chunks(), 6 * MB, lambda: now, sleep)]

    assert run(main()) == expected


async def cut(chunks: AsyncIterator[bytes]) -> list[bytes]:
    """The chunks until the stream is cut; fails when it ends."""
    seen = []
    try:
        async for chunk in chunks:
            seen.append(chunk)
    except Cut:
        return seen
    raise AssertionError("it ended")


def test_a_stream_that_is_silent_too_long_is_cut_and_dropped() -> None:
    async def main() -> list[object]:
        told: list[object] = []
        stream = Stream("", lambda: told.append("pause"), lambda: told.append("resume"))
        stream.write(b"a")
        told += await cut(streams.timed(aiter(stream), 0.01, 10**9))
        stream.write(bytes(100_000))  # nobody waits for it: the function runs on, and is not held up
        return told

    assert run(main()) == ["resume", "resume", b"a"]


def test_a_stream_has_an_end_in_time_however_much_comes() -> None:
    now = 0.0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal now
        while True:
            now += 100
            await asyncio.sleep(0)
            yield b"a"

    async def main() -> int:
        return len(await cut(streams.timed(chunks(), 300, 900, lambda: now)))

    assert run(main()) == 9


def test_a_stream_that_ends_in_time_ends() -> None:
    async def main() -> list[bytes]:
        return [chunk async for chunk in streams.timed(aiter(written(b"a", b"b", kind="")), 60, 10**9)]

    assert run(main()) == [b"a", b"b"]
