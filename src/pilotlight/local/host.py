"""What environments run on: processes, isolation, memory.

    Host -> Starter, one for each function -> Started, one for each environment

The processes of all functions are forked from one small launcher. A function with SnapStart has a launcher of its own
that has run its init phase: its environments are forked from that, as Lambda restores them from a snapshot.
"""

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pilotlight
from pilotlight.errors import UsageError
from pilotlight.local import cgroup, process, report
from pilotlight.local.cgroup import Cgroup
from pilotlight.local.isolation import Level, Plan
from pilotlight.local.launcher import Launcher, LoadFailed, Order
from pilotlight.local.log_pipe import LogLine, LogPipe
from pilotlight.local.memory import Watcher
from pilotlight.project import Function

LEVELS: tuple[Level, ...] = ("namespace", "landlock", "none")  # the strongest first
_numbers = itertools.count(1)  # of the control groups that this process has made


class Host:
    """See the module. `isolation` None is the strongest that the kernel offers.

    Nothing runs before the first environment does.
    """

    def __init__(self, isolation: Level | None = "none") -> None:
        self.watcher = Watcher()
        self._isolation = isolation
        cgroup.leftovers()  # while this process has no other
        self._opening: asyncio.Task[Launcher] | None = None

    async def level(self) -> Level:
        """The isolation of environments. Raises UsageError where the kernel does not offer what was asked for."""
        if self._isolation != "none":
            best = await (await self.launcher()).probe()
            if self._isolation is not None and LEVELS.index(best) > LEVELS.index(self._isolation):
                raise UsageError(
                    f"isolating environments by {self._isolation}: the kernel, or the container around, refuses it",
                    f"the strongest that works here is --isolation {best}",
                )
            self._isolation = self._isolation or best
        return self._isolation

    async def launcher(self) -> Launcher:
        """The one that all functions share. Raises OSError."""
        if self._opening is None or _is_over(self._opening):
            self._opening = asyncio.ensure_future(Launcher.start(sys.executable))
        return await asyncio.shield(self._opening)

    def starter(self, function: Function, log: LogLine) -> "Starter":
        """What starts the environments of a function."""
        return Starter(self, function, log)

    async def close(self) -> None:
        if self._opening is not None:
            with contextlib.suppress(OSError):
                await (await self._opening).close()


class Starter:
    """Starts the environments of one function."""

    def __init__(self, host: Host, function: Function, log: LogLine) -> None:
        self._host = host
        self._function = function
        self._log = log
        self._loading: asyncio.Task[Launcher] | None = None
        self._pipe: LogPipe | None = None
        self._folder: Path | None = None  # of the process that is forked
        self.forks = function.snapstart and function.runtime == "pilotlight"

    def prepare(self) -> None:
        """Run the init phase now, so that the first environment finds it done."""
        if self.forks and self._function.is_installed and not self._function.defect:
            self._begin()

    async def start(
        self,
        runtime_api: str,
        folder: Path,
        output: int,
        exited: Callable[[int], None],
        out_of_memory: Callable[[int], None],
    ) -> "Started":
        """Start the process of an environment. `exited` is called once, when it has ended.

        Raises OSError, and launcher.LoadFailed where the init phase before the fork has failed.
        """
        level = await self._host.level()
        launcher = await self._launcher()
        started = Started(self._host, self._function, level)
        order = Order(
            () if self.forks else tuple(process.command(self._function)),
            process.variables(self._function, runtime_api, folder, level),
            str(self._function.root),
            plan(self._function, [folder, *([self._folder] if self._folder else [])], level),
            started.procs,
        )
        try:
            started.pid = await launcher.launch(order, output, exited)
        except BaseException:
            started.release()
            raise
        started.watch(out_of_memory)
        return started

    async def _launcher(self) -> Launcher:
        if not self.forks:
            return await self._host.launcher()
        return await asyncio.shield(self._begin())

    def _begin(self) -> asyncio.Task[Launcher]:
        if self._loading is None or _is_over(self._loading):
            self._loading = asyncio.ensure_future(self._load())
            self._loading.add_done_callback(_is_over)  # retrieved: who waited may be gone
        return self._loading

    async def _load(self) -> Launcher:
        """A process that has run the function's init phase and can be forked."""
        function = self._function
        self._folder = self._folder or process.make_folder()
        self._pipe = LogPipe(self._log)
        level = await self._host.level()
        output = self._pipe.open()
        try:
            return await Launcher.start(
                process.interpreter(function.root),
                process.variables(function, "", self._folder, level),
                function.root,
                output,
                loads=True,
                plan=plan(function, [self._folder], level),
            )
        finally:
            os.close(output)

    async def close(self) -> None:
        """Nothing is to be started any more."""
        if self._loading is not None:
            self._loading.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError, LoadFailed):
                await (await self._loading).close()
        if self._pipe is not None:
            self._pipe.close()
        if self._folder is not None:
            process.remove_folder(self._folder)


class Started:
    """The process of an environment, and what belongs to it."""

    def __init__(self, host: Host, function: Function, level: Level) -> None:
        self.pid = 0
        self._watcher = host.watcher
        self._memory = function.memory
        # A private /tmp is a tmpfs, whose pages the group counts; Lambda's is a disk. The watcher holds the rest.
        limit = function.memory + (function.tmp if level == "namespace" else 0)
        self._group = Cgroup.make(f"{next(_numbers)}-{function.key}", limit)
        self.procs = self._group.procs if self._group else ()

    def watch(self, exceeded: Callable[[int], None]) -> None:
        """Hold its anonymous memory to the function's setting; `exceeded` gets the bytes that are too much."""
        self._watcher.watch(self, self.pid, self._group, self._memory, exceeded)

    def signal(self, number: int) -> None:
        """To the process and what it has started in its own group of processes."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: a group of zombies
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """SIGKILL to everything in the environment."""
        self.signal(signal.SIGKILL)
        if self._group is not None:
            self._group.kill()

    def peak(self) -> int:
        """The most memory that it has had, in MB."""
        return max(report.peak_memory(self.pid), self._watcher.peak_mb(self))

    def is_out_of_memory(self) -> bool:
        """Whether the kernel has killed something in it for want of memory."""
        return self._group is not None and self._group.killed()

    def release(self) -> None:
        """Its process has ended."""
        self._watcher.forget(self)
        if self._group is not None:
            self._group.remove()


def plan(function: Function, folders: Sequence[Path], level: Level) -> Plan:
    """How an environment is isolated; what it needs stays where it is, below /tmp too. The first of `folders` is its
    own."""
    python = process.interpreter(function.root)
    needed = {
        function.root,
        *folders,
        Path(pilotlight.__file__).parent,
        Path(sys.prefix),
        Path(sys.base_prefix),
        python.resolve().parents[1],
    }
    return Plan(level, function.tmp, str(folders[0]), tuple(sorted(map(str, needed))))


def _is_over(start: "asyncio.Task[Launcher]") -> bool:
    """Whether it gave no launcher, or one that has ended since."""
    return start.done() and (start.cancelled() or start.exception() is not None or not start.result().is_running)
