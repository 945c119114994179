"""Lambda's Invoke API on this machine: what boto3 and `aws lambda invoke --endpoint-url` call.

    POST /2015-03-31/functions/{name}/invocations                         Invoke
    POST /2021-11-15/functions/{name}/response-streaming-invocations      InvokeWithResponseStream

Sources: docs.aws.amazon.com/lambda/latest/api/API_Invoke.html and API_InvokeWithResponseStream.html; shapes and error
names as in botocore's service model.
"""

import asyncio
import binascii
import json
from collections.abc import AsyncIterator, Callable
from typing import Literal
from urllib.parse import unquote

import msgspec

from pilotlight import limits
from pilotlight.errors import InvokeError, ModelNotInstalled, NotFound, PayloadTooLarge, PilotlightError, Throttled
from pilotlight.events import Request, Response
from pilotlight.local import eventstream
from pilotlight.local.streams import Streamed, collected
from pilotlight.values import Call, Invoke, Result

_INVOKE = ("/2015-03-31/functions/", "/invocations")
_STREAM = ("/2021-11-15/functions/", "/response-streaming-invocations")
PREFIXES = (_INVOKE[0], _STREAM[0])

Fault = Literal["User", "Service"]


class _Refused(Exception):
    """A request that is answered with one of the API's errors."""

    def __init__(self, status: int, kind: str, message: str, fault: Fault = "User") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.fault = fault


class InvokeApi:
    """Answers Invoke requests. `resolve` gives the key that a name means, or raises NotFound."""

    def __init__(self, invoke: Invoke, resolve: Callable[[str], str]) -> None:
        self._invoke = invoke
        self._resolve = resolve
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, request: Request) -> Response | Streamed:
        try:
            answer = await self._route(request)
        except (InvokeError, ModelNotInstalled) as error:
            answer = _refuse(_translate(error))
        except _Refused as refused:
            answer = _refuse(refused)
        number = ("x-amzn-requestid", request.request_id)
        if isinstance(answer, Streamed):
            return answer._replace(head=answer.head._replace(headers=(*answer.head.headers, number)))
        return answer._replace(headers=(*answer.headers, number))

    async def _route(self, request: Request) -> Response | Streamed:
        prefix, suffix = _STREAM if request.path.startswith(_STREAM[0]) else _INVOKE
        if request.method != "POST" or not request.path.endswith(suffix):
            raise _Refused(404, "UnknownOperationException", "of the Lambda API, only Invoke is served on this machine")
        call = _call(request, request.path.removeprefix(prefix).removesuffix(suffix))
        call = call._replace(function=self._resolve(call.function))
        match request.header("x-amz-invocation-type") or "RequestResponse":
            case "RequestResponse":
                _check(call.payload, limits.PAYLOAD, "InvokeFunction")
                result = await self._invoke(call)
                return _stream(result) if suffix == _STREAM[1] else _answer(await collected(result))
            case "Event" if suffix != _STREAM[1]:
                _check(call.payload, limits.EVENT_PAYLOAD, "InvokeAsync")
                return self._start(call)
            case "DryRun":
                return Response(204)
            case other:
                known = "RequestResponse, DryRun" if suffix == _STREAM[1] else "Event, RequestResponse, DryRun"
                text = f"Value '{other}' at 'invocationType' is not one of {known}"
                raise _Refused(400, "InvalidParameterValueException", text)

    def _start(self, call: Call) -> Response:
        task = asyncio.ensure_future(self._run(call))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return Response(202)

    async def _run(self, call: Call) -> None:
        try:
            await collected(await self._invoke(call))
        except PilotlightError:
            return  # nobody waits: an Event whose function never ran is dropped, as Lambda drops it in the end


def _call(request: Request, name: str) -> Call:
    return Call(
        function_name(unquote(name), dict(request.query_pairs()).get("Qualifier", "")),
        request.body or b"{}",
        request.request_id,
        request.header("x-amzn-trace-id"),
        _client_context(request.header("x-amz-client-context")),
        request.header("x-amz-log-type") == "Tail",
    )


def function_name(text: str, qualifier: str = "") -> str:
    """The name in `name`, `name:$LATEST`, `123456789012:function:name` or a whole ARN. Raises NotFound."""
    name, _, own_qualifier = text.rpartition(":function:")[2].partition(":")
    version = qualifier or own_qualifier
    if version not in ("", "$LATEST"):
        raise NotFound(f"Function not found: {name}:{version}", "on this machine there is only $LATEST")
    return name


def _client_context(header: str) -> str:
    """The JSON object that the header carries as base64, written in ASCII on one line: it becomes a header again."""
    if not header:
        return ""
    try:
        fields = json.loads(binascii.a2b_base64(header))
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        text = "Client context must be a valid Base64-encoded JSON object."
        raise _Refused(400, "InvalidRequestContentException", text)
    return json.dumps(fields)


def _check(payload: bytes, limit: int, operation: str) -> None:
    if len(payload) > limit:
        raise PayloadTooLarge(f"Request must be smaller than {limit} bytes for the {operation} operation")
    try:
        msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = f"Could not parse request body into json: {error}"
        raise _Refused(400, "InvalidRequestContentException", text) from None


def _answer(result: Result) -> Response:
    headers = [("content-type", "application/json"), ("x-amz-executed-version", "$LATEST")]
    if result.error:
        headers.append(("x-amz-function-error", result.error))
    if result.log:
        headers.append(("x-amz-log-result", binascii.b2a_base64(result.log, newline=False).decode()))
    return Response(200, tuple(headers), result.payload)


def _stream(result: Result) -> Streamed:
    headers = (("content-type", eventstream.MEDIA_TYPE), ("x-amz-executed-version", "$LATEST"))
    return Streamed(Response(200, headers), _events(result))


async def _events(result: Result) -> AsyncIterator[bytes]:
    """The answer as it comes, a prelude of HTTP included, then how it ended."""
    if result.stream is not None:
        async for chunk in result.stream:
            yield eventstream.message("PayloadChunk", "application/octet-stream", chunk)
        result = result.stream.ended.result()
    elif not result.error:
        yield eventstream.message("PayloadChunk", "application/octet-stream", result.payload)
    end = {}
    if result.error:
        end = {"ErrorCode": result.error, "ErrorDetails": result.payload.decode("utf-8", "replace")}
    if result.log:
        end["LogResult"] = binascii.b2a_base64(result.log, newline=False).decode()
    yield eventstream.message("InvokeComplete", "application/json", json.dumps(end).encode())


def _translate(error: InvokeError | ModelNotInstalled) -> _Refused:
    match error:
        case NotFound():
            return _Refused(404, "ResourceNotFoundException", f"{error} ({error.hint})" if error.hint else str(error))
        case Throttled():
            return _Refused(429, "TooManyRequestsException", str(error))
        case PayloadTooLarge():
            return _Refused(413, "RequestTooLargeException", str(error))
        case _:
            text = f"{error}; {error.hint}" if error.hint else str(error)
            return _Refused(503, "ServiceException", text, "Service")


def _refuse(refused: _Refused) -> Response:
    fields = {"Type": refused.fault, "Message": str(refused), "message": str(refused)}  # botocore reads either
    if refused.status == 429:
        fields["Reason"] = "ReservedFunctionConcurrentInvocationLimitExceeded"
    headers = (("content-type", "application/json"), ("x-amzn-errortype", refused.kind))
    return Response(refused.status, headers, json.dumps(fields).encode())
