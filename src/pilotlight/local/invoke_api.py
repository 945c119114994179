"""Lambda's Invoke API on this machine: what boto3 and `aws lambda invoke --endpoint-url` call.

    POST /2015-03-31/functions/{name}/invocations                         Invoke
    POST /2021-11-15/functions/{name}/response-streaming-invocations      InvokeWithResponseStream
    GET  /2015-03-31/functions/{name}/configuration                       GetFunctionConfiguration
    GET  /2015-03-31/functions/                                           ListFunctions, all on one page

Sources: docs.aws.amazon.com/lambda/latest/api/API_Invoke.html and API_InvokeWithResponseStream.html; shapes and names
as in botocore's service model; texts, and the name of the error for a request that is too large, as the service's
answers are quoted in public reports. What its Java parser says of wrong JSON is not reproduced, only what it begins
with. A dry run checks what there is to check: name, qualifier, payload; there are no permissions here.
"""

import binascii
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NoReturn, Protocol
from urllib.parse import unquote

import msgspec

from pilotlight import architecture, limits
from pilotlight.errors import InvokeError, ModelNotInstalled, NotFound, PayloadTooLarge, Throttled
from pilotlight.events import Headers, Request, Response
from pilotlight.local import eventstream, tables, tracing
from pilotlight.local.process import ACCOUNT, arn, cache_folder, region, settings
from pilotlight.local.streams import Streamed, collected
from pilotlight.project import Function
from pilotlight.values import Call, Invoke, Result

PREFIXES = ("/2015-03-31/functions", "/2021-11-15/functions")

_ONLY = "of the Lambda API, only Invoke, ListFunctions and GetFunctionConfiguration are served on this machine"


class Functions(Protocol):
    """What the API needs to know of the functions: `pool.Pool`."""

    def resolve(self, name: str) -> str: ...

    def function(self, key: str) -> Function: ...

    def functions(self) -> Sequence[Function]: ...


class _Refused(Exception):
    """A request that is answered with one of the API's errors; `fields` are its body."""

    def __init__(self, status: int, kind: str, **fields: str | None) -> None:
        super().__init__(kind)
        self.status = status
        self.kind = kind
        self.fields = fields


class InvokeApi:
    """Answers Invoke requests. `accept` takes an asynchronous one; it is False when no more can wait."""

    def __init__(self, invoke: Invoke, functions: Functions, accept: Callable[[Call], bool]) -> None:
        self._invoke = invoke
        self._functions = functions
        self._accept = accept

    async def __call__(self, request: Request) -> Response | Streamed:
        try:
            answer = await self._route(request)
        except _Refused as refused:
            answer = _refuse(refused)
        number = ("x-amzn-requestid", request.request_id)
        if isinstance(answer, Streamed):
            return answer._replace(head=answer.head._replace(headers=(*answer.head.headers, number)))
        return answer._replace(headers=(*answer.headers, number))

    async def _route(self, request: Request) -> Response | Streamed:
        match request.method, request.path.split("/"):
            case "POST", ["", "2015-03-31", "functions", name, "invocations"]:
                return await self._called(request, name, streams=False)
            case "POST", ["", "2021-11-15", "functions", name, "response-streaming-invocations"]:
                return await self._called(request, name, streams=True)
            case "GET", ["", "2015-03-31", "functions", name, "configuration"]:
                return _json(_configuration(self._functions.function(self._key(request, name))))
            case "GET", ["", "2015-03-31", "functions"] | ["", "2015-03-31", "functions", ""]:
                return _json({"Functions": [_configuration(each) for each in self._functions.functions()]})
            case _:
                raise _Refused(404, "UnknownOperationException", Message=_ONLY)

    async def _called(self, request: Request, name: str, *, streams: bool) -> Response | Streamed:
        kind = _choice(request, "x-amz-invocation-type", _STREAM_TYPES if streams else _INVOCATION_TYPES)
        call = _call(request, self._key(request, name))
        _check(call.payload, kind)
        if kind == "DryRun":
            return Response(204)
        if kind == "Event":
            return self._start(call)
        try:
            result = await self._invoke(call)
        except (InvokeError, ModelNotInstalled) as error:
            raise _translated(error, call) from None
        return _stream(call, result) if streams else _answer(call, await collected(result))

    def _start(self, call: Call) -> Response:
        """Without log and client context, which are for synchronous invocations only."""
        if not self._accept(call._replace(tail=False, client_context="")):
            raise _Refused(
                429, "TooManyRequestsException", Reason="CallerRateLimitExceeded", Type="User", message="Rate exceeded"
            )
        return Response(202, _traced(call))

    def _key(self, request: Request, written: str) -> str:
        name, version = _name(unquote(written), dict(request.query_pairs()).get("Qualifier", ""))
        if version not in ("", "$LATEST"):  # on this machine there is no other
            raise _not_found(f"{name}:{version}")
        try:
            return self._functions.resolve(name)
        except NotFound as error:
            raise _not_found(f"{name}:{version}" if version else name, error.hint) from None


# what a request says

_INVOCATION_TYPES = ("RequestResponse", "Event", "DryRun")
_STREAM_TYPES = ("RequestResponse", "DryRun")


def _call(request: Request, key: str) -> Call:
    return Call(
        key,
        request.body or b"{}",
        request.request_id,
        tracing.of_invocation(request.header("x-amzn-trace-id")),
        _client_context(request.header("x-amz-client-context")),
        _choice(request, "x-amz-log-type", ("None", "Tail")) == "Tail",
    )


