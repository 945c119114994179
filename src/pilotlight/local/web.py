"""The front door: ASGI in and out, and which part of the machine a request is for.

Plain ASGI under uvicorn, no framework in the hot path.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from pilotlight import limits
from pilotlight.events import Request, Response
from pilotlight.local import invoke_api
from pilotlight.local.gateway import Gateway, fail

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answer = Callable[[Request], Awaitable[Response]]

_BODILESS = (204, 304)


class App:
    """Sends a request to the Invoke API, to the gateway, or to the pages that the server has of its own.

    A route of the user's goes before a page. `log` gets one line a request.
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
            response = fail("http", "too large") if body is None else await self._answer(request._replace(body=body))
        except ConnectionAbortedError:
            return  # a request that was never whole is no request
        except asyncio.CancelledError:  # the server stops, and the request has had the time that it gives
            response = fail("http", "timeout")
        await _send(send, request, response)
        self._log(request, response, time.perf_counter() - began)

    async def _answer(self, request: Request) -> Response:
        if request.path.startswith(invoke_api.PREFIX):
            return await self._invoke(request)
        if self._gateway.match(request.method, request.path) is None:
            page = self._pages(request)
            if page is not None:
                return page
        return await self._gateway(request)


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
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
    client = scope["client"]
    return Request(
        scope["method"],
        scope["raw_path"].decode("latin-1"),
        scope["query_string"].decode("latin-1"),
        headers,
        request_id=str(uuid.uuid4()),
        source_ip=client[0] if client else "127.0.0.1",
        time=time.time(),
        protocol=f"HTTP/{scope['http_version']}",
        domain=next((value for name, value in headers if name == "host"), "localhost"),
    )


async def _send(send: Send, request: Request, response: Response) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in response.headers]
    if response.status not in _BODILESS:
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    empty = request.method == "HEAD" or response.status in _BODILESS
    await send({"type": "http.response.body", "body": b"" if empty else response.body})
