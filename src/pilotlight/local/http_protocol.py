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
from typing import NamedTuple, cast

import httptools

from pilotlight import limits
from pilotlight.events import Headers, Request, Response
from pilotlight.local import streams, tracing
from pilotlight.local.answers import fail
from pilotlight.local.http_wire import BODILESS, head, is_bodiless, of_origin
from pilotlight.local.streams import Cut, Streamed, nothing

_BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 25\r\nconnection: close\r\n\r\n"
    b'{"message":"Bad Request"}'
)
_LINGER_SECONDS = 2.0
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


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
        self._ends = False  # the server takes no more requests than the one that has begun
        self._left = 0  # bytes that the client had not taken when that was last asked
        self._is_paused = False  # whether more is not to be read
        self._writable: asyncio.Future[None] | None = None  # while the client takes too little
        self._hang_up: Callable[[], None] = nothing  # ends an answer that goes on as long as its client does
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
        self._hang_up()
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
        self._head += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # nothing that is offered: this request is answered as it is
            self._end(b"")
        except httptools.HttpParserError:
            self._end(_BAD_REQUEST)
        if self._head > limits.HTTP_HEAD:  # or trailers
            self._end(_BAD_REQUEST)
        if self._ends and not self.is_partial:
            self._end(b"")
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
        if self._has_head:
            return  # a trailer
        header = name.decode("latin-1").lower()
        self._headers.append((header, value.decode("latin-1")))
        if header == "expect":
            self._expects = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        self._has_head = True
        self._head = 0
        if not self.is_busy and not self._whole:
            self._continue()

    def _continue(self) -> None:
        """Tell a client that waits for it to send the body."""
        if self._expects and self._has_head and not self._size:
            self._expects = False
            self._write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        self._head = 0
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
            self._url = of_origin(self._url)
        method = self._parser.get_method().decode("latin-1")
        keeps = version != "1.0" and self._parser.should_keep_alive()
        self._whole.append(Received(method, self._url, tuple(self._headers), body, version, keeps))

    # the end

    def _end(self, last_words: bytes) -> None:
        """Nothing more is read; a request that is not whole is none."""
        self._hang_up()
        if self._last_words is None:
            self._last_words = last_words
            self._begin()
            self._pause(True)
            if not self.is_busy and not self._whole:
                self._close()

    def _close(self) -> None:
        if self._last_words and not self._is_lost:
            self._transport.write(self._last_words)
            self._linger()
        elif not self._is_lost:
            self._transport.close()

    def _linger(self) -> None:
        """Read on for a while, and drop it: with something unread a close is a reset, by which a client may lose the
        last words. Source: RFC 9112, 9.6."""
        self._transport.write_eof()
        self._pause(False)
        self._loop.call_later(_LINGER_SECONDS, self._transport.close)

    def stop(self) -> None:
        """The server takes no more requests: what has begun may still end."""
        self._ends = True
        if not self.is_partial:
            self._end(b"")

    def cut(self) -> None:
        """The server has waited long enough: what has no answer by now is refused."""
        self._whole.clear()
        if self._task is not None:
            self._end(b"")
            self._cancel(self._task)
        elif self.is_partial and self._has_head and self._size <= limits.HTTP_PAYLOAD:  # else it has been refused
            refusal = fail("http", "timeout")
            self._end(head(refusal, f"content-length: {len(refusal.body)}\r\n", closes=True) + refusal.body)
        else:
            self._drop_if_stuck()
            self._end(b"")

    def _drop_if_stuck(self) -> None:
        """A connection is not closed before the client has taken all; one that takes nothing is dropped."""
        left = self._transport.get_write_buffer_size() if self._last_words is not None else 0
        if left and left == self._left:
            self._transport.abort()
        self._left = left

    def _cancel(self, task: asyncio.Task[None]) -> None:
        task.add_done_callback(self._cancelled)
        task.cancel()

    def _cancelled(self, task: asyncio.Task[None]) -> None:
        if self._task is task:  # it had not begun
            self._task = None
            self._rest(False)

    def abort(self) -> None:
        """Nobody waits any more: whatever is under way is left without an answer."""
        self._whole.clear()
        self._transport.abort()
        if self._task is not None:
            self._cancel(self._task)

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
                received, goes_on = self._whole.popleft(), False
                goes_on = await self._answer(received)
                if not goes_on:
                    break
        finally:
            self._task = None
            self._rest(goes_on)

    def _rest(self, goes_on: bool) -> None:
        self.quiet_since = time.monotonic()
        if self._is_lost:
            self._connections.discard(self)
        elif not goes_on and self._size > limits.HTTP_PAYLOAD and self._last_words is None:
            self._ends = True  # closed when the rest of it has been read and dropped, else the refusal would be lost
            self._pause(False)
        elif not goes_on:
            self._last_words = b""
            self._close()
        elif self._last_words is not None:
            self._close()
        else:
            self._pause(False)
            self._continue()

    async def _answer(self, received: Received) -> bool:
        """Answer one; whether the connection may go on."""
        began = time.perf_counter()
        request = self._request(received)
        answer = await self._asked(request, received)
        await self._drained()
        is_last = not received.keeps_alive or (self._last_words is not None and not self._whole)
        if isinstance(answer, Streamed):
            self._hang_up = answer.close
            if self._is_lost or self._last_words is not None or is_bodiless(request, answer.head):
                self._hang_up()
            is_whole = await self._stream(request, answer, is_last)
            answer, self._hang_up = answer.head, nothing
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
        length = "" if response.status in BODILESS else f"content-length: {len(response.body)}\r\n"
        body = b"" if is_bodiless(request, response) else response.body
        self._write(head(response, length, closes=is_last) + body)
        return True

    async def _stream(self, request: Request, streamed: Streamed, is_last: bool) -> bool:
        """Send chunk by chunk, as fast as the client takes them; read to the end when nobody takes them any more.

        A connection closed without the chunk that ends a body is what a client sees when the function fails, or has to
        stop: then this is False.
        """
        if is_bodiless(request, streamed.head):
            self._write(head(streamed.head, closes=is_last))
            streams.read_out(streamed)
            return True
        self._write(head(streamed.head, "transfer-encoding: chunked\r\n", closes=is_last))
        with contextlib.suppress(Cut, asyncio.CancelledError):  # cancelled: the server stops, as above
            async for chunk in streamed.chunks:
                if chunk:
                    await self._drained()
                    self._write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await self._drained()
            self._write(b"0\r\n\r\n")
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
