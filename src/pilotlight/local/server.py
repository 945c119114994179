"""`pilotlight serve`: many services, one gateway, one pool, one port.

Wires the parts together, keeps them in step with the files, and takes them down again.
"""

import asyncio
import compileall
import contextlib
import errno
import gc
import os
import resource
import socket
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import watchfiles

from pilotlight import project
from pilotlight.errors import PortError, ProjectError
from pilotlight.events import Request, Response
from pilotlight.local.activity import Activity
from pilotlight.local.asynchronous import EventQueue
from pilotlight.local.describe import Describer, Description
from pilotlight.local.gateway import Gateway, Target
from pilotlight.local.host import Host
from pilotlight.local.invoke_api import InvokeApi
from pilotlight.local.isolation import Level
from pilotlight.local.keys import KeyRing, Made
from pilotlight.local.observed import Billed, Observed
from pilotlight.local.pages import Page, Pages, is_loopback
from pilotlight.local.playground import VIEWS, Playground, shell
from pilotlight.local.pool import Pool
from pilotlight.local.web import Web, app
from pilotlight.project import Function, Project
from pilotlight.settings import FILE

_REAP_SECONDS = 1.0
_IGNORED = watchfiles.DefaultFilter(
    ignore_dirs=(*watchfiles.DefaultFilter.ignore_dirs, "train", "tests", ".pilotlight")
)


class Reporter(NamedTuple):
    """What the server tells its user, as it happens."""

    listening: Callable[[str, Sequence[Function], Level], None]
    function_log: Callable[[str, str], None]
    request: Callable[[Request, Response, float], None]
    described: Callable[[Function, Description], None]
    reloaded: Callable[[Sequence[str]], None]
    refused: Callable[[ProjectError], None]
    keys: Callable[[Sequence[Made]], None]


class Options(NamedTuple):
    """`memory` in MB: what all environments may have together, by their settings.

    `isolation` None is the strongest that the kernel offers. With `fork_server` every function runs as with SnapStart;
    with `cpu_share` environments have processor time by their memory.
    """

    folders: tuple[Path, ...]
    host: str = "127.0.0.1"
    port: int = 8080
    memory: int = 0
    reload: bool = True
    isolation: Level | None = None
    fork_server: bool = False
    cpu_share: bool = False


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


