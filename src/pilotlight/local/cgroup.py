"""A control group for each execution environment: the kernel holds its memory, counts it, and ends all of it. It
holds its processor time as well, where that is asked for.

Version 2 where its memory controller may be used, else version 1, else none: then memory.Watcher is what is left.
A group's name holds the server's process id, so that the next server can remove what a killed one left behind.

Sources: docs.kernel.org/admin-guide/cgroup-v2.html, docs.kernel.org/admin-guide/cgroup-v1/memory.html and pids.html,
docs.kernel.org/scheduler/sched-bwc.html, cgroups(7), proc_pid_mountinfo(5). What is done for version 1 is tested on a
kernel. What is done for version 2 was written by that documentation and is tested on folders with the same files: no
kernel with a version 2 memory controller has run it yet.
"""

import asyncio
import contextlib
import errno
import os
import re
import signal
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

_NAME = re.compile(r"pilotlight-(\d+)-.+")
_MB = 1024 * 1024
_ROUNDS = 100  # of signals, for groups in which processes still start while they are killed
_PATIENCE = 5.0  # seconds to wait for killed processes; one that waits for a dead disk may take for ever
_PAUSES = (0.001, 0.05)  # seconds between two looks whether they are gone: the first pause, the longest
_HEAVIEST = {1: 262_144, 2: 10_000}  # weights of a group among others, by version
_background: set[asyncio.Task[None]] = set()

PERIOD = 20_000
"""Microseconds after which a group has its processor time anew: as many as were measured on Lambda, by who saw runs
pause until then that had used up their share (github.com/pwrdrvr/lambda-dispatch/issues/246). The share of 128 MB is
then 1.4 ms; the kernel takes none below 1 ms."""


class Places(NamedTuple):
    """The folders in which groups are made: one of `v2` and `memory`, and of version 1 also the counter of processes,
    with which nothing can be forked any more while a group is killed. `cpu` is where processor time can be held: in
    version 2 the same folder as `v2`."""

    v2: Path | None = None
    memory: Path | None = None
    pids: Path | None = None
    cpu: Path | None = None

    def folders(self, shares: bool = False) -> tuple[Path, ...]:
        """That which counts memory first, that which counts processes last; with `shares` also `cpu`."""
        if self.v2 is not None:
            return (self.v2,)
        if self.memory is None:
            return ()
        several = (self.memory, self.cpu if shares else None, self.pids)
        return tuple(dict.fromkeys(place for place in several if place is not None))


