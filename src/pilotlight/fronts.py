"""What API Gateway and function URLs do: a request becomes an event, a function's answer becomes a response.

The gateway's side of `events`, which see for the sources in brackets. Runs on the developer's machine; a function on
AWS never loads it.
"""

import binascii
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from time import gmtime
from urllib.parse import unquote

from pilotlight.errors import PilotlightError
from pilotlight.events import (
    ALPHANUMERIC,
    DEFAULT,
    TEXT_TYPES,
    Request,
    Response,
    body_text,
    escaped,
    grouped,
    is_utf8,
    joined,
    media_type,
    scalar,
    utf8,
)

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_IN_NAMES = ALPHANUMERIC + "!#$%&'*+-.^_`|~"  # RFC 9110: a header name is a token
_REST_FIELDS = {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}
_UNAUTHENTICATED = {
    "cognitoIdentityPoolId": None,
    "cognitoIdentityId": None,
    "cognitoAuthenticationType": None,
    "cognitoAuthenticationProvider": None,
    "accountId": None,
    "accessKey": None,
    "caller": None,
    "principalOrgId": None,  # [recorded]
    "user": None,
    "userArn": None,
}
_STAGE = "prod"  # a REST API has no $default
_DEFAULT_TYPE = {"rest": "application/json", "http": "text/plain;charset=UTF-8", "url": "application/json"}


class MalformedResult(PilotlightError):
    """A function's answer that its front end cannot turn into a response.

    The client gets 502 `{"message": "Internal server error"}` from a REST API [recorded], 500 `{"message": "Internal
    Server Error"}` from an HTTP API (status [recorded]), 502 `Internal Server Error` from a function URL (belief).
    """


def to_v1(request: Request, binary: Iterable[str] = ()) -> dict[str, object]:
    """The event of a REST API: payload format 1.0 [rest].

    Its stage is "prod" where none is in the path, as behind a custom domain name whose empty path is mapped to it: then
    requestContext.path is what the client asked for [mapping], and starts with the stage otherwise.

    The body is base64 only when its Content-Type matches one of `binary`, the API's binaryMediaTypes ("image/png",
    "image/*", "*/*"). Any other body is passed as text, and bytes that are no UTF-8 are lost, as on AWS. Header names
    are lower-case, where AWS keeps the client's spelling: code that reads these also reads an HTTP/2 client's.
    """
    pairs = request.query_pairs()
    encoded = bool(request.body) and _matches(request.content_type(), binary)
    return {
        "resource": _resource(request.route),
        "path": request.path,
        "httpMethod": request.method,
        "headers": dict(request.headers),  # the last one wins, as for the query
        "multiValueHeaders": grouped(request.headers),
        "queryStringParameters": dict(pairs) or None,
        "multiValueQueryStringParameters": grouped(pairs) or None,
        "pathParameters": _parameters_v1(request),
        "stageVariables": None,
        "requestContext": _context_v1(request),
        "body": body_text(request.body, encoded) if request.body else None,
        "isBase64Encoded": encoded,
    }


def to_v2(request: Request) -> dict[str, object]:
    """The event of an HTTP API: payload format 2.0 [http]. Optional fields that are empty are absent.

    An HTTP API decodes the path [recorded] and puts a stage other than $default before it. Repeated headers and query
    parameters are joined with commas, cookies have a field of their own.
    """
    prefix = "" if request.stage == DEFAULT else f"/{request.stage}"
    request_id = request.extended_id or request.request_id
    event = _v2(request, prefix + unquote(request.path), request.route, request.stage, request.account, request_id)
    if request.path_parameters:
        event["pathParameters"] = dict(request.path_parameters)
    return event


def to_url(request: Request) -> dict[str, object]:
    """The event of a function URL without authorization: format 2.0 [url], the path as it was sent [recorded]."""
    return _v2(request, request.path, DEFAULT, DEFAULT, "anonymous", request.request_id)


def _v2(request: Request, path: str, route: str, stage: str, account: str, request_id: str) -> dict[str, object]:
    event: dict[str, object] = {
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": request.query,
    }
    sent = [value for name, value in request.headers if name == "cookie"]
    cookies = [cookie for value in sent for part in value.split(";") if (cookie := part.strip())]
    if cookies:
        event["cookies"] = cookies
    event["headers"] = joined([pair for pair in request.headers if pair[0] != "cookie"])
    parameters = joined(request.query_pairs())
    if parameters:
        event["queryStringParameters"] = parameters
    event["requestContext"] = _context_v2(request, path, route, stage, account, request_id)
    encoded = _is_binary(request)
    if request.body:
        event["body"] = body_text(request.body, encoded)
    event["isBase64Encoded"] = encoded
    return event


