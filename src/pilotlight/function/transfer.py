"""Files of a model, from where they are to where they are kept: resumed, checked, and seen when all of them are there.

A file goes to NAME.part and is asked for again from where it broke off. When its bytes are as many as they should be
and have the digest that the source tells, it is written through to the disk and gets its name; when all files are
there, the folder gets its own.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from pilotlight.errors import CacheError, FetchError
from pilotlight.function import cache_lock
from pilotlight.function.cache_entries import MB, MORE, Manifest, make_room, say, sync
from pilotlight.function.cache_trouble import Trouble

if TYPE_CHECKING:
    from hashlib import _Hash

    from pilotlight.function.cache_entries import Entry
    from pilotlight.function.cache_lock import Lock
    from pilotlight.function.download import Download

T = TypeVar("T")

EVERY = 5.0  # seconds between two lines of the log
WAIT = 30.0  # seconds that bytes are waited for
CONNECT = 3.0  # seconds for a connection: two attempts have to end before Lambda ends the init phase, after 10
PAUSE = 0.5  # seconds before the second attempt; twice as long before each one after it
LONGEST_PAUSE = 60.0  # that a source may ask for
ATTEMPTS, UNREACHED_ATTEMPTS = 6, 2  # without a byte more; as long as nothing has answered
TURNS = 10  # after others took away what this process worked in, or the source changed
MOST_FILES = 10_000
_READ = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
_DAMAGED = (
    "what was fetched of it is deleted: try again; if that does not help, its source holds other bytes than it says"
)


class File(NamedTuple):
    """`name` has "/" between folders. `digest` is "sha256:HEX" or "git:HEX", a blob's of git, or "" for none.

    `tag` is the ETag of these bytes, "" where the source has none.
    """

    name: str
    size: int
    digest: str = ""
    tag: str = ""


class Listing(NamedTuple):
    """What is to be fetched. `revision` is that of these bytes; `only` as in `cache_entries.Manifest`."""

    revision: str
    files: tuple[File, ...]
    only: str = ""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


class Again(Exception):
    """It may be tried again, after `pause` seconds at least; `problem` is the error when that does not help."""

    def __init__(self, problem: FetchError, pause: float = 0.0) -> None:
        self.problem = problem
        self.pause = pause


class Changed(Exception):
    """The source holds something else than it listed."""


class Source(Protocol):
    """Where files are. `was_reached` says whether it has answered yet. Methods raise `Again`, `errors.FetchError`."""

    was_reached: bool

    def list(self) -> Listing: ...

    def open(self, file: File, start: int) -> Download:
        """The bytes of the file from `start` on, with status 206, or all of them with 200. May raise `Changed`."""
        ...

    def failed(self, error: OSError) -> Exception:
        """What a connection that failed is."""
        ...


def fetch(entry: Entry, uri: str, source: Source, budget: int) -> str:
    """The path of what `uri` names, kept in `entry`. Raises `errors.FetchError`."""
    trouble = Trouble(entry)

    def is_done() -> str:
        found = entry.whole()
        if not found:
            trouble.check()
        return found

    for _ in range(TURNS):
        try:
            os.makedirs(entry.folder, exist_ok=True)
            lock = cache_lock.acquire(entry.lock, is_done, entry.abandon, Waiting(entry, uri))
            with held(lock):
                if lock is not None:
                    with trouble.told(lock):
                        fill(entry, uri, source, lock, budget)
        except (FileNotFoundError, Changed):  # somebody has taken away what this process worked in
            continue
        except OSError as error:
            raise refused(entry, error) from None
        if found := entry.use():
            return found
    raise FetchError(f"fetching {uri}: what is there changes all the time", "try again when it is as it is to be")


@contextmanager
def held(lock: Lock | None) -> Iterator[None]:
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def refused(entry: Entry, error: OSError) -> CacheError:
    """What the folder of models does not let us do. When it is full, what was fetched is taken away."""
    root, reason = os.path.dirname(entry.folder), error.strerror or str(error)
    if error.errno in _FULL:
        entry.abandon()
        return CacheError(f"writing to {root}: {reason}", f"free some space, {MORE}")
    if error.errno in _UNWRITABLE:
        hint = "the model is not there: fetch it once where the folder can be written, by `pilotlight cache fetch`, or "
        return CacheError(f"writing to {root}: {reason}", f"{hint}name another folder in [cache], such as /tmp")
    return CacheError(f"writing to {root}: {reason}", "name another folder in [cache]")


def fill(entry: Entry, uri: str, source: Source, lock: Lock, budget: int) -> None:
    """Fetch it; `lock` is held. Raises OSError where the folder cannot be written."""
    listing = retried(source.list, source, lock)
    lock.check()
    if entry.discard():
        say(f"what was kept of {uri} is damaged: fetching it again")
    entry.write(Manifest(uri, listing.revision, {file.name: file.size for file in listing.files}, listing.only))
    part = entry.part(listing.revision, lock.token)
    there = sum(os.stat(path).st_size for file in listing.files for path in _paths(part, file) if os.path.exists(path))
    make_room(os.path.dirname(entry.folder), max(0, listing.size - there), budget, entry)
    told = Told(uri, listing, lock, there)
    digests: dict[str, str] = {}
    for file in sorted(listing.files, key=lambda file: (not file.name.endswith("model.json"), file.name)):
        _fetch_file(file._replace(digest=file.digest or digests.get(file.name, "")), part, source, told)
        digests |= _digests(part, file.name)
    for folder, _, _ in os.walk(part):
        sync(folder)
    entry.publish(part)
    told.end()


def _digests(part: str, name: str) -> dict[str, str]:
    """Those that a model.json has of the files beside it: "sha256": {"model.onnx": "HEX"}."""
    folder, slash, last = name.rpartition("/")
    if last != "model.json":
        return {}
    import json

    try:
        with open(os.path.join(part, *name.split("/")), encoding="utf-8") as opened:
            said = json.load(opened)["sha256"]
        return {f"{folder}{slash}{each}": f"sha256:{digest}" for each, digest in said.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _paths(part: str, file: File) -> tuple[str, str]:
    """Where it is when it is whole, and until then."""
    whole = os.path.join(part, *file.name.split("/"))
    return whole, f"{whole}.part"


def _fetch_file(file: File, part: str, source: Source, told: Told) -> None:
    """Under its own name when all of it is there, checked."""
    whole, partial = _paths(part, file)
    if os.path.exists(whole):
        return
    if os.path.dirname(whole) != part:
        os.makedirs(os.path.dirname(whole), exist_ok=True)  # never `part` itself, which somebody may have taken away
    for is_last in (False, True):
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            writing = Writing(file, descriptor, told)
            while writing.size < file.size:
                retried(lambda: writing.go_on(source), source, told.lock, lambda: writing.size)  # noqa: B023
            if problem := writing.problem():
                os.ftruncate(descriptor, 0)
                told.done -= file.size
                if is_last:
                    os.unlink(partial)
                    raise FetchError(f"fetching {told.uri}: {file.name}: {problem}", _DAMAGED)
                continue
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(partial, whole)
        return


class Writing:
    """A file as it grows. `size` is what is there of it."""

    def __init__(self, file: File, descriptor: int, told: Told) -> None:
        self.size = 0
        self._file, self._descriptor, self._told = file, descriptor, told
        self._digest = _begun(file)
        while piece := os.read(descriptor, _READ):
            self._add(piece)
        if self.size > file.size:
            self._begin()

    def go_on(self, source: Source) -> None:
        """From where it is to its end. Raises `Again` when it breaks off."""
        with source.open(self._file, self.size) as download:
            if download.status == 200:
                self._begin()
            elif not _continues(download.headers, self.size, self._file.size):
                self._begin()
                raise source.failed(ConnectionError("the answer is of another part of the file"))
            pieces = download.pieces(WAIT)
            while (piece := _next(pieces, source)) is not None:
                self._write(piece)
                if self.size > self._file.size:
                    return  # `problem` says so
        if self.size < self._file.size:
            raise source.failed(ConnectionError("closed in the middle of a file"))

    def problem(self) -> str:
        """What is wrong with the bytes, "" for nothing."""
        if self.size != self._file.size:
            return f"it has {self.size} bytes, and {self._file.size} were listed"
        kind, _, expected = self._file.digest.partition(":")
        if self._digest is None or self._digest.hexdigest() == expected:
            return ""
        return f"the {'SHA-256' if kind == 'sha256' else 'git hash'} is {self._digest.hexdigest()}, not {expected}"

    def _begin(self) -> None:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.ftruncate(self._descriptor, 0)
        self._told.done -= self.size
        self.size, self._digest = 0, _begun(self._file)

    def _write(self, piece: bytes) -> None:
        view = memoryview(piece)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self._add(piece)
        self._told.more(len(piece))

    def _add(self, piece: bytes) -> None:
        self.size += len(piece)
        if self._digest is not None:
            self._digest.update(piece)


def _begun(file: File) -> _Hash | None:
    import hashlib

    if file.digest.startswith("git:"):
        return hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
    return hashlib.sha256() if file.digest else None


def _continues(headers: dict[str, str], start: int, size: int) -> bool:
    """RFC 9110, 14.4."""
    return headers.get("content-range", "").replace(" ", "") == f"bytes{start}-{size - 1}/{size}"


def _next(pieces: Iterator[bytes], source: Source) -> bytes | None:
    """An error of the connection, told from one of the disk."""
    try:
        return next(pieces, None)
    except OSError as error:
        raise source.failed(error) from None


def retried(do: Callable[[], T], source: Source, lock: Lock | None = None, gained: Callable[[], int] = lambda: 0) -> T:
    """What `do` gives, tried again while it may help; an attempt that has `gained` something does not count."""
    attempt, before = 0, gained()
    while True:
        try:
            return do()
        except Again as again:
            attempt = 1 if gained() > before else attempt + 1
            before = gained()
            pause = max(PAUSE * 2.0 ** (attempt - 1), again.pause)
            if attempt >= (ATTEMPTS if source.was_reached else UNREACHED_ATTEMPTS) or pause > LONGEST_PAUSE:
                raise again.problem from None
        if lock is not None:
            lock.beat()
        time.sleep(pause)


class Told:
    """How far it is, in the log, a line every few seconds. `done` is in bytes."""

    def __init__(self, uri: str, listing: Listing, lock: Lock, done: int) -> None:
        self.uri, self.lock, self.done = uri, lock, done
        self._total = listing.size
        self._last = self._began = time.monotonic()
        self._then = self._there = done
        goes_on = f", of which {done / MB:.1f} MB are there" if done else ""
        say(f"fetching {uri}: {len(listing.files)} files, {self._total / MB:.1f} MB{goes_on}")

    def more(self, size: int) -> None:
        self.done += size
        self.lock.beat()
        now = time.monotonic()
        if now - self._last >= EVERY:
            rate = (self.done - self._then) / (now - self._last)
            say(f"fetching {self.uri}: {self.done / MB:.1f} of {self._total / MB:.1f} MB, {rate / MB:.1f} MB/s")
            self._last, self._then = now, self.done

    def end(self) -> None:
        seconds = time.monotonic() - self._began
        rate = (self._total - self._there) / max(seconds, 1e-3)
        say(f"fetched {self.uri}: {self._total / MB:.1f} MB in {seconds:.1f} s, {rate / MB:.1f} MB/s")


class Waiting:
    """Says now and then that another one fetches."""

    def __init__(self, entry: Entry, uri: str) -> None:
        self._entry, self._uri = entry, uri
        self._last = time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self._last >= EVERY:
            self._last = time.monotonic()
            say(f"waiting for another process that fetches {self._uri}: {self._entry.bytes / MB:.1f} MB are there")
