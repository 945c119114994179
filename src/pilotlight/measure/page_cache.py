"""The kernel's page cache: taking files out of it, so that the next process reads them from the disk."""

import ctypes
import mmap
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pilotlight.function.session import address

_mincore = ctypes.CDLL(None, use_errno=True).mincore
_mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)


class Dropped(NamedTuple):
    """How many bytes of the files were in the page cache, and how many are still: those that some process has mapped,
    or of files that are not on a disk."""

    files: int
    before: int
    after: int


def drop(files: Iterable[Path]) -> Dropped:
    """Drop files from the page cache, which takes no privilege: posix_fadvise(2), POSIX_FADV_DONTNEED.

    Files that cannot be read are left out.
    """
    readable = [path for path in files if path.is_file() and os.access(path, os.R_OK)]
    before = sum(map(cached, readable))
    for path in readable:
        _drop(path)
    return Dropped(len(readable), before, sum(map(cached, readable)))


def _drop(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(descriptor)  # pages that were not yet written stay
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def cached(path: Path) -> int:
    """How many bytes of a file are in the page cache: mincore(2). To others' files the kernel answers that all are."""
    size = path.stat().st_size
    if not size:
        return 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, mmap.MAP_PRIVATE, mmap.PROT_READ) as view:
        pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
        status = _mincore(address(memoryview(view)), size, pages)
    if status:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), str(path))
    return min(sum(page & 1 for page in pages) * mmap.PAGESIZE, size)
