"""A limit held by the kernel's group where there is one, by the watcher, and by both: real memory of real processes."""

import asyncio
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from pilotlight.local.cgroup import Cgroup, usable
from pilotlight.local.memory import Processes, Watcher, pause, used, used_once

GROUPS = ("group", "both") if usable().folders() else ()  # what the kernel of this machine lets us make
LEVELS = ("watcher", *GROUPS)
MB = 1024 * 1024
JOIN = 'for file in $FILES; do echo 0 > "$file"; done; exec "$@"'

HOG = """
import time
held = [b"x" * (16 << 20) for _ in range(40)]
print("survived", flush=True)
time.sleep(60)
"""
CHILD = f"""
import subprocess, sys, time
print("child", subprocess.call([sys.executable, "-c", {HOG!r}]), flush=True)
sys.exit(9)
"""
WEIGHTS = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
for _ in range(3):
    touched = sum(1 for start in range(0, len(mapped), 4096) if mapped[start] == 0) * 4096
print("touched", touched >> 20, flush=True)
sys.stdin.read()
"""
TMPFS = """
import os, sys
held = os.memfd_create("file")
for _ in range(200):
    os.write(held, b"x" * (1 << 20))
print("written", flush=True)
sys.stdin.read()
"""
FORKS = """
import os, sys, time
held = b"x" * (100 << 20)
for _ in range(3):
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
print("forked", flush=True)
sys.stdin.read()
"""


class Run(NamedTuple):
    process: asyncio.subprocess.Process
    group: Cgroup | None
    watcher: Watcher
    told: list[int]  # what the watcher said of exceeding

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode()


def kill_session(pid: int) -> None:
    if Path(f"/proc/{pid}").exists():
        os.killpg(pid, signal.SIGKILL)


@asynccontextmanager
async def start(level: str, limit: int, code: str, *arguments: str) -> AsyncIterator[Run]:
    """Python code under a limit of so many MB; with both, the group also has room for a /tmp, as with a namespace."""
    group = None
    if level != "watcher":
        group = Cgroup.make(f"limit-{uuid.uuid4().hex}", limit + 512 if level == "both" else limit)
        assert group is not None
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", JOIN, "sh", sys.executable, "-c", code, *arguments),
        env=os.environ | {"FILES": " ".join(group.entries if group else ())},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    told: list[int] = []
    watcher = Watcher()

    def exceeded(size: int) -> None:
        told.append(size)
        kill_session(process.pid)

    watcher.watch("it", process.pid, group, 100_000 if level == "group" else limit, exceeded)
    try:
        yield Run(process, group, watcher, told)
    finally:
        watcher.forget("it")
        kill_session(process.pid)
        await process.communicate()
        if group is not None:
            await group.close()
            assert not group.folders[0].exists()


async def sampled(run: Run, least: int) -> None:
    """Wait until the watcher has seen that many MB, and once more."""
    while run.watcher.peak_mb("it") < least and run.process.returncode is None:
        await asyncio.sleep(0.01)
    await asyncio.sleep(pause(0, 1 << 40))


@pytest.mark.parametrize("level", LEVELS)
def test_more_than_the_limit_is_killed(level: str) -> None:
    async def check() -> None:
        async with start(level, 128, HOG) as run:
            assert await run.process.wait() == -signal.SIGKILL
            assert [size > 128 * MB for size in run.told] == ([] if level == "group" else [True])
            assert run.group is None or run.group.killed() == (level == "group")
        assert run.group is None or run.group.killed() == (level == "group")  # though it is removed

    asyncio.run(asyncio.wait_for(check(), 50))


@pytest.mark.parametrize("level", LEVELS)
def test_the_memory_of_a_child_counts(level: str) -> None:
    async def check() -> None:
        async with start(level, 128, CHILD) as run:
            if level == "group":  # the kernel kills the largest process, the others live
                assert await run.line() == "child -9\n"
                assert await run.process.wait() == 9
                assert run.group is not None
                assert run.group.killed()
            else:
                assert await run.process.wait() == -signal.SIGKILL
                assert len(run.told) == 1

    asyncio.run(asyncio.wait_for(check(), 50))


@pytest.fixture
def weights() -> Iterator[str]:
    """A file of 300 MB that is on a disk, where a temporary folder may be memory."""
    with tempfile.NamedTemporaryFile(dir="/var/tmp") as file:
        file.truncate(300 * MB)
        yield file.name


@pytest.mark.parametrize("level", LEVELS)
def test_mapped_weights_do_not_count(level: str, weights: str) -> None:
    async def check() -> None:
        async with start(level, 128, WEIGHTS, weights) as run:
            assert await run.line() == "touched 300\n"
            await sampled(run, 1)
            assert run.told == []
            assert run.watcher.peak_mb("it") < 64
            assert run.process.returncode is None
            assert run.group is None or not run.group.killed()

    asyncio.run(asyncio.wait_for(check(), 50))


@pytest.mark.parametrize("level", [level for level in LEVELS if level != "group"])
def test_files_of_a_tmpfs_do_not_count_where_the_group_has_room_for_them(level: str) -> None:
    async def check() -> None:
        async with start(level, 128, TMPFS) as run:
            assert await run.line() == "written\n"
            await sampled(run, 1)
            assert run.told == []
            assert run.watcher.peak_mb("it") < 64
            assert run.process.returncode is None

    asyncio.run(asyncio.wait_for(check(), 50))


@pytest.mark.parametrize("level", LEVELS)
def test_what_forked_processes_share_counts_once(level: str) -> None:
    async def check() -> None:
        async with start(level, 192, FORKS) as run:
            assert await run.line() == "forked\n"
            await sampled(run, 100)
            assert run.told == []
            assert 100 <= run.watcher.peak_mb("it") < 192
            family = Processes().family(run.process.pid)
            assert len(family) == 4
            assert used(run.process.pid, None) > 400 * MB
            assert 100 * MB < used_once(family) < 192 * MB

    asyncio.run(asyncio.wait_for(check(), 50))


def test_a_process_that_has_ended_uses_nothing() -> None:
    async def ended() -> int:
        process = await asyncio.create_subprocess_exec("true")
        await process.wait()
        return process.pid

    assert used(asyncio.run(ended()), None) == 0


def test_children_are_found_by_lists_and_by_parents() -> None:
    """A kernel has the lists or not; without them the parents of all processes say the same."""

    async def check() -> None:
        async with start("watcher", 1000, FORKS) as run:
            assert await run.line() == "forked\n"
            processes = Processes()
            by_default = set(processes.family(run.process.pid))
            processes._lists_children = False
            assert set(processes.family(run.process.pid)) == by_default
            assert len(by_default) == 4

    asyncio.run(asyncio.wait_for(check(), 50))


# the schedule, with a clock of its own


@pytest.mark.parametrize(
    ("size", "limit", "seconds"),
    [
        (0, 128, 0.0625),  # at 2 GB/s it could be there then
        (64, 128, 0.03125),
        (120, 128, 0.02),
        (128, 128, 0.02),
        (200, 128, 0.02),
        (0, 512, 0.25),
        (1000, 10240, 0.25),
    ],
)
def test_looks_again_before_the_limit_can_be_reached(size: int, limit: int, seconds: float) -> None:
    assert pause(size * MB, limit * MB) == seconds


class Clock:
    """Time that passes only when the watcher sleeps; after so many pauses it sleeps for ever."""

    def __init__(self, pauses: int, cost: float = 0.0) -> None:
        self.now = 0.0
        self._cost = cost  # seconds of the processor that a round of samples takes
        self._spent = 0.0
        self.slept: list[float] = []
        self._pauses = pauses
        self.stopped = asyncio.Event()

    def spent(self) -> float:
        self._spent += self._cost
        return self._spent

    async def sleep(self, seconds: float) -> None:
        if len(self.slept) == self._pauses:
            self.stopped.set()
            await asyncio.Event().wait()
        self.slept.append(round(seconds, 6))
        self.now += seconds
        await asyncio.sleep(0)


def with_watched_process(check: Callable[[int], object]) -> None:
    """Run `check` with the id of a process that holds a little more than 100 MB."""

    async def run() -> None:
        async with start("watcher", 100_000, "held = b'x' * (100 << 20); print('held', flush=True); input()") as run:
            assert await run.line() == "held\n"
            run.watcher.forget("it")
            await check(run.process.pid)  # type: ignore[misc]

    asyncio.run(asyncio.wait_for(run(), 50))


def test_a_small_one_is_looked_at_less_often_than_one_near_its_limit() -> None:
    async def check(pid: int) -> None:
        clock = Clock(14)
        watcher = Watcher(lambda: clock.now, clock.sleep, clock.spent)
        watcher.watch("small", pid, None, 10_000, lambda _: None)
        await asyncio.sleep(0)
        assert clock.slept == [0.25]
        watcher.watch("near", pid, None, 130, lambda _: None)
        await clock.stopped.wait()
        assert clock.slept == [0.25, *[0.02] * 13]
        assert watcher.peak_mb("small") == watcher.peak_mb("near") > 100
        watcher.forget("small")
        watcher.forget("near")
        assert watcher.peak_mb("near") == 0

    with_watched_process(check)


def test_says_once_that_the_limit_is_exceeded() -> None:
    async def check(pid: int) -> None:
        told: list[int] = []
        clock = Clock(5)
        watcher = Watcher(lambda: clock.now, clock.sleep, clock.spent)
        watcher.watch("it", pid, None, 100, told.append)
        await clock.stopped.wait()
        assert clock.slept == [0.02] * 5
        assert [size > 100 * MB for size in told] == [True]
        watcher.forget("it")

    with_watched_process(check)


@pytest.mark.parametrize(("cost", "seconds"), [(0.0001, 0.02), (0.001, 0.1), (1.0, 0.25)])
def test_samples_take_a_small_part_of_a_processor(cost: float, seconds: float) -> None:
    async def check(pid: int) -> None:
        clock = Clock(3, cost)
        watcher = Watcher(lambda: clock.now, clock.sleep, clock.spent)
        watcher.watch("it", pid, None, 101, lambda _: None)
        await clock.stopped.wait()
        assert clock.slept == [seconds] * 3
        watcher.forget("it")

    with_watched_process(check)


def test_nothing_runs_while_nothing_is_watched() -> None:
    async def check(pid: int) -> None:
        await asyncio.sleep(0)
        before = asyncio.all_tasks()
        watcher = Watcher()
        watcher.watch("it", pid, None, 1000, lambda _: None)
        assert len(asyncio.all_tasks() - before) == 1
        watcher.forget("it")
        watcher.forget("it")
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before

    with_watched_process(check)
