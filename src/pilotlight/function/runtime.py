"""The runtime loop: Lambda's Runtime API on one side, the user's handler on the other.

    python -c "from pilotlight.function.runtime import main; main()"

The Runtime API is plain HTTP/1.1 on loopback, so the client is a socket: http.client alone would cost a cold start
more than the rest of this loop (its import takes about 50 ms). Error types and texts are those of `awslambdaric`, with
which this loop is interchangeable. Protocol: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
"""

import io
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, BinaryIO, NamedTuple, NoReturn

from pilotlight.errors import InputError, PilotlightError

API = "/2018-06-01/runtime"
_PACKAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")

Handler = Callable[[Any, "Context"], object]


class Event(NamedTuple):
    """One invocation, as `GET /runtime/invocation/next` gives it. `deadline` is in milliseconds since the epoch."""

    request_id: str
    payload: bytes
    deadline: int = 0
    arn: str = ""
    trace_id: str = ""
    client_context: str = ""
    identity: str = ""


class Identity(NamedTuple):
    """Who called, when a mobile SDK did: `context.identity`."""

    cognito_identity_id: str | None = None
    cognito_identity_pool_id: str | None = None


class ClientContext(NamedTuple):
    """What a mobile SDK, or any caller of the Invoke API, sent along: `context.client_context`."""

    client: dict[str, object] | None = None
    custom: dict[str, object] | None = None
    env: dict[str, object] | None = None


class Context:
    """The second argument of a handler, with the names that Lambda's Python runtime gives it.

    Source: docs.aws.amazon.com/lambda/latest/dg/python-context.html.
    """

    __slots__ = (
        "_deadline",
        "aws_request_id",
        "client_context",
        "function_name",
        "function_version",
        "identity",
        "invoked_function_arn",
        "log_group_name",
        "log_stream_name",
        "memory_limit_in_mb",
    )

    def __init__(self, event: Event, environ: Mapping[str, str]) -> None:
        self.aws_request_id = event.request_id
        self.invoked_function_arn = event.arn
        self.function_name = environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
        self.function_version = environ.get("AWS_LAMBDA_FUNCTION_VERSION", "")
        self.memory_limit_in_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
        self.log_group_name = environ.get("AWS_LAMBDA_LOG_GROUP_NAME", "")
        self.log_stream_name = environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")
        self.identity = _identity(event.identity)
        self.client_context = _client_context(event.client_context)
        self._deadline = event.deadline

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda stops this invocation, never below 0."""
        return max(0, self._deadline - time.time_ns() // 1_000_000)


def _identity(header: str) -> Identity:
    fields = json.loads(header) if header else {}
    return Identity(fields.get("cognitoIdentityId"), fields.get("cognitoIdentityPoolId"))


def _client_context(header: str) -> ClientContext | None:
    fields = json.loads(header) if header else None
    if not isinstance(fields, dict):
        return None
    return ClientContext(fields.get("client"), fields.get("custom"), fields.get("env"))


class RuntimeApi:
    """A client of the Runtime API over one kept-alive connection.

    Raises `ConnectionError` when the other side is gone or refuses.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.partition(":")
        self._host = address
        self._socket = socket.create_connection((host, int(port or 80)))
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
        )

    def respond(self, request_id: str, payload: bytes) -> None:
        self._exchange("POST", f"/invocation/{request_id}/response", payload)

    def fail(self, request_id: str, error: Mapping[str, object]) -> None:
        self._report(f"/invocation/{request_id}/error", error)

    def fail_init(self, error: Mapping[str, object]) -> None:
        self._report("/init/error", error)

    def _report(self, path: str, error: Mapping[str, object]) -> None:
        body = json.dumps(error).encode()
        self._exchange("POST", path, body, f"Lambda-Runtime-Function-Error-Type: {error['errorType']}\r\n")

    def _exchange(self, method: str, path: str, body: bytes = b"", extra: str = "") -> tuple[dict[str, str], bytes]:
        head = (
            f"{method} {API}{path} HTTP/1.1\r\nHost: {self._host}\r\nUser-Agent: pilotlight\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
        )
        self._socket.sendall(head.encode("latin-1", "replace") + body)  # one write: with two, Nagle's rule costs 40 ms
        status, headers = self._read_head()
        answer = self._read_body(headers)
        if status >= 300 and status != 413:  # 413: the answer was too large and Lambda has told the caller so
            raise ConnectionError(f"{method} {path}: the Runtime API answered {status}: {answer[:200]!r}")
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


