"""Content by its digest: what layers, configurations and manifests are kept by, on this machine and in registries.

The folder is the machine's own: every file is whole and was checked when it was written, and none changes. It is filled
by several processes at once without a lock, since each file is written elsewhere and then renamed.
"""

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, NamedTuple

from pilotlight.errors import ImageError, UsageError

AT_ONCE = 1 << 20  # bytes

Note = Mapping[str, str | int]


class Blob(NamedTuple):
    """Content in a file."""

    digest: str
    size: int
    path: Path


def digest_of(data: bytes) -> str:
    """As OCI's descriptors have it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Blobs(NamedTuple):
    """`folder` has `sha256/HEX` for each content, as the `blobs` of an OCI layout have, and notes beside them."""

    folder: Path

    def path(self, digest: str) -> Path:
        """Where that content is, or will be."""
        return self.folder / digest.replace(":", "/")

    def has(self, digest: str, size: int) -> bool:
        """Whether it is there. A file of another size is none: the power went while it was written."""
        try:
            return self.path(digest).stat().st_size == size
        except OSError:
            return False

    def store(self, content: Iterable[bytes]) -> Blob:
        """Keep `content`. Raises `UsageError` when nothing can be written, and what making the content does."""
        with self.receiving() as received:
            for piece in content:
                received.write(piece)
        return Blob(received.digest, received.size, self.path(received.digest))

    @contextmanager
    def receiving(self, expected: str = "", what: str = "") -> Iterator["Received"]:
        """Takes content piece by piece, and keeps it at the end.

        Raises `ImageError`, and keeps nothing, when it has not the digest that is `expected`.
        """
        with self._new() as file:
            received = Received(file)
            yield received
            if expected and received.digest != expected:
                raise mismatch(what, received.digest, expected)
            self._place(file, self.path(received.digest))

    def note(self, name: str) -> Note | None:
        """What was found out about a content before."""
        try:
            found = json.loads((self.folder / "notes" / name).read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def take_note(self, name: str, note: Note) -> None:
        with self._new() as file:
            file.write(json.dumps(note).encode())
            self._place(file, self.folder / "notes" / name)

    @contextmanager
    def _new(self) -> Iterator[IO[bytes]]:
        """A file that is gone at the end when it was not given a place."""
        is_open = False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (
                TemporaryDirectory(dir=self.folder, prefix=".new-") as folder,
                (Path(folder) / "blob").open("wb") as file,
            ):
                is_open = True
                yield file
        except OSError as error:
            if is_open and error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise  # of what the content is made from
            reason = f"writing below {self.folder}: {error.strerror or error}"
            raise UsageError(reason, "name a folder with room in the variable PILOTLIGHT_CACHE") from error

    def _place(self, file: IO[bytes], target: Path) -> None:
        file.flush()
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file.name, target)


class Received:
    """Content that is still coming: how many bytes there are, and what their digest is."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._hash = file, hashlib.sha256()
        self.size = 0

    def write(self, piece: bytes) -> None:
        self._hash.update(piece)
        self._file.write(piece)
        self.size += len(piece)

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def mismatch(what: str, found: str, expected: str) -> ImageError:
    reason = f"{what}: its digest is {found}, not {expected}"
    return ImageError(reason, "it was damaged on the way, or where it is kept: get it again")


def pieces(path: Path, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """The bytes of a file from `start` to before `stop`."""
    with path.open("rb") as file:
        file.seek(start)
        while piece := file.read(AT_ONCE if stop is None else min(AT_ONCE, stop - file.tell())):
            yield piece
