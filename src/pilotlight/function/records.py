"""One record for each invocation: what a function was asked and what it answered, in the table `records`.

    primary_key   the request id: to write a record twice is to write it once
    createdAt     when the request came, ISO 8601 in UTC with milliseconds
    function      the function's name on Lambda
    model         folder and digest of its model, where it has one
    route         "POST /qa", behind HTTP
    status        of the HTTP answer, where there is one
    error         type and message of what the function raised, where it did
    input         the body, with the parameters of query and path; the bare event. See `record_text`
    output        the body of the answer, or of what was streamed; the bare answer
    latency_ms    from the event to the whole answer
    cold          whether it was the first invocation of its process
    expires       seconds since the epoch, where records are kept for some days only

No answer waits for the store, and no record is lost. Our loop writes the record to the log before it posts the answer
(`record_lines`), which is one write to a pipe and outlives the process; it stores the record when the answer is out,
before it asks for the next event, and says so in the log. Whoever reads the log stores what was not. A table in SQLite
is written by nobody else: its one writer, the server, reads the log, and takes a short record with its answer. Under
`awslambdaric`, where nothing runs after an answer, the record is stored before it, or is in the log if that takes long.
"""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock, start_new_thread
from time import gmtime, perf_counter, strftime, time

from pilotlight import events, limits
from pilotlight.errors import TableError
from pilotlight.function import items, plain_json, record_lines, record_text
from pilotlight.function.plain_json import quote
from pilotlight.function.record_text import Redactor
from pilotlight.function.runtime import RECORDS as VARIABLE
from pilotlight.function.runtime_client import RECORD, Event, RuntimeApi
from pilotlight.function.table import Address, Table, parse, variable
from pilotlight.tuples import NamedTuple
from pilotlight.values import RECORD_EXPIRES as EXPIRES
from pilotlight.values import RECORD_KEY as KEY
from pilotlight.values import RECORDS as TABLE

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, ParamSpec, TypeVar

    from pilotlight.function.runtime import Handler

    _P = ParamSpec("_P")
    _T = TypeVar("_T")

_AFTER = 1.0  # seconds that storing may take when the answer is out
_BEFORE = 0.3  # and before it
_MARGIN = 0.1  # seconds of an invocation's time that are left alone
_FRAME = 1_000  # bytes of a record for all but input, output and error
_MESSAGE = 1_000  # bytes of an error
_LOG = 2  # stderr
_HEADER = 16_384  # bytes of a record that goes along with its answer where the server is the one that stores it


class Settings(NamedTuple):
    """What the variable PILOTLIGHT_RECORDS says, as JSON. `max_size` in bytes; `days` 0 is for ever."""

    model: str = ""
    redact: tuple[str, ...] = ()
    max_size: int = 32_768
    days: int = 0


def _route(event: Mapping[str, Any]) -> str:
    """Method and pattern of the path: a path itself may hold what is to be redacted."""
    route = event.get("routeKey")
    if isinstance(route, str) and " " in route:
        return route
    if "httpMethod" in event:
        return f"{event['httpMethod']} {event.get('resource') or event.get('path') or '/'}"
    return f"{event['requestContext']['http'].get('method', '')} {event.get('rawPath', '/')}"


