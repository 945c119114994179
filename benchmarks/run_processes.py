"""The end of a benchmark's processes: of those that it started, whatever session they have gone to."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "BENCHMARKS_RUN"  # the variable by which a benchmark's processes are known
PATIENCE = 20  # seconds for a process that was interrupted to clean up


def finish(process: "subprocess.Popen[bytes]") -> None:
    """Interrupt it as Ctrl-C would, and after a while kill it. One that has ended is left alone."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def leftovers(mark: str) -> list[str]:
    """End what still runs with this mark, and say what it was."""
    deadline = time.monotonic() + 2  # what is about to end on its own was not left
    while found := dict(_marked(mark)):
        if time.monotonic() > deadline:
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return sorted(found.values())
        time.sleep(0.1)
    return []


def _marked(mark: str) -> Iterator[tuple[int, str]]:
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name), (folder / "comm").read_text(encoding="utf-8").strip()
