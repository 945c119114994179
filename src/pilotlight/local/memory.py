"""How much memory execution environments use, and what happens above their limit where no kernel holds it.

What counts is anonymous memory, in RAM or in swap. Mapped weights do not: their pages are those of a file, which the
kernel takes back when it needs them. Nor do files of a tmpfs, for /tmp is a disk on Lambda. RLIMIT_AS would count the
weights, and every library.
"""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Hashable, Iterable
from pathlib import Path

from pilotlight.local.cgroup import Cgroup, read

_MB = 1024 * 1024
_RATE = 2048 * _MB  # bytes a second: no process is expected to fill fresh memory faster
_SHORTEST = 0.02  # seconds between two samples
_LONGEST = 0.25
_SHARE = 100  # sampling may take one 100th of a processor, and so may looking at all processes of the machine


def used(pid: int, cgroup: Cgroup | None) -> int:
    """Bytes of anonymous memory of an environment whose first process is `pid`.

    A group counts each page once. Without one it is the sum over the process and its descendants, where pages that
    they share since a fork count for each; see `used_once`. 0 when it is gone, and where there is no /proc.
    """
    return _used(cgroup, Processes().family(pid) if cgroup is None else ())


def _used(cgroup: Cgroup | None, pids: Iterable[int]) -> int:
    return sum(map(_anonymous, pids)) if cgroup is None else cgroup.anon()


def _anonymous(pid: int) -> int:
    """proc_pid_status(5). A process that has ended and was not waited for has no such lines."""
    return _kilobytes(f"/proc/{pid}/status", ("RssAnon:", "VmSwap:")) * 1024


def used_once(pids: Iterable[int]) -> int:
    """The same where each shared page counts once: exact, and slow, as the kernel walks over all pages."""
    return sum(_kilobytes(f"/proc/{pid}/smaps_rollup", ("Pss_Anon:", "SwapPss:")) for pid in pids) * 1024


def resident(pids: Iterable[int]) -> int:
    """Bytes in RAM, files that are mapped included; pages that processes share count for each. 0 where there is no
    /proc."""
    return sum(_kilobytes(f"/proc/{pid}/status", ("VmRSS:",)) for pid in pids) * 1024


def _kilobytes(path: str, names: tuple[str, ...]) -> int:
    return sum(int(line.split()[1]) for line in read(path).splitlines() if line.startswith(names))


class Processes:
    """Who descends from whom. A process whose parent has ended belongs to nobody here; only a group still counts it.

    The kernel lists the children of a process where it was built with CONFIG_PROC_CHILDREN, as distributions do. Else
    the parents of all processes of the machine are read. Either is done again only when a process has started since.
    """

    def __init__(self) -> None:
        self._lists_children = Path("/proc/thread-self/children").exists()
        self._below: dict[int, list[int]] = {}  # the children of each process, where there are no lists
        self._families: dict[int, list[int]] = {}
        self._newest = ""
        self._next_scan = 0.0

    def family(self, pid: int) -> list[int]:
        """The process and its descendants; some may have ended."""
        if self._has_news():
            self._families.clear()
            if not self._lists_children:
                self._scan()
        if pid not in self._families:
            self._families[pid] = self._walk(pid)
        return self._families[pid]

    def _has_news(self) -> bool:
        """Whether a process or a thread has started: then another process id is the one that was given last."""
        newest = read("/proc/loadavg").rpartition(" ")[2]
        if newest == self._newest or time.perf_counter() < self._next_scan:
            return False
        self._newest = newest
        return True

    def _walk(self, pid: int) -> list[int]:
        found = [pid]
        for member in found:  # grows meanwhile
            found += self._children_of(member)
        return found

    def _children_of(self, pid: int) -> list[int]:
        if not self._lists_children:
            return self._below.get(pid, [])
        return [int(child) for task in _names(f"/proc/{pid}/task") for child in _children(pid, task)]

    def _scan(self) -> None:
        began = time.thread_time()
        self._below.clear()
        for name in filter(str.isdecimal, _names("/proc")):
            parent = read(f"/proc/{name}/stat").rpartition(") ")[2].split()[1:2]  # its name may hold ") "
            if parent:
                self._below.setdefault(int(parent[0]), []).append(int(name))
        self._next_scan = time.perf_counter() + (time.thread_time() - began) * _SHARE


def _children(pid: int, task: str) -> list[str]:
    return read(f"/proc/{pid}/task/{task}/children").split()


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def pause(size: int, limit: int) -> float:
    """Seconds until the next sample of an environment that uses `size` bytes: not before it could reach its limit."""
    return min(max((limit - size) / _RATE, _SHORTEST), _LONGEST)


class _Watched:
    def __init__(self, pid: int, cgroup: Cgroup | None, limit: int, exceeded: Callable[[int], None]) -> None:
        self.pid = pid
        self.cgroup = cgroup
        self.limit = limit  # bytes
        self.exceeded: Callable[[int], None] | None = exceeded  # None when it has been called
        self.due = 0.0
        self.peak = 0


class Watcher:
    """Samples environments and says when one is above its limit. One task for all of them, while there are any.

    At 2 GB/s none is above its limit for longer than the shortest pause: 20 ms, longer while so many are near their
    limits that the samples would take more than one 100th of a processor.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Coroutine[None, None, None]] = asyncio.sleep,
        spent: Callable[[], float] = time.thread_time,  # of the processor, not of the day: others may hold it meanwhile
    ) -> None:
        self._clock = clock
        self._spent = spent
        self._sleep = sleep
        self._watched: dict[Hashable, _Watched] = {}
        self._processes = Processes()
        self._task: asyncio.Task[None] | None = None

    def watch(
        self, key: Hashable, pid: int, cgroup: Cgroup | None, limit_mb: int, exceeded: Callable[[int], None]
    ) -> None:
        """Sample from now on. `exceeded` is called once, by the event loop, with the bytes that are used then."""
        self._stop()  # it may be in its longest pause
        self._watched[key] = _Watched(pid, cgroup, limit_mb * _MB, exceeded)
        self._task = asyncio.get_running_loop().create_task(self._run())

    def forget(self, key: Hashable) -> None:
        self._watched.pop(key, None)
        if not self._watched:
            self._stop()

    def peak_mb(self, key: Hashable) -> int:
        """The largest sample, one taken now included, in MB rounded up; 0 for what is not watched."""
        watched = self._watched.get(key)
        if watched is None:
            return 0
        self._sample(watched)  # an invocation may be shorter than a pause
        return -(-watched.peak // _MB)

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            now, spent = self._clock(), self._spent()
            for watched in [each for each in self._watched.values() if each.due <= now]:
                watched.due = now + pause(self._sample(watched), watched.limit)
            first = min(watched.due for watched in self._watched.values())
            rest = min((self._spent() - spent) * _SHARE, _LONGEST)
            await self._sleep(max(first - self._clock(), _SHORTEST, rest))

    def _sample(self, watched: _Watched) -> int:
        pids = self._processes.family(watched.pid) if watched.cgroup is None else []
        size = _used(watched.cgroup, pids)
        if size > watched.limit and len(pids) > 1:
            size = used_once(pids) or size  # 0 where the kernel does not say
        watched.peak = max(watched.peak, size)
        if size > watched.limit and watched.exceeded is not None:
            asyncio.get_running_loop().call_soon(watched.exceeded, size)
            watched.exceeded = None
        return size
