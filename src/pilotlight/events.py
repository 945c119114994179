"""HTTP as Lambda sees it: API Gateway and function URL events <-> `Request`, `Response` <-> a function's answer.

    client -> gateway: Request -> to_v1 | to_v2 | to_url -> event -> from_event -> Request -> function
    client <- gateway: Response <- from_result <- payload <- to_result <- Response <- function

Pure functions: ids and times are fields of the request. This module is the function's side; it ships to Lambda and is
part of every cold start, so it imports next to nothing, and `urllib.parse` only for a query or a path that has
something to decode. The gateway's side is written in `fronts`, loaded when one of its names here is first touched.

Sources, cited in brackets: [rest] docs.aws.amazon.com/apigateway/latest/developerguide/
set-up-lambda-proxy-integrations.html, [http] .../http-api-develop-integrations-lambda.html, [mapping]
.../rest-api-mappings.html, [url] docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html, and [recorded], answers of
the real services that others keep as test data (LocalStack's AWS-validated tests; the captures told of in
middleapi/standard-server#93 and ministackorg/ministack#766, #767). "(belief)" marks what none of them confirms.
"""

from __future__ import annotations

import binascii
from _collections_abc import Mapping  # `collections.abc`, without `collections`
from types import MappingProxyType

from pilotlight.errors import InputError
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeGuard

    from pilotlight.fronts import MalformedResult, from_result, to_url, to_v1, to_v2

__all__ = [
    "MalformedResult",
    "Request",
    "Response",
    "from_event",
    "from_result",
    "is_http",
    "to_result",
    "to_url",
    "to_v1",
    "to_v2",
    "version",
]

Headers = tuple[tuple[str, str], ...]

DEFAULT = "$default"  # the catch-all route, and the stage without a path prefix
TEXT_TYPES = ("application/json", "application/xml", "application/javascript")  # and text/*
ALPHANUMERIC = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_IN_SEGMENTS = "-._~!$&'()*+,;=:@"  # what RFC 3986 lets stand unescaped in a path segment, next to letters and digits
_IN_PATHS = ALPHANUMERIC + _IN_SEGMENTS + "/"
_MAPPING = (dict, Mapping)  # to ask an abstract class takes ten times as long


class Request(NamedTuple):
    """An HTTP request with what the gateway knows about it.

    `path` is as the client sent it, percent-encoded and without the stage; `query` is the raw query string. Header
    names are lower-case, order and repeats are kept, cookies are one ordinary `cookie` header. `route` is the pattern
    that matched, `"POST /users/{id}"` or `"$default"`; `path_parameters` are decoded. `time` is in seconds since 1970.
    `extended_id` is API Gateway's own id of the request, `api_key` the key that it was let in with.
    """

    method: str
    path: str
    query: str = ""
    headers: Headers = ()
    body: bytes = b""
    route: str = DEFAULT
    path_parameters: Mapping[str, str] = MappingProxyType({})
    stage: str = DEFAULT
    request_id: str = ""
    source_ip: str = "127.0.0.1"
    time: float = 0.0
    protocol: str = "HTTP/1.1"
    domain: str = "localhost"
    account: str = "000000000000"
    api: str = "local"
    extended_id: str = ""
    api_key: str = ""
    api_key_id: str = ""

    def header(self, name: str) -> str:
        """The first header of that name, in any case; "" when there is none."""
        return _first(self.headers, name)

    def content_type(self) -> str:
        """The media type of the body in lower case, without parameters: "application/json"."""
        return media_type(self.header("content-type"))

    def query_pairs(self) -> list[tuple[str, str]]:
        """The decoded query parameters in their order; one without a value has ""."""
        if not self.query:
            return []
        from urllib.parse import parse_qsl

        return parse_qsl(self.query, keep_blank_values=True)


class Response(NamedTuple):
    """An HTTP response. Header names may be in any case, and may repeat."""

    status: int = 200
    headers: Headers = ()
    body: bytes = b""

    def header(self, name: str) -> str:
        """The first header of that name, in any case; "" when there is none."""
        return _first(self.headers, name)


def is_http(event: object) -> TypeGuard[Mapping[str, object]]:
    """Whether a gateway or a function URL sent this event.

    Format 2.0 has an object `requestContext.http`. Format 1.0 has a string `httpMethod` and at least one more field of
    a proxy event, as hand-written test events do: `{"httpMethod": "POST", "body": "..."}`. Everything else,
    `{"body": "hello"}` included, is a bare event.
    """
    if not isinstance(event, _MAPPING):
        return False
    context = event.get("requestContext")
    if isinstance(context, _MAPPING) and "http" in context:
        return isinstance(context["http"], _MAPPING)
    others = ("requestContext", "resource", "path", "headers", "multiValueHeaders", "queryStringParameters", "body")
    return isinstance(event.get("httpMethod"), str) and any(name in event for name in others)


