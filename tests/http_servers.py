"""A small HTTP server that answers as its test says, one connection a thread, and keeps what it was asked."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

CERTIFICATE = Path(__file__).parent / "tls.pem"  # of localhost, with its key, for tests alone


class Request(NamedTuple):
    """`connection` counts the connections of the server from 1; names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


def has_ipv6() -> bool:
    """Whether this machine has ::1, which some containers have not."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


class Cut(bytes):
    """Bytes after which the connection is closed."""


class Slow(bytes):
    """The beginning of an answer, of which `rest` gives more when more is to be sent."""

    rest: Iterator[bytes]

    def __new__(cls, beginning: bytes, rest: Iterator[bytes]) -> "Slow":
        made = super().__new__(cls, beginning)
        made.rest = rest
        return made


Answers = Callable[[Request], bytes]


class HttpServer:
    """`port` is where it listens, `requests` what has come so far."""

    def __init__(self, answers: Answers, is_secure: bool = False, host: str = "127.0.0.1") -> None:
        self.requests: list[Request] = []
        self._answers = answers
        self._listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._tls = context() if is_secure else None
        self._open: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _accept(self) -> None:
        threads = []
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                threads.append(threading.Thread(target=self._serve, args=(connection, len(self._open)), daemon=True))
                threads[-1].start()
        for thread in threads:
            thread.join()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as reader:
                while (request := read(reader, number)) is not None:
                    self.requests.append(request)
                    answer = self._answers(request)
                    connection.sendall(answer)
                    for piece in answer.rest if isinstance(answer, Slow) else ():
                        connection.sendall(piece)
                    if isinstance(answer, Cut):
                        return


def context(certificate: Path = CERTIFICATE) -> ssl.SSLContext:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    return server


def read(reader: BinaryIO, number: int) -> Request | None:
    """The next request; None when the other side has closed the connection."""
    first = reader.readline().decode("latin-1")
    if not first:
        return None
    method, target, _ = first.split()
    headers = {}
    while line := reader.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Request(method, target, headers, reader.read(int(headers.get("content-length", "0"))), number)


@contextlib.contextmanager
def serving(answers: Answers, is_secure: bool = False, host: str = "127.0.0.1") -> Iterator[HttpServer]:
    server = HttpServer(answers, is_secure, host)
    try:
        yield server
    finally:
        server.close()


def answer(status: int, body: bytes, headers: str = "") -> bytes:
    """An answer as it is sent."""
    return f"HTTP/1.1 {status} Told\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body
