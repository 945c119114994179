"""The front door: ASGI in and out, and which part of the machine a request is for.

Plain ASGI under uvicorn, no framework in the hot path.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from pilotlight import limits
from pilotlight.events import Headers, Request, Response
from pilotlight.local import invoke_api, tracing
from pilotlight.local.answers import fail
from pilotlight.local.gateway import Gateway
from pilotlight.local.streams import Cut, Streamed

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answer = Callable[[Request], Awaitable[Response | Streamed]]

_BODILESS = (204, 304)


class App:
    """Sends a request to the Invoke API, to the gateway, or to the pages that the server has of its own.

    A route of the user's goes before a page. `log` gets one line a request, when its answer has ended.
    """

    def __init__(
        self,
        gateway: Gateway,
        invoke: Answer,
        pages: Callable[[Request], Response | None],
        log: Callable[[Request, Response, float], None],
    ) -> None:
        self._gateway = gateway
        self._invoke = invoke
        self._pages = pages
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # uvicorn closes a websocket that is not accepted with 403
        began = time.perf_counter()
        request = _request(scope)
        try:
            body = await _read(receive)
            answer = self._gateway.refuse(request, "too large") if body is None else await self._answer(request, body)
            if isinstance(answer, Streamed) and request.protocol == "HTTP/1.0":
                answer = await _whole(answer)
        except ConnectionAbortedError:
            return  # a request that was never whole is no request
        except asyncio.CancelledError:  # the server stops, and the request has had the time that it gives
            answer = fail("http", "timeout")
        if isinstance(answer, Streamed):
            await _stream(send, request, answer)
        else:
            await _send(send, request, answer)
        self._log(request, answer.head if isinstance(answer, Streamed) else answer, time.perf_counter() - began)

    async def _answer(self, request: Request, body: bytes) -> Response | Streamed:
        request = request._replace(body=body) if body else request
        if request.path.startswith(invoke_api.PREFIXES):
            return await self._invoke(request)
        found = self._gateway.match(request.method, request.path)
        page = self._pages(request) if found is None else None
        return page or await self._gateway.answer(request, found)


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None when it is larger than any front end takes. Raises ConnectionAbortedError."""
    chunks = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionAbortedError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limits.HTTP_PAYLOAD:
            return None
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _request(scope: Scope) -> Request:
    headers = tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]])
    source_ip = scope["client"][0] if scope["client"] else "127.0.0.1"
    request_id, extended_id = tracing.new_ids()
    now = time.time()
    return Request(
        scope["method"],
        scope["raw_path"].decode("latin-1"),
        scope["query_string"].decode("latin-1"),
        tracing.forwarded(headers, source_ip, scope["server"][1], scope["scheme"], now),
        request_id=request_id,
        source_ip=source_ip,
        time=now,
        protocol=f"HTTP/{scope['http_version']}",
        domain=next((value for name, value in headers if name == "host"), "localhost"),
        extended_id=extended_id,
    )


async def _send(send: Send, request: Request, response: Response) -> None:
    length = () if response.status in _BODILESS else (("content-length", str(len(response.body))),)
    await send(_start(response, length))
    await send({"type": "http.response.body", "body": b"" if _is_bodiless(request, response) else response.body})


async def _stream(send: Send, request: Request, streamed: Streamed) -> None:
    """Send chunk by chunk, as fast as the client takes them. Read to the end when nobody takes them any more.

    A response that is not completed is what a client sees when the function fails, or has to stop: uvicorn closes the
    connection without the chunk that ends a body.
    """
    await send(_start(streamed.head))
    if _is_bodiless(request, streamed.head):
        await send({"type": "http.response.body"})
        send = _nowhere
    with contextlib.suppress(Cut, asyncio.CancelledError):  # cancelled: the server stops, as above
        async for chunk in streamed.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body"})


async def _whole(streamed: Streamed) -> Response:
    """For HTTP/1.0, in which a body without a length cannot be told from one that broke off."""
    try:
        return streamed.head._replace(body=b"".join([chunk async for chunk in streamed.chunks]))
    except Cut:
        return fail("url", "function")


async def _nowhere(_: MutableMapping[str, Any]) -> None: ...


def _start(response: Response, more: Headers = ()) -> MutableMapping[str, Any]:
    headers = [
        (name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in (*response.headers, *more)
    ]
    return {"type": "http.response.start", "status": response.status, "headers": headers}


def _is_bodiless(request: Request, response: Response) -> bool:
    return request.method == "HEAD" or response.status in _BODILESS