def version(event: Mapping[str, object]) -> str:
    """The payload format of an HTTP event: "1.0" (REST API, HTTP API set to 1.0) or "2.0" (HTTP API, function URL)."""
    return "2.0" if "http" in _mapping(event, "requestContext") else "1.0"


def from_event(event: Mapping[str, object]) -> Request:
    """The request that an HTTP event tells of; a field that is missing or null takes its default.

    The path comes back percent-encoded. Since an HTTP API has decoded it and a function URL has not, only what cannot
    stand in a path is escaped: `%2F` and `%25` that an HTTP API has decoded stay lost, as on AWS.

    Raises `errors.InputError` for an event that is not HTTP, a field of the wrong type, or a damaged base64 body.
    """
    if not is_http(event):
        raise InputError(("", "the event is not an HTTP request"))
    return _from_v2(event) if version(event) == "2.0" else _from_v1(event)


def _from_v1(event: Mapping[str, object]) -> Request:
    context = _mapping(event, "requestContext")
    method = _string(event, "httpMethod", "GET")
    resource = _string(event, "resource", "")
    return Request(
        method,
        _encoded(_string(event, "path", "/")),
        _query(_pairs(event, "queryStringParameters", "multiValueQueryStringParameters")),
        tuple((name.lower(), value) for name, value in _pairs(event, "headers", "multiValueHeaders")),
        _body_of(event),
        f"{method} {resource}" if resource else DEFAULT,
        # a REST API leaves path parameters as they were sent [recorded], an HTTP API (whose events say "1.0") decodes
        _path_parameters(event, sent=event.get("version") != "1.0"),
        _string(context, "stage", DEFAULT),
        _string(context, "requestId", ""),
        _string(_mapping(context, "identity"), "sourceIp", "127.0.0.1"),
        _seconds(context.get("requestTimeEpoch")),
        _string(context, "protocol", "HTTP/1.1"),
        *_origin(context),
    )


def _from_v2(event: Mapping[str, object]) -> Request:
    context = _mapping(event, "requestContext")
    http = _mapping(context, "http")
    stage = _string(context, "stage", DEFAULT)
    headers = [(name.lower(), value) for name, value in _pairs(event, "headers")]
    cookies = _list(event, "cookies")
    if cookies:
        headers.append(("cookie", "; ".join(cookies)))
    return Request(
        _string(http, "method", "GET"),
        _encoded(_without_stage(_string(event, "rawPath", _string(http, "path", "/")), stage)),
        _string(event, "rawQueryString", "") or _query(_pairs(event, "queryStringParameters")),
        tuple(headers),
        _body_of(event),
        _string(event, "routeKey", DEFAULT),
        _path_parameters(event, sent=False),
        stage,
        _string(context, "requestId", ""),
        _string(http, "sourceIp", "127.0.0.1"),
        _seconds(context.get("timeEpoch")),
        _string(http, "protocol", "HTTP/1.1"),
        *_origin(context),
    )


def _origin(context: Mapping[str, object]) -> tuple[str, str, str]:
    """Domain, account and API."""
    names = ("domainName", "localhost"), ("accountId", "000000000000"), ("apiId", "local")
    domain, account, api = [_string(context, name, default) for name, default in names]
    return domain, account, api


def _pairs(event: Mapping[str, object], single: str, multi: str = "") -> list[tuple[str, str]]:
    """All values of a map, from its multi-value form where that has the name; hand-written events often lack it."""
    many = _object(event, multi) if multi else {}
    pairs = [(name, value) for name in many for value in _list(many, name, multi)]
    one = _object(event, single)
    return pairs + [(name, _text(single, one[name])) for name in one if not many.get(name) and one[name] is not None]


def _query(pairs: list[tuple[str, str]]) -> str:
    if not pairs:
        return ""
    from urllib.parse import quote, urlencode

    return urlencode(pairs, errors="replace", quote_via=quote)


def _path_parameters(event: Mapping[str, object], sent: bool) -> Mapping[str, str]:
    values = _pairs(event, "pathParameters")
    if not values:
        return MappingProxyType({})
    if not sent or not any("%" in value for _, value in values):
        return MappingProxyType(dict(values))
    from urllib.parse import unquote

    return MappingProxyType({name: unquote(value) for name, value in values})


