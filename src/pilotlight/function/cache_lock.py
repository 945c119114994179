"""One holder of a file's lock among processes, on one machine or on all that have mounted one NFS.

The lock is a POSIX record lock (`fcntl.lockf`): NFSv4, which EFS speaks, has no other. It goes with its process,
however that ends, and with a machine that is gone when its lease has run out. It does not go with a process that stands
still, so a holder changes the time of the file (`beat`), and who has seen no change for `STALE` seconds of its own
clock takes the file away. The old holder may wake up after that: it learns it from what it works in, which is taken
away first, and which bears the `token` of one holder alone.

`keep` is the other lock: any number of processes say with it that they use something.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STALE = 180.0  # seconds: more than a holder waits for anything, and than NFS clients may believe an old time (60)
BEAT = 5.0
_POLL = 0.2
_BUSY = (errno.EAGAIN, errno.EACCES)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EDQUOT)  # EDQUOT: EFS has 512 for a file

IN_USE, UNKNOWN = "a process uses it", "whether a process uses it cannot be known"

_kept: dict[str, int] = {}  # by its file, the descriptor: closing any of a file gives up all of its locks


class Lock:
    """Held until `release`. `token` is in no other holder's name."""

    def __init__(self, file: str, descriptor: int) -> None:
        self.file = file
        self.token = os.urandom(8).hex()
        self._descriptor = descriptor
        self._beaten = time.monotonic()

    def beat(self) -> None:
        """To be called every few seconds at least; what it does, it does every few seconds at most."""
        if time.monotonic() - self._beaten >= BEAT:
            os.utime(self._descriptor)
            self._beaten = time.monotonic()

    def check(self) -> None:
        """Raises FileNotFoundError when it was taken away meanwhile."""
        if not _is_at(self._descriptor, self.file):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.file)

    def release(self) -> None:
        os.close(self._descriptor)


def acquire(
    file: str,
    is_done: Callable[[], object],
    abandon: Callable[[], None],
    tell: Callable[[], None],
    stale: float | None = None,
) -> Lock | None:
    """The lock, as soon as it is to be had; None as soon as `is_done`, since then there is nothing left to do.

    `abandon` takes away what a holder works in that stands still; `tell` is called while waiting. Raises OSError.
    """
    seen, since = (0, 0), time.monotonic()
    while not is_done():
        found = _try(file)
        if isinstance(found, Lock):
            return found
        if found != seen:
            seen, since = found, time.monotonic()
        elif time.monotonic() - since >= (STALE if stale is None else stale):
            abandon()
            _take_away(file, seen[0])
        tell()
        time.sleep(_POLL)
    return None


def _try(file: str) -> Lock | tuple[int, int]:
    """The lock, or who holds it: the file's number, and when it was changed. Opened anew: NFS then asks the server."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        if _refusal(descriptor, fcntl.LOCK_EX) not in _BUSY and _is_at(descriptor, file):
            os.utime(descriptor)
            return Lock(file, descriptor)
        found = os.fstat(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return found.st_ino, found.st_mtime_ns


def _refusal(descriptor: int, how: int) -> int:
    """Why the lock is not to be had: 0 when it is had, one of `_BUSY`, or one of `_NO_LOCKS`. With these a holder goes
    on all the same: what holders work in is their own, so that one download more is all that happens."""
    try:
        fcntl.lockf(descriptor, how | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (*_BUSY, *_NO_LOCKS):
            raise
        return error.errno or 0
    return 0


def _is_at(descriptor: int, file: str) -> bool:
    """Whether the file is still the one of that name, and was not taken away before it was locked."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(file))
    except FileNotFoundError:
        return False


def _take_away(file: str, number: int) -> None:
    try:
        if os.stat(file).st_ino == number:
            os.unlink(file)
    except FileNotFoundError:
        pass


def keep(file: str) -> None:
    """Say, for as long as this process lives, that it uses what the file stands for, and since when.

    Where nothing can be written, or locked, it goes without saying.
    """
    try:
        if file not in _kept:
            _kept[file] = _opened(file)
            _refusal(_kept[file], fcntl.LOCK_SH)
        os.utime(file)
    except OSError:
        pass


def _opened(file: str) -> int:
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def alone(file: str) -> Iterator[str]:
    """ "" when no process, this one included, has called `keep`, and none can while this lasts; else `IN_USE`, or
    `UNKNOWN` and the reason: where there are no locks, and where they are used up, which they are by users. Raises
    OSError where the file cannot be written.
    """
    if file in _kept:
        yield IN_USE
        return
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        refusal = _refusal(descriptor, fcntl.LOCK_EX)
        yield IN_USE if refusal in _BUSY else f"{UNKNOWN}: {os.strerror(refusal)}" if refusal else ""
    finally:
        os.close(descriptor)
