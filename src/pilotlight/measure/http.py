"""Requests over HTTP/1.1 for measuring: a connection each at a time, kept open, next to no work of its own."""

import asyncio
import ssl
from typing import cast
from urllib.parse import urlsplit

import httptools

from pilotlight.errors import UsageError
from pilotlight.measure.load import Reply

TIMEOUT = 60.0
"""Seconds that a request may take: API Gateway and Lambda's function URLs answer earlier, be it with an error."""


class Client:
    """Posts to `url`, JSON where `headers` name no other type. Raises `UsageError` when it is none. To be closed in the
    event loop that it was used in."""

    def __init__(self, url: str, headers: tuple[str, ...] = (), timeout: float = TIMEOUT) -> None:
        try:
            parts = urlsplit(url)
            self._host, port = parts.hostname or "", parts.port
            is_url = parts.scheme in ("http", "https") and self._host.encode("idna") and " " not in url
        except ValueError:  # of a port, an IPv6 address or a name
            is_url = False
        if not is_url:
            raise UsageError(f"{url!r} is no URL", "write http://127.0.0.1:8080/kim_cnn")
        for header in headers:
            if ":" not in header or not header.isprintable():
                raise UsageError(f"{header!r} is no header", "write it as 'x-api-key: ...'")
        self._secure = ssl.create_default_context() if parts.scheme == "https" else None
        self._port = port or (443 if self._secure else 80)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"POST {target} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}"]
        if not any(header.lower().startswith("content-type:") for header in headers):
            lines.append("Content-Type: application/json")
        self._head = "\r\n".join([*lines, *headers, "Content-Length: "])
        self._idle: list[_Connection] = []
        self._timeout = timeout

    async def __call__(self, body: bytes) -> Reply:
        """The answer. Its error is the status from 300 on, or the name of what went wrong on the way."""
        connection = None
        try:
            async with asyncio.timeout(self._timeout):
                connection = self._reused() or await self._open()
                status, payload = await connection.ask(f"{self._head}{len(body)}\r\n\r\n".encode() + body)
        except (OSError, httptools.HttpParserError) as error:
            if connection is not None:
                connection.close()
            text = str(error) or f"no answer within {self._timeout:g} s"
            return Reply(text.encode(), type(error).__name__)
        except asyncio.CancelledError:
            if connection is not None:
                connection.close()
            raise
        self._idle.append(connection)
        return Reply(payload, str(status) if status >= 300 else "")

    def _reused(self) -> "_Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    async def _open(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, self._host, self._port, ssl=self._secure)
        return connection

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


class _Connection(asyncio.Protocol):
    """One request at a time; the methods without a docstring are those of asyncio's and httptools' protocols."""

    _transport: asyncio.Transport
    _answered: "asyncio.Future[tuple[int, bytes]]"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body. Raises OSError and httptools' errors."""
        self._answered = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._has_begun = self._has_end = False
        self._transport.write(request)
        return await self._answered

    def close(self) -> None:
        self.is_open = False
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(error)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        if error is None and self._is_whole_at_end():
            self._finish()
        self._fail(error or ConnectionResetError("the server closed the connection"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._has_end = self._has_end or name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        self._has_begun = True

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:  # the answer comes after it
            self._body.clear()
            return
        if not self._parser.should_keep_alive():
            self.close()
        self._finish()

    def _is_whole_at_end(self) -> bool:
        """Whether the end of the connection is that of the answer (RFC 9112, 6.3)."""
        return hasattr(self, "_answered") and self._has_begun and not self._has_end

    def _finish(self) -> None:
        if not self._answered.done():
            self._answered.set_result((self._parser.get_status_code(), b"".join(self._body)))

    def _fail(self, error: Exception) -> None:
        if hasattr(self, "_answered") and not self._answered.done():
            self._answered.set_exception(error)
