"""A client of Lambda's Runtime API: as little of HTTP/1.1 as the runtime loop needs, over one socket.

The Runtime API is without TLS on loopback: http.client alone would cost a cold start more than the rest of the loop
(its import takes about 50 ms). Protocol: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, and for streamed
answers .../dg/runtimes-custom.html#runtimes-custom-response-streaming.
"""

import binascii
import json
import socket
from collections.abc import Iterator, Mapping
from typing import NamedTuple

API = "/2018-06-01/runtime"
_NULS = bytes(8)  # end the prelude
_SMALL = 65_536  # bytes: an answer up to which is sent together with what comes after it
_STREAMING = (
    "Content-Type: application/vnd.awslambda.http-integration-response\r\n"
    "Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n"
    "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n"
)


class Event(NamedTuple):
    """One invocation, as `GET /runtime/invocation/next` gives it. `deadline` is in milliseconds since the epoch."""

    request_id: str
    payload: bytes
    deadline: int = 0
    arn: str = ""
    trace_id: str = ""
    client_context: str = ""
    identity: str = ""
    tenant_id: str = ""


class Stream(NamedTuple):
    """An answer that is sent while it is made. `head` has `statusCode`, `headers` and `cookies`; no chunk is empty."""

    head: Mapping[str, object]
    chunks: Iterator[bytes]