def _parameters_v1(request: Request) -> dict[str, str] | None:
    """Encoded as they came; what {name+} takes loses a slash at its end [recorded]."""
    values = {name: escaped(value) for name, value in request.path_parameters.items()}
    if values and request.route.endswith("+}"):
        *_, last = values
        values[last] = values[last].removesuffix("/")
    return values or None


def _identity(request: Request) -> dict[str, object]:
    own: dict[str, object] = {
        **_UNAUTHENTICATED,
        "sourceIp": request.source_ip,
        "userAgent": request.header("user-agent") or None,
    }
    if request.api_key:
        own |= {"apiKey": request.api_key, "apiKeyId": request.api_key_id}  # absent without one [recorded]
    return own


def _context_v1(request: Request) -> dict[str, object]:
    resource = _resource(request.route)
    return {
        "accountId": request.account,
        "apiId": request.api,
        "deploymentId": "local",
        "domainName": request.domain,
        "domainPrefix": request.domain.partition(".")[0],
        "extendedRequestId": request.extended_id or request.request_id,
        "httpMethod": request.method,
        "identity": _identity(request),
        "path": request.path if request.stage == DEFAULT else f"/{request.stage}{request.path}",
        "protocol": request.protocol,
        "requestId": request.request_id,
        "requestTime": _common_log_time(request.time),
        "requestTimeEpoch": round(request.time * 1000),
        "resourceId": "local",
        "resourcePath": resource,
        "stage": _STAGE if request.stage == DEFAULT else request.stage,
    }


def _context_v2(
    request: Request, path: str, route: str, stage: str, account: str, request_id: str
) -> dict[str, object]:
    return {
        "accountId": account,
        "apiId": request.api,
        "domainName": request.domain,
        "domainPrefix": request.domain.partition(".")[0],
        "http": {
            "method": request.method,
            "path": path,
            "protocol": request.protocol,
            "sourceIp": request.source_ip,
            "userAgent": request.header("user-agent"),
        },
        "requestId": request_id,
        "routeKey": route,
        "stage": stage,
        "time": _common_log_time(request.time),
        "timeEpoch": round(request.time * 1000),
    }


def _resource(route: str) -> str:
    return "/{proxy+}" if route == DEFAULT else route.partition(" ")[2]  # a REST API has no $default route


def _is_binary(request: Request) -> bool:
    """Whether the body is base64 behind an HTTP API [recorded], forms among them, and a function URL (belief)."""
    kind = request.content_type()
    if kind in TEXT_TYPES or kind.startswith("text/"):
        return not is_utf8(request.body)  # (belief)
    return bool(request.body)


def _common_log_time(seconds: float) -> str:
    """`09/Apr/2015:12:34:56 +0000`, whatever the locale."""
    return _written(round(seconds * 1000) // 1000)


@lru_cache(8)
def _written(second: int) -> str:
    now = gmtime(second)
    date = f"{now.tm_mday:02}/{_MONTHS[now.tm_mon - 1]}/{now.tm_year:04}"
    return f"{date}:{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02} +0000"


def from_result(payload: bytes, front: str, accept: str = "", binary: Iterable[str] = ()) -> Response:
    """What the front end "rest", "http" or "url" makes of a function's answer. Header names come back lower-case.

    rest: an object with the fields of format 1.0 and no other; none is required, the status defaults to 200 [recorded].
    A base64 body is decoded when the first media type of `accept`, the client's header, matches one of `binary`, the
    API's binaryMediaTypes; else the base64 text is passed on [recorded].
    http, url: without `statusCode` the whole answer is the body, as JSON; a string is its own text [recorded].

    A missing Content-Type becomes application/json [recorded], but text/plain behind http when there is a `statusCode`
    (belief). Raises `MalformedResult` where AWS answers 502 or 500.
    """
    try:
        answer = _parsed(payload)
        if front == "rest":
            return _rest(answer, _matches(media_type(accept.partition(",")[0]), binary))
        return _http(answer, front)
    except RecursionError:
        raise MalformedResult("the answer is nested too deeply") from None


def from_head(prelude: bytes, front: str = "url") -> Response:
    """What a function URL or a REST API makes of the prelude of a streamed answer: a response that has no body yet.

    A missing Content-Type becomes application/octet-stream (belief). Raises `MalformedResult`.
    """
    try:
        answer = _parsed(prelude)
    except RecursionError:
        answer = None
    if not isinstance(answer, dict):
        raise MalformedResult("the prelude of the answer is not an object")
    headers = [*_headers(answer), *_repeated(answer)] if front == "rest" else _headers(answer)
    if all(name != "content-type" for name, _ in headers):
        headers = [("content-type", "application/octet-stream"), *headers]
    return _response({"statusCode": answer.get("statusCode")}, front, headers, decodes=False)


def _parsed(payload: bytes) -> object:
    try:
        return _DECODER.decode(payload.decode())
    except ValueError as damage:
        raise MalformedResult(f"the answer is not JSON: {damage}") from None


def _no_constant(name: str) -> object:
    raise MalformedResult(f"the answer is not JSON: {name} is no JSON number")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)  # json.loads would make one each time