class Cgroup:
    """One group. `procs` are the files that name its processes."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        self.folders = folders  # that which counts memory first
        self.procs = tuple(str(folder / "cgroup.procs") for folder in folders)
        self._was_killed = False

    @classmethod
    def make(
        cls, name: str, limit: int | None, places: Places | None = None, share: float | None = None
    ) -> "Cgroup | None":
        """A new group that may hold `limit` MB, None for any amount, and have that `share` of processors, 0.5 for half
        the time of one; None where this machine lets us make none.

        `name` has no slash and is used once. The limit counts what cannot be written back to a file: anonymous memory,
        and files of a tmpfs. Mapped weights are given back instead.
        """
        parents = (usable() if places is None else places).folders(shares=share is not None)
        if not parents:
            return None
        group = cls(tuple(parent / f"pilotlight-{os.getpid()}-{name}" for parent in parents))
        try:
            for folder in group.folders:
                folder.mkdir()
            if limit is not None:
                group.restrict(limit * _MB)
            if share is not None:
                group.allot(share)
        except OSError:
            group._remove_folders()
            return None
        return group

    @property
    def entries(self) -> tuple[str, ...]:
        """The files to which a new process, which has one thread, writes "0" before it executes the runtime.

        Version 1 lets a thread join by itself (`tasks`): that takes no lock on all forks and exits of the machine, for
        which the kernel waits until every processor has noticed. Version 2 moves whole processes alone.
        """
        tasks = (folder / "tasks" for folder in self.folders)
        return tuple(str(own) if own.exists() else procs for own, procs in zip(tasks, self.procs, strict=True))

    def restrict(self, limit: int) -> None:
        """Allow that many bytes, and no swap beyond them. Raises OSError."""
        folder = self.folders[0]
        if (folder / "memory.max").exists():
            _write(folder / "memory.max", limit)
            _write_if_there(folder / "memory.swap.max", 0)  # absent when the kernel cannot swap
        else:
            _write(folder / "memory.limit_in_bytes", limit)
            if not _write_if_there(folder / "memory.memsw.limit_in_bytes", limit):  # memory and swap together
                _write_if_there(folder / "memory.swappiness", 0)

    def allot(self, share: float) -> None:
        """Let it have that share of processors from now on; of one period it may have all at once. What else runs on
        the machine comes after it. Raises OSError."""
        quota = round(share * PERIOD)
        for folder in self.folders:
            if (folder / "cpu.max").exists():
                _write_if_there(folder / "cpu.weight", _HEAVIEST[2])
                return _write(folder / "cpu.max", f"{quota} {PERIOD}")
            if (folder / "cpu.cfs_quota_us").exists():
                _write_if_there(folder / "cpu.shares", _HEAVIEST[1])
                _write(folder / "cpu.cfs_period_us", PERIOD)
                return _write(folder / "cpu.cfs_quota_us", quota)
        raise OSError(errno.ENOENT, "no control group of processors")

    def anon(self) -> int:
        """Bytes of anonymous memory that its processes hold now, those in swap as well; a page that several share
        counts once. 0 when the group is gone."""
        counts = _counts(self.folders[0] / "memory.stat")
        return counts["anon"] if "anon" in counts else counts.get("total_rss", 0) + counts.get("total_swap", 0)

    def killed(self) -> bool:
        """Whether the kernel has killed a process of it for want of memory; still known when it has been removed."""
        for name in ("memory.events", "memory.oom_control"):
            if _counts(self.folders[0] / name).get("oom_kill", 0):
                self._was_killed = True
        return self._was_killed

    def pids(self) -> set[int]:
        """Its processes that run; one of a process namespace that we cannot see reads as 0 and is left out."""
        return {int(pid) for procs in self.procs for pid in read(procs).split()} - {0}

    def kill(self) -> None:
        """SIGKILL to everything in it, whatever session or parent it has; it may be some ms until all of it is gone."""
        if _write_if_there(self.folders[0] / "cgroup.kill", 1):  # since Linux 5.14
            return
        _write_if_there(self.folders[0] / "cgroup.freeze", 1)  # nothing forks any more: version 2 by this,
        _write_if_there(self.folders[-1] / "pids.max", 0)  # version 1 by this
        killed: set[int] = set()
        for _ in range(_ROUNDS):
            fresh = self.pids() - killed
            for pid in fresh:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            killed |= fresh
            if not fresh:
                break

    def remove(self) -> None:
        """Remove it now where it is empty, else kill what is in it and remove it in the background."""
        if not self._remove_folders():
            task = asyncio.get_running_loop().create_task(self.close())
            _background.add(task)  # the loop itself holds tasks weakly
            task.add_done_callback(_background.discard)

    async def close(self) -> None:
        """Kill everything in it, wait until it is gone, remove the group. One with a process that does not even die
        of SIGKILL is left to `leftovers`."""
        loop = asyncio.get_running_loop()
        (pause, longest), until = _PAUSES, loop.time() + _PATIENCE
        while not self._remove_folders() and loop.time() < until:
            self.kill()
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    def _remove_folders(self) -> bool:
        """Whether nothing of it is there any more."""
        self.killed()  # while it can be read
        return all([_remove_folder(folder) for folder in self.folders])


@cache
def usable() -> Places:
    """Where this process may make groups; found out once, when a server starts and has no other process yet."""
    found = locate(read("/proc/self/cgroup"), read("/proc/self/mountinfo"))
    v2 = None if found.v2 is None else prepare(found.v2)
    if v2 is not None:
        return Places(v2=v2, cpu=v2 if "cpu" in read(v2 / "cgroup.subtree_control").split() else None)
    memory, pids, cpu = (place if place is not None and _is_writable(place) else None for place in found[1:])
    return Places() if memory is None else Places(memory=memory, pids=pids, cpu=cpu)


def leftovers(places: Places | None = None) -> None:
    """Remove the empty groups of servers that have died."""
    for place in (usable() if places is None else places).folders(shares=True):
        with contextlib.suppress(OSError):
            for folder in list(place.iterdir()):
                found = _NAME.fullmatch(folder.name)
                if found and not Path(f"/proc/{found[1]}").exists():
                    _remove_folder(folder)


def locate(groups: str, mounts: str) -> Places:
    """The folders of this process's own groups, from the texts of /proc/self/cgroup and /proc/self/mountinfo."""
    own = {name: path for line in groups.splitlines() for name, path in _hierarchies(line)}
    folders: dict[str, Path] = {}
    for line in mounts.splitlines():
        for name, root, point in _mounted(line):
            folder = _below(point, root, own.get(name, ""))
            if folder is not None:
                folders.setdefault(name, folder)
    return Places(folders.get(""), folders.get("memory"), folders.get("pids"), folders.get("cpu"))