class RuntimeApi:
    """A client of the Runtime API over one kept-alive connection.

    What `respond` is given goes out with the request for the next event, in one write, and the Runtime API's word on it
    is read with that event: HTTP/1.1 pipelining (RFC 9112, 9.3.2). For a small function the two round trips that this
    saves were half of what its environment did (docs/decisions/0017-a-front-and-a-runtime-in-few-steps.md). Where
    something is to be done between an answer and the next event, `flush` sends the answer before.

    Raises `ConnectionError` when the other side is gone or refuses.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.partition(":")
        self._host = address
        self._socket = socket.socket()
        self._socket.connect((host, int(port or 80)))  # create_connection would import IDNA, for 3 ms
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""  # and not read yet
        self._held = b""  # to be sent
        self._next = self._head("GET", "/invocation/next")
        self._unread: list[str] = []  # the operations whose answers are

    def next(self) -> Event:
        """The next invocation; waits for it as long as it takes."""
        self._held += self._next
        self._unread.append("GET /invocation/next")
        headers, payload = self._finish()
        return Event(
            headers["lambda-runtime-aws-request-id"],
            payload,
            int(headers.get("lambda-runtime-deadline-ms", "0")),
            headers.get("lambda-runtime-invoked-function-arn", ""),
            headers.get("lambda-runtime-trace-id", ""),
            headers.get("lambda-runtime-client-context", ""),
            headers.get("lambda-runtime-cognito-identity", ""),
            headers.get("lambda-runtime-aws-tenant-id", ""),
        )

    def respond(self, request_id: str, payload: bytes) -> None:
        """Answer an invocation, with the request for the next event at the latest."""
        self._hold("POST", f"/invocation/{request_id}/response", payload)
        if len(payload) > _SMALL:
            self.flush()

    def flush(self) -> None:
        """Send the answer now."""
        held, self._held = self._held, b""
        if held:
            self._socket.sendall(held)

    def begin_stream(self, request_id: str, head: Mapping[str, object]) -> None:
        """Begin an answer to be streamed: `send_chunk` as often as there is one, then `end_stream`."""
        path = f"/invocation/{request_id}/response"
        self._socket.sendall(self._head("POST", path, _STREAMING) + _chunk(json.dumps(head).encode() + _NULS))

    def send_chunk(self, chunk: bytes) -> None:
        """Send a chunk, which must not be empty. Waits where the client of the function is slower than the function."""
        self._socket.sendall(_chunk(chunk))

    def end_stream(self, error: Mapping[str, object] | None = None) -> None:
        """End the answer, as one that broke off when `error` is given."""
        self._socket.sendall(f"0\r\n{_trailers(error) if error else ''}\r\n".encode("latin-1", "replace"))
        self._read_answer("streaming an answer")

    def fail(self, request_id: str, error: Mapping[str, object]) -> None:
        self._report(f"/invocation/{request_id}/error", error)

    def fail_init(self, error: Mapping[str, object], kind: str = "") -> None:
        self._report("/init/error", error, kind)

    def await_restore(self) -> None:
        """Say that the snapshot can be taken; returns where and when it has been restored."""
        self._exchange("GET", "/restore/next")

    def fail_restore(self, error: Mapping[str, object]) -> None:
        self._report("/restore/error", error, "Runtime.AfterRestoreError")

    def _report(self, path: str, error: Mapping[str, object], kind: str = "") -> None:
        body = json.dumps(error).encode()
        self._exchange("POST", path, body, f"Lambda-Runtime-Function-Error-Type: {kind or error['errorType']}\r\n")

    def close(self) -> None:
        self._socket.close()

    def _exchange(self, method: str, path: str, body: bytes = b"", extra: str = "") -> tuple[dict[str, str], bytes]:
        self._hold(method, path, body, extra)
        return self._finish()

    def _finish(self) -> tuple[dict[str, str], bytes]:
        """Send what is held; the last of the answers."""
        self.flush()
        while len(self._unread) > 1:
            self._read_answer(self._unread.pop(0))
        return self._read_answer(self._unread.pop())

    def _hold(self, method: str, path: str, body: bytes, extra: str = "") -> None:
        """A request in one piece: written in two, Nagle's rule costs 40 ms."""
        length = "" if method == "GET" else f"Content-Length: {len(body)}\r\n"
        self._held += self._head(method, path, f"Content-Type: application/json\r\n{length}{extra}") + body
        self._unread.append(f"{method} {path}")

    def _head(self, method: str, path: str, headers: str = "") -> bytes:
        """`headers` are whole lines."""
        head = f"{method} {API}{path} HTTP/1.1\r\nHost: {self._host}\r\nUser-Agent: pilotlight\r\n{headers}\r\n"
        return head.encode("latin-1", "replace")

    def _read_answer(self, operation: str) -> tuple[dict[str, str], bytes]:
        status, headers = self._read_head()
        answer = self._read_body(headers)
        if status >= 300 and status != 413:  # 413: the answer was too large and Lambda has told the caller so
            raise ConnectionError(f"{operation}: the Runtime API answered {status}: {answer[:200]!r}")
        return headers, answer

    def _read_head(self) -> tuple[int, dict[str, str]]:
        status_line, *lines = self._read_to(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return int(status_line.split(None, 2)[1]), headers

    def _read_body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            return b"".join(iter(self._read_chunk, b""))
        return self._read(int(headers.get("content-length", "0")))

    def _read_chunk(self) -> bytes:
        size = int(self._read_to(b"\r\n").split(b";")[0], 16)
        chunk = self._read(size)
        self._read_to(b"\r\n")
        return chunk

    def _read_to(self, end: bytes) -> bytes:
        while end not in self._received:
            self._receive()
        found, _, self._received = self._received.partition(end)
        return found

    def _read(self, size: int) -> bytes:
        if size <= len(self._received):
            data, self._received = self._received[:size], self._received[size:]
            return data
        parts = [self._received]
        missing = size - len(self._received)
        while missing > 0:
            self._received = b""
            self._receive()
            parts.append(self._received[:missing])
            missing, self._received = missing - len(parts[-1]), self._received[missing:]
        return b"".join(parts)

    def _receive(self) -> None:
        data = self._socket.recv(262_144)
        if not data:
            raise ConnectionError("the Runtime API closed the connection")
        self._received += data


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _trailers(error: Mapping[str, object]) -> str:
    body = binascii.b2a_base64(json.dumps(error).encode(), newline=False).decode()
    kind = f"Lambda-Runtime-Function-Error-Type: {error['errorType']}\r\n"
    return f"{kind}Lambda-Runtime-Function-Error-Body: {body}\r\n"