def _allow_open_files() -> None:
    """An environment takes four file descriptors, and many systems begin with 1,024 for a process."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def load(folders: Sequence[Path]) -> list[Project]:
    """The projects of the folders, checked one by one and together. Raises ProjectError."""
    projects = [project.load(folder) for folder in folders]
    project.check_routes(projects)
    return projects


Prepare = Callable[[Sequence[Project]], Sequence[Project]]
"""What is to be done to projects before they are served, which may take minutes: their models."""


async def serve(
    projects: Sequence[Project],
    options: Options,
    reporter: Reporter,
    billed: Billed,
    prepare: Prepare = list,
    more: Iterable[Page] = (),
) -> None:
    """Serve them until SIGINT or SIGTERM, and after a reload what `prepare` makes of them; and `more` pages.

    `billed` says what it costs.

    Raises UsageError before the first request is taken.
    """
    _allow_open_files()
    listener = listen(options.host, options.port)
    host = Host(options.isolation, options.cpu_share)
    try:
        level = await host.level()
        server = Server(projects, options._replace(isolation=level), reporter, host, billed, prepare, more)
        await server.run(listener)
    finally:
        await host.close()
        listener.close()


class Server:
    """See the module."""

    def __init__(
        self,
        projects: Sequence[Project],
        options: Options,
        reporter: Reporter,
        host: Host,
        billed: Billed,
        prepare: Prepare,
        more: Iterable[Page],
    ) -> None:
        self._more = tuple(more)
        self._projects = list(projects)
        self._prepare = prepare
        self._options = options
        self._reporter = reporter
        activity = Activity()
        memory = options.memory or machine_memory()
        self._pool = Pool(reporter.function_log, memory, host=host, observer=activity)
        self._observed = Observed(self._pool, activity, lambda: self._projects, billed)
        self._events = EventQueue(self._pool.invoke_event, self._pool.function, reporter.function_log)
        self._gateway = Gateway(self._pool, observer=activity)
        self._keys = KeyRing(os.environ)
        self._describer = Describer(host, reporter.described)
        self._playground = Playground(self._describer.descriptions)
        self._deploy()

    def _deploy(self, renewed: Collection[str] = ()) -> None:
        functions = [self._as_served(function) for each in self._projects for function in each.functions]
        for folder in {function.file.parent for function in functions}:
            _compile(folder)
        self._pool.deploy(functions, renewed)
        self._gateway.route(routes(self._projects, self._keys))
        self._playground.show(functions)

    def _as_served(self, function: Function) -> Function:
        """With a fork server as if it had SnapStart, unless its environments have several processes."""
        forks = self._options.fork_server and function.environment_concurrency == 1
        return msgspec.structs.replace(function, snapstart=True) if forks else function

    async def run(self, listener: socket.socket) -> None:
        api = InvokeApi(self._pool, self._pool, self._events.accept)
        own = [*shell(VIEWS), *self._playground.pages(), *self._observed.pages(), *self._more]
        pages = Pages(own, is_loopback(self._options.host))
        web = Web(app(self._gateway, api, pages, self._reporter.request))
        work = [web.beside(self._reap())]
        if self._options.reload:
            work.append(web.beside(self._watch()))
            await asyncio.sleep(0)  # its first step sets the watches: a change after `listening` is not missed
        _calm_collector()
        try:
            await web.serve(listener, lambda: self._start(listener))
        finally:
            for task in work:
                task.cancel()
            ends = await asyncio.gather(*work, return_exceptions=True)
            await self._describer.close()
            await self._events.close()
            await self._pool.close()
        for end in ends:
            if isinstance(end, Exception):
                raise end

    def _start(self, listener: socket.socket) -> None:
        host, port = listener.getsockname()[:2]
        self._describe(self._projects)
        self._reporter.listening(
            f"http://{host}:{port}",
            [f for each in self._projects for f in each.functions],
            self._options.isolation or "none",
        )
        self._tell_keys()

    async def _reap(self) -> None:
        while True:
            await asyncio.sleep(_REAP_SECONDS)
            self._pool.reap()

    # reloading

    async def _watch(self) -> None:
        roots = [each.root for each in self._projects]
        try:
            async for changes in watchfiles.awatch(*roots, watch_filter=_IGNORED, step=100, rust_timeout=500):
                await self._reload([Path(path) for _, path in changes])
        except OSError as error:  # no watch is left, or the file system has none
            self._reporter.refused(ProjectError(f"watching the files: {error}", "start again after a change"))

    async def _reload(self, changed: Sequence[Path]) -> None:
        """Load again the services that the files belong to; when one is not right, all stay as they are."""
        stale = {each.root for each in self._projects if any(_belongs(path, each) for path in changed)}
        if not stale:
            return
        try:
            projects = [project.load(each.root) if each.root in stale else each for each in self._projects]
            project.check_routes(projects)
            routes(projects, self._keys)  # which checks keys that are new
        except ProjectError as error:
            self._reporter.refused(error)
            return
        prepared = iter(await _in_thread(self._prepare, [each for each in projects if each.root in stale]))
        projects = [next(prepared) if each.root in stale else each for each in projects]
        _forget_bytecode(changed)
        self._projects = projects
        renewed = [each for each in projects if each.root in stale]
        self._deploy(renewed=[function.key for each in renewed for function in each.functions])
        self._describe(renewed)
        self._reporter.reloaded([each.name for each in renewed])
        self._tell_keys()

    def _tell_keys(self) -> None:
        made = self._keys.told()
        if made:
            self._reporter.keys(made)

    def _describe(self, projects: Sequence[Project]) -> None:
        for function in [function for each in projects for function in each.functions]:
            self._describer.describe(function)


def _belongs(path: Path, service: Project) -> bool:
    """Whether a change of that file makes the service another: its code, its settings or a model.

    Not what a function writes into its folder, which would start it over for ever.
    """
    if not path.is_relative_to(service.root):
        return False
    models = [model for function in service.functions for model in function.model_paths]
    return path.suffix == ".py" or path.name == FILE or any(path.is_relative_to(model) for model in models)


async def _in_thread(prepare: Prepare, projects: Sequence[Project]) -> Sequence[Project]:
    """In one that does not keep the server from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Sequence[Project]] = loop.create_future()

    def run() -> None:
        try:
            tell = partial(done.set_result, prepare(projects))
        except BaseException as error:  # which belongs to who waits
            tell = partial(done.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(lambda: None if done.cancelled() else tell())

    threading.Thread(target=run, daemon=True).start()
    return await done


def _forget_bytecode(changed: Sequence[Path]) -> None:
    """Python takes a file for the one it has compiled when size and second of the change are the same."""
    for path in changed:
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            compiled.unlink(missing_ok=True)


def _compile(folder: Path) -> None:
    """Write the bytecode of functions, which they cannot: to them their folder is read-only, as on Lambda."""
    if not sys.dont_write_bytecode:
        compileall.compile_dir(folder, maxlevels=0, quiet=2)


def _calm_collector() -> None:
    """What is there by now stays; of what requests make next to nothing is cyclic, so there is little to look for."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def routes(projects: Sequence[Project], keys: KeyRing) -> list[tuple[str, str, Target]]:
    """The gateway's routes: `(method, path, target)`. Raises ProjectError for a key that AWS would refuse."""
    return [
        (route.method, route.path, _target(each, function, str(route), keys))
        for each in projects
        for function in each.functions
        for route in function.routes
    ]


def _target(service: Project, function: Function, route: str, keys: KeyRing) -> Target:
    return Target(
        function.key,
        route,
        function.front,
        service.cors,
        function.binary_media_types,
        function.stage,
        function.streams,
        function.throttle,
        keys.of(service.name, service.usage_plans) if function.api_key else None,
    )
