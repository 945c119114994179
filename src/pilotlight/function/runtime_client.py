"""A client of Lambda's Runtime API, which is HTTP without TLS on loopback.

Protocol: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, and for streamed answers
.../dg/runtimes-custom.html#runtimes-custom-response-streaming.
"""

from __future__ import annotations

from pilotlight.function import plain_json
from pilotlight.function.http1 import Connection, Endpoint
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


RECORD = "pilotlight-record"  # the header of an answer's record, where Pilotlight serves the Runtime API
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
        self._connection = Connection(Endpoint(host, int(port or 80)), "the Runtime API")
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

    def respond(self, request_id: str, payload: bytes, headers: str = "") -> None:
        """Answer an invocation, with the request for the next event at the latest. `headers` are whole lines."""
        self._hold("POST", f"/invocation/{request_id}/response", payload, headers)
        if len(payload) > _SMALL:
            self.flush()

    def flush(self) -> None:
        """Send the answer now."""
        held, self._held = self._held, b""
        if held:
            self._connection.send(held)

    def begin_stream(self, request_id: str, head: Mapping[str, object]) -> None:
        """Begin an answer to be streamed: `send_chunk` as often as there is one, then `end_stream`."""
        path = f"/invocation/{request_id}/response"
        self._connection.send(self._head("POST", path, _STREAMING) + _chunk(plain_json.dumps(head).encode() + _NULS))

    def send_chunk(self, chunk: bytes) -> None:
        """Send a chunk, which must not be empty. Waits where the client of the function is slower than the function."""
        self._connection.send(_chunk(chunk))

    def end_stream(self, error: Mapping[str, object] | None = None) -> None:
        """End the answer, as one that broke off when `error` is given."""
        self._connection.send(f"0\r\n{_trailers(error) if error else ''}\r\n".encode("latin-1", "replace"))
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
        body = plain_json.dumps(error).encode()
        self._exchange("POST", path, body, f"Lambda-Runtime-Function-Error-Type: {kind or error['errorType']}\r\n")

    def close(self) -> None:
        self._connection.close()

    def _exchange(self, method: str, path: str, body: bytes = b"", extra: str = "") -> tuple[dict[str, str], bytes]:
        self._hold(method, path, body, extra)
        return self._finish()

    def _finish(self) -> tuple[dict[str, str], bytes]:
        """Send what is held; the last of the answers."""
        self.flush()
        while len(self._unread) > 1:
            self._read_answer(self._unread.pop(0), may_be_refused=True)
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

    def _read_answer(self, operation: str, *, may_be_refused: bool = False) -> tuple[dict[str, str], bytes]:
        """An answer to an invocation may be refused where the function has answered by itself before: the next event,
        which was asked for along with it, comes all the same."""
        status, headers, answer = self._connection.receive()
        is_refused = may_be_refused and 400 <= status < 500
        if status >= 300 and status != 413 and not is_refused:  # 413: too large, and Lambda has told the caller so
            raise ConnectionError(f"{operation}: the Runtime API answered {status}: {answer[:200]!r}")
        return headers, answer


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _trailers(error: Mapping[str, object]) -> str:
    import binascii

    body = binascii.b2a_base64(plain_json.dumps(error).encode(), newline=False).decode()
    kind = f"Lambda-Runtime-Function-Error-Type: {error['errorType']}\r\n"
    return f"{kind}Lambda-Runtime-Function-Error-Body: {body}\r\n"
