"""API Gateway and function URLs on this machine: a request finds its route, becomes an event, and an answer comes back.

Needs only events and an Invoke, so that it stands before local environments as well as before a deployed function.
Status codes, bodies and headers are AWS's own, see `answers`; the order of what is checked is that of [throttling]
docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html. "(belief)" marks what no
document says.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from pilotlight import fronts, limits
from pilotlight.errors import InvokeError, ModelNotInstalled, NotFound, PayloadTooLarge, Throttled
from pilotlight.events import Request, Response
from pilotlight.fronts import MalformedResult
from pilotlight.local import cors, streams, tracing
from pilotlight.local.answers import Failure, checked, cleaned, fail, identified, throttled, unavailable
from pilotlight.local.keys import ApiKey, Keys
from pilotlight.local.observer import NOBODY, Observer
from pilotlight.local.routes import Match, Router
from pilotlight.local.streams import Streamed
from pilotlight.local.throttle import Bucket
from pilotlight.settings import Cors, Front, Throttle
from pilotlight.values import Call, Invoke, Result

TIMEOUTS: Mapping[Front, float] = {
    "http": limits.HTTP_TIMEOUT,
    "rest": limits.REST_TIMEOUT,
    "url": limits.TIMEOUT_MAX,
}
_REQUEST_LIMITS: Mapping[Front, int] = {
    "http": limits.HTTP_PAYLOAD,
    "rest": limits.HTTP_PAYLOAD,
    "url": limits.REQUEST_PAYLOAD,
}
_FREE_OF_PACE: Mapping[Front, int] = {"url": limits.STREAM_FREE_URL, "rest": limits.STREAM_FREE_REST}


class Target(NamedTuple):
    """What stands behind a route. `function` is a key of the Invoke; `route` the pattern as written.

    `stage` stands before the path, "" for none. `keys` are those that let a request in; None lets everyone in.
    """

    function: str
    route: str
    front: Front = "http"
    cors: Cors | None = None
    binary_media_types: tuple[str, ...] = ()
    stage: str = ""
    streams: bool = False
    throttle: Throttle | None = None
    keys: Keys | None = None


T = TypeVar("T")


class Served(NamedTuple):
    """A target with what it lets through."""

    target: Target
    bucket: Bucket | None


Route = tuple[str, str, Target]


class Gateway:
    """Answers HTTP requests by invoking functions. Timeouts, in seconds, are AWS's unless others are given."""

    def __init__(
        self,
        invoke: Invoke,
        routes: Sequence[Route] = (),
        timeouts: Mapping[Front, float] = TIMEOUTS,
        now: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
        observer: Observer = NOBODY,
    ) -> None:
        self._invoke = invoke
        self._observer = observer
        self._timeouts = timeouts
        self._now = now
        self._clock = clock
        self._running: set[asyncio.Task[None]] = set()  # functions for whose answers nobody waits any more
        self.route(routes)

    def route(self, routes: Sequence[Route]) -> None:
        """Replace the routes; requests under way keep theirs. Buckets are full then, as after a deployment (belief)."""
        served = [(method, path, self._served(target)) for method, path, target in routes]
        staged = [(method, f"/{each.target.stage}{path}", each) for method, path, each in served if each.target.stage]
        roots = [(method, path[:-1], each) for method, path, each in staged if path == f"/{each.target.stage}/"]
        self._router = Router([*(route for route in served if not route[2].target.stage), *staged, *roots])
        self._outside_their_stage = Router(route for route in served if route[2].target.stage)
        kinds = {target.front for _, _, target in routes}
        self._front: Front = kinds.pop() if len(kinds) == 1 else "http"  # of paths that no route has

    def _served(self, target: Target) -> Served:
        return Served(target, Bucket(target.throttle, self._now()) if target.throttle else None)

    def match(self, method: str, path: str) -> Match[Served] | None:
        return self._router.match(method, path)

    async def __call__(self, request: Request) -> Response | Streamed:
        """The answer to a request."""
        return await self.answer(request, self.match(request.method, request.path))

    async def answer(self, request: Request, found: Match[Served] | None) -> Response | Streamed:
        """The answer to a request for which `match` has found a route, or none. Its stage, route and path parameters
        are filled in here."""
        preflight = self._preflight(request)
        if preflight is not None:
            return preflight
        if found is None:
            return self._unrouted(request)
        target = found.target.target
        failure, key = self._admit(request, found.target)
        if failure:
            return self._finish(request, target, fail(target.front, failure))
        request = _routed(request, target, found.parameters, key)
        trace = tracing.of_invocation(request.header("x-amzn-trace-id"))
        answer = await self._integrate(request, target, trace)
        self._tell(request, target, 0 if isinstance(answer, Streamed) else len(answer.body))
        if isinstance(answer, Streamed):
            return answer._replace(head=self._finish(request, target, answer.head, trace))
        return self._finish(request, target, answer, trace)

    def _tell(self, request: Request, target: Target, answered: int) -> None:
        told = self._observer.of(target.function)
        told.called(target.front, len(request.body), answered, request.extended_id, request.request_id)

    def refuse(self, request: Request, failure: Failure) -> Response:
        """The answer to a request that never became whole, in the words of the front end that it was for."""
        found = self.match(request.method, request.path)
        if found is None:
            return self._unrouted(request)
        return self._finish(request, found.target.target, fail(found.target.target.front, failure))

    def _unrouted(self, request: Request) -> Response:
        others = self._router.targets_at(request.path)  # of other methods
        outside = self._outside_their_stage.match(request.method, request.path)
        if others or outside is None:
            front: Front = others[0].target.front if others else self._front
            return identified(fail(front, "not found"), request, front)
        front = outside.target.target.front
        return identified(fail(front, "no stage"), request, front)

    def _admit(self, request: Request, served: Served) -> tuple[Failure | None, ApiKey | None]:
        """Whether the request may pass: its size, its key, the limits of the key, those of the route [throttling]."""
        target, bucket = served
        failure = _oversized(request, target.front)
        key = None
        if failure is None and target.keys is not None:
            key = target.keys.find(request.header("x-api-key"))
            failure = "no key" if key is None else key.admit(self._now(), self._clock()) or None
        if failure is None and bucket is not None and not bucket.take(self._now()):
            failure = "throttled by the gateway"
        return failure, key

    def _finish(self, request: Request, target: Target, response: Response, trace: str = "") -> Response:
        """The headers of the function, without and with those of the gateway."""
        response = cleaned(response, target.front)
        if target.cors is not None and target.cors.origins:
            response = cors.apply(target.cors, request.header("origin"), response)
        return identified(response, request, target.front, trace)

    def _preflight(self, request: Request) -> Response | None:
        """A configured CORS answers preflights itself, even where an OPTIONS or ANY route exists [http].

        They need no key and are not throttled: the browser sends no key, and they reach no route.
        """
        if request.method != "OPTIONS" or not cors.is_preflight(request):
            return None
        for target, _ in self._router.targets_at(request.path):
            if target.cors is not None and target.cors.origins:
                return identified(cors.preflight(target.cors, request), request, target.front)
        return None

    async def _integrate(self, request: Request, target: Target, trace: str) -> Response | Streamed:
        if len(request.body) > _REQUEST_LIMITS[target.front]:
            return fail(target.front, "too large")
        try:
            return await self._called(request, target, trace) or fail(target.front, "timeout")
        except (InvokeError, ModelNotInstalled, MalformedResult) as error:
            error.__traceback__ = None  # its frames hold the request, and the future that holds the error
            return _refusal(error, target.front)

    async def _called(self, request: Request, target: Target, trace: str) -> Response | Streamed | None:
        """The function's answer; None when it did not come within the time that the front end gives.

        It is not stopped then: on AWS, too, a function runs on when nobody waits any more."""
        began = self._now()
        timeout = self._timeouts[target.front]
        if target.streams and target.front == "rest":
            timeout = max(timeout, limits.REST_STREAM_TIMEOUT)
        call = Call(target.function, _encode(request, target), request.request_id, trace)
        invocation = asyncio.ensure_future(self._invoke(call))
        result = await _within(timeout, invocation)
        if result is None:
            self._leave(_collected(invocation))
            return None
        if result.stream is None:
            return _response(request, target, result)
        answer = asyncio.ensure_future(self._opened(request, target, result, began))
        opened = await _within(began + timeout - self._now(), answer)
        if opened is None:
            self._leave(_awaited(answer))
        return opened

    def _leave(self, rest: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(rest)
        self._running.add(task)  # the event loop itself holds tasks weakly
        task.add_done_callback(self._running.discard)

    async def _opened(self, request: Request, target: Target, result: Result, began: float) -> Response | Streamed:
        if result.stream is None or target.front == "http":  # which does not stream
            return _response(request, target, await streams.collected(result))
        opened = await streams.opened(result.stream, target.front)
        return opened._replace(chunks=self._limited(opened.chunks, target, began))

    def _limited(self, chunks: AsyncIterator[bytes], target: Target, began: float) -> AsyncIterator[bytes]:
        if target.front == "rest":
            end = began + limits.REST_STREAM_TIMEOUT
            chunks = streams.timed(chunks, limits.REST_STREAM_IDLE, end, self._now)
        return streams.paced(chunks, _FREE_OF_PACE[target.front], self._now)


def _response(request: Request, target: Target, result: Result) -> Response:
    """Raises `MalformedResult`."""
    if result.error:
        return fail(target.front, "function")
    accept, binary = request.header("accept"), target.binary_media_types
    return checked(fronts.from_result(result.payload, target.front, accept, binary), target.front)


def _refusal(error: InvokeError | ModelNotInstalled | MalformedResult, front: Front) -> Response:
    match error:
        case Throttled():
            return throttled(front, error.reason)
        case PayloadTooLarge():
            return fail(front, "too long")
        case NotFound():  # the service was reloaded between routing and invoking
            return fail(front, "not found")
        case ModelNotInstalled():
            return unavailable(f"{error}; {error.hint}" if error.hint else str(error))
    return fail(front, "function")


async def _collected(invocation: Awaitable[Result]) -> None:
    with contextlib.suppress(InvokeError, ModelNotInstalled):
        await streams.collected(await invocation)


async def _awaited(answer: Awaitable[Response | Streamed]) -> None:
    with contextlib.suppress(MalformedResult):
        await answer


async def _within(seconds: float, future: "asyncio.Future[T]") -> T | None:
    """The future's result; None when it takes longer, and then it goes on. asyncio.wait costs twice as much."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    timer = loop.call_later(seconds, _finish, over)
    future.add_done_callback(lambda _: _finish(over))
    try:
        await over
    finally:
        timer.cancel()
    return future.result() if future.done() else None


def _finish(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _routed(request: Request, target: Target, parameters: Mapping[str, str], key: ApiKey | None) -> Request:
    if target.stage:
        path = request.path[len(target.stage) + 1 :] or "/"
        request = request._replace(path=path, stage=target.stage)
    if key is not None:
        request = request._replace(api_key=key.value, api_key_id=key.id)
    return request._replace(route=target.route, path_parameters=parameters)


def _oversized(request: Request, front: Front) -> Failure | None:
    """[rest] limits the URL and the header values, [http] and a function URL the request line and header values."""
    line = len(request.method) + len(request.path) + len(request.query) + 11  # two spaces, "?" and "HTTP/1.1"
    values = sum([len(value) for name, value in request.headers if name not in tracing.ADDED])
    match front:
        case "rest" if line > limits.GATEWAY_HEADERS:
            return "long url"
        case "rest":
            return "long headers" if values > limits.GATEWAY_HEADERS else None
        case "http":
            return "long headers" if line + values > limits.GATEWAY_HEADERS else None
        case "url":
            return "long headers" if line + values > limits.URL_HEADERS else None


def _encode(request: Request, target: Target) -> bytes:
    match target.front:
        case "http":
            event = fronts.to_v2(request)
        case "rest":
            event = fronts.to_v1(request, target.binary_media_types)
        case "url":
            event = fronts.to_url(request)
    return msgspec.json.encode(event)
