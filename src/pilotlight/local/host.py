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
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pilotlight
from pilotlight import limits
from pilotlight.errors import UsageError
from pilotlight.local import cgroup, process, report, shares
from pilotlight.local.cgroup import Cgroup
from pilotlight.local.isolation import Level, Plan
from pilotlight.local.launcher import Launcher, LoadFailed, Order
from pilotlight.local.log_pipe import LogLine, LogPipe
from pilotlight.local.memory import Watcher
from pilotlight.local.tables import Tables
from pilotlight.project import Function

LEVELS: tuple[Level, ...] = ("namespace", "landlock", "none")  # the strongest first
_PEAK_SECONDS = 0.5
_numbers = itertools.count(1)  # of the control groups that this process has made


class Host:
    """See the module. `isolation` None is the strongest that the kernel offers. With `by_memory` environments have
    as much processor time as Lambda would give them, where `shares` can be held.

    Nothing runs before the first environment does.
    """

    def __init__(self, isolation: Level | None = "none", by_memory: bool = False) -> None:
        self.watcher = Watcher()
        self.tables = Tables()
        self.is_sharing = by_memory and not shares.why_not()
        self._isolation = isolation
        self._level: Level | None = "none" if isolation == "none" else None  # once it is known
        cgroup.leftovers()  # while this process has no other
        self._opening: asyncio.Task[Launcher] | None = None

    async def level(self) -> Level:
        """The isolation of environments. Raises UsageError where the kernel does not offer what was asked for."""
        if self._level is None:  # looked for once: it takes two forks
            best = await (await self.launcher()).probe()
            if self._isolation is not None and LEVELS.index(best) > LEVELS.index(self._isolation):
                raise UsageError(
                    f"isolating environments by {self._isolation}: the kernel, or the container around, refuses it",
                    f"the strongest that works here is --isolation {best}",
                )
            self._level = self._isolation or best
        return self._level

    async def launcher(self) -> Launcher:
        """The one that all functions share. Raises OSError."""
        if self._opening is None or _is_over(self._opening):
            self._opening = asyncio.ensure_future(Launcher.start(sys.executable))
        return await asyncio.shield(self._opening)

    def starter(self, function: Function, log: LogLine) -> "Starter":
        """What starts the environments of a function."""
        return Starter(self, function, log)

    async def variables(self, function: Function, runtime_api: str, folder: Path) -> dict[str, str]:
        """As `process.variables`. Raises OSError where its tables are unusable."""
        tables = await self.tables.variables(function)
        return process.variables(function, runtime_api, folder, await self.level(), tables)

    async def close(self) -> None:
        await self.tables.close()
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
        self._process: Started | None = None  # that process
        self._is_closed = False
        self.forks = function.snapstart and function.runtime == "pilotlight"

    def prepare(self) -> None:
        """Run the init phase now, so that the first environment finds it done."""
        if self.forks and self._function.is_installed and not self._function.defect:
            self._begin()

    async def ready(self) -> None:
        """Wait for what environments are forked from. Raises OSError, and LoadFailed where its init phase failed."""
        await self._host.level()
        await self._launcher()

    async def start(
        self,
        runtime_api: str,
        folder: Path,
        output: int,
        exited: Callable[[int], None],
        out_of_memory: Callable[[int], None],
    ) -> "Started":
        """Start the process of an environment. `exited` is called once, when it has ended.

        Raises OSError, and LoadFailed.
        """
        level = await self._host.level()
        launcher = await self._launcher()
        order = await self._order(runtime_api, folder, level)
        started = Started(self._host, self._function, level)
        try:
            started.pid = await launcher.launch(order._replace(cgroups=started.entries), output, exited)
        except BaseException:
            started.release()
            raise
        started.watch(out_of_memory)
        return started

    async def _order(self, runtime_api: str, folder: Path, level: Level) -> Order:
        """`folder` is the environment's own. A process that was isolated before it was made does not see it: its forks
        keep that process's, and have a /tmp of their own."""
        folders = [folder] if self._folder is None else [folder, self._folder]
        if level == "namespace":
            folders = folders[-1:]
        return Order(
            () if self.forks else tuple(process.command(self._function)),
            await self._host.variables(self._function, runtime_api, folders[0]),
            str(self._function.root),
            plan(self._function, folders, level),
        )

    async def _launcher(self) -> Launcher:
        if not self.forks:
            return await self._host.launcher()
        if self._is_closed:
            raise asyncio.CancelledError
        return await asyncio.shield(self._begin())

    def _begin(self) -> asyncio.Task[Launcher]:
        if self._loading is None or _is_over(self._loading):
            self._loading = asyncio.ensure_future(self._load())
            self._loading.add_done_callback(_is_over)  # retrieved: who waited may be gone
        return self._loading

    async def _load(self) -> Launcher:
        """A process that has run the function's init phase and can be forked."""
        level = await self._host.level()
        self._let_go()  # of one that has ended
        self._folder = self._folder or process.make_folder()
        self._pipe = LogPipe(self._log)
        self._process = Started(self._host, self._function, level)
        try:
            async with asyncio.timeout(limits.SNAPSTART_TIMEOUT) as timer:
                launcher = await self._launch(self._process, self._folder, self._pipe, level)
        except BaseException as error:
            self._let_go()
            if isinstance(error, TimeoutError) and timer.expired():
                text = report.timed_out(limits.SNAPSTART_TIMEOUT)
                raise LoadFailed(report.failure("Sandbox.Timedout", text).payload) from None
            raise
        self._host.watcher.forget(self._process)  # without a group it would count the environments as well
        return launcher

    async def _launch(self, own: "Started", folder: Path, pipe: LogPipe, level: Level) -> Launcher:
        def spawned(pid: int) -> None:
            own.pid = pid
            own.watch(lambda used: own.kill())

        function = self._function
        variables = await self._host.variables(function, "", folder)
        output = pipe.open()
        try:
            return await Launcher.start(
                process.interpreter(function.root),
                variables,
                function.root,
                output,
                loads=True,
                plan=plan(function, [folder], level),
                cgroups=own.entries,
                spawned=spawned,
            )
        finally:
            os.close(output)

    def _let_go(self) -> None:
        """Of what belonged to a process that has ended; its folder stays for the next."""
        if self._pipe is not None:
            self._pipe.finish()
            self._pipe.close()
        if self._process is not None:
            self._process.release()
        self._pipe = self._process = None

    def cancel(self) -> None:
        """Nothing is to be started any more; who waits for the init phase is cancelled."""
        self._is_closed = True
        if self._loading is not None:
            self._loading.cancel()

    async def close(self) -> None:
        """As `cancel`; nothing is left when this returns."""
        self.cancel()
        if self._loading is not None:
            with contextlib.suppress(asyncio.CancelledError, OSError, LoadFailed):
                await (await self._loading).close()
        if self._process is not None:
            await self._process.close()
        self._let_go()
        if self._folder is not None:
            process.remove_folder(self._folder)


