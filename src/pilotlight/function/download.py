"""One GET whose answer is held to a size and a time: what is read from servers that are not ours.

`http1` trusts the other side, and reads whatever it sends. Here every wait is cut to what is left of one deadline, so
that a server which sends a byte a second gains nothing, and no byte is kept beyond a limit.
"""

from __future__ import annotations

import re
import socket
import time

from pilotlight.errors import InputTooLarge
from pilotlight.function.http1 import Endpoint, request
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from ssl import SSLContext
    from typing import Any, Self

_AT_ONCE = 262_144  # bytes that are received
_HEAD = 65_536  # bytes of the status line and the headers, and of the interim answers before them
_CHUNK_LINE = 1_024  # bytes of the size of a chunk, with its extensions


class Deadline:
    """A moment, `seconds` from now, after which nothing is waited for."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def remaining(self) -> float:
        """Seconds; below 0 when it is over."""
        return self._end - time.monotonic()

    def left(self) -> float:
        """Seconds, more than none. Raises TimeoutError."""
        remaining = self.remaining
        if remaining <= 0:
            raise TimeoutError
        return remaining


class Place(NamedTuple):
    """An address to connect to, as `socket` takes it."""

    family: int
    address: tuple[Any, ...]


class NotHttp(ConnectionError):
    """The other side does not speak HTTP/1.1, or breaks its rules."""


class Download:
    """The answer to a GET of `endpoint`, asked of the first of `places` that takes the connection, and of no other.

    `tls` is used where the endpoint is secure; the certificate has to be that of the endpoint's host. `connecting` is
    for the connection alone, where that is to take less time than the rest. Methods raise
    OSError: TimeoutError at the deadline, ssl.SSLError, `NotHttp`, or another when the connection fails.
    """

    status: int
    headers: dict[str, str]  # names in lower case; values that were sent under one name, joined by ", "

    def __init__(
        self,
        endpoint: Endpoint,
        places: Iterable[Place],
        headers: Mapping[str, str],
        deadline: Deadline,
        tls: SSLContext | None,
        connecting: Deadline | None = None,
    ) -> None:
        self._deadline = deadline
        self._received = bytearray()  # and not read yet
        self._socket = _connected(list(places), connecting or deadline)
        try:
            if tls is not None:
                self._socket.settimeout(deadline.left())
                self._socket = tls.wrap_socket(
                    self._socket, server_hostname=endpoint.host.encode()
                )  # bytes: without IDNA
            self._socket.settimeout(deadline.left())
            self._socket.sendall(request("GET", endpoint, "", {**headers, "Connection": "close"}))
            self.status, self.headers = self._head()
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def read(self, most: int) -> bytes:
        """The body. Raises `InputTooLarge` when it has more than `most` bytes: before any is read, if it says so."""
        coding, length = self.headers.get("transfer-encoding"), self.headers.get("content-length")
        if coding is not None:
            if coding.lower() != "chunked" or length is not None:  # RFC 9112, 6.3: both at once are an error
                raise NotHttp("a transfer coding other than chunked")
            return self._chunks(most)
        if length is None:
            return self._rest(most)
        if not re.fullmatch("[0-9]{1,15}", length):
            raise NotHttp("a length that is no number")
        _check(int(length), most)
        return self._take(int(length))

    def pieces(self, seconds: float) -> Iterator[bytes]:
        """The body as it comes, of any size; each piece is waited for `seconds` at most, whatever the deadline was."""
        coding, length = self.headers.get("transfer-encoding"), self.headers.get("content-length")
        if coding is None and re.fullmatch("[0-9]{1,15}", length or ""):
            yield from self._part(int(length or 0), seconds)
            return
        if coding is None or coding.lower() != "chunked" or length is not None:
            raise NotHttp("a body without a length")
        while size := self._size_of_chunk():
            yield from self._part(size, seconds)
            if self._take(2) != b"\r\n":
                raise NotHttp("a chunk of another size")

    def _part(self, size: int, seconds: float) -> Iterator[bytes]:
        while size:
            self._deadline = Deadline(seconds)
            if not self._received:
                self._need_more()
            piece = self._take(min(size, len(self._received)))
            size -= len(piece)
            yield piece

    def _head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the answer, behind the interim ones (RFC 9110, 15.2)."""
        left = _HEAD
        while True:
            text = self._to(b"\r\n\r\n", left).decode("latin-1")
            left -= len(text)
            first, *lines = text.split("\r\n")
            found = re.fullmatch(r"HTTP/1\.[01] ([1-9][0-9]{2})(?: .*)?", first)
            if found is None:
                raise NotHttp("another status line")
            if not 100 <= int(found[1]) < 200:
                return int(found[1]), _fields(lines)

    def _chunks(self, most: int) -> bytes:
        body = bytearray()
        while size := self._size_of_chunk():
            _check(len(body) + size, most)
            body += self._take(size)
            if self._take(2) != b"\r\n":
                raise NotHttp("a chunk of another size")
        return bytes(body)

    def _size_of_chunk(self) -> int:
        written = self._to(b"\r\n", _CHUNK_LINE).partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", written):  # int() takes signs and underscores too
            raise NotHttp("a chunk without a size")
        return int(written, 16)

    def _rest(self, most: int) -> bytes:
        _check(len(self._received), most)
        while self._more():
            _check(len(self._received), most)
        return bytes(self._received)

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            self._need_more()
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _to(self, end: bytes, most: int) -> bytes:
        """What comes before `end`, within `most` bytes."""
        while (place := self._received.find(end, 0, most)) < 0:
            if len(self._received) >= most:
                raise NotHttp("a head without an end")
            self._need_more()
        return self._take(place + len(end))[:place]

    def _need_more(self) -> None:
        if not self._more():
            raise ConnectionError("closed in the middle of an answer")

    def _more(self) -> bool:
        self._socket.settimeout(self._deadline.left())
        data = self._socket.recv(_AT_ONCE)
        self._received += data
        return bool(data)


def _fields(lines: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or set(value) & set("\r\n\0"):
            raise NotHttp("a line that is no header")
        name, value = name.lower(), value.strip(" \t")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def _check(size: int, most: int) -> None:
    if size > most:
        raise InputTooLarge(f"holds more than {most:,} bytes")


def _connected(places: list[Place], deadline: Deadline) -> socket.socket:
    """A connection to the first of `places` that takes one; each has its share of the time that is left."""
    problem: OSError = ConnectionError("there is no address")
    for number, place in enumerate(places):
        try:
            return _connection(place, deadline.left() / (len(places) - number))
        except OSError as error:
            problem = error
    deadline.left()
    raise problem


def _connection(place: Place, seconds: float) -> socket.socket:
    connection = socket.socket(place.family, socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        connection.connect(place.address)
    except BaseException:
        connection.close()
        raise
    return connection
