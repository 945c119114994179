"""As little of HTTP/1.1 as a client of the Runtime API, of DynamoDB and of credentials needs, over one socket.

http.client alone would cost a cold start more than the rest of the runtime loop: its import takes about 50 ms. ssl is
imported where an address begins with https.
"""

from __future__ import annotations

from pilotlight.tuples import NamedTuple

try:
    import _socket
except ImportError:  # a Python without: slower, and the same
    import socket as _socket  # type: ignore[no-redef]

TYPE_CHECKING = False

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

_AT_ONCE = 262_144  # bytes that are received


class Endpoint(NamedTuple):
    """Where requests go. `path` is what comes before the path of each request."""

    host: str
    port: int
    path: str = ""
    is_secure: bool = False

    @property
    def authority(self) -> str:
        """The Host header: the port is left out where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_secure else 80) else f"{host}:{self.port}"


class Answer(NamedTuple):
    """The answer to a request; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def parse(url: str) -> Endpoint:
    """The endpoint that a URL without user, query and fragment names. Raises ValueError."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    host, port = _split(authority)
    is_odd = set(f"{host}{path}") & set("?#@\r\n \\") or (port and not (port.isdecimal() and int(port) < 65_536))
    if scheme not in ("http", "https") or not separator or not host or is_odd:
        raise ValueError(f"{url!r} is not a URL of the form http[s]://host[:port][/path]")
    is_secure = scheme == "https"
    return Endpoint(host, int(port or (443 if is_secure else 80)), f"{slash}{path}", is_secure)


def _split(authority: str) -> tuple[str, str]:
    if authority.startswith("["):  # IPv6
        host, bracket, rest = authority[1:].partition("]")
        return host if bracket else "", rest.removeprefix(":")
    host, _, port = authority.partition(":")
    return host, port


class Connection:
    """One kept-alive connection. `peer` is what error messages call the other side.

    `timeout` is in seconds, for connecting and for each wait for bytes; None is for ever. Methods raise OSError; when
    they have, the connection is of no further use.
    """

    def __init__(self, endpoint: Endpoint, peer: str, timeout: float | None = None) -> None:
        self._peer = peer
        family = _socket.AF_INET6 if ":" in endpoint.host else _socket.AF_INET
        self._socket = _kind(endpoint)(family, _socket.SOCK_STREAM)
        try:
            self._socket.settimeout(timeout)
            self._socket.connect((endpoint.host, endpoint.port))  # create_connection would import IDNA, for 3 ms
            self._socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            if endpoint.is_secure:
                self._socket = tls().wrap_socket(self._socket, server_hostname=endpoint.host)  # type: ignore[arg-type]
        except BaseException:
            self._socket.close()
            raise
        self._received = b""  # and not read yet

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> Answer:
        """The next answer, whole."""
        try:
            return self._receive()
        except (ValueError, IndexError):
            raise ConnectionError(f"{self._peer} answered what is not HTTP/1.1") from None

    def _receive(self) -> Answer:
        status_line, *lines = self._to(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        status = int(status_line.split(None, 2)[1])
        return Answer(status, headers, self._body(headers))

    def exchange(self, data: bytes) -> Answer:
        self.send(data)
        return self.receive()

    def close(self) -> None:
        self._socket.close()

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            return b"".join(iter(self._chunk, b""))
        return self._read(int(headers.get("content-length", "0")))

    def _chunk(self) -> bytes:
        size = int(self._to(b"\r\n").split(b";")[0], 16)
        chunk = self._read(size)
        self._to(b"\r\n")
        return chunk

    def _to(self, end: bytes) -> bytes:
        while end not in self._received:
            self._more()
        found, _, self._received = self._received.partition(end)
        return found

    def _read(self, size: int) -> bytes:
        parts = []
        while size > len(self._received):
            parts.append(self._received)
            size -= len(self._received)
            self._received = b""
            self._more(" in the middle of an answer")
        parts.append(self._received[:size])
        self._received = self._received[size:]
        return b"".join(parts)

    def _more(self, where: str = "") -> None:
        data = self._socket.recv(_AT_ONCE)
        if not data:
            raise ConnectionError(f"{self._peer} closed the connection{where}")
        self._received += data


def _kind(endpoint: Endpoint) -> type[_socket.socket]:
    """TLS asks for the `socket` of Python, which brings `enum` and `selectors` along."""
    if not endpoint.is_secure:
        return _socket.socket
    import socket

    return socket.socket


def request(method: str, endpoint: Endpoint, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """A request as it is sent, in one piece: with two, Nagle's rule would cost 40 ms."""
    length = {} if method == "GET" else {"Content-Length": str(len(body))}
    fields = {"Host": endpoint.authority, "User-Agent": "pilotlight", **headers, **length}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {endpoint.path}{path} HTTP/1.1\r\n{head}\r\n".encode("latin-1", "replace") + body


_contexts: list[ssl.SSLContext] = []


def tls() -> ssl.SSLContext:
    """One for the process: to read the certificates of the authorities takes 10 ms. AWS_CA_BUNDLE names others."""
    if not _contexts:
        import os
        import ssl

        _contexts.append(ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE")))
    return _contexts[0]
