"""API Gateway and function URLs on this machine: a request finds its route, becomes an event, and an answer comes back.

Needs only events and an Invoke, so that it stands before local environments as well as before a deployed function.
Status codes and bodies are AWS's own: [rest] docs.aws.amazon.com/apigateway/latest/developerguide/
supported-gateway-responses-types.html, [http] .../http-api-develop-integrations-lambda.html, [url]
docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html. "(belief)" marks what no document says.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from pilotlight import fronts, limits
from pilotlight.errors import ModelNotInstalled, NotFound, PayloadTooLarge, Throttled
from pilotlight.events import Request, Response
from pilotlight.fronts import MalformedResult
from pilotlight.local import cors, streams
from pilotlight.local.routes import Match, Router
from pilotlight.local.streams import Streamed
from pilotlight.settings import Cors, Front
from pilotlight.values import Call, Invoke

Failure = Literal["not found", "too large", "throttled", "function", "timeout"]


class Target(NamedTuple):
    """What stands behind a route. `function` is a key of the Invoke; `route` the pattern as written."""

    function: str
    route: str
    front: Front = "http"
    cors: Cors | None = None
    binary_media_types: tuple[str, ...] = ()


_SERVER_ERROR = '{"message":"Internal Server Error"}'
_SERVER_ERROR_REST = '{"message": "Internal server error"}'
_UNAVAILABLE = '{"message":"Service Unavailable"}'

_FAILURES: dict[Front, dict[Failure, tuple[int, str]]] = {
    "http": {
        "not found": (404, '{"message":"Not Found"}'),
        "too large": (413, '{"message":"Request Entity Too Large"}'),
        "throttled": (503, _UNAVAILABLE),
        "function": (500, _SERVER_ERROR),
        "timeout": (503, _UNAVAILABLE),
    },
    "rest": {
        "not found": (403, '{"message":"Missing Authentication Token"}'),
        "too large": (413, '{"message":"Request Too Long"}'),
        "throttled": (500, _SERVER_ERROR_REST),  # (belief) the 429 of Lambda is an execution failure to a REST API
        "function": (502, _SERVER_ERROR_REST),
        "timeout": (504, '{"message": "Endpoint request timed out"}'),
    },
    "url": {
        "not found": (404, '{"Message":null}'),
        "too large": (413, '{"message":"Request must be smaller than 6291556 bytes for the InvokeFunction operation"}'),
        "throttled": (429, '{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User",'
                           '"message":"Rate Exceeded."}'),
        "function": (502, "Internal Server Error"),
        "timeout": (504, '{"Message":null}'),  # (belief) a function URL waits as long as the function may run
    },
}  # fmt: skip

_REQUEST_LIMITS: dict[Front, int] = {"http": limits.HTTP_PAYLOAD, "rest": limits.HTTP_PAYLOAD, "url": limits.PAYLOAD}
_TIMEOUTS: dict[Front, float] = {"http": limits.HTTP_TIMEOUT, "rest": limits.REST_TIMEOUT, "url": limits.TIMEOUT_MAX}
_REQUEST_ID: dict[Front, str] = {"http": "apigw-requestid", "rest": "x-amzn-requestid", "url": "x-amzn-requestid"}
_NOT_THE_FUNCTIONS = frozenset(  # headers that only the connection's ends or the gateway itself may set
    (
        *("connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"),
        *("proxy-connection", "date", "apigw-requestid", "x-amzn-requestid"),
    )
)


class Gateway:
    """Answers HTTP requests by invoking functions."""

    def __init__(self, invoke: Invoke, routes: Sequence[tuple[str, str, Target]] = ()) -> None:
        self._invoke = invoke
        self._router = Router(routes)
        self._running: set[asyncio.Task[Response | Streamed]] = set()

    def route(self, routes: Sequence[tuple[str, str, Target]]) -> None:
        """Replace the routes; requests under way keep theirs."""
        self._router = Router(routes)

    def match(self, method: str, path: str) -> Match[Target] | None:
        return self._router.match(method, path)

    async def __call__(self, request: Request) -> Response | Streamed:
        """The answer to a request. Its route and path parameters are filled in here."""
        preflight = self._preflight(request)
        if preflight is not None:
            return preflight
        found = self.match(request.method, request.path)
        if found is None:
            others = self._router.targets_at(request.path)  # of other methods
            return fail(others[0].front if others else "http", "not found")
        target = found.target
        request = request._replace(route=target.route, path_parameters=found.parameters)
        answer = await self._integrate(request, target)
        if isinstance(answer, Streamed):
            return answer._replace(head=self._finish(request, target, answer.head))
        return self._finish(request, target, answer)

    def _finish(self, request: Request, target: Target, response: Response) -> Response:
        """The headers of the function, without and with those of the gateway."""
        response = _clean(response)
        if target.cors is not None and target.cors.origins:
            response = cors.apply(target.cors, request.header("origin"), response)
        return response._replace(headers=(*response.headers, (_REQUEST_ID[target.front], request.request_id)))

    def _preflight(self, request: Request) -> Response | None:
        """A configured CORS answers preflights itself, even where an OPTIONS or ANY route exists [http]."""
        if request.method != "OPTIONS" or not cors.is_preflight(request):
            return None
        for target in self._router.targets_at(request.path):
            if target.cors is not None and target.cors.origins:
                return cors.preflight(target.cors, request)
        return None

    async def _integrate(self, request: Request, target: Target) -> Response | Streamed:
        if len(request.body) > _REQUEST_LIMITS[target.front]:
            return fail(target.front, "too large")
        # Not cancelled at the gateway's timeout: on AWS, too, the function runs on when nobody waits any more.
        task = asyncio.ensure_future(self._answer(request, target))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        done, _ = await asyncio.wait({task}, timeout=_TIMEOUTS[target.front])
        return task.result() if done else fail(target.front, "timeout")

    async def _answer(self, request: Request, target: Target) -> Response | Streamed:
        call = Call(target.function, _encode(request, target), request.request_id, request.header("x-amzn-trace-id"))
        try:
            result = await self._invoke(call)
            if result.stream is not None and target.front == "url":
                return await streams.opened(result.stream)
            result = await streams.collected(result)
            if result.error:
                return fail(target.front, "function")
            return fronts.from_result(result.payload, target.front, request.header("accept"), target.binary_media_types)
        except Throttled:
            return fail(target.front, "throttled")
        except PayloadTooLarge:
            return fail(target.front, "too large")
        except NotFound:  # the service was reloaded between routing and invoking
            return fail(target.front, "not found")
        except MalformedResult:
            return fail(target.front, "function")
        except ModelNotInstalled as error:
            return _unavailable(f"{error}; {error.hint}" if error.hint else str(error))


def fail(front: Front, failure: Failure) -> Response:
    """What AWS's front end answers when no function did."""
    status, body = _FAILURES[front][failure]
    kind = "application/json" if body.startswith("{") else "text/plain"
    return Response(status, (("content-type", kind),), body.encode())


def _unavailable(message: str) -> Response:
    body = json.dumps({"message": message}, ensure_ascii=False).encode()
    return Response(503, (("content-type", "application/json"),), body)


def _encode(request: Request, target: Target) -> bytes:
    match target.front:
        case "http":
            event = fronts.to_v2(request)
        case "rest":
            event = fronts.to_v1(request, target.binary_media_types)
        case "url":
            event = fronts.to_url(request)
    return msgspec.json.encode(event)


def _clean(response: Response) -> Response:
    kept = tuple(pair for pair in response.headers if pair[0].lower() not in _NOT_THE_FUNCTIONS)
    return response._replace(headers=kept)
