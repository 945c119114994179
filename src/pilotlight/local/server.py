"""`pilotlight serve`: many services, one gateway, one pool, one port.

Wires the parts together, keeps them in step with the files, and takes them down again.
"""

import asyncio
import contextlib
import errno
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import uvicorn
import watchfiles

from pilotlight import project
from pilotlight.errors import PortError, ProjectError
from pilotlight.events import Request, Response
from pilotlight.local.describe import Describer, Description
from pilotlight.local.gateway import Gateway, Target
from pilotlight.local.invoke_api import InvokeApi
from pilotlight.local.playground import Playground
from pilotlight.local.pool import Pool
from pilotlight.local.web import App
from pilotlight.project import Function, Project

_REAP_SECONDS = 1.0
_GRACE_SECONDS = 5  # for requests under way when the server is told to stop
_IGNORED = watchfiles.DefaultFilter(ignore_dirs=(*watchfiles.DefaultFilter.ignore_dirs, "train", "tests"))


class Reporter(NamedTuple):
    """What the server tells its user, as it happens."""

    listening: Callable[[str, Sequence[Function]], None]
    function_log: Callable[[str, str], None]
    request: Callable[[Request, Response, float], None]
    described: Callable[[Function, Description], None]
    reloaded: Callable[[Sequence[str]], None]
    refused: Callable[[ProjectError], None]


class Options(NamedTuple):
    """`memory` in MB: what all environments may have together, by their settings."""

    folders: tuple[Path, ...]
    host: str = "127.0.0.1"
    port: int = 8080
    memory: int = 0
    reload: bool = True


def machine_memory() -> int:
    """MB of memory that environments may use together: four fifths of the machine's."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 4 // 5 // 2**20


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises PortError."""
    try:
        return socket.create_server((host, port), backlog=2048)
    except OSError as error:
        reason = "the port is taken" if error.errno == errno.EADDRINUSE else (error.strerror or str(error))
        raise PortError(
            f"listening on {host}:{port}: {reason}", "choose another with --port; 0 takes a free one"
        ) from None


def load(folders: Sequence[Path]) -> list[Project]:
    """The projects of the folders, checked one by one and together. Raises ProjectError."""
    projects = [project.load(folder) for folder in folders]
    project.check_routes(projects)
    return projects


async def serve(options: Options, reporter: Reporter) -> None:
    """Serve until SIGINT or SIGTERM. Raises ProjectError or PortError before the first request is taken."""
    projects = load(options.folders)
    listener = listen(options.host, options.port)
    server = Server(projects, options, reporter)
    try:
        await server.run(listener)
    finally:
        listener.close()


class Server:
    """See the module."""

    def __init__(self, projects: Sequence[Project], options: Options, reporter: Reporter) -> None:
        self._projects = list(projects)
        self._options = options
        self._reporter = reporter
        self._pool = Pool(reporter.function_log, options.memory or machine_memory())
        self._gateway = Gateway(self._pool)
        self._describer = Describer(reporter.described)
        self._playground = Playground(self._describer.descriptions)
        self._deploy()

    def _deploy(self) -> None:
        functions = [function for each in self._projects for function in each.functions]
        self._pool.deploy(functions)
        self._gateway.route(routes(self._projects))
        self._playground.show(functions)

    async def run(self, listener: socket.socket) -> None:
        app = App(self._gateway, InvokeApi(self._pool, self._pool.resolve), self._playground, self._reporter.request)
        web = _Web(uvicorn.Config(
            app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False, server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        ))  # fmt: skip
        host, port = listener.getsockname()[:2]
        work = [asyncio.create_task(self._reap())]
        if self._options.reload:
            work.append(asyncio.create_task(self._watch()))
        self._describe(self._projects)
        self._reporter.listening(f"http://{host}:{port}", [f for each in self._projects for f in each.functions])
        try:
            await web.serve(sockets=[listener])
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await self._describer.close()
            await self._pool.close()

    async def _reap(self) -> None:
        while True:
            await asyncio.sleep(_REAP_SECONDS)
            self._pool.reap()

    # reloading

    async def _watch(self) -> None:
        roots = [each.root for each in self._projects]
        async for changes in watchfiles.awatch(*roots, watch_filter=_IGNORED, step=100, rust_timeout=500):
            self._reload([Path(path) for _, path in changes])

    def _reload(self, changed: Sequence[Path]) -> None:
        """Load again the services that the files belong to; when one is not right, all stay as they are."""
        stale = {each.root for each in self._projects if any(path.is_relative_to(each.root) for path in changed)}
        try:
            projects = [project.load(each.root) if each.root in stale else each for each in self._projects]
            project.check_routes(projects)
        except ProjectError as error:
            self._reporter.refused(error)
            return
        self._projects = projects
        self._deploy()
        renewed = [each for each in projects if each.root in stale]
        for function in [function for each in renewed for function in each.functions]:
            self._pool.renew(function.key)
        self._describe(renewed)
        self._reporter.reloaded([each.name for each in renewed])

    def _describe(self, projects: Sequence[Project]) -> None:
        for function in [function for each in projects for function in each.functions]:
            self._describer.describe(function)


class _Web(uvicorn.Server):
    """uvicorn, stopped by a signal without raising it again: what comes after is for the caller to do."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


def routes(projects: Sequence[Project]) -> list[tuple[str, str, Target]]:
    """The gateway's routes: `(method, path, target)`."""
    return [
        (
            route.method,
            route.path,
            Target(function.key, str(route), function.front, each.cors, function.binary_media_types),
        )
        for each in projects
        for function in each.functions
        for route in function.routes
    ]
