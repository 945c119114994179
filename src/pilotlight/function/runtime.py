"""The runtime loop: Lambda's Runtime API on one side, the user's handler on the other.

    python -c "from pilotlight.function.runtime import main; main()"

Error types and texts are those of `awslambdaric`, with which this loop is interchangeable, but for one thing: an
`@endpoint` whose function is a generator streams its answer behind a function URL that streams. A plain handler that is
a generator is an error, as it is on Lambda. Protocol: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
"""

import io
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

from pilotlight.errors import InputError, PilotlightError
from pilotlight.function import trace
from pilotlight.function.runtime_client import Event, RuntimeApi, Stream

INVOKE_MODE = "PILOTLIGHT_INVOKE_MODE"  # the variable that says how the function's URL invokes it
_PACKAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")

Handler = Callable[[Any, "Context"], object]


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
        "can_stream",
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
        self.can_stream = environ.get(INVOKE_MODE) == "RESPONSE_STREAM"  # for @endpoint; Lambda's has no such name
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
    trace.mark("loaded")
    try:
        while True:
            serve_one(api, handler)
            trace.write()
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
        answer = handler(_decode_event(event.payload), Context(event, os.environ))
        payload = answer if isinstance(answer, Stream) else _encode_answer(answer)
    except Exception as error:  # the boundary to user code: whatever it raised is its error, not ours
        _log(error)
        _flush()
        api.fail(event.request_id, {**describe_error(error), "requestId": event.request_id})
        return
    if isinstance(payload, Stream):
        _stream(api, event.request_id, payload)
    else:
        _flush()
        api.respond(event.request_id, payload)


def _stream(api: RuntimeApi, request_id: str, stream: Stream) -> None:
    """Post an answer chunk by chunk, as the handler makes it; what it raises then ends the answer where it is."""
    api.begin_stream(request_id, stream.head)
    while True:
        try:
            chunk = next(stream.chunks, None)
        except Exception as error:  # the boundary to user code, as above
            _log(error)
            _flush()
            api.end_stream({**describe_error(error), "requestId": request_id})
            return
        if chunk is None:
            break
        api.send_chunk(chunk)
    _flush()
    api.end_stream()


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
