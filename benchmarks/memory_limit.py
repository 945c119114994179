"""What holding an environment to its memory costs: a group for it, and the watcher's samples.

    python benchmarks/memory_limit.py [--environments 16] [--seconds 6]

Environments stand for what they are to both: processes with 100 MB of anonymous memory and four threads.
No server runs. Without a group that this machine lets us make, only the watcher without groups is measured. Prints a
table and writes it to `benchmarks/results/memory_limit.md`.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median

import machine

from pilotlight.local.cgroup import Cgroup
from pilotlight.local.memory import Watcher, used_once

JOIN = 'for file in $FILES; do echo 0 > "$file"; done; exec "$@"'
HOLD = """
import threading, time
held = b"x" * (100 << 20)
for _ in range(3):
    threading.Thread(target=time.sleep, args=(600,)).start()
print("held", flush=True)
time.sleep(600)
"""
GROW = "held = [b'x' * (1 << 20) for _ in range(4096)]"


def start(group: Cgroup | None, code: str) -> subprocess.Popen[str]:
    environment = os.environ | {"FILES": " ".join(group.entries if group else ())}
    command = ["sh", "-c", JOIN, "sh", sys.executable, "-c", code]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def join_seconds(group: Cgroup) -> float:
    """How long a new process takes to join."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        began = time.perf_counter()
        for entry in group.entries:
            descriptor = os.open(entry, os.O_WRONLY)
            os.write(descriptor, b"0")
        os.write(write_end, str(time.perf_counter() - began).encode())
        os._exit(0)
    os.close(write_end)
    with open(read_end) as pipe:
        seconds = float(pipe.read())
    os.waitpid(pid, 0)
    return seconds


def life(number: int) -> tuple[float, float, float]:
    """Seconds for making a group, for joining it, for removing it."""
    began = time.perf_counter()
    group = Cgroup.make(f"bench-{number}", 256)
    made = time.perf_counter()
    assert group is not None
    joined = join_seconds(group)
    ended = time.perf_counter()
    group.remove()
    return made - began, joined, time.perf_counter() - ended


def lives(rounds: int = 200) -> Iterator[str]:
    names = ("making", "joining", "removing")
    for name, seconds in zip(names, zip(*(life(number) for number in range(rounds)), strict=True), strict=True):
        ordered = sorted(second * 1000 for second in seconds)
        yield f"| {name} a group | {median(ordered):.2f} ms, one in ten above {ordered[rounds * 9 // 10]:.2f} ms |"


async def watching(pids: list[int], groups: list[Cgroup | None], limit: int, seconds: float) -> float:
    """Percent of a processor."""
    watcher = Watcher()
    for pid, group in zip(pids, groups, strict=True):
        watcher.watch(pid, pid, group, limit, lambda _: None)
    began, used = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    share = (time.process_time() - used) / (time.perf_counter() - began)
    for pid in pids:
        watcher.forget(pid)
    return share * 100


async def overshoot(limit: int) -> float:
    """MB above the limit that a process held which grows as fast as it can, when the watcher said so."""
    process = start(None, GROW)
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    watcher = Watcher()
    watcher.watch("it", process.pid, None, limit, told.set_result)
    size = await told
    process.kill()
    process.communicate()
    watcher.forget("it")
    return size / 2**20 - limit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=6)
    options = parser.parse_args()
    groups = [Cgroup.make(f"bench-held-{number}", 1024) for number in range(options.environments)]
    lines = ["# What holding an environment to its memory costs", "", "| | |", "|---|---|"]
    if None not in groups:
        lines += lives()
    processes = [start(group, HOLD) for group in groups]
    try:
        lines += measure(processes, groups, options.seconds)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
        for group in groups:
            if group is not None:
                asyncio.run(group.close())
    above = sorted(asyncio.run(overshoot(256)) for _ in range(10))
    lines.append(f"| above 256 MB when told, of ten: median, most | {median(above):.0f}, {above[-1]:.0f} MB |")
    machine.write("memory_limit", lines)


def measure(processes: list[subprocess.Popen[str]], groups: list[Cgroup | None], seconds: float) -> Iterator[str]:
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    pids = [process.pid for process in processes]
    began = time.perf_counter()
    size = used_once(pids) / len(pids) / 2**20
    taken = (time.perf_counter() - began) / len(pids) * 1000
    yield f"| asking for the shares of one with {size:.0f} MB | {taken:.1f} ms |"
    kinds: dict[str, list[Cgroup | None]] = {"without groups": [None] * len(pids)}
    if None not in groups:
        kinds["with groups"] = groups
    for kind, of_kind in kinds.items():
        for limit in (128, 256, 1024):
            share = asyncio.run(watching(pids, of_kind, limit, seconds))
            yield f"| {len(pids)} watched {kind}, 100 of {limit} MB used | {share:.2f} % of a processor |"


if __name__ == "__main__":
    main()
