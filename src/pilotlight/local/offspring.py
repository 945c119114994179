"""What a launcher does about the processes that its own have started: it hears of their ends alone, and leaves none.

For launch.py: few imports, one thread. Sources: prctl(2), sigaction(2), cgroups(7), proc_pid_task(5).
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterable

_PR_SET_CHILD_SUBREAPER, _SA_NOCLDSTOP = 36, 1
_MASK_SIZE = 128  # bytes of sigset_t in struct sigaction, of glibc and of musl
_ROUNDS = 100  # of signals, for groups in which processes still start while they are killed


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, *map(ctypes.c_ulong, (1, 0, 0, 0)))


def ignore_stops() -> None:
    """SIGCHLD, which has its handler, no more for a child that is frozen or thawed."""
    if sys.platform != "linux":
        return
    sigaction, action = ctypes.CDLL(None).sigaction, ctypes.create_string_buffer(256)
    if sigaction(signal.SIGCHLD, None, action) == 0:
        flags = ctypes.c_int.from_buffer(action, ctypes.sizeof(ctypes.c_void_p) + _MASK_SIZE)
        flags.value |= _SA_NOCLDSTOP
        sigaction(signal.SIGCHLD, action, None)


def kill(pid: int) -> None:
    """SIGKILL to a process and to its group; a newborn may have none yet."""
    for send in (os.killpg, os.kill):  # in this order, for it may be this process
        with contextlib.suppress(ProcessLookupError, PermissionError):
            send(pid, signal.SIGKILL)


def kill_groups(entries: Iterable[str], host: int) -> None:
    """SIGKILL to all in the control groups that are entered by these files, but for this process. `host` is a root
    that shows them."""
    procs = [f"{os.path.dirname(entry).lstrip('/')}/cgroup.procs" for entry in entries]
    killed = {0, os.getpid()}  # 0: in a process namespace that we cannot see
    for _ in range(_ROUNDS):
        fresh = {int(pid) for path in procs for pid in _read(path, host).split()} - killed
        if not fresh:
            break
        for pid in fresh:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed |= fresh


def kill_adopted() -> None:
    """SIGKILL to every descendant, by and by: the children of one that has ended are ours."""
    while children := _read("/proc/thread-self/children", 0).split():
        for pid in map(int, children):
            kill(pid)
        for _ in children:
            os.waitpid(-1, 0)


def _read(path: str, folder: int) -> str:
    with contextlib.suppress(OSError):
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
        with open(file) as text:
            return text.read()
    return ""