class Started:
    """The process of an environment, and what belongs to it."""

    def __init__(self, host: Host, function: Function, level: Level) -> None:
        self.pid = 0
        self._peak = 0
        self._peak_until = 0.0
        self._watcher = host.watcher
        self._memory = function.memory
        # A private /tmp is a tmpfs, whose pages the group counts; Lambda's is a disk. The watcher holds the rest.
        limit = function.memory + (function.tmp if level == "namespace" else 0)
        self._share = shares.share(function.memory) if host.is_sharing else None
        boosted = None if self._share is None else max(1.0, self._share)
        self._group = Cgroup.make(f"{next(_numbers)}-{function.key}", limit, share=boosted)
        self.entries = self._group.entries if self._group else ()

    def watch(self, exceeded: Callable[[int], None]) -> None:
        """Hold its anonymous memory to the function's setting; `exceeded` gets the bytes that are too much."""
        self._watcher.watch(self, self.pid, self._group, self._memory, exceeded)

    def throttle(self) -> None:
        """Hold it to its share of processors. In the init phase it has one of them at least, as on Lambda, by what was
        measured there: hichaelmart.medium.com/shave-99-93-off-your-lambda-bill-with-this-one-weird-trick-33c0acebb2ea
        """
        if self._group is not None and self._share is not None:
            with contextlib.suppress(OSError):  # it has just ended
                self._group.allot(self._share)

    def signal(self, number: int) -> None:
        """To the process and what it has started in its own group of processes."""
        if self.pid:  # 0 would be the server's own group
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: a group of zombies
                os.killpg(self.pid, number)

    def kill(self) -> None:
        """SIGKILL to everything in the environment."""
        self.signal(signal.SIGKILL)
        if self._group is not None:
            self._group.kill()

    def peak(self) -> int:
        """The most memory that it has had, in MB. Looked up anew when a moment has passed: it is asked for often."""
        now = time.monotonic()
        if now > self._peak_until:
            self._peak = max(self._peak, report.peak_memory(self.pid), self._watcher.peak_mb(self))
            self._peak_until = now + _PEAK_SECONDS
        return self._peak

    def is_out_of_memory(self) -> bool:
        """Whether the kernel has killed something in it for want of memory."""
        return self._group is not None and self._group.killed()

    def release(self) -> None:
        """Its process has ended."""
        self._watcher.forget(self)
        if self._group is not None:
            self._group.remove()

    async def close(self) -> None:
        """Release it, and wait until nothing runs in it."""
        if self._group is not None:
            await self._group.close()
        self.release()


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
    kept = tuple(sorted(map(str, needed)))
    return Plan(level, function.tmp, str(folders[0]), kept, process.writable(function))


def _is_over(start: "asyncio.Task[Launcher]") -> bool:
    """Whether it gave no launcher, or one that has ended since."""
    return start.done() and (start.cancelled() or start.exception() is not None or not start.result().is_running)