class Recorder:
    """Makes records: `begin`, then the handler by way of `watch`, then `answered`, `failed` or `streamed`.

    A record is an item as `items.encode` writes it; made by hand, since that takes longer than all else here. What is
    done for each invocation is done in few steps: see docs/decisions/0014-when-a-record-is-written.md.
    """

    def __init__(self, settings: Settings, function: str) -> None:
        self.settings = settings
        self.failure: Exception | None = None  # that an @endpoint has answered for
        fixed = (("function", function), ("model", settings.model))
        self._redactor = Redactor(settings.redact)
        self._begun = 0  # invocations
        self._began, self._time = perf_counter(), time()
        self._payload = b""
        self._event: dict[str, Any] | None = None  # as the handler was given it
        self._answer: object = None
        self._room = settings.max_size - _FRAME
        self._second, self._shown = 0, ""  # the second that was shown last: most records share it with others
        self._route, self._about = "", ""  # and the route; `_about` is function, model and route
        self._fixed = "".join(f'"{name}":{{"S":{quote(text)}}},' for name, text in fixed if text)

    def begin(self, payload: bytes = b"") -> None:
        """An event has come."""
        self._began, self._time = perf_counter(), time()
        self._begun += 1
        self._payload = payload
        self._event = self._answer = self.failure = None

    def watch(self, handler: Handler) -> Handler:
        """The handler, of whose event and answer note is taken."""

        def watched(event: Any, context: Any) -> object:
            if type(event) is dict:
                self._event = event.copy()  # the handler may change it
            self._answer = answer = handler(event, context)
            return answer

        return watched

    def answered(self, request_id: str, payload: bytes) -> str:
        """The record of an answer, as which `payload` is sent."""
        text, route = self._input()  # first: what is redacted there is taken out of messages
        if len(payload) > limits.PAYLOAD:
            return self._record(request_id, text, route, error="Function.ResponseSizeTooLarge")
        answer = self._answer
        if route and isinstance(answer, dict) and "statusCode" in answer:
            return self._record(request_id, text, route, self._body(answer), answer["statusCode"])
        output = self._redactor.text(payload.decode("utf-8", "replace"))
        return self._record(request_id, text, route, output, 200 if route else None)

    def streamed(
        self, request_id: str, head: Mapping[str, object], sent: bytes, size: int, error: Mapping[str, object] | None
    ) -> str:
        """The record of an answer that was streamed: `sent` is the beginning of its `size` bytes."""
        text, route = self._input()
        output = record_text.of_stream(sent, size, head.get("headers"), self._redactor)
        return self._record(request_id, text, route, output, head.get("statusCode"), _told(error) if error else "")

    def failed(self, request_id: str, error: Mapping[str, object]) -> str:
        """The record of an invocation that ended with an error, as the Runtime API is told of it."""
        return self._record(request_id, *self._input(), error=_told(error))

    def _input(self) -> tuple[str, str]:
        """What the function was asked, and by which route, "" where that was not HTTP."""
        event = self._event
        self._redactor.seen.clear()
        if event is not None and events.is_http(event):
            query, path = event.get("queryStringParameters"), event.get("pathParameters")
            if not query and not path:
                return self._body(event), _route(event)
            if isinstance(query or {}, dict) and isinstance(path or {}, dict):  # else it is as odd as no gateway sends
                return record_text.joined(self._body(event), self._parameters(), self._redactor), _route(event)
        return self._redactor.text(self._payload.decode("utf-8", "replace")), ""

    def _body(self, fields: Mapping[str, Any]) -> str:
        """Of an event or an answer."""
        body, encoded = fields.get("body"), fields.get("isBase64Encoded")
        if type(body) is str and not encoded and not body.startswith("--") and not self.settings.redact:
            return body  # most are
        return record_text.of_body(body, encoded, fields.get("headers"), self._redactor)

    def _parameters(self) -> dict[str, object]:
        """Of query and path, as they came: the handler was given these very maps."""
        event = plain_json.loads(self._payload)
        return {**(event.get("queryStringParameters") or {}), **(event.get("pathParameters") or {})}

    def _record(
        self, request_id: str, text: str, route: str, output: str = "", status: object = None, error: str = ""
    ) -> str:
        room = self._room
        if error or self.failure is not None:
            error = self._error(error or f"{type(self.failure).__name__}: {self.failure}")
            room -= len(error.encode())
        if self._redactor.seen:
            output = self._redactor.message(output)
        both = text + output
        if len(both) > room or not both.isascii():
            text, output = record_text.fitted(text, output, room)
        milliseconds = int(self._time * 1000)
        if milliseconds // 1000 != self._second or route != self._route:
            self._repeat(milliseconds // 1000, route)
        fields = (
            f'{{"{KEY}":{{"S":{quote(request_id)}}},"createdAt":{{"S":"{self._shown}.{milliseconds % 1000:03d}Z"}},'
            f'{self._about}"latency_ms":{{"N":"{(perf_counter() - self._began) * 1000:.3f}"}},'
            f'"cold":{{"BOOL":{"true" if self._begun == 1 else "false"}}}'
        )
        if text:
            fields += f',"input":{{"S":{quote(text)}}}'
        if output:
            fields += f',"output":{{"S":{quote(output)}}}'
        if error:
            fields += f',"error":{{"S":{quote(error)}}}'
        if isinstance(status, int):
            fields += f',"status":{{"N":"{status:d}"}}'
        if self.settings.days:
            fields += f',"{EXPIRES}":{{"N":"{int(self._time) + self.settings.days * 86_400}"}}'
        return f"{fields}}}"

    def _error(self, text: str) -> str:
        return record_text.cut(record_text.valid(self._redactor.message(text)), min(_MESSAGE, self._room // 2))

    def _repeat(self, second: int, route: str) -> None:
        """What most records have in common with the one before."""
        self._second, self._shown = second, strftime("%Y-%m-%dT%H:%M:%S", gmtime(second))
        self._route, self._about = route, self._fixed + (f'"route":{{"S":{quote(route)}}},' if route else "")


def _told(error: Mapping[str, object]) -> str:
    return f"{error.get('errorType', 'Error')}: {error.get('errorMessage', '')}"


class _Attempt:
    """One record on its way. `reason` is why it was not stored; `marks`: the log has it, and is to be told."""

    __slots__ = ("done", "marks", "reason", "request_id", "text")

    def __init__(self, request_id: str, text: str, marks: bool) -> None:
        self.request_id = request_id
        self.text = text
        self.marks = marks
        self.reason = ""
        self.done = allocate_lock()
        self.done.acquire()


class Store:
    """Puts records into a table. Each is put in a thread of its own, so that waiting for it can have an end."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._free = allocate_lock()

    def put(self, request_id: str, text: str, seconds: float, is_logged: bool) -> str:
        """Store a record, within `seconds`; else the reason why not. A store that hangs is left alone until it is done.

        With `is_logged`, the log is told when it is stored.
        """
        if seconds <= 0:
            return "the invocation has no time left"
        if not self._free.acquire(blocking=False):
            return "the store still works on the record before it"
        attempt = _Attempt(request_id, text, is_logged)
        start_new_thread(self._run, (attempt,))
        if attempt.done.acquire(timeout=seconds):
            return attempt.reason
        attempt.marks = True
        return f"the store did not answer within {seconds:.2g} s"

    def _run(self, attempt: _Attempt) -> None:
        try:
            self._table.put([items.decode(plain_json.loads(attempt.text))])
            if attempt.marks:
                os.write(_LOG, record_lines.stored(attempt.request_id))
        except Exception as error:  # the boundary to the store: whatever went wrong, the record is in the log
            hint = error.hint if isinstance(error, TableError) else ""
            attempt.reason = f"{error} ({hint})" if hint else str(error) or type(error).__name__
        finally:
            self._free.release()
            attempt.done.release()


recorder: Recorder | None = None  # of this process


def note(error: Exception) -> None:
    """An @endpoint answers for an exception."""
    if recorder is not None:
        recorder.failure = error


def make(environ: Mapping[str, str]) -> tuple[Recorder, Store | None]:
    """What the environment's variables ask for; no store where the reader of the log is the one that stores.

    Raises `TableError` when they do not say where records go.
    """
    global recorder
    if (uri := environ.get(variable(TABLE))) is None:
        hint = f"set it to dynamodb://TABLE?key={KEY}&expires={EXPIRES}, or unset {VARIABLE}"
        raise TableError(f"recording invocations: {variable(TABLE)} is not set", hint)
    fields = plain_json.loads(environ[VARIABLE])
    settings = Settings(**{**fields, "redact": tuple(fields.get("redact", ()))})
    recorder = Recorder(settings, environ.get("AWS_LAMBDA_FUNCTION_NAME", ""))
    address = parse(uri)
    return recorder, None if address.store == "sqlite" else Store(remote(address))


def remote(address: Address) -> Table:
    """The table in DynamoDB, which gives up soon: a record can wait in the log."""
    from pilotlight.function.dynamodb import DynamoTable
    from pilotlight.function.dynamodb_client import Patience

    return DynamoTable(address, Patience(attempts=4, seconds=_AFTER, wait=_AFTER))


def recorded(address: str, handler: Handler) -> tuple[RuntimeApi, Handler]:
    """What our loop takes in place of its own client and the handler."""
    recorder, store = make(os.environ)
    return RecordingApi(address, recorder, store), recorder.watch(handler)


def guarded(request_id: str, work: Callable[_P, _T], *arguments: _P.args, **keywords: _P.kwargs) -> _T | None:
    """Whatever goes wrong with a record, its invocation goes its way."""
    try:
        return work(*arguments, **keywords)
    except Exception as error:  # the boundary to what events and answers may hold
        _complain(request_id, error)
        return None


def write(request_id: str, text: str) -> str:
    """Write a record to the log."""
    for line in record_lines.record(request_id, text):
        os.write(_LOG, line)
    return text


def keep(store: Store | None, request_id: str, text: str, left: float) -> None:
    """Store a record before its answer is out, or write it to the log. `left` is the invocation's time in seconds."""
    reason = store.put(request_id, text, min(_BEFORE, left - _MARGIN), is_logged=False) if store else ""
    if reason or store is None:
        write(request_id, text)
    if reason:
        _warn(request_id, reason)


def _complain(request_id: str, error: Exception) -> None:
    _say(f"{record_lines.UNMADE} {request_id}: {type(error).__name__}: {error}")


def _warn(request_id: str, reason: str) -> None:
    _say(f"{record_lines.UNSTORED} {request_id} is in this log only: {reason}")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class RecordingApi(RuntimeApi):
    """The Runtime API's client of a function whose invocations are recorded, as the module says."""

    def __init__(self, address: str, recorder: Recorder, store: Store | None) -> None:
        super().__init__(address)
        self._recorder = recorder
        self._store = store
        self._event = Event("", b"")
        self._begun: Mapping[str, object] = {}
        self._sent = bytearray()
        self._size = 0

    def next(self) -> Event:
        self._event = event = super().next()
        self._recorder.begin(event.payload)
        return event

    def respond(self, request_id: str, payload: bytes, headers: str = "") -> None:
        text = guarded(request_id, self._recorder.answered, request_id, payload)
        if text and self._store is None and len(text) < _HEADER:
            return super().respond(request_id, payload, f"{headers}{RECORD}: {text}\r\n")
        if text:
            guarded(request_id, write, request_id, text)
        super().respond(request_id, payload, headers)
        self._put(text)

    def fail(self, request_id: str, error: Mapping[str, object]) -> None:
        text = self._write(lambda: self._recorder.failed(request_id, error))
        super().fail(request_id, error)
        self._put(text)

    def begin_stream(self, request_id: str, head: Mapping[str, object]) -> None:
        self._begun, self._size = head, 0
        self._sent.clear()
        super().begin_stream(request_id, head)

    def send_chunk(self, chunk: bytes) -> None:
        self._sent += chunk[: self._recorder.settings.max_size - len(self._sent)]
        self._size += len(chunk)
        super().send_chunk(chunk)

    def end_stream(self, error: Mapping[str, object] | None = None) -> None:
        request_id, sent = self._event.request_id, bytes(self._sent)
        text = self._write(lambda: self._recorder.streamed(request_id, self._begun, sent, self._size, error))
        super().end_stream(error)
        self._put(text)

    def _write(self, make: Callable[[], str]) -> str | None:
        request_id = self._event.request_id
        return guarded(request_id, lambda: write(request_id, make()))

    def _put(self, text: str | None) -> None:
        if text is None or self._store is None:
            return
        self.flush()  # the answer waits for no store
        left = self._event.deadline / 1000 - time() - _MARGIN
        reason = self._store.put(self._event.request_id, text, min(_AFTER, left), is_logged=True)
        if reason:
            _warn(self._event.request_id, reason)
