"""HTTP/1.1 on a bare socket, so that any bytes can be sent, and answers are read as strictly as they are meant."""

import asyncio
import contextlib
import re
import socket
import struct
import time
from collections import Counter
from typing import NamedTuple

DEADLINE = 15.0  # seconds within which every request has its answer
JSON = "content-type: application/json\r\n"
_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) [ -~]*\Z")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([^\r\n\0]*)\Z")


class Malformed(Exception):
    """Bytes that are no whole HTTP answer."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One connection. Reading raises Malformed, TimeoutError, or ConnectionError where the server reset it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()

    def half_close(self) -> None:
        self._writer.write_eof()

    async def read(self, method: str = "POST", seconds: float = DEADLINE) -> Answer | None:
        """The next answer; None when the connection was closed instead, before its first byte."""
        return await asyncio.wait_for(self._read(method), seconds)

    async def _read(self, method: str) -> Answer | None:
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as end:
            if end.partial:
                raise Malformed(f"half a head: {end.partial[:200]!r}") from None
            return None
        except asyncio.LimitOverrunError:
            raise Malformed("a head without end") from None
        status, headers = _parse_head(head)
        try:
            return Answer(status, headers, await self._body(method, status, headers))
        except asyncio.IncompleteReadError:
            raise Malformed("half a body") from None

    async def _body(self, method: str, status: int, headers: dict[str, str]) -> bytes:
        if method == "HEAD" or status in (204, 304):
            return b""
        if headers.get("transfer-encoding") == "chunked":
            return await self._chunks()
        if "content-length" in headers:
            return await self.reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            return await self.reader.read()
        raise Malformed(f"{status} with a body of no known length")

    async def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            size = int((await self.reader.readuntil(b"\r\n")).strip(), 16)
            body += (await self.reader.readexactly(size + 2))[:-2]
            if size == 0:
                return bytes(body)

    async def is_closed(self, seconds: float = DEADLINE) -> bool:
        """Whether the server closes it, having sent nothing more."""
        try:
            return await asyncio.wait_for(self.reader.read(1), seconds) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def reset(self) -> None:
        """Close with RST, as a client that is gone at once."""
        self._linger(b"\1")
        self._writer.transport.abort()

    def _linger(self, on: bytes) -> None:
        connection = self._writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", on[0], 0))

    def close(self) -> None:
        self._writer.close()

    def pause(self) -> None:
        """Read nothing from now on, so that the server's writes back up."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head[:-4].split(b"\r\n")
    found = _STATUS_LINE.match(first)
    if not found:
        raise Malformed(f"a status line {first[:200]!r}")
    headers: dict[str, str] = {}
    for line in lines:
        pair = _HEADER.match(line)
        if not pair:
            raise Malformed(f"a header {line[:200]!r}")
        headers[pair[1].decode().lower()] = pair[2].decode("latin-1")
    return int(found[1]), headers


async def connect(host: str, port: int, limit: int = 1 << 20) -> Connection:
    return Connection(*await asyncio.wait_for(asyncio.open_connection(host, port, limit=limit), DEADLINE))


def post(path: str, body: bytes, headers: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {len(body)}\r\n\r\n".encode() + body


def echo(token: str, seconds: float = 0.0) -> bytes:
    """A request that is answered with its token."""
    return post("/echo", b'{"token": "%b", "seconds": %f}' % (token.encode(), seconds), JSON)


def invoke(function: str, event: bytes, headers: str = "") -> bytes:
    return post(f"/2015-03-31/functions/{function}/invocations", event, headers)


async def ask(host: str, port: int, request: bytes, method: str = "POST", seconds: float = DEADLINE) -> Answer | None:
    """One request on a connection of its own."""
    connection = await connect(host, port)
    try:
        connection.send(request)
        return await connection.read(method, seconds)
    finally:
        connection.close()


class Load:
    """Clients that ask `/echo` one request after the other, each checking that the answer is its own.

    `ends` has for each request when it ended, how long it took and how: "200", "500", "closed" or what is wrong.
    """

    def __init__(self, host: str, port: int, clients: int, seconds: float = 0.0) -> None:
        self.ends: list[tuple[float, float, str]] = []
        self.wrong: list[str] = []
        self._where = host, port
        self._seconds = seconds
        self._is_over = False
        self._clients = [asyncio.ensure_future(self._client(number)) for number in range(clients)]

    async def stop(self) -> None:
        self._is_over = True
        await asyncio.gather(*self._clients)

    async def run(self, seconds: float) -> "Load":
        await asyncio.sleep(seconds)
        await self.stop()
        return self

    async def _client(self, number: int) -> None:
        connection: Connection | None = None
        count = 0
        while not self._is_over:
            count += 1
            token = f"{number}-{count}"
            began = time.monotonic()
            try:
                connection = connection or await connect(*self._where)
                connection.send(echo(token, self._seconds))
                end = self._judge(token, await connection.read())
            except (Malformed, OSError, TimeoutError) as error:
                end = f"{type(error).__name__}: {error}"
                self.wrong.append(f"request {token}: {end}")
            now = time.monotonic()
            self.ends.append((now, now - began, end))
            if not end.isdigit() and connection is not None:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _judge(self, token: str, answer: Answer | None) -> str:
        if answer is None:
            return "closed"
        if answer.status == 200 and f'"token":"{token}"' in answer.body.decode().replace(" ", ""):
            return "200"
        if answer.status == 500 and answer.body == b'{"message":"Internal Server Error"}':
            return "500"
        self.wrong.append(f"request {token}: {answer.status} {answer.body[:200]!r}")
        return str(answer.status)

    def counts(self) -> Counter[str]:
        return Counter(end for _, _, end in self.ends)

    def latencies(self) -> list[float]:
        return sorted(took for _, took, _ in self.ends)


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