def main() -> NoReturn:
    """Load the handler named by `_HANDLER`, then serve invocations until the environment is stopped."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a line is in the log even when the process dies after it
    api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        handler = load(os.environ["_HANDLER"], os.environ.get("LAMBDA_TASK_ROOT", os.getcwd()))
    except Exception as error:  # the boundary to user code: whatever its import raised is an init error
        _log(error)
        api.fail_init(describe_error(error))
        sys.exit(1)
    try:
        while True:
            serve_one(api, handler)
    except ConnectionError:
        sys.exit(0)  # Lambda is gone, and this environment with it


def serve_one(api: RuntimeApi, handler: Handler) -> None:
    """Take one invocation, run the handler, post its answer or its error."""
    event = api.next()
    if event.trace_id:
        os.environ["_X_AMZN_TRACE_ID"] = event.trace_id
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    try:
        answer = _encode_answer(handler(_decode_event(event.payload), Context(event, os.environ)))
    except Exception as error:  # the boundary to user code: whatever it raised is its error, not ours
        _log(error)
        _flush()
        api.fail(event.request_id, {**describe_error(error), "requestId": event.request_id})
        return
    _flush()
    api.respond(event.request_id, answer)


class Fault(Exception):
    """A failure that Lambda itself has a name for: `kind` becomes the error's `errorType`."""

    def __init__(self, kind: str, message: str, trace: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.kind = kind
        self.trace = trace


def load(name: str, task_root: str) -> Handler:
    """The handler that `name` means: `inference/qa.handler` is `handler` in `inference/qa.py` below the task root."""
    path, dot, attribute = name.rpartition(".")
    if not dot or not path:
        raise Fault("Runtime.MalformedHandlerName", f"Bad handler '{name}': expected file.function")
    if task_root not in sys.path:
        sys.path.insert(0, task_root)
    module = _import(path.replace("/", "."))
    try:
        handler: Handler = getattr(module, attribute)
    except AttributeError:
        text = f"Handler '{attribute}' missing on module '{module.__name__}'"
        raise Fault("Runtime.HandlerNotFound", text) from None
    return handler


def _import(name: str) -> ModuleType:
    try:
        __import__(name)
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{name}': {error}") from error
    except SyntaxError as error:
        place = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        raise Fault("Runtime.UserCodeSyntaxError", f"Syntax error in module '{name}': {error}", (place,)) from error
    return sys.modules[name]


def describe_error(error: BaseException) -> dict[str, object]:
    """The error object that Lambda passes to the caller: `errorType`, `errorMessage`, `stackTrace`."""
    match error:
        case Fault():
            return {"errorMessage": str(error), "errorType": error.kind, "stackTrace": error.trace}
        case InputError():  # for the caller to mend: where in the function it was noticed is of no use to anyone
            return {"errorMessage": str(error), "errorType": "InputError", "stackTrace": ()}
        case PilotlightError(hint=hint) if hint:
            message = f"{error} ({hint})"
        case _:
            message = str(error)
    return {"errorMessage": message, "errorType": type(error).__name__, "stackTrace": _stack(error)}


def _stack(error: BaseException) -> list[str]:
    """The frames of the user's code and its libraries, as `traceback` prints them; Pilotlight's own say nothing."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    return traceback.format_list([frame for frame in frames if not frame.filename.startswith(_PACKAGE)])


def _log(error: BaseException) -> None:
    described = describe_error(error)
    stack = "" if isinstance(error, InputError) else "".join(_stack(error.__cause__ or error))
    heading = "Traceback (most recent call last):\n" if stack else ""
    sys.stderr.write(f"[ERROR] {described['errorType']}: {described['errorMessage']}\n{heading}{stack}")


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _decode_event(payload: bytes) -> object:
    try:
        return json.loads(payload)
    except ValueError as error:
        raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from error


def _encode_answer(answer: object) -> bytes:
    if isinstance(answer, bytes):
        return answer
    try:
        return json.dumps(answer, ensure_ascii=False, default=_encode_decimal).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from error


def _encode_decimal(value: object) -> float:
    """boto3 reads DynamoDB's numbers as Decimal, which Lambda's runtime answers as numbers."""
    if type(value).__name__ != "Decimal":
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
    integer = int(value)  # type: ignore[call-overload]
    return integer if integer == value else float(value)  # type: ignore[arg-type]
