"""Parts as a zip that is the same bytes wherever and whenever it is made.

The parts that change rarely come first, and a zip of them alone is kept: a change of the code compresses the code anew
and nothing else. (With another implementation of zlib the bytes differ; what is in them does not.)
"""

import hashlib
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pilotlight.bundle.files import Entry, Part

TIME = (1980, 1, 1, 0, 0, 0)  # the first that a zip can say
_UNIX = 3  # of "version made by": modes are in the upper half of the external attributes
_REGULAR = 0o100000


class Zipped(NamedTuple):
    """`size` and `unzipped` are in bytes; `sha256` is hexadecimal."""

    path: Path
    size: int
    unzipped: int
    sha256: str


def write(parts: Sequence[Part], path: Path, cache: Path | None = None) -> Zipped:
    """Write the zip to `path`, whole or not at all. What is in `cache` saves compressing all but the last part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = _kept(parts[:-1], cache) if cache and len(parts) > 1 else None
    unfinished = _unfinished(path)
    try:
        if kept:
            shutil.copyfile(kept, unfinished)
        _append(parts[-1:] if kept else parts, unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return Zipped(path, path.stat().st_size, sum(part.size for part in parts), _digest(path))


def _unfinished(path: Path) -> Path:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    Path(name).chmod(0o644)
    return Path(name)


def _kept(parts: Sequence[Part], cache: Path) -> Path:
    """The zip of `parts` that is kept under the digest of what they hold, and the zlib that compressed it."""
    path = cache / f"{content(parts)}.zlib-{zlib.ZLIB_RUNTIME_VERSION}.zip"
    if not _is_whole(path, parts):
        write(parts, path)
    return path


def _is_whole(path: Path, parts: Sequence[Part]) -> bool:
    """A file that ends early is none: the power went while it was written."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist() == [entry.path for part in parts for entry in part.entries]
    except (OSError, zipfile.BadZipFile):
        return False


def content(parts: Sequence[Part]) -> str:
    """The SHA-256 of all paths, modes and bytes."""
    digest = hashlib.sha256()
    for entry in (entry for part in parts for entry in part.entries):
        digest.update(f"{entry.path}\0{entry.mode}\0{entry.size}\0".encode())
        for chunk in entry.chunks():
            digest.update(chunk)
    return digest.hexdigest()


def _append(parts: Sequence[Part], path: Path) -> None:
    mode: Literal["a", "w"] = "a" if path.stat().st_size else "w"
    with zipfile.ZipFile(path, mode, zipfile.ZIP_DEFLATED) as archive:
        for entry in (entry for part in parts for entry in part.entries):
            with archive.open(_info(entry), "w") as member:
                for chunk in entry.chunks():
                    member.write(chunk)


def _info(entry: Entry) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(entry.path, TIME)
    info.create_system = _UNIX
    info.external_attr = (_REGULAR | entry.mode) << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    info.file_size = entry.size  # from this it knows whether ZIP64 must be
    return info


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