def _body_of(event: Mapping[str, object]) -> bytes:
    body = event.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise InputError(("body", "must be a string or null, as API Gateway sends it"))
    if event.get("isBase64Encoded") is not True:
        return utf8(body)
    try:
        return binascii.a2b_base64(body, strict_mode=True)
    except ValueError as damage:
        raise InputError(("body", f"is not valid base64: {damage}")) from None


def _encoded(path: str) -> str:
    """`path` with everything escaped that cannot stand in a path; escapes that are there stay."""
    if not path.strip(_IN_PATHS):
        return path
    first, *rest = path.split("%")
    return escaped(first) + "".join(("%" if _is_hex(part[:2]) else "%25") + escaped(part) for part in rest)


def _is_hex(digits: str) -> bool:
    return len(digits) == 2 and not digits.strip("0123456789abcdefABCDEF")


def _without_stage(path: str, stage: str) -> str:
    prefix = f"/{stage}"
    if stage == DEFAULT or not (path == prefix or path.startswith(prefix + "/")):
        return path
    return path[len(prefix) :] or "/"


def _seconds(milliseconds: object) -> float:
    return milliseconds / 1000 if isinstance(milliseconds, int | float) and 0 <= milliseconds < 2**53 else 0.0


def _string(fields: Mapping[str, object], name: str, default: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else default


def _mapping(fields: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = fields.get(name)
    return value if isinstance(value, _MAPPING) else {}


def _object(event: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = event.get(name)
    if value is None or isinstance(value, _MAPPING):
        return value or {}
    raise InputError((name, "must be an object or null"))


def _list(fields: Mapping[str, object], name: str, field: str = "") -> list[str]:
    values = fields.get(name)
    if values is None or isinstance(values, list):
        return [_text(field or name, value) for value in values or ()]
    raise InputError((f"{field}.{name}" if field else name, "must be a list or null"))


def _text(field: str, value: object) -> str:
    text = scalar(value)
    if text is None:
        raise InputError((field, "must hold strings"))
    return text


def to_result(response: Response, version: str) -> dict[str, object]:
    """What a function answers to an event of that payload format, "1.0" or "2.0".

    A body whose type is text, or that has no type, is passed as text when it is UTF-8, since a REST API has to be set
    up for base64; every other body is base64. Repeated headers go to `multiValueHeaders` (1.0), or are joined with
    commas, with cookies apart (2.0).
    """
    encoded = not (reads_as_text(response.header("content-type")) and is_utf8(response.body))
    return {**to_head(response, version), "body": body_text(response.body, encoded), "isBase64Encoded": encoded}


def to_head(response: Response, version: str = "2.0") -> dict[str, object]:
    """`to_result` without the body: also what a streamed answer begins with."""
    headers = [(name.lower(), value) for name, value in response.headers]
    result: dict[str, object] = {"statusCode": response.status}
    if version == "1.0":
        groups = grouped(headers)
        result["headers"] = {name: values[0] for name, values in groups.items() if len(values) == 1}
        result["multiValueHeaders"] = {name: values for name, values in groups.items() if len(values) > 1}
    else:
        result["headers"] = joined(pair for pair in headers if pair[0] != "set-cookie")
        result["cookies"] = [value for name, value in headers if name == "set-cookie"]
    return {name: value for name, value in result.items() if value}


def reads_as_text(content_type: str) -> bool:
    kind = media_type(content_type)
    text = ("", *TEXT_TYPES, "application/x-www-form-urlencoded", "application/x-ndjson")
    return kind in text or kind.startswith("text/") or kind.endswith(("+json", "+xml"))


def scalar(value: object) -> str | None:
    """A JSON scalar as the text of a header: a string, `true` [recorded], a number (belief); None for anything else."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
    return None


def escaped(text: str) -> str:
    if not text.strip(_IN_PATHS):
        return text
    from urllib.parse import quote

    return quote(text, safe=_IN_SEGMENTS + "/", errors="replace")


def body_text(body: bytes, encoded: bool) -> str:
    return binascii.b2a_base64(body, newline=False).decode() if encoded else body.decode(errors="replace")


def utf8(text: str) -> bytes:
    return text.encode(errors="replace")  # JSON may hold half of a surrogate pair: "?", as Java writes it


def is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _first(headers: Headers, name: str) -> str:
    name = name.lower()
    for other, value in headers:
        if other == name or other.lower() == name:
            return value
    return ""


def media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, value in pairs:
        groups.setdefault(name, []).append(value)
    return groups


def joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    pairs = list(pairs)
    single = dict(pairs)
    return single if len(single) == len(pairs) else {name: ",".join(each) for name, each in grouped(pairs).items()}


if not TYPE_CHECKING:  # or mypy would believe that every name exists

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from pilotlight import fronts

        value: object = getattr(fronts, name)
        globals()[name] = value
        return value
