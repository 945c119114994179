"""The runtime loop: Lambda's Runtime API on one side, the user's handler on the other.

    python -c "from pilotlight.function.runtime import main; main()"

Error types and texts are those of `awslambdaric`, with which this loop is interchangeable; tests/conformance lists
where they differ. An `@endpoint` whose function is a generator streams its answer behind a function URL that streams. A
plain handler that is a generator is an error, as it is on Lambda. Protocol:
docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.

`main` is `initialise`, then `run`. Between the two a process may be forked or stored, as SnapStart does: what is
loaded knows neither the Runtime API's address nor anything else that only `run` reads.
"""

from __future__ import annotations

import gc
import io
import os
import sys
import time
from types import ModuleType

from pilotlight.function import plain_json, trace
from pilotlight.function.runtime_client import Event, RuntimeApi, Stream
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn

    from pilotlight.function.told import TellingApi

    Handler = Callable[[Any, "Context"], object]

INVOKE_MODE = "PILOTLIGHT_INVOKE_MODE"  # the variable that says how the function's URL invokes it
RECORDS = "PILOTLIGHT_RECORDS"  # the variable that is set where invocations are recorded
HANDLER = "PILOTLIGHT_HANDLER"  # and the user's handler, where `awslambdaric` has one of ours in its place
INITIALIZATION = "AWS_LAMBDA_INITIALIZATION_TYPE"
TOLD = (  # one of these variables is set where somebody is told of invocations: `told`
    *("PILOTLIGHT_METRICS", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
)
_INIT_OBJECTS = 50_000  # that the init phase makes before Python looks for unreachable ones among them
request_id = ""  # of the invocation that runs, else of the last one


class Identity(NamedTuple):
    """Who called, when a mobile SDK did: `context.identity`."""

    cognito_identity_id: str | None = None
    cognito_identity_pool_id: str | None = None


class Client(NamedTuple):
    """The app that called: `context.client_context.client`."""

    installation_id: str | None = None
    app_title: str | None = None
    app_version_name: str | None = None
    app_version_code: str | None = None
    app_package_name: str | None = None


class ClientContext(NamedTuple):
    """What a mobile SDK, or any caller of the Invoke API, sent along: `context.client_context`."""

    client: Client | None = None
    custom: dict[str, object] | None = None
    env: dict[str, object] | None = None


class Context:
    """The second argument of a handler, with the names that Lambda's Python runtime gives it.

    Source: docs.aws.amazon.com/lambda/latest/dg/python-context.html.
    """

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
        self.tenant_id = event.tenant_id or None
        self._deadline = event.deadline

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda stops this invocation, never below 0."""
        return max(0, self._deadline - time.time_ns() // 1_000_000)

    def log(self, message: object) -> None:
        """Write to the log, without the end of a line."""
        sys.stdout.write(str(message))


def _identity(header: str) -> Identity:
    fields = _decode_header(header, "Cognito Identity") or {}
    return Identity(fields.get("cognitoIdentityId"), fields.get("cognitoIdentityPoolId"))


def _client_context(header: str) -> ClientContext | None:
    fields = _decode_header(header, "Client Context")
    if fields is None:
        return None
    client = fields.get("client")
    app = None if client is None else Client(*(client.get(name) for name in Client._fields))
    return ClientContext(app, fields.get("custom"), fields.get("env"))


def _decode_header(header: str, name: str) -> Any:
    try:
        return plain_json.loads(header) if header else None
    except ValueError as error:
        raise Fault("Runtime.LambdaContextUnmarshalError", f"Unable to parse {name} JSON: {error}") from error


def main() -> NoReturn:
    """Load the handler named by `_HANDLER`, then serve invocations until the environment is stopped."""
    workers = int(os.environ.get("AWS_LAMBDA_MAX_CONCURRENCY", "1"))
    if workers > 1:
        from pilotlight.function.workers import fork

        fork(workers)
    try:
        handler = initialise(os.environ)
    except Exception as error:  # the boundary to user code: whatever its import raised is an init error
        from pilotlight.function.failures import fail_init

        fail_init(error)
    run(handler)


def initialise(environ: Mapping[str, str]) -> Handler:
    """The init phase: load the handler and, for SnapStart, run the hooks that come before the snapshot.

    Raises whatever the user's code raised, `Fault`, or `snapstart.HookError`; `failures.fail_init` reports them.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a line is in the log even when the process dies after it
    _watch_for_logging()
    handler = _uncollected(environ["_HANDLER"], environ.get("LAMBDA_TASK_ROOT", os.getcwd()))
    if environ.get(INITIALIZATION) == "snap-start":
        from pilotlight.function.snapstart import run_before_snapshot

        run_before_snapshot()
    trace.mark("loaded")
    return handler


def _uncollected(name: str, task_root: str) -> Handler:
    """`load`, whose modules stay: Python's collector would look through them again and again, and find nothing."""
    if not hasattr(gc, "set_threshold"):  # PyPy
        return load(name, task_root)
    before = gc.get_threshold()
    gc.set_threshold(_INIT_OBJECTS, *before[1:])
    try:
        return load(name, task_root)
    finally:
        if gc.get_threshold()[0] == _INIT_OBJECTS:  # else the function has set its own
            gc.set_threshold(*before)


def run(handler: Handler) -> NoReturn:
    """Serve invocations; the address of the Runtime API, and all else, is what the environment's variables say now."""
    address = os.environ["AWS_LAMBDA_RUNTIME_API"]
    try:
        if os.environ.get(INITIALIZATION) == "snap-start":
            from pilotlight.function.snapstart import restore

            restore(RuntimeApi(address))
        # after a restore a new connection: what was open when the snapshot was taken may be stale
        api: RuntimeApi | TellingApi
        api, handler = _recorded(address, handler) if RECORDS in os.environ else (RuntimeApi(address), handler)
        if any(name in os.environ for name in TOLD):
            api = _telling(api)
        if trace.is_on():
            api, handler = _traced(api, handler)
        while True:
            serve_one(api, handler)
    except ConnectionError:
        sys.exit(0)  # Lambda is gone, and this environment with it


def _recorded(address: str, handler: Handler) -> tuple[RuntimeApi, Handler]:
    from pilotlight.errors import TableError
    from pilotlight.function.records import recorded

    try:
        return recorded(address, handler)
    except TableError as error:
        from pilotlight.function.failures import fail_init

        fail_init(error)


def _telling(api: RuntimeApi) -> RuntimeApi | TellingApi:
    from pilotlight.function.told import TellingApi, tells

    told = tells(os.environ)
    if not told:
        return api
    is_restored = os.environ.get(INITIALIZATION) == "snap-start"  # its init was another process's, long ago
    return TellingApi(api, told) if is_restored else TellingApi(api, told, *trace.init())


def _traced(api: RuntimeApi | TellingApi, handler: Handler) -> tuple[Any, Handler]:
    from pilotlight.function.trace_invocations import TracedApi

    trace.mark("ready")
    traced = TracedApi(api)
    return traced, traced.watch(handler)


class _Watcher:
    """Sets up `logging` the moment that somebody imports it; Lambda's runtime imports it for everybody."""

    @staticmethod
    def find_spec(name: str, *_: object) -> Any:
        if name != "logging":
            return None
        from pilotlight.function.logs import spec

        sys.meta_path.remove(_Watcher)
        return spec()


def _watch_for_logging() -> None:
    if "logging" not in sys.modules:
        sys.meta_path.insert(0, _Watcher)
    else:
        from pilotlight.function.logs import configure

        configure(sys.modules["logging"])


def serve_one(api: RuntimeApi | TellingApi, handler: Handler) -> None:
    """Take one invocation, run the handler, post its answer or its error."""
    event = api.next()
    global request_id
    request_id = event.request_id
    if event.trace_id:
        os.environ["_X_AMZN_TRACE_ID"] = event.trace_id
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    try:
        context = Context(event, os.environ)
        answer = handler(_decode_event(event.payload), context)
        payload = answer if isinstance(answer, Stream) else _encode_answer(answer)
    except Exception as error:  # the boundary to user code: whatever it raised is its error, not ours
        api.fail(event.request_id, _report(error))
        return
    if isinstance(payload, Stream):
        _stream(api, event.request_id, payload)
    else:
        _flush()
        api.respond(event.request_id, payload)


def _stream(api: RuntimeApi | TellingApi, request_id: str, stream: Stream) -> None:
    """Post an answer chunk by chunk, as the handler makes it; what it raises then ends the answer where it is."""
    api.begin_stream(request_id, stream.head)
    while True:
        try:
            chunk = next(stream.chunks, None)
        except Exception as error:  # the boundary to user code, as above
            api.end_stream(_report(error))
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
    if not dot:
        text = f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)"
        raise Fault("Runtime.MalformedHandlerName", text)
    if path.partition(".")[0] in sys.builtin_module_names:
        text = f"Cannot use built-in module {path} as a handler module"
        raise Fault("Runtime.BuiltInModuleConflict", text)
    sys.path[:] = [task_root, *(path for path in sys.path if path not in ("", task_root))]
    module = _import(path)
    try:
        handler: Handler = getattr(module, attribute)
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", f"Handler '{attribute}' missing on module '{path}'") from None
    return handler


def _import(path: str) -> ModuleType:
    name = path.replace("/", ".")
    try:
        __import__(name)
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{path}': {error}") from error
    except SyntaxError as error:
        place = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        raise Fault("Runtime.UserCodeSyntaxError", f"Syntax error in module '{path}': {error}", (place,)) from error
    return sys.modules[name]


def _report(error: Exception) -> dict[str, object]:
    from pilotlight.function.failures import describe, write

    write(error)
    return describe(error)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _decode_event(payload: bytes) -> object:
    try:
        return plain_json.loads(payload)
    except ValueError as error:
        raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from error


def _encode_answer(answer: object) -> bytes:
    if isinstance(answer, bytes):
        return answer
    try:
        return plain_json.dumps(answer, ascii=False).encode()
    except TypeError:
        from pilotlight.function.answers import encode

        return encode(answer)
    except (ValueError, RecursionError) as error:
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from error