def _choice(request: Request, header: str, values: Sequence[str]) -> str:
    """One of `values`, the first when the header is absent."""
    value = request.header(header) or values[0]
    if value not in values:
        name = {"x-amz-invocation-type": "invocationType", "x-amz-log-type": "logType"}[header]
        constraint = f"Member must satisfy enum value set: [{', '.join(values)}]"
        _refuse_value(f"Value {value} at '{name}' failed to satisfy constraint: {constraint}")
    return value


def _refuse_value(text: str) -> NoReturn:
    raise _Refused(400, "InvalidParameterValueException", Type="User", message=text)


def _name(text: str, qualifier: str) -> tuple[str, str]:
    """Name and version in `name`, `name:$LATEST`, `123456789012:function:name` or a whole ARN; "" for no version."""
    name, _, version = text.rpartition("function:")[2].partition(":")
    if qualifier and version and qualifier != version:
        _refuse_value("The derived qualifier from the function name does not match the specified qualifier.")
    return name, qualifier or version


def _not_found(name: str, hint: str = "") -> _Refused:
    """`hint` is for a bare name that two services have, which on Lambda cannot be."""
    text = f"Function not found: arn:aws:lambda:{region()}:{ACCOUNT}:function:{name}"
    return _Refused(404, "ResourceNotFoundException", Type="User", Message=f"{text} ({hint})" if hint else text)


def _client_context(header: str) -> str:
    """The JSON object that the header carries as base64, written in ASCII on one line: it becomes a header again."""
    if not header:
        return ""
    if len(header) > limits.CLIENT_CONTEXT:  # the limit is documented, what the service then says is not
        text = f"Client context must not be longer than {limits.CLIENT_CONTEXT} bytes."
        raise _Refused(400, "InvalidRequestContentException", Type="User", message=text)
    try:
        fields = json.loads(binascii.a2b_base64(header))
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        text = "Client context must be a valid Base64-encoded JSON object."
        raise _Refused(400, "InvalidRequestContentException", Type=None, message=text)
    return json.dumps(fields)


def _check(payload: bytes, kind: str) -> None:
    if len(payload) > limits.REQUEST_PAYLOAD:
        limit = limits.REQUEST_PAYLOAD
        raise _too_large(f"Request must be smaller than {limit} bytes for the InvokeFunction operation")
    if kind == "Event" and len(payload) > limits.EVENT_PAYLOAD:
        size, limit = len(payload), limits.EVENT_PAYLOAD
        raise _too_large(f"{size} byte payload is too large for the Event invocation type (limit {limit} bytes)")
    try:
        msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = f"Could not parse request body into json: Could not parse payload into json: {error}"
        raise _Refused(400, "InvalidRequestContentException", Type="User", message=text) from None


def _too_large(text: str) -> _Refused:
    """Not RequestTooLargeException, as the API's model calls it."""
    return _Refused(413, "RequestEntityTooLargeException", Message=text)


# what is answered


def _translated(error: InvokeError | ModelNotInstalled, call: Call) -> _Refused:
    match error:
        case NotFound():
            return _not_found(call.function)
        case Throttled(reason=reason):
            return _Refused(429, "TooManyRequestsException", Reason=reason, Type="User", message="Rate Exceeded.")
        case PayloadTooLarge():
            return _too_large(str(error))
        case _:
            text = f"{error}; {error.hint}" if error.hint else str(error)
            return _Refused(500, "ServiceException", Type="Service", Message=text)


def _answer(call: Call, result: Result) -> Response:
    headers = [("content-type", "application/json"), *_executed(call)]
    if result.error:
        headers.append(("x-amz-function-error", result.error))
    if result.log:
        headers.append(("x-amz-log-result", binascii.b2a_base64(result.log, newline=False).decode()))
    return Response(200, tuple(headers), result.payload)


def _executed(call: Call) -> Headers:
    return (("x-amz-executed-version", "$LATEST"), *_traced(call))


def _traced(call: Call) -> Headers:
    return (("x-amzn-trace-id", call.trace_id),) if call.trace_id else ()


def _stream(call: Call, result: Result) -> Streamed:
    headers = (("content-type", eventstream.MEDIA_TYPE), *_executed(call))
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


def _configuration(function: Function) -> dict[str, object]:
    """What `pilotlight.toml` says, under Lambda's names. A function that cannot run has failed."""
    state = {"State": "Failed", "StateReason": function.defect} if function.defect else {"State": "Active"}
    snapshots = {"ApplyOn": "PublishedVersions" if function.snapstart else "None", "OptimizationStatus": "Off"}
    return {
        "FunctionName": function.key,
        "FunctionArn": arn(function),
        "Handler": function.handler,
        "Timeout": function.timeout,
        "MemorySize": function.memory,
        "EphemeralStorage": {"Size": function.tmp},
        "Environment": {"Variables": {**tables.variables(function), **settings(function, cache_folder(function))}},
        "Architectures": [architecture.here()],
        "SnapStart": snapshots,
        "PackageType": "Zip",
        "Version": "$LATEST",
        **state,
    }


def _json(value: object) -> Response:
    return Response(200, (("content-type", "application/json"),), json.dumps(value).encode())


def _refuse(refused: _Refused) -> Response:
    headers = (("content-type", "application/json"), ("x-amzn-errortype", refused.kind))
    return Response(refused.status, headers, json.dumps(refused.fields).encode())
