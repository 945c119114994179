"""What a package holds, before it is a zip or layers of an image: files in parts, the rarest to change first.

Nothing here depends on where, when or by whom it was made: entries are in the order of their paths, and have one of
two modes and no time.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pilotlight.errors import BuildError

PLAIN, EXECUTABLE = 0o644, 0o755
LeavesOut = Callable[[str], bool]
_CHUNK = 1 << 20  # bytes


class Entry(NamedTuple):
    """A file. `path` is relative to the task root, with "/" between its parts; `source` is where its bytes are, or is
    them; `mode` is `PLAIN` or `EXECUTABLE`."""

    path: str
    source: Path | bytes
    mode: int = PLAIN

    @property
    def size(self) -> int:
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    def chunks(self) -> Iterator[bytes]:
        """The bytes, some at a time: a model may have gigabytes."""
        if isinstance(self.source, bytes):
            yield self.source
            return
        with self.source.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def read(self) -> bytes:
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


class Part(NamedTuple):
    """What changes together: "dependencies", "runtime", "model" or "code"; entries in the order of their paths."""

    name: str
    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self.entries)


def part(name: str, entries: Iterable[Entry]) -> Part:
    """A part of `entries`, in order. Raises `BuildError` when one cannot be in a package."""
    ordered = tuple(sorted(entries))
    for entry in ordered:
        _check_path(entry.path)
    return Part(name, ordered)


def check(parts: Iterable[Part]) -> None:
    """Raises `BuildError` when two entries have one path, or the path of one is a folder of another."""
    seen: dict[str, str] = {}
    for name, path in [(each.name, entry.path) for each in parts for entry in each.entries]:
        if path in seen:
            raise BuildError(f"packing {path}: it is in the {seen[path]} and in the {name}", "rename one of the two")
        seen[path] = name
    for path in seen:
        for above in PurePosixPath(path).parents:
            if str(above) in seen:
                reason = f"packing {path}: {above} is a file in the {seen[str(above)]}"
                raise BuildError(reason, "rename one of the two")


def _check_path(path: str) -> None:
    if not path.isprintable() or not _is_text(path):
        raise BuildError(f"packing {path!r}: its name is no printable text", "rename it")
    if path.startswith("/") or "\\" in path or {"", ".", ".."} & set(path.split("/")):
        raise BuildError(f"packing {path!r}: that is no path below the task root", "rename it")


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:  # a name that the file system has as other bytes
        return False
    return True


def of_folder(root: Path, folder: Path | None = None, leaves_out: LeavesOut = lambda path: False) -> Iterator[Entry]:
    """Every file below `folder`, with its path from `root`; what links lead to inside `root` is taken as it is there.

    `leaves_out` is asked with each path, of folders with a "/" at its end; what it leaves out is not looked at. Raises
    `BuildError` for a link that leads out of `root`, to nothing or in a circle, and for what is no file.
    """
    start = root if folder is None else folder
    path = "" if start == root else f"{start.relative_to(root).as_posix()}/"
    return _below(root.resolve(), start, path, (), leaves_out)


def _below(root: Path, folder: Path, path: str, above: tuple[Path, ...], leaves_out: LeavesOut) -> Iterator[Entry]:
    real = folder.resolve()
    if real in above:
        raise BuildError(f"packing {folder}: its links go in a circle", "remove the link")
    for each in _listed(folder):
        found, is_folder = Path(each.path), os.path.isdir(each.path)
        inside = f"{path}{each.name}/" if is_folder else path + each.name
        if leaves_out(inside):
            continue
        if each.is_symlink():
            check_link(root, found)
        if is_folder:
            yield from _below(root, found, inside, (*above, real), leaves_out)
        else:
            yield of_file(inside, found)


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return sorted(os.scandir(folder), key=lambda entry: entry.name)
    except PermissionError:
        hint = "let this user read it, or leave it out by the setting exclude"
        raise BuildError(f"packing {folder}: it may not be read", hint) from None


def check_link(root: Path, link: Path) -> None:
    """Raises `BuildError` when the symbolic link leads out of `root`, which is resolved, or to nothing."""
    try:
        end = link.resolve(strict=True)
    except (OSError, RuntimeError):
        raise BuildError(f"packing {link}: it is a link to what is not there", "remove the link") from None
    if not end.is_relative_to(root):
        hint = "copy what it leads to into the project, or leave the link out by the setting exclude"
        raise BuildError(f"packing {link}: the link leads out of the project, to {end}", hint)


def of_file(path: str, file: Path) -> Entry:
    """The entry of a file that is to be at `path`. Raises `BuildError` when it is none, or cannot be read."""
    if not file.is_file():
        raise BuildError(f"packing {file}: it is neither a file nor a folder", "leave it out by the setting exclude")
    if not os.access(file, os.R_OK):
        raise BuildError(f"packing {file}: it may not be read", "let this user read it")
    return Entry(path, file, EXECUTABLE if file.stat().st_mode & 0o100 else PLAIN)


def tree(parts: Iterable[Part], folder: Path) -> None:
    """Write all parts below `folder`, as they are in a zip. Nothing is linked: what is there may be changed."""
    for entry in (entry for each in parts for entry in each.entries):
        path = folder / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry.source, bytes):
            path.write_bytes(entry.source)
        else:
            shutil.copyfile(entry.source, path)
        path.chmod(entry.mode)
