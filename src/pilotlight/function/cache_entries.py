"""What is kept of models that URIs name: a folder for each.

    hf--org--name@main-1f6c0a2b/
      files/          the model, whole: it comes here by one rename
      entry.json      its URI, its revision, its files with their sizes, written before any is fetched
      used            locked by those that use it; its time is when one of them last began to
      lock            locked by the one that fetches it
      failed          why that one could not reach the source, for those that waited for it
      part.*/         what that one works in, for the next to go on with where it was killed

Any number of processes, on any number of machines that have mounted the folder, may work in it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from binascii import crc32  # hashlib would cost every start 4 ms
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pilotlight.errors import CacheError
from pilotlight.function.cache_lock import IN_USE, alone, keep

YOUNG = (
    3_600.0  # seconds for which a model counts as used, if nobody can be asked: a frozen environment loses its locks
)
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@-")
_LONGEST = 100  # characters of a folder's name that are the URI's
_MANIFEST, _FILES, _PART, _GONE = "entry.json", "files", "part.", "gone."
MB = 1e6
MORE = "give /tmp more by tmp in the settings, or name another folder in [cache]"


class Manifest(NamedTuple):
    """`only` is the name of the one file that the URI means, "" where it means the folder. `task` is what a checkpoint
    was optimised for, "" of what is as it was fetched. Sizes are in bytes.
    """

    uri: str
    revision: str
    files: Mapping[str, int]
    only: str = ""
    task: str = ""


class Entry:
    """What is kept of one URI, or will be, in `folder`; of whatever URI it says itself where `uri` is ""."""

    def __init__(self, folder: str, uri: str = "") -> None:
        self.folder = folder
        self.uri = uri
        self.files = os.path.join(folder, _FILES)
        self.lock = os.path.join(folder, "lock")
        self.used = os.path.join(folder, "used")

    def manifest(self) -> Manifest | None:
        """What is written of it, whether it is there yet or not; None when nothing is."""
        try:
            with open(os.path.join(self.folder, _MANIFEST), encoding="utf-8") as opened:
                found = Manifest(**json.load(opened))
            return found if all(isinstance(size, int) for size in found.files.values()) and found.files else None
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return None

    def whole(self) -> str:
        """The path of the model when all of it is there, else ""."""
        found = self.manifest()
        if found is None or self.uri not in ("", found.uri):
            return ""
        if not all(_has(self._path(name), size) for name, size in found.files.items()):
            return ""
        return self._path(found.only) if found.only else self.files

    def _path(self, name: str) -> str:
        return os.path.join(self.files, *name.split("/"))

    def use(self) -> str:
        """As `whole`, and nobody removes it as long as this process lives."""
        if not self.whole():
            return ""
        keep(self.used)
        return self.whole()  # which it may have ceased to be in between

    def write(self, manifest: Manifest) -> None:
        """What the model will be, as soon as it is there; none is there."""
        text = json.dumps(manifest._asdict(), indent=2, ensure_ascii=False)
        draft = os.path.join(self.folder, f"{_MANIFEST}.{os.urandom(4).hex()}")
        with open(draft, "w", encoding="utf-8") as opened:
            opened.write(f"{text}\n")
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(draft, os.path.join(self.folder, _MANIFEST))

    def publish(self, part: str) -> None:
        """Make the folder `part` the model, unless it is there. Raises FileNotFoundError when `part` was taken away."""
        try:
            os.rename(part, self.files)
        except OSError:
            if not self.whole():
                raise
        sync(self.folder)

    def part(self, revision: str, token: str) -> str:
        """A folder to fetch that revision into, with what a holder that has died has fetched of it."""
        own = os.path.join(self.folder, f"{_PART}{_slug(revision)[:40]}.{token}")
        for left in self._named(_PART):
            if left.rpartition(".")[0] == own.rpartition(".")[0] and not os.path.exists(own):
                os.rename(left, own)
            else:
                remove_tree(left)
        os.makedirs(own, exist_ok=True)
        return own

    def abandon(self) -> None:
        """Take away what somebody works in that stands still, or whose disk is full."""
        for left in self._named(_PART):
            remove_tree(left)

    def discard(self) -> bool:
        """Take away the model, at once for all that look for it; whether there was one."""
        was_there = os.path.isdir(self.files)
        if was_there:
            os.rename(self.files, os.path.join(self.folder, f"{_GONE}{os.urandom(4).hex()}"))
        for gone in self._named(_GONE):
            remove_tree(gone)
        return was_there

    def remove(self, *, force: bool = False) -> str:
        """Take away all of it, unless a process uses or fetches it; "" when it is gone, else why it is not.

        With `force` also where nobody can know whether one does.
        """
        try:
            with alone(self.lock) as fetched, alone(self.used) as used:
                kept = IN_USE if IN_USE in (fetched, used) else fetched or used
                if kept == IN_USE or (kept and not force):
                    return kept
                self.discard()
                remove_tree(self.folder)
        except OSError as error:
            return f"its folder cannot be written: {error.strerror}" if os.path.isdir(self.folder) else ""
        return ""

    @property
    def last_used(self) -> float:
        """Seconds since the epoch; of one that is being fetched, when its holder last gave a sign of life."""
        times = [os.stat(file).st_mtime for file in (self.used, self.lock) if os.path.exists(file)]
        return max(times, default=0.0)

    @property
    def bytes(self) -> int:
        return size_of(self.folder)

    def _named(self, beginning: str) -> list[str]:
        return [os.path.join(self.folder, each) for each in sorted(_listed(self.folder)) if each.startswith(beginning)]


def entry(root: str, uri: str, task: str = "") -> Entry:
    """Where in the folder `root` what `uri` names is kept; with `task`, what was optimised for it."""
    return Entry(os.path.join(root, name_of(f"{uri}#{task}" if task else uri)), uri)


def name_of(uri: str) -> str:
    """A name that tells a person which URI it is; were it that of two, the entry says which of them is there."""
    scheme, _, rest = uri.partition("://")
    return f"{_slug(f'{scheme}--{rest}')}-{crc32(os.fsencode(uri)):08x}"


def _slug(text: str) -> str:
    return "".join(each if each in _PLAIN else "--" if each == "/" else "_" for each in text)[:_LONGEST]


def entries(root: str) -> list[Entry]:
    """All that are kept in `root`, that used longest ago first."""
    found = [Entry(os.path.join(root, name)) for name in _listed(root)]
    return sorted(
        (each for each in found if each.manifest() or os.path.exists(each.lock)), key=lambda each: each.last_used
    )


def make_room(root: str, needed: int, budget: int, keeping: Entry) -> None:
    """Remove what was used longest ago, and is not in use, until `needed` more bytes are within `budget` (0 is none)
    and on the disk.

    Where what is in use leaves no room in the budget, it is overdrawn, and the log says so. Raises `CacheError` when
    the disk has no room, or the model alone is over the budget.
    """
    if budget and needed > budget:
        hint = "let more be kept by size in [cache], or fetch a smaller model"
        raise CacheError(f"it takes {needed / MB:.1f} MB, and {root} may have {budget / MB:.0f} MB", hint)
    over = _over(root, needed, budget)
    for each in entries(root) if over > 0 else ():
        if over <= 0:
            return
        if each.folder != keeping.folder and time.time() - each.last_used > YOUNG:
            size, named = each.bytes, each.manifest()
            if not each.remove():
                over -= size
                say(
                    f"removed {named.uri if named else each.folder} from {root}: {size / MB:.1f} MB, unused for longest"
                )
    free = _free(root)
    if free < needed:
        hint = f"free {(needed - free) / MB:.0f} MB, {MORE}"
        raise CacheError(f"it takes {needed / MB:.1f} MB, and {root} has {free / MB:.1f} MB left", hint)
    if over > 0:
        say(f"{root} will have {over / MB:.1f} MB more than size in [cache] allows: the rest of it is in use")


def _over(root: str, needed: int, budget: int) -> float:
    """How many bytes have to go."""
    kept = sum(each.bytes for each in entries(root)) if budget else 0  # of `keeping` what has come so far
    return max(needed - _free(root), kept + needed - budget if budget else 0)


def _free(root: str) -> int:
    found = os.statvfs(root)
    return found.f_bavail * found.f_frsize


def say(text: str) -> None:
    """To the log."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def sync(folder: str) -> None:
    """Names that were made in the folder are on the disk when this returns."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def size_of(folder: str) -> int:
    """Bytes of all files below."""
    return sum(os.lstat(path).st_size for path in _walk(folder) if os.path.lexists(path))


def remove_tree(folder: str) -> None:
    """Whatever of it there is, and as far as it can be; others may be doing the same."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _walk(folder: str) -> Iterator[str]:
    for parent, _, names in os.walk(folder):
        yield from (os.path.join(parent, name) for name in names)


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _has(file: str, size: int) -> bool:
    try:
        return os.stat(file).st_size == size
    except OSError:
        return False
