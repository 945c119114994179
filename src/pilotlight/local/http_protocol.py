"""HTTP/1.1 with the clients of this machine: every request that came whole has its own answer, in order.

httptools parses; what is here is what becomes of it. A request is handed on when it is whole, and an answer is one
write. Bytes that are no HTTP, and a client that closes its side, are told after the answers to what came before them.
A connection holds little: one head of limited size, one body, and while requests wait on it nothing more is read.
Why this is no library: docs/decisions/0017-a-front-and-a-runtime-in-few-steps.md.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import NamedTuple, cast

import httptools

from pilotlight import limits
from pilotlight.events import Headers, Request, Response
from pilotlight.local import tracing
from pilotlight.local.answers import fail
from pilotlight.local.streams import Cut, Streamed

_BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 25\r\nconnection: close\r\n\r\n"
    b'{"message":"Bad Request"}'
)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_BODILESS = (204, 304)
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}" for status in HTTPStatus}


class Received(NamedTuple):
    """A request as it came. `body` is None when it was larger than any front end takes."""

    method: str
    url: bytes
    headers: Headers
    body: bytes | None
    version: str
    keeps_alive: bool


class App(NamedTuple):
    """What answers. `refuse` answers a request whose body is too large; `log` is told when an answer has ended."""

    answer: Callable[[Request], Awaitable[Response | Streamed]]
    refuse: Callable[[Request], Response]
    log: Callable[[Request, Response, float], None]


class Protocol(asyncio.Protocol):
    """One connection. `connections` are those that are open, or for which something still runs."""

    def __init__(self, app: App, connections: "set[Protocol]") -> None:
        self.quiet_since = time.monotonic()  # when bytes last came, or went with the last answer
        self._app = app
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)  # pipelined after "close": ignored
        self._transport: asyncio.Transport
        self._client = "127.0.0.1"
        self._port = 0
        self._whole: deque[Received] = deque()  # requests that wait for those before them
        self._task: asyncio.Task[None] | None = None  # answers them
        self._last_words: bytes | None = None  # what is sent after the last answer, before the close
        self._is_lost = False
        self._is_paused = False  # whether more is not to be read
        self._writable: asyncio.Future[None] | None = None  # while the client takes too little
        self._begin()

    def _begin(self) -> None:
        """For the next request."""
        self._url = b""
        self._headers: list[tuple[str, str]] = []
        self._chunks: list[bytes] = []
        self._size = 0  # of the body
        self._head = 0  # bytes of the head
        self.is_partial = False  # whether some of it has come
        self._has_head = False
        self._expects = False  # to be told to go on before it sends the body

    @property
    def is_busy(self) -> bool:
        """Whether a whole request has not been answered yet."""
        return self._task is not None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name
        peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if peer and own:  # none when it has been lost by now
            self._client, self._port = peer[0], own[1]
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """What runs for the client runs on, as on Lambda; what waits behind it does not begin."""
        self._is_lost = True
        self._whole.clear()
        self.resume_writing()
        if self._task is None:
            self._connections.discard(self)

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._last_words is not None:
            return
        self.quiet_since = time.monotonic()
        if not self._has_head:
            self._head += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # nothing that is offered: this request is answered as it is
            self._end(b"")
        except httptools.HttpParserError:
            self._end(_BAD_REQUEST)
        if not self._has_head and self._head > limits.HTTP_HEAD:
            self._end(_BAD_REQUEST)
        self._go_on()

    def eof_received(self) -> bool:
        """Answer what is whole first; then close."""
        self._end(b"")
        return self.is_busy  # which keeps the connection

    # httptools.HttpRequestParser; whatever is raised here ends as 400

    def on_message_begin(self) -> None:
        self.is_partial = True

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        header = name.decode("latin-1").lower()
        self._headers.append((header, value.decode("latin-1")))
        if header == "expect":
            self._expects = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        self._has_head = True
        if self._expects and not self.is_busy and not self._whole:
            self._transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        before, self._size = self._size, self._size + len(body)
        if self._size <= limits.HTTP_PAYLOAD:
            self._chunks.append(body)
        elif before <= limits.HTTP_PAYLOAD:  # refused at once; the rest of it is read and dropped
            self._chunks.clear()
            self._receive(None)

    def on_message_complete(self) -> None:
        if self._size <= limits.HTTP_PAYLOAD:
            self._receive(self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks))
        self._begin()

    def _receive(self, body: bytes | None) -> None:
        version = self._parser.get_http_version()
        if not self._url.startswith(b"/"):
            self._url = _of_origin(self._url)
        method = self._parser.get_method().decode("latin-1")
        keeps = version != "1.0" and self._parser.should_keep_alive()
        self._whole.append(Received(method, self._url, tuple(self._headers), body, version, keeps))

    # the end

    def _end(self, last_words: bytes) -> None:
        """Nothing more is read; a request that is not whole is none."""
        if self._last_words is None:
            self._last_words = last_words
            self._begin()
            self._pause(True)
            if not self.is_busy and not self._whole:
                self._close()

    def _close(self) -> None:
        if not self._is_lost:
            self._transport.write(self._last_words or b"")
            self._transport.close()

    def stop(self) -> None:
        """The server takes no more requests: what has begun may still end."""
        if self._last_words is None and not self.is_partial:
            self._end(b"")

    def cut(self) -> None:
        """The server has waited long enough: what has no answer by now is refused."""
        self._whole.clear()
        if self._task is not None:
            self._task.cancel()
        elif self.is_partial and self._has_head:
            refusal = fail("http", "timeout")
            self._end(_head(refusal, f"content-length: {len(refusal.body)}\r\n", closes=True) + refusal.body)
        else:
            self._end(b"")

    def _pause(self, is_paused: bool) -> None:
        if is_paused != self._is_paused and not self._transport.is_closing():
            self._is_paused = is_paused
            (self._transport.pause_reading if is_paused else self._transport.resume_reading)()

    # answering

    def _go_on(self) -> None:
        """Answer what has come, and read no more than a request ahead."""
        if self._whole and self._task is None:
            self._task = self._loop.create_task(self._run())
        elif self._whole:
            self._pause(True)

    async def _run(self) -> None:
        """Answer the requests that are there, one after the other."""
        goes_on = False
        try:
            while self._whole:
                goes_on = await self._answer(self._whole.popleft())
                if not goes_on:
                    break
        finally:
            self._task = None
            self._rest(goes_on)

    def _rest(self, goes_on: bool) -> None:
        self.quiet_since = time.monotonic()
        if self._is_lost:
            self._connections.discard(self)
        elif not goes_on:
            self._last_words = b""
            self._close()
        elif self._last_words is not None:
            self._close()
        else:
            self._pause(False)

    async def _answer(self, received: Received) -> bool:
        """Answer one; whether the connection may go on."""
        began = time.perf_counter()
        request = self._request(received)
        answer = await self._asked(request, received)
        await self._drained()
        is_last = not received.keeps_alive or (self._last_words is not None and not self._whole)
        if isinstance(answer, Streamed):
            is_whole = await self._stream(request, answer, is_last)
            answer = answer.head
        else:
            is_whole = self._send(request, answer, is_last)
        self._app.log(request, answer, time.perf_counter() - began)
        return is_whole and received.keeps_alive

    async def _asked(self, request: Request, received: Received) -> Response | Streamed:
        try:
            answer = self._app.refuse(request) if received.body is None else await self._app.answer(request)
            if isinstance(answer, Streamed) and received.version == "1.0":
                answer = await _joined(answer)
            return answer
        except asyncio.CancelledError:  # the server stops, and the request has had the time that it gives
            return fail("http", "timeout")
        except Exception as error:  # the boundary: a defect of this server, which goes to its log
            self._loop.call_exception_handler({"message": f"answering {request.path}", "exception": error})
            return fail("http", "function")

    def _request(self, received: Received) -> Request:
        path, _, query = received.url.decode("latin-1").partition("?")
        request_id, extended_id, root = tracing.new_ids()
        now = time.time()
        headers = tracing.forwarded(received.headers, self._client, self._port, "http", now, root)
        return Request(
            received.method,
            path,
            query,
            headers,
            received.body or b"",
            request_id=request_id,
            source_ip=self._client,
            time=now,
            protocol=f"HTTP/{received.version}",
            domain=next((value for name, value in headers if name == "host"), "localhost"),
            extended_id=extended_id,
        )

    def _send(self, request: Request, response: Response, is_last: bool) -> bool:
        length = "" if response.status in _BODILESS else f"content-length: {len(response.body)}\r\n"
        body = b"" if _is_bodiless(request, response) else response.body
        self._write(_head(response, length, closes=is_last) + body)
        return True

    async def _stream(self, request: Request, streamed: Streamed, is_last: bool) -> bool:
        """Send chunk by chunk, as fast as the client takes them; read to the end when nobody takes them any more.

        A connection closed without the chunk that ends a body is what a client sees when the function fails, or has to
        stop: then this is False.
        """
        is_bodiless = _is_bodiless(request, streamed.head)
        self._write(_head(streamed.head, "" if is_bodiless else "transfer-encoding: chunked\r\n", closes=is_last))
        with contextlib.suppress(Cut, asyncio.CancelledError):  # cancelled: the server stops, as above
            async for chunk in streamed.chunks:
                if chunk and not is_bodiless:
                    await self._drained()
                    self._write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await self._drained()
            self._write(b"" if is_bodiless else b"0\r\n\r\n")
            return True
        return False

    async def _drained(self) -> None:
        if self._writable is not None:
            await self._writable

    def _write(self, data: bytes) -> None:
        if data and not self._is_lost:
            self._transport.write(data)


async def _joined(streamed: Streamed) -> Response:
    """For HTTP/1.0, in which a body without a length cannot be told from one that broke off."""
    try:
        return streamed.head._replace(body=b"".join([chunk async for chunk in streamed.chunks]))
    except Cut:
        return fail("url", "function")


def _of_origin(url: bytes) -> bytes:
    """Path and query of a URL in absolute form, or `*`. Raises HttpParserError for what has no path, as of CONNECT."""
    parsed = httptools.parse_url(url)
    if not parsed.path:
        raise httptools.HttpParserInvalidURLError(f"no path: {url!r}")
    return parsed.path + (b"?" + parsed.query if parsed.query else b"")


def _is_bodiless(request: Request, response: Response) -> bool:
    return request.method == "HEAD" or response.status in _BODILESS


def _head(response: Response, more: str = "", *, closes: bool = False) -> bytes:
    """Status line and headers; `more` are whole lines. Raises ValueError for a header that would end its line."""
    lines = [f"{name}: {value}" for name, value in response.headers]
    text = "\r\n".join([_STATUS_LINES.get(response.status) or f"HTTP/1.1 {response.status} ", _date(), *lines])
    if text.count("\n") != len(lines) + 1 or text.count("\r") != len(lines) + 1:
        raise ValueError("a header of the answer has more than one line")
    end = "connection: close\r\n\r\n" if closes else "\r\n"
    return f"{text}\r\n{more}{end}".encode("latin-1", "replace")


_dated = (0, "")


def _date() -> str:
    global _dated
    second = int(time.time())
    if second != _dated[0]:
        _dated = second, f"date: {formatdate(second, usegmt=True)}"
    return _dated[1]
