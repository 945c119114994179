"""A client of Lambda's Runtime API: as little of HTTP/1.1 as the runtime loop needs, over one socket.

The Runtime API is without TLS on loopback: http.client alone would cost a cold start more than the rest of the loop
(its import takes about 50 ms). Protocol: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, and for streamed
answers .../dg/runtimes-custom.html#runtimes-custom-response-streaming.
"""

import binascii
import json
import socket
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

API = "/2018-06-01/runtime"
_PRELUDE = "application/vnd.awslambda.http-integration-response"
_NULS = bytes(8)  # end the prelude
_STREAMING = (
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

    Raises `ConnectionError` when the other side is gone or refuses.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.partition(":")
        self._host = address
        self._socket = socket.socket()
        self._socket.connect((host, int(port or 80)))  # create_connection would import IDNA, for 3 ms
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader: BinaryIO = self._socket.makefile("rb")

    def next(self) -> Event:
        """The next invocation; waits for it as long as it takes."""
        headers, payload = self._exchange("GET", "/invocation/next")
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
        self._exchange("POST", f"/invocation/{request_id}/response", payload)

    def begin_stream(self, request_id: str, head: Mapping[str, object]) -> None:
        """Begin an answer to be streamed: `send_chunk` as often as there is one, then `end_stream`."""
        path = f"/invocation/{request_id}/response"
        self._socket.sendall(self._head("POST", path, _PRELUDE, _STREAMING) + _chunk(json.dumps(head).encode() + _NULS))

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
        self._reader.close()
        self._socket.close()

    def _exchange(self, method: str, path: str, body: bytes = b"", extra: str = "") -> tuple[dict[str, str], bytes]:
        head = self._head(method, path, "application/json", f"Content-Length: {len(body)}\r\n{extra}")
        self._socket.sendall(head + body)  # one write: with two, Nagle's rule costs 40 ms
        return self._read_answer(f"{method} {path}")

    def _head(self, method: str, path: str, content_type: str, extra: str) -> bytes:
        head = (
            f"{method} {API}{path} HTTP/1.1\r\nHost: {self._host}\r\nUser-Agent: pilotlight\r\n"
            f"Content-Type: {content_type}\r\n{extra}\r\n"
        )
        return head.encode("latin-1", "replace")

    def _read_answer(self, operation: str) -> tuple[dict[str, str], bytes]:
        status, headers = self._read_head()
        answer = self._read_body(headers)
        if status >= 300 and status != 413:  # 413: the answer was too large and Lambda has told the caller so
            raise ConnectionError(f"{operation}: the Runtime API answered {status}: {answer[:200]!r}")
        return headers, answer

    def _read_head(self) -> tuple[int, dict[str, str]]:
        status_line = self._reader.readline()
        if not status_line:
            raise ConnectionError("the Runtime API closed the connection")
        headers = {}
        while (line := self._reader.readline().rstrip(b"\r\n")) != b"":
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return int(status_line.split(None, 2)[1]), headers

    def _read_body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            return b"".join(iter(self._read_chunk, b""))
        return self._read(int(headers.get("content-length", "0")))

    def _read_chunk(self) -> bytes:
        size = int(self._reader.readline().split(b";")[0] or b"0", 16)
        chunk = self._read(size)
        self._reader.readline()
        return chunk

    def _read(self, size: int) -> bytes:
        data = self._reader.read(size)
        if len(data) < size:
            raise ConnectionError("the Runtime API closed the connection in the middle of an answer")
        return data


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _trailers(error: Mapping[str, object]) -> str:
    body = binascii.b2a_base64(json.dumps(error).encode(), newline=False).decode()
    kind = f"Lambda-Runtime-Function-Error-Type: {error['errorType']}\r\n"
    return f"{kind}Lambda-Runtime-Function-Error-Body: {body}\r\n"
