"""The front door: which part of the machine a request is for, and taking connections until told to stop."""

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator

from pilotlight.events import Request, Response
from pilotlight.local import http_protocol, invoke_api
from pilotlight.local.gateway import Gateway
from pilotlight.local.http_protocol import Protocol
from pilotlight.local.pages import PREFIX, Pages
from pilotlight.local.streams import Streamed

_GRACE_SECONDS = 5  # for requests under way when the server is told to stop
_LAST_SECONDS = 2  # for what they are answered then to be sent
_QUIET_SECONDS = 75.0  # after which a connection is closed on which nothing happens
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, a supervisor, a terminal that is closed


def app(
    gateway: Gateway,
    invoke: Callable[[Request], Awaitable[Response | Streamed]],
    pages: Pages,
    log: Callable[[Request, Response, float], None],
) -> http_protocol.App:
    """Sends a request to the Invoke API, to the gateway, or to the pages that the server has of its own.

    A route of the user's goes before a page that is not below the pages' prefix.
    """

    def answer(request: Request) -> Awaitable[Response | Streamed]:
        if request.path.startswith(invoke_api.PREFIXES):
            return invoke(request)
        if request.path.startswith(PREFIX):
            return pages.answer(request)
        found = gateway.match(request.method, request.path)
        page = pages.find(request) if found is None else None
        return page or gateway.answer(request, found)

    return http_protocol.App(answer, lambda request: gateway.refuse(request, "too large"), log)


class Web:
    """Takes connections on a socket until a signal, or a failure of what runs beside it, ends that."""

    def __init__(self, app: http_protocol.App) -> None:
        self._app = app
        self._connections: set[Protocol] = set()
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()

    async def serve(self, listener: socket.socket, on_start: Callable[[], None]) -> None:
        """`on_start` is called when requests are taken and a signal would stop the server as it should."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Protocol(self._app, self._connections), sock=listener, backlog=2048)
        with self._signals():
            on_start()
            sweeping = loop.create_task(self._sweep())
            await self._stopping.wait()
            sweeping.cancel()
            server.close()
            await self._end()

    def beside(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run something beside the server, which stops when that fails."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._work_ended)
        return task

    def _work_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._stopping.set()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in _STOPS:
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in _STOPS:
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        """The first signal lets requests end, the second waits for none."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    async def _sweep(self) -> None:
        """Close the connections on which nothing happens."""
        while True:
            await asyncio.sleep(_QUIET_SECONDS / 10)
            quiet = time.monotonic() - _QUIET_SECONDS
            for connection in [each for each in self._connections if each.quiet_since < quiet and not each.is_busy]:
                connection.cut()

    async def _end(self) -> None:
        for connection in list(self._connections):
            connection.stop()
        await self._wait(_GRACE_SECONDS)
        for connection in list(self._connections):
            connection.abort() if self._hurry.is_set() else connection.cut()
        await self._wait(_LAST_SECONDS)

    async def _wait(self, seconds: float) -> None:
        """Until no connection is left, or nobody wants to wait any more."""
        end = time.monotonic() + seconds
        while self._connections and time.monotonic() < end and not self._hurry.is_set():
            await asyncio.sleep(0.02)
