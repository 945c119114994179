"""A part of a package as a layer of an image: a tar that is the same everywhere, in gzip.

The form is that of the OCI image specification 1.1, layer.md. Entries are in the order of their names' bytes, belong to
0:0, have no extended attributes, one time (SOURCE_DATE_EPOCH, else 1970) and the modes 0644, 0755 and, for folders,
0755. Headers are POSIX ustar; one that has no room for a name is preceded by a pax header that has the name alone.

The `diff_id`, the digest of the tar, depends on nothing but the files. The digest of the gzip depends on zlib too, of
which systems have different ones that compress differently: two machines make the same layers of the same files, and,
with the same zlib, the same bytes.
"""

import gzip
import hashlib
import os
import struct
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pilotlight.bundle.blobs import AT_ONCE, Blobs, mismatch
from pilotlight.bundle.files import Entry, Part
from pilotlight.bundle.reference import Reference
from pilotlight.errors import BuildError, ImageError, UsageError

PREFIX = "var/task"
"""Where Lambda's images have the function: docs.aws.amazon.com/lambda/latest/dg/python-image.html."""
LEVEL = 6
"""Of zlib. 9 takes much longer for very little."""

_BLOCK = tarfile.BLOCKSIZE
_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # RFC 1952: deflate, no time, no name, no system
_WHITEOUT = ".wh."  # layer.md: a file of such a name removes another
_END = bytes(2 * _BLOCK)


class Layer(NamedTuple):
    """A layer in gzip. `digest` and `size` are those of the gzip; `diff_id` and `unpacked` those of the tar in it.

    `path` is where its bytes are, and those of a layer in a registry, which `origin` says, may not be there yet.
    `unpacked` is 0 as long as nobody has unpacked it. `name` is for people.
    """

    diff_id: str
    digest: str
    size: int
    path: Path
    unpacked: int = 0
    name: str = ""
    origin: Reference | None = None


def epoch() -> int:
    """The time that everything in an image has, in seconds: reproducible-builds.org/specs/source-date-epoch."""
    text = os.environ.get("SOURCE_DATE_EPOCH") or "0"
    if not text.isascii() or not text.isdecimal() or int(text) >= 1 << 33:  # what the field of a tar holds
        raise UsageError(f"the variable SOURCE_DATE_EPOCH is {text!r}", "set it to seconds since 1970, or to nothing")
    return int(text)


def layer(part: Part, blobs: Blobs, prefix: str = PREFIX) -> Layer:
    """The layer that has the part's files below `prefix`. Its gzip is made once, and then taken from `blobs`.

    Raises `BuildError` for names that a layer cannot have.
    """
    mtime = epoch()
    tar = hashlib.sha256()
    for piece in archive(part.entries, prefix, mtime):
        tar.update(piece)
    found = _kept(f"sha256:{tar.hexdigest()}", blobs) or compress(archive(part.entries, prefix, mtime), blobs)
    return found._replace(name=part.name)


def compress(tar: Iterable[bytes], blobs: Blobs) -> Layer:
    """The layer of a tar, which is given in pieces."""
    diff_id, unpacked = hashlib.sha256(), 0

    def read() -> Iterator[bytes]:
        nonlocal unpacked
        for piece in tar:
            diff_id.update(piece)
            unpacked += len(piece)
            yield piece

    blob = blobs.store(gzipped(read()))
    made = Layer(f"sha256:{diff_id.hexdigest()}", *blob, unpacked)
    blobs.take_note(_note(made.diff_id), {"digest": made.digest, "size": made.size, "unpacked": unpacked})
    return made


def unpacked(given: Layer) -> Layer:
    """The layer, whose file is there, with the size of its tar. Raises `ImageError` when it is not what `given` says.

    Reading a gzip of several members, as pigz and eStargz write, takes `gzip`.
    """
    if given.unpacked:
        return given
    found, size = hashlib.sha256(), 0
    try:
        with gzip.open(given.path) as tar:
            while piece := tar.read(AT_ONCE):
                found.update(piece)
                size += len(piece)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ImageError(f"unpacking the layer {given.digest}: it is no gzip: {error}", "take another base") from None
    if f"sha256:{found.hexdigest()}" != given.diff_id:
        raise mismatch(f"unpacking the layer {given.digest}", f"sha256:{found.hexdigest()}", given.diff_id)
    return given._replace(unpacked=size)


def _kept(diff_id: str, blobs: Blobs) -> Layer | None:
    """The layer that was made of that tar before, by this zlib."""
    match blobs.note(_note(diff_id)):
        case {"digest": str(digest), "size": int(size), "unpacked": int(unpacked)} if blobs.has(digest, size):
            return Layer(diff_id, digest, size, blobs.path(digest), unpacked)
    return None


def _note(diff_id: str) -> str:
    return f"{diff_id.removeprefix('sha256:')}.zlib-{zlib.ZLIB_RUNTIME_VERSION}-{LEVEL}"


def gzipped(content: Iterable[bytes]) -> Iterator[bytes]:
    """RFC 1952. The header is written here, since that of `gzip` and of zlib names their version or the system."""
    deflate, check, size = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS), 0, 0
    yield _HEAD
    for piece in content:
        check, size = zlib.crc32(piece, check), size + len(piece)
        yield deflate.compress(piece)
    yield deflate.flush() + struct.pack("<II", check, size & 0xFFFF_FFFF)


def archive(entries: Iterable[Entry], prefix: str, mtime: int) -> Iterator[bytes]:
    """The tar with `entries` below `prefix`, in pieces. Every folder on the way is in it, before what it has."""
    files = {f"{prefix}/{entry.path}" if prefix else entry.path: entry for entry in entries}
    folders = {str(above) for path in files for above in PurePosixPath(path).parents} - {"."}
    for path in sorted({*files, *folders}, key=os.fsencode):
        _check(path, path in files and path in folders)
        if path in folders:
            yield _header(f"{path}/", tarfile.DIRTYPE, 0o755, 0, mtime)
        else:
            yield from _file(path, files[path], mtime)
    yield _END


def _check(path: str, is_both: bool) -> None:
    if is_both:
        raise BuildError(f"packing {path}: it is a file and a folder", "rename one of the two")
    if PurePosixPath(path).name.startswith(_WHITEOUT):
        raise BuildError(f"packing {path}: in an image that name removes another file", "rename it")


def _file(path: str, entry: Entry, mtime: int) -> Iterator[bytes]:
    size, written = entry.size, 0
    yield _header(path, tarfile.REGTYPE, entry.mode, size, mtime)
    for piece in entry.chunks():
        written += len(piece)
        yield piece
    if written != size:
        raise BuildError(f"packing {path}: it changed while it was read", "build again when nothing writes it")
    yield bytes(-size % _BLOCK)


def _header(path: str, kind: bytes, mode: int, size: int, mtime: int) -> bytes:
    info = tarfile.TarInfo(path.rstrip("/"))
    info.type, info.mode, info.size, info.mtime = kind, mode, size, mtime
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
