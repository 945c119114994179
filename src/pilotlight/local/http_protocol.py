"""uvicorn's HTTP/1.1, held to what it does not promise: every request that came whole has its own answer.

uvicorn answers bytes that are no HTTP at once, also when requests that came before them on the connection still wait:
these would take its 400 for their own. It drops requests under way when a client has closed its side for writing, and
it keeps a head of any size. And it writes head and body of an answer apart: two system calls, and a client that wakes
up twice.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from pilotlight import limits

_BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 25\r\nconnection: close\r\n\r\n"
    b'{"message":"Bad Request"}'
)


class _Joining:
    """A transport that writes at once what comes in one turn of the event loop."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, []
            if not self._transport.is_closing():
                self._transport.write(b"".join(held))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """See the module."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._running: RequestResponseCycle | None = None
        self._last_words: bytes | None = None  # what is sent after the last answer, before the close
        self._head = 0  # bytes of the head that is being read

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self.transport = cast(asyncio.Transport, _Joining(transport, self.loop))

    def data_received(self, data: bytes) -> None:
        if self._last_words is not None:
            return
        self._head += len(data)
        super().data_received(data)
        if self._head > limits.HTTP_HEAD and self._last_words is None:
            self.send_400_response("")

    def on_headers_complete(self) -> None:
        self._head = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head = 0
        super().on_message_complete()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio asks whether to keep the connection
        """Answer what is whole first; then close."""
        self._end(b"")
        return not self.transport.is_closing()

    def send_400_response(self, msg: str) -> None:
        self._end(_BAD_REQUEST)

    def _end(self, last_words: bytes) -> None:
        if self._last_words is not None:
            return
        self._last_words = last_words
        self.flow.pause_reading()
        self._drop_partial()
        if not self._is_busy:
            self._close()

    def _drop_partial(self) -> None:
        """The request whose body broke off is none, whether it runs or waits."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.more_body:
            return
        cycle.disconnected = True
        cycle.message_event.set()
        self.pipeline = type(self.pipeline)(entry for entry in self.pipeline if entry[0] is not cycle)
        if self._running is cycle:
            self._running = None

    @property
    def _is_busy(self) -> bool:
        return bool(self.pipeline) or (self._running is not None and not self._running.response_complete)

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self._last_words or b"")
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._last_words is not None and not self._is_busy:
            self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        for cycle in (self._running, *(cycle for cycle, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)
