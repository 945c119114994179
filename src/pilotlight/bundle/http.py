"""HTTP/1.1 with registries: connections kept for all threads, bodies from files, answers whole or piece by piece.

`http.client` does it: what a push needs (bodies of a known length from a file, answers that come before the body is
through, several connections) it has, and nothing of this ships to Lambda.
"""

import http.client
import select
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from email.message import Message
from pathlib import Path
from threading import Lock
from typing import NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from pilotlight.bundle.blobs import pieces

_TIMEOUT = 60.0  # seconds, for connecting and for each wait for bytes
_REDIRECTS = 5
_ANSWER_MAX = 4 << 20  # bytes of what is read whole: manifests have 4 MiB at most, distribution specification 1.1
_REDIRECTED = (301, 302, 303, 307, 308)

Take = Callable[[int, Iterator[bytes]], None]
"""What is done with the content of an answer, of which it is told the status."""


class Cut(Exception):
    """No answer, or a part of one: the connection was refused, broke off, or stood still."""


class Untrusted(Cut):
    """The server's certificate is not trusted: asking again does not help."""


class Slice(NamedTuple):
    """Bytes of a file as a body. `sent` is told how many have gone out, each time."""

    path: Path
    start: int
    stop: int
    sent: Callable[[int], None]

    def content(self) -> Iterator[bytes]:
        for piece in pieces(self.path, self.start, self.stop):
            for begin in range(0, len(piece), 1 << 16):
                part = piece[begin : begin + (1 << 16)]
                yield part
                self.sent(len(part))

    @property
    def length(self) -> int:
        return self.stop - self.start


class Request(NamedTuple):
    """`url` is absolute. Of answers with a status below 300 `take` is given the content as it comes, if it is set."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes | Slice = b""
    take: Take | None = None


class Answer(NamedTuple):
    """`headers` are found in any case; `url` is where the answer is from, after redirects."""

    status: int
    headers: Message
    body: bytes
    url: str


class Wire:
    """Connections that are open, by server. May be used by several threads."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, str], list[http.client.HTTPConnection]] = {}
        self._lock = Lock()
        self._tls: ssl.SSLContext | None = None

    def send(self, request: Request) -> Answer:
        """The answer, where redirects of a GET or HEAD end. Raises `Cut`, and what `take` does."""
        for _ in range(_REDIRECTS):
            answer = self._once(request)
            target = answer.headers.get("location")
            if answer.status not in _REDIRECTED or not target or request.method not in ("GET", "HEAD"):
                return answer
            request = _redirected(request, target)
        raise Cut(f"{request.url.partition('?')[0]} redirects again and again")

    def close(self) -> None:
        with self._lock:
            for connections in self._idle.values():
                while connections:
                    connections.pop().close()

    def _once(self, request: Request) -> Answer:
        place = urlsplit(request.url)
        connection = self._taken(place)
        is_whole = False
        try:
            answer, is_whole = _exchange(connection, place, request)
        except (OSError, http.client.HTTPException) as error:
            self.close()  # what was open to that server has most likely ended too
            raise _cut(error) from error
        finally:
            if not is_whole:
                connection.close()
        with self._lock:
            if is_whole:
                self._idle.setdefault(place[:2], []).append(connection)
        return answer

    def _taken(self, place: SplitResult) -> http.client.HTTPConnection:
        with self._lock:
            idle = self._idle.get(place[:2], [])
            while idle:
                connection = idle.pop()
                if not _is_ended(connection):
                    return connection
                connection.close()
            if place.scheme == "https" and self._tls is None:
                self._tls = ssl.create_default_context()
        return _opened(place, self._tls)


def _is_ended(connection: http.client.HTTPConnection) -> bool:
    """Whether the server has closed a connection on which nothing is awaited: then there is something to read."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def _opened(place: SplitResult, tls: ssl.SSLContext | None) -> http.client.HTTPConnection:
    """A connection that is not connected yet, through the proxy that HTTPS_PROXY names."""
    host, port = place.hostname or "", place.port
    if place.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
    proxy = urlsplit(getproxies().get("https", ""))
    if not proxy.hostname or proxy_bypass(place.netloc):
        return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT, context=tls)
    through = http.client.HTTPSConnection(proxy.hostname, proxy.port or 80, timeout=_TIMEOUT, context=tls)
    through.set_tunnel(host, port or 443)
    return through


def _exchange(connection: http.client.HTTPConnection, place: SplitResult, request: Request) -> tuple[Answer, bool]:
    """The answer, and whether the connection can be used again."""
    target = (place.path or "/") + (f"?{place.query}" if place.query else "")
    is_sent = _sent(connection, target, request)
    response = connection.getresponse()
    if request.take and response.status < 300:
        request.take(response.status, _content(response))
        body = b""
    else:
        body = response.read(_ANSWER_MAX)
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
    answer = Answer(response.status, response.headers, body, request.url)
    return answer, is_sent and response.isclosed() and not response.will_close


def _sent(connection: http.client.HTTPConnection, target: str, request: Request) -> bool:
    """Whether the request went out whole. A server that refuses it may answer before, and read no further."""
    body = request.body
    length = body.length if isinstance(body, Slice) else len(body)
    has_length = length or request.method in ("POST", "PUT", "PATCH")
    headers = {"User-Agent": "pilotlight", **request.headers, **({"Content-Length": str(length)} if has_length else {})}
    try:
        connection.request(request.method, target, body.content() if isinstance(body, Slice) else body or None, headers)
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True


def _content(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The pieces of an answer. Raises `http.client.IncompleteRead` when it ends early."""
    while piece := response.read1(1 << 18):
        yield piece
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)


def _redirected(request: Request, target: str) -> Request:
    """The same request elsewhere. Only the server that they are for is told the credentials."""
    url = urljoin(request.url, target)
    is_same = urlsplit(url)[:2] == urlsplit(request.url)[:2]
    headers = request.headers if is_same else {k: v for k, v in request.headers.items() if k != "Authorization"}
    return request._replace(url=url, headers=headers)


def _cut(error: Exception) -> Cut:
    match error:
        case TimeoutError():
            return Cut(f"it did not answer in {_TIMEOUT:.0f} s")
        case ssl.SSLCertVerificationError():
            return Untrusted(f"its certificate is not trusted: {error.verify_message}")
        case socket.gaierror():
            return Cut("its name is not known")
        case http.client.HTTPException():
            return Cut("the connection broke off")
        case OSError():
            return Cut(error.strerror or str(error))
    return Cut(str(error))
