"""What AWS's front ends answer when no function did, and what they do to the headers of one that did.

Sources: [rest] docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-responses-types.html, [remapped]
.../developerguide/api-gateway-known-issues.html, [http] .../http-api-develop-integrations-lambda.html, [url]
docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html, [throttling] .../dg/urls-configuration.html, and
answers of the real services that others published. "(belief)" marks what none of them says.
"""

import json
from collections.abc import Mapping
from typing import Literal, NamedTuple

from pilotlight import limits
from pilotlight.events import Request, Response
from pilotlight.fronts import MalformedResult
from pilotlight.local.keys import Refusal
from pilotlight.settings import Front

Failure = Literal[
    Refusal, "no stage", "not found", "no key", "long url", "long headers", "too large", "too long", "throttled",
    "function", "timeout",
]  # fmt: skip


class _Answer(NamedTuple):
    """`error` is the value of the header x-amzn-errortype, which REST APIs send."""

    status: int
    body: str
    error: str = ""


_SERVER_ERROR = _Answer(500, '{"message":"Internal Server Error"}')
_SERVER_ERROR_REST = _Answer(502, '{"message": "Internal server error"}', "InternalServerErrorException")
_UNAVAILABLE = _Answer(503, '{"message":"Service Unavailable"}')
_HTTP_TOO_LARGE = _Answer(413, '{"message":"Request Entity Too Large"}')
_LONG_HEADERS = _Answer(431, '{"message":"Request Header Fields Too Large"}')  # (belief)
_TOO_LARGE = "RequestTooLargeException"  # (belief)
_URL_TOO_LARGE = _Answer(
    413, f'{{"message":"Request must be smaller than {limits.REQUEST_PAYLOAD} bytes for the InvokeFunction operation"}}'
)

_ANSWERS: Mapping[Front, Mapping[Failure, _Answer]] = {
    "http": {
        "no stage": _Answer(404, '{"message":"Not Found"}'),
        "not found": _Answer(404, '{"message":"Not Found"}'),
        "long headers": _LONG_HEADERS,
        "too large": _HTTP_TOO_LARGE,
        "too long": _HTTP_TOO_LARGE,
        "throttled by the gateway": _Answer(429, '{"message":"Too Many Requests"}'),
        "throttled": _UNAVAILABLE,
        "function": _SERVER_ERROR,
        "timeout": _UNAVAILABLE,
    },
    "rest": {
        "no stage": _Answer(403, '{"message":"Forbidden"}', "ForbiddenException"),
        "not found": _Answer(403, '{"message":"Missing Authentication Token"}', "MissingAuthenticationTokenException"),
        "no key": _Answer(403, '{"message":"Forbidden"}', "ForbiddenException"),
        "long url": _Answer(414, '{"message":"Request URI too long"}'),  # (belief)
        "long headers": _LONG_HEADERS,
        "too large": _Answer(413, '{"message":"HTTP content length exceeded 10485760 bytes."}', _TOO_LARGE),
        "too long": _Answer(413, '{"message":"Request Too Long"}', _TOO_LARGE),  # of Lambda
        "throttled by the gateway": _Answer(429, '{"message":"Too Many Requests"}', "TooManyRequestsException"),
        "quota": _Answer(429, '{"message":"Limit Exceeded"}', "LimitExceededException"),
        # the 429 of Lambda is an execution failure to a REST API: repost.aws/questions/QUfI6bsdd0SOiPeyimzxSkfQ
        "throttled": _SERVER_ERROR_REST._replace(status=500),
        "function": _SERVER_ERROR_REST,
        "timeout": _Answer(504, '{"message": "Endpoint request timed out"}', "InternalServerErrorException"),
    },
    "url": {
        "not found": _Answer(404, '{"Message":null}'),
        "long headers": _LONG_HEADERS,
        "too large": _URL_TOO_LARGE,
        "too long": _URL_TOO_LARGE,
        "function": _Answer(502, "Internal Server Error"),
        "timeout": _Answer(504, '{"Message":null}'),  # (belief) a function URL waits as long as the function may run
    },
}


def _response(answer: _Answer) -> Response:
    kind = "application/json" if answer.body.startswith("{") else "text/plain"
    errors = (("x-amzn-errortype", answer.error),) if answer.error else ()
    return Response(answer.status, (("content-type", kind), *errors), answer.body.encode())


_RESPONSES = {front: {name: _response(each) for name, each in group.items()} for front, group in _ANSWERS.items()}

_NOT_THE_FUNCTIONS = frozenset(  # headers that only the connection's ends or the gateway itself may set
    (
        *("connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"),
        *("proxy-connection", "date", "apigw-requestid", "x-amzn-requestid", "x-amz-apigw-id", "x-amzn-trace-id"),
    )
)
_REMAPPED = frozenset(("connection", "content-length", "date", "server", "www-authenticate"))


def fail(front: Front, failure: Failure) -> Response:
    """What AWS's front end answers when no function did."""
    return _RESPONSES[front][failure]


def throttled(front: Front, reason: str) -> Response:
    """What becomes of Lambda's 429 with that Reason: a function URL hands it on [throttling]."""
    if front != "url":
        return fail(front, "throttled")
    body = f'{{"Reason":"{reason}","Type":"User","message":"Rate Exceeded."}}'
    return _response(_Answer(429, body))


def unavailable(message: str) -> Response:
    body = json.dumps({"message": message}, ensure_ascii=False).encode()
    return Response(503, (("content-type", "application/json"),), body)


def cleaned(response: Response, front: Front) -> Response:
    """Without the headers that are not the function's to set; a REST API sends some of them on renamed [remapped]."""
    kept = []
    for name, value in response.headers:
        lower = name.lower()
        if front == "rest" and lower in _REMAPPED:
            kept.append((f"x-amzn-remapped-{lower}", value))
        elif lower not in _NOT_THE_FUNCTIONS:
            kept.append((name, value))
    return Response(response.status, tuple(kept), response.body)


def checked(response: Response, front: Front) -> Response:
    """Raises `MalformedResult` for headers that are longer than a gateway takes; status and limit are a (belief)."""
    if front != "url" and sum([len(value) for _, value in response.headers]) > limits.GATEWAY_HEADERS:
        raise MalformedResult(f"the headers of the answer have more than {limits.GATEWAY_HEADERS} bytes")
    return response


def identified(response: Response, request: Request, front: Front, trace: str = "") -> Response:
    """With the ids that the front end gives every answer, and the trace where Lambda was called."""
    ids: tuple[tuple[str, str], ...]
    match front:
        case "http":
            ids = (("apigw-requestid", request.extended_id or request.request_id),)
        case "rest":
            ids = (("x-amzn-requestid", request.request_id), ("x-amz-apigw-id", request.extended_id))
        case "url":
            ids = (("x-amzn-requestid", request.request_id),)
    if trace and front != "http":
        ids = (*ids, ("x-amzn-trace-id", trace))
    return Response(response.status, (*response.headers, *ids), response.body)
