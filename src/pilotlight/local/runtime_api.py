"""The Runtime API's wire side: HTTP/1.1 on a listener of one execution environment.

Protocol: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, and for streamed answers .../dg/runtimes-custom.html
#runtimes-custom-response-streaming. Every answer is one write with TCP_NODELAY (asyncio
sets it): headers and body in two writes cost 45 ms an invocation by Nagle's rule and delayed acknowledgements.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

import httptools

from pilotlight import limits
from pilotlight.local.streams import Stream

_REASONS = {200: "OK", 202: "Accepted", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 413: "Too Large"}

_HEAD = 131_072  # bytes: more than any head of a runtime client has, with an error cause in a header

_ACCEPTED = b'HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"status":"OK"}\n'


class RuntimeRequest(NamedTuple):
    """One request of a runtime client. `body` stops at one byte over Lambda's limit: enough to know it is too large.

    An answer that the runtime streams is handed over when its head is there, with `stream` for its body.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    stream: Stream | None = None


class Connection(asyncio.Protocol):
    """One connection of a runtime client; hands each request, with itself to reply on, to `handle`.

    `streamed` is told when the body of a streamed answer is whole, with its trailers.
    """

    def __init__(
        self,
        handle: Callable[["Connection", RuntimeRequest], None],
        streamed: Callable[["Connection", Stream, Mapping[str, str]], None],
        lost: Callable[["Connection"], None],
    ) -> None:
        self._handle = handle
        self._streamed = streamed
        self._lost = lost
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._held = b""  # an answer that waits for what comes after it
        self._is_answered = True  # the last request that came
        self._reset()

    def _reset(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._stream: Stream | None = None
        self._has_head = False
        self._read = 0  # bytes, while there is no whole head

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name

    def data_received(self, data: bytes) -> None:
        self._read += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()
        if self._is_answered:
            self._write(b"")
        if not self._has_head and self._read > _HEAD:
            self.close()  # the parser would join it again and again

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lost(self)

    # httptools.HttpRequestParser

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._has_head = True
        if self._headers.get("lambda-runtime-function-response-mode") == "streaming" and self._url.endswith(
            b"/response"
        ):
            self._stream = Stream(self._headers.get("content-type", ""), self._pause, self._resume)
            self._handle(self, self._request())
            self._headers = {}  # what comes yet are trailers

    def on_body(self, body: bytes) -> None:
        if self._stream is not None:
            self._stream.write(body)
            return
        room = limits.PAYLOAD + 1 - len(self._body)
        self._body += body[:room]

    def on_message_complete(self) -> None:
        request = self._request()
        self._reset()
        self._is_answered = False
        if request.stream is not None:
            self._streamed(self, request.stream, request.headers)
        else:
            self._handle(self, request)

    def _request(self) -> RuntimeRequest:
        method = self._parser.get_method().decode("latin-1")
        return RuntimeRequest(method, self._url.decode("latin-1"), self._headers, bytes(self._body), self._stream)

    # flow control

    def _pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # replies

    def accept(self) -> None:
        """The one answer to everything that is as it should be.

        Where a client has sent its next request along, it is written with the answer to that: one write, and a client
        that wakes up once."""
        self._is_answered = True
        self._held += _ACCEPTED

    def reply(self, status: int, body: bytes, headers: str = "") -> None:
        """Send one answer; nothing happens when the client is gone. `headers` are whole lines."""
        self._is_answered = True
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n{headers}\r\n"
        )
        self._write(head.encode("latin-1") + body)

    def _write(self, data: bytes) -> None:
        if self._held:
            data, self._held = self._held + data, b""
        if data and self._transport is not None:
            self._transport.write(data)

    def refuse(self, status: int, kind: str, message: str) -> None:
        self.reply(status, json.dumps({"errorMessage": message, "errorType": kind}).encode())

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