def _rest(answer: object, decodes: bool) -> Response:
    if not isinstance(answer, dict):
        raise MalformedResult("a REST API needs an object with statusCode, headers and body")
    unknown = sorted(answer.keys() - _REST_FIELDS)
    if unknown:
        hint = "answer with statusCode, headers, body and isBase64Encoded only"
        raise MalformedResult(f"a REST API refuses the field {unknown[0]!r:.40}", hint)
    many = _repeated(answer)
    named = {name for name, _ in many}  # these win over headers of the same name [recorded]
    one = [(name.lower(), value) for name, value in _fields(answer, "headers").items()]
    headers = [*(pair for pair in one if pair[0] not in named), *many]
    return _response(answer, "rest", headers, decodes)


def _repeated(answer: Mapping[str, object]) -> list[tuple[str, object]]:
    many = _fields(answer, "multiValueHeaders")
    return [(name.lower(), value) for name, values in many.items() for value in _values(name, values)]


def _http(answer: object, front: str) -> Response:
    if not isinstance(answer, dict) or answer.get("statusCode") is None:
        return _inferred(answer, front)
    return _response(answer, front, _headers(answer), decodes=True)


def _headers(answer: Mapping[str, object]) -> list[tuple[str, object]]:
    headers = [(name.lower(), value) for name, value in _fields(answer, "headers").items()]
    cookies = [("set-cookie", value) for value in _values("cookies", answer.get("cookies") or [])]
    return [*headers, *cookies]


def _inferred(answer: object, front: str) -> Response:
    if front == "http" and isinstance(answer, dict) and "errorMessage" in answer:  # the field alone will do [recorded]
        raise MalformedResult("an HTTP API takes an answer with errorMessage for a function error")
    # the JSON is written anew, without spaces: a function URL [recorded], an HTTP API (belief)
    text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    return Response(200, (("content-type", "application/json"),), utf8(text))


def _response(answer: Mapping[str, object], front: str, headers: list[tuple[str, object]], decodes: bool) -> Response:
    if all(name != "content-type" for name, _ in headers):
        headers = [("content-type", _DEFAULT_TYPE[front]), *headers]
    # a null header is left out; a null content-type keeps the default away (belief, after aws-sam-cli#1218)
    checked = tuple((_header_name(name), _header_value(name, value)) for name, value in headers if value is not None)
    return Response(_status(answer.get("statusCode")), checked, _result_body(answer, decodes))


def _status(code: object) -> int:
    if code is None:
        return 200
    if isinstance(code, str) and len(code) == 3 and code.isascii() and code.isdigit():
        code = int(code)  # [recorded]
    if isinstance(code, int) and 200 <= code <= 599:  # 1xx is no final answer: a client would wait for ever
        return code
    raise MalformedResult(f"statusCode is {code!r:.40}, which is no HTTP status")


def _result_body(answer: Mapping[str, object], decodes: bool) -> bytes:
    body, encoded = answer.get("body"), answer.get("isBase64Encoded")
    if body is not None and not isinstance(body, str):
        raise MalformedResult("the body is not a string", "pass it through json.dumps")
    if encoded not in (None, True, False):
        raise MalformedResult("isBase64Encoded is neither true nor false")
    if not body or not encoded or not decodes:
        return utf8(body or "")
    try:
        return binascii.a2b_base64(body, strict_mode=True)
    except ValueError as damage:
        raise MalformedResult(f"the body is not valid base64: {damage}") from None


def _fields(answer: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = answer.get(name)
    if value is None or isinstance(value, Mapping):
        return value or {}
    raise MalformedResult(f"{name} is not an object")


def _values(name: str, values: object) -> list[object]:
    if isinstance(values, list):
        return values
    raise MalformedResult(f"{name} is not a list")


def _header_name(name: str) -> str:
    if name and not name.strip(_IN_NAMES):
        return name
    raise MalformedResult(f"{name!r:.40} is no header name")


def _header_value(name: str, value: object) -> str:
    text = scalar(value)
    if text is None:
        raise MalformedResult(f"the header {name} is neither a string nor a number nor a boolean")
    if not text.isprintable() and any(control in text for control in "\r\n\0"):
        raise MalformedResult(f"the header {name} holds a line break")  # would let a value write headers of its own
    return utf8(text).decode()


def _matches(kind: str, patterns: Iterable[str]) -> bool:
    return any(p in ("*/*", kind) or (p.endswith("/*") and kind.startswith(p[:-1])) for p in patterns)
