"""HTTP/1.1 byte for byte, on a real socket: what the protocol makes of a connection, whatever answers its requests."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import uvloop

from pilotlight import limits
from pilotlight.events import Request, Response
from pilotlight.local import http_protocol
from pilotlight.local.http_protocol import App, Protocol
from pilotlight.local.streams import Cut, Streamed

Answer = Callable[[Request], Awaitable[Response | Streamed]]
HOST = b"Host: localhost\r\n"
TEXT = (("content-type", "text/plain"),)


async def mirror(request: Request) -> Response:
    return Response(200, TEXT, f"{request.method} {request.path}?{request.query} ".encode() + request.body)


class Front:
    """A protocol behind a real listener; `exchange` sends bytes, closes its side or not, and reads to the end."""

    def __init__(self, answer: Answer) -> None:
        self.connections: set[Protocol] = set()
        self.logged: list[tuple[str, int]] = []
        self.defects: list[str] = []
        self._app = App(
            answer,
            lambda request: Response(413, TEXT, b"too large"),
            lambda request, response, seconds: self.logged.append((request.path, response.status)),
        )

    async def open(self, others: int = 0) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.defects.append(context["message"]))
        listener = socket.create_server(("127.0.0.1", 0))
        server = await loop.create_server(lambda: Protocol(self._app, self.connections), sock=listener)
        reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
        while len(self.connections) <= others:
            await asyncio.sleep(0.001)
        server.close()
        return reader, writer

    async def exchange(self, *sent: bytes, ends: bool = True) -> bytes:
        reader, writer = await self.open()
        for part in sent:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        if ends:
            writer.write_eof()
        received = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        return re.sub(rb"date: [^\r]*\r\n", b"", received)


def run(answer: Answer, *sent: bytes, ends: bool = True) -> tuple[bytes, Front]:
    front = Front(answer)
    return uvloop.run(front.exchange(*sent, ends=ends)), front


def ok(body: bytes, more: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n%b\r\n%b" % (len(body), more, body)


LAST = b"connection: close\r\n"
BAD = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 25\r\nconnection: close\r\n\r\n"
    b'{"message":"Bad Request"}'
)


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (b"GET /a?b=c HTTP/1.1\r\n" + HOST + LAST + b"\r\n", ok(b"GET /a?b=c ", LAST)),
        (b"GET http://x.example/a?b HTTP/1.1\r\n" + HOST + LAST + b"\r\n", ok(b"GET /a?b ", LAST)),
        (b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", ok(b"GET /a? ", LAST)),
        (b"HEAD /a HTTP/1.1\r\n" + HOST + LAST + b"\r\n", ok(b"HEAD /a? ", LAST)[:-9]),
        (b"OPTIONS * HTTP/1.1\r\n" + HOST + LAST + b"\r\n", ok(b"OPTIONS *? ", LAST)),
        (b"CONNECT x.example:443 HTTP/1.1\r\n" + HOST + b"\r\n", BAD),
        (b"GET /ws HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05",
         ok(b"GET /ws? ", LAST)),
        (b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\nExpect: 100-Continue\r\n" + LAST + b"\r\nhi",
         b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"POST /a? hi", LAST)),
        # what comes after a request that closes, and after one that is none
        (b"GET /a HTTP/1.1\r\n" + HOST + LAST + b"\r\nGET /b HTTP/1.1\r\n" + HOST + b"\r\n", ok(b"GET /a? ", LAST)),
        (b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n\0\0\0\r\n\r\n", ok(b"GET /a? ", LAST) + BAD),
        # a head without an end
        (b"GET /a HTTP/1.1\r\nx: " + b"y" * limits.HTTP_HEAD, BAD),
    ],
)  # fmt: skip
def test_one_connection(sent: bytes, received: bytes) -> None:
    assert run(mirror, sent, ends=False)[0] == received


def test_pipelined_requests_are_answered_in_order_also_when_the_client_has_closed_its_side() -> None:
    sent = [b"POST /%d HTTP/1.1\r\n%bContent-Length: 2\r\n\r\nhi" % (number, HOST) for number in range(40)]
    expected = b"".join(ok(b"POST /%d? hi" % number) for number in range(40))
    for parts in ([b"".join(sent)], sent):
        assert run(mirror, *parts)[0].replace(LAST, b"") == expected


def test_a_request_that_broke_off_is_none() -> None:
    received, front = run(mirror, b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\nhalf")
    assert (received, front.logged, front.connections) == (b"", [], set())


def test_a_body_that_is_too_large_is_refused_and_the_connection_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol.limits, "HTTP_PAYLOAD", 1000)
    large = b"POST /large HTTP/1.1\r\n" + HOST + b"Content-Length: 5000\r\n\r\n"
    after = b"GET /after HTTP/1.1\r\n" + HOST + b"\r\n"
    received, front = run(mirror, large, b"x" * 2000, b"x" * 3000 + after)
    refusal = b"HTTP/1.1 413 Content Too Large\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\ntoo large"
    received = re.sub(rb"413 [^\r]*", b"413 Content Too Large", received.replace(LAST, b""))
    assert received == refusal + ok(b"GET /after? ")
    assert front.logged == [("/large", 413), ("/after", 200)]


@pytest.mark.parametrize(
    ("version", "is_cut", "received"),
    [
        (b"1.1", False, b"transfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"),
        (b"1.1", True, b"transfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n"),
        (b"1.0", False, b"content-length: 6\r\nconnection: close\r\n\r\nonetwo"),
    ],
)
def test_a_streamed_answer(version: bytes, is_cut: bool, received: bytes) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (b"one", b"", b"two"):
            yield chunk
        if is_cut:
            raise Cut

    async def streaming(request: Request) -> Streamed:
        return Streamed(Response(200, TEXT), chunks())

    sent = b"GET /a HTTP/" + version + b"\r\n" + HOST + b"\r\n" + (b"" if is_cut else b"\r\n"[:0])
    got = run(streaming, sent, ends=version == b"1.1" and not is_cut)[0]
    assert got.replace(LAST + b"\r\n3", b"\r\n3") == b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n" + received


def test_a_stream_that_nobody_gets_holds_up_nothing() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        await asyncio.sleep(3600)

    async def streaming(request: Request) -> Response | Streamed:
        return Streamed(Response(200, TEXT), chunks()) if request.method == "HEAD" else await mirror(request)

    sent = b"HEAD /a HTTP/1.1\r\n" + HOST + b"\r\nGET /b HTTP/1.1\r\n" + HOST + LAST + b"\r\n"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n"
    assert run(streaming, sent, ends=False)[0] == head + ok(b"GET /b? ", LAST)


def test_trailers_are_limited_and_are_no_headers() -> None:
    async def headers(request: Request) -> Response:
        return Response(200, TEXT, request.header("x-a").encode())

    chunked = (
        b"POST /a HTTP/1.1\r\n" + HOST + b"x-a: head\r\n" + LAST + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
    )
    assert run(headers, chunked, b"x-a: trailer\r\n\r\n", ends=False)[0] == ok(b"head", LAST)
    assert run(headers, chunked, b"x-a: " + b"y" * limits.HTTP_HEAD, ends=False)[0] == BAD


def test_a_client_that_waits_to_be_told_to_go_on_is_told_when_its_turn_has_come() -> None:
    async def main() -> bytes:
        release = asyncio.Event()

        async def held(request: Request) -> Response:
            if request.path == "/a":
                await release.wait()
            return await mirror(request)

        front = Front(held)
        reader, writer = await front.open()
        writer.write(b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n")
        writer.write(b"POST /b HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n" + HOST + LAST + b"\r\n")
        while not all(each.is_busy and each.is_partial for each in front.connections):
            await asyncio.sleep(0.01)
        release.set()
        received = await asyncio.wait_for(reader.readuntil(b"HTTP/1.1 100 Continue\r\n\r\n"), 30)
        writer.write(b"hi")
        received += await asyncio.wait_for(reader.read(), 30)
        writer.close()
        return re.sub(rb"date: [^\r]*\r\n", b"", received)

    expected = ok(b"GET /a? ") + b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"POST /b? hi", LAST)
    assert uvloop.run(main()) == expected


def test_a_refusal_reaches_a_client_that_closes_and_is_still_sending() -> None:
    size = limits.HTTP_PAYLOAD * 2
    head = b"POST /a HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n" % (HOST, LAST, size)
    received, front = run(mirror, head, *[bytes(1 << 20)] * (size >> 20), bytes(size & (1 << 20) - 1), ends=False)
    assert received.endswith(b"too large")
    assert front.logged == [("/a", 413)]


def test_last_words_reach_a_client_that_is_still_sending() -> None:
    """Closed at once, the connection would be reset by what comes then, and the words be lost."""

    async def exchange() -> bytes:
        reader, writer = await Front(mirror).open()
        writer.write(b"GET / HTTP/1.1\r\nx-long: " + b"y" * limits.HTTP_HEAD)
        await writer.drain()
        for _ in range(50):
            writer.write(b"y" * 10_000)
            await writer.drain()
        received = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        await writer.wait_closed()
        return received

    assert uvloop.run(exchange()).startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_after_a_defect_no_answer_is_for_another_request() -> None:
    async def splitting(request: Request) -> Response:
        return Response(200, (("x-a", "1\r\nb: c"),), b"") if request.path == "/bad" else await mirror(request)

    sent = b"".join(b"GET /%b HTTP/1.1\r\n%b\r\n" % (name, HOST) for name in (b"1", b"bad", b"3"))
    assert run(splitting, sent, ends=False)[0] == ok(b"GET /1? ")


def test_a_defect_is_told_to_the_log_and_not_to_the_client() -> None:
    async def failing(request: Request) -> Response:
        raise RuntimeError("the password is swordfish")

    received, front = run(failing, b"GET /a HTTP/1.1\r\n" + HOST + LAST + b"\r\n", ends=False)
    assert received.startswith(b"HTTP/1.1 500 ")
    assert b"swordfish" not in received
    assert front.defects == ["answering /a"]


def test_a_header_of_two_lines_does_not_leave() -> None:
    async def splitting(request: Request) -> Response:
        return Response(200, (("x-a", "1\r\nset-cookie: b=c"),), b"")

    received, front = run(splitting, b"GET /a HTTP/1.1\r\n" + HOST + LAST + b"\r\n", ends=False)
    assert b"set-cookie" not in received
    assert len(front.defects) == 1


def test_the_end_of_a_server() -> None:
    """A connection at rest is closed; one with a request under way after its answer; half a request is refused when
    there is no more time."""

    async def main() -> list[bytes]:
        release = asyncio.Event()

        async def held(request: Request) -> Response:
            await release.wait()
            return await mirror(request)

        front = Front(held)
        ends = []
        for sent in (b"", b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n", b"POST /b HTTP/1.1\r\nContent-Length: 9\r\n\r\n"):
            before = len(front.connections)
            reader, writer = await front.open(before)
            writer.write(sent)
            ends.append((reader, writer))
        while sum(each.is_busy or each.is_partial for each in front.connections) < 2:
            await asyncio.sleep(0.01)
        received = [b"", b"", b""]
        for connection in list(front.connections):
            connection.stop()
        received[0] = await asyncio.wait_for(ends[0][0].read(), 30)
        release.set()
        received[1] = await asyncio.wait_for(ends[1][0].read(), 30)
        for connection in list(front.connections):
            connection.cut()
        received[2] = await asyncio.wait_for(ends[2][0].read(), 30)
        for _, writer in ends:
            writer.close()
        return [part[:13] for part in received]

    assert uvloop.run(main()) == [b"", b"HTTP/1.1 200 ", b"HTTP/1.1 503 "]
