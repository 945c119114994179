"""Where a model folder is written: what may be replaced there, by one run at a time, and never by half.

A run works in the folder OUT.partial. When it ends, the folder that was at OUT goes to OUT.partial/replaced, and the
new one to OUT. A run that is killed between these two steps leaves OUT missing: the next one puts the old one back.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pilotlight.errors import UsageError

LOCK, REPLACED, FINISHED = "lock", "replaced", "finished"


def resolve(out: Path) -> Path:
    """The folder that `out` means, with symbolic links followed; UsageError when it cannot be one."""
    if out.is_symlink() and not out.exists():
        raise UsageError(f"writing {out}: it is a link to what is not there", "name another --out")
    try:
        found = out.resolve()
    except (OSError, RuntimeError) as error:  # links in a circle
        raise UsageError(f"writing {out}: {error}", "name another --out") from None
    if not found.name:
        raise UsageError(f"writing {out}: it is the root folder", "name another --out")
    if found.exists() and not found.is_dir():
        raise UsageError(f"writing {out}: it is a file", "name another --out")
    return found


def partial(out: Path) -> Path:
    """The work folder beside `out`, which is resolved."""
    return out.with_name(f"{out.name}.partial")


def check(out: Path, force: bool, inputs: Iterable[Path]) -> None:
    """UsageError when `out` may not be written: it is taken, or one of the run's `inputs` would be lost."""
    found = resolve(out)
    for given in (each.resolve() for each in inputs):
        if any(folder in (given, *given.parents) for folder in (found, partial(found))):
            raise UsageError(f"writing {out}: {given} is in it, and would be deleted", "name another --out")
        if given.is_dir() and given in found.parents:
            raise UsageError(f"writing {out}: it is in {given}, which is read", "name another --out")
    if not found.is_dir() or not any(found.iterdir()):
        return
    if not _is_model(found):
        raise UsageError(
            f"writing {out}: it is there already, and not a folder that pilotlight optimize wrote",
            "--force replaces only those: name another --out, or delete it yourself",
        )
    if not force:
        raise UsageError(f"writing {out}: it is there already and not empty", "--force replaces it")


def _is_model(folder: Path) -> bool:
    try:
        settings, report = (json.loads((folder / name).read_bytes()) for name in ("model.json", "report.json"))
    except (OSError, ValueError):
        return False
    return all(isinstance(each, dict) and {"format", "task"} <= each.keys() for each in (settings, report))


@contextmanager
def held(out: Path) -> Iterator[Path]:
    """The work folder of `out`, for this process alone; UsageError when another has it."""
    folder = partial(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    except OSError as error:
        raise UsageError(f"making {folder}: {error.strerror}", "name another --out") from None
    with lock:
        if not _locked(lock.fileno(), folder / LOCK):
            raise UsageError(f"another run is writing {out}", "wait for it, or name another --out")
        _restore(out)
        yield folder


def _locked(descriptor: int, file: Path) -> bool:
    """Whether this process holds `file` now, and not one of that name which a run that has ended took away."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _restore(out: Path) -> None:
    """What a run took away from `out` and died before it put the new one there; else what it had no time to delete."""
    old = partial(out) / REPLACED
    if old.is_dir() and not out.exists():
        old.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def copy(folder: Path, work: Path) -> Path:
    """A copy of the model folder in the work folder, by hard links where there are such: `folder` stays for a rerun."""
    finished = work / FINISHED
    shutil.rmtree(finished, ignore_errors=True)
    shutil.copytree(folder, finished, copy_function=_link)
    return finished


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # not every file system has them
        shutil.copyfile(source, target)


def replace(new: Path, out: Path) -> None:
    """Put the folder `new` in the place of `out`. When that fails, what was there is there again."""
    old = partial(out) / REPLACED
    if out.exists():
        old.parent.mkdir(exist_ok=True)
        out.rename(old)
    try:
        new.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)