def prepare(own: Path) -> Path | None:
    """The folder of version 2 in which groups with a memory limit can be made; `own` is that of this process.

    Below its own group first: then a service's limits hold for its environments, and they end with it. A group that
    gives controllers to groups below it may hold no process itself, so the server goes one down, where it is alone.
    Else beside its own group, as in a systemd slice whose user may write there. None where neither is possible.
    """
    for place in (own, own.parent):
        if "memory" in read(place / "cgroup.subtree_control").split() and _is_writable(place):
            return place
        if place == own and _give_memory(own):
            return own
    return None


def _give_memory(own: Path) -> bool:
    """Whether groups below it have the memory controller now, and that of processors where there is one."""
    controllers = read(own / "cgroup.controllers").split()
    if "memory" not in controllers or not _is_writable(own):
        return False
    if read(own / "cgroup.procs").split() not in ([], [str(os.getpid())]):  # others would have to move too
        return False
    down = own / f"pilotlight-{os.getpid()}-server"
    try:
        down.mkdir()
        _write(down / "cgroup.procs", 0)
        _write(own / "cgroup.subtree_control", "+memory +cpu" if "cpu" in controllers else "+memory")
    except OSError:
        _write_if_there(own / "cgroup.procs", 0)
        _remove_folder(down)
        return False
    return True


def read(path: str | Path) -> str:
    """A file that the kernel writes; empty when what it tells of is gone. Twice as fast as `open`, for many samples."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return b"".join(iter(lambda: os.read(descriptor, 1 << 16), b"")).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _hierarchies(line: str) -> list[tuple[str, str]]:
    """`4:memory:/a` -> [("memory", "/a")]; version 2 has no name."""
    number, _, rest = line.partition(":")
    names, _, path = rest.partition(":")
    return [(name, path) for name in names.split(",")] if number.isdecimal() else []


def _mounted(line: str) -> list[tuple[str, str, str]]:
    """(hierarchy, root within it, mount point) of one line of mountinfo, for each hierarchy that the mount shows."""
    fields, _, rest = line.partition(" - ")
    before, after = fields.split(), rest.split()
    if len(before) < 6 or len(after) < 3 or after[0] not in ("cgroup", "cgroup2"):
        return []
    names = [""] if after[0] == "cgroup2" else [name for name in after[2].split(",") if name]
    return [(name, _unescaped(before[3]), _unescaped(before[4])) for name in names]


def _below(point: str, root: str, path: str) -> Path | None:
    """The folder of the group `path`, when the mount at `point` shows the hierarchy from `root` on."""
    relative = path.removeprefix(root.rstrip("/"))
    inside = path.startswith("/") and (path == root or path.startswith(root.rstrip("/") + "/"))
    return Path(point + relative) if inside and ".." not in relative.split("/") else None


def _unescaped(path: str) -> str:
    """mountinfo writes blanks and backslashes of paths as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def _is_writable(place: Path) -> bool:
    """Whether groups can be made there and processes moved into them: the kernel asks for both rights."""
    return os.access(place, os.W_OK) and os.access(place / "cgroup.procs", os.W_OK)


def _counts(path: Path) -> Mapping[str, int]:
    """A file of lines `name number`; empty when it is gone."""
    pairs = (line.partition(" ") for line in read(path).splitlines())
    return {name: int(number) for name, _, number in pairs if number.isdecimal()}


def _write(path: Path, value: int | str) -> None:
    path.write_text(str(value))


def _write_if_there(path: Path, value: int) -> bool:
    """Whether the kernel has that file and took the value."""
    if not path.exists():
        return False
    with contextlib.suppress(OSError):
        _write(path, value)
        return True
    return False


def _remove_folder(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # it has processes
        return False
    return True
