"""The libraries of a package: installed for the target from its lock, without what inference never imports.

A tree of them is made once for what it depends on and kept in the cache, so that a build after a change of the code
only reads its list.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import NamedTuple

import msgspec

from pilotlight.bundle import elf, files, licences, lock, prune, stripped
from pilotlight.bundle.compiled import keep
from pilotlight.bundle.files import Entry
from pilotlight.bundle.stripped import Strip
from pilotlight.bundle.target import Target
from pilotlight.errors import BuildError

_TREE, _LIST = "tree", "installed.json"


class Installed(msgspec.Struct, frozen=True):
    """One distribution as it ships. `size` is what of it ships, `installed` what the wheel unpacks to, in bytes;
    `modules` are the names at the top that it brings."""

    name: str
    version: str
    licence: str
    home: str
    size: int
    installed: int
    modules: tuple[str, ...]


class Libraries(msgspec.Struct, frozen=True):
    """`left_out` has bytes by the reason; `symbols` is what stripping took, None where no tool was there. `objects`
    are the shared objects by their paths; the reason in place of one that cannot be read."""

    folder: str
    installed: tuple[Installed, ...]
    left_out: dict[str, int]
    symbols: int | None
    objects: dict[str, elf.Object | str]

    def entries(self) -> Iterator[Entry]:
        return files.of_folder(Path(self.folder))


NONE = Libraries("", (), {}, 0, {})


class Source(NamedTuple):
    """Where wheels come from: the project's folder, whose settings of uv hold, and lines of its requirements.txt."""

    root: Path
    indexes: tuple[str, ...] = ()


def install(text: str, alone: Iterable[str], target: Target, cache: Path, source: Source) -> Libraries:
    """The libraries of the lock `text`; those in `alone` are C libraries only. Raises as `lock.resolve`."""
    if not lock.blocks(text):
        return NONE
    only, tool = tuple(sorted(alone)), stripped.tool(target)
    key = (text, str(only), str(target), str(prune.RULES), str(prune.ALONE), tool.version if tool else "")
    done = cache / hashlib.sha256("\0".join(key).encode()).hexdigest()
    if not done.exists():
        _install(text, only, target, tool, done, source)
    found = msgspec.json.decode((done / _LIST).read_bytes(), type=Libraries)
    return msgspec.structs.replace(found, folder=str(done / _TREE))


def _install(text: str, alone: tuple[str, ...], target: Target, tool: Strip | None, done: Path, source: Source) -> None:
    done.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".installing-", dir=done.parent))
    try:
        _unpack(text, target, folder, source)
        (folder / _LIST).write_bytes(msgspec.json.encode(_cut(folder / _TREE, alone, tool)))
        folder.chmod(0o755)
        keep(folder, done)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpack(text: str, target: Target, folder: Path, source: Source) -> None:
    """Copies, not links to uv's cache: stripping writes to them. Paths in what uv reads begin in the project."""
    lines = "".join(f"{line}\n" for line in source.indexes)
    options = ("--no-deps", "--require-hashes", "--link-mode", "copy", "--quiet", "--target", str(folder / _TREE))
    command = ["install", *options, *lock.platform(target), "-r", "-"]
    lock.run("installing the requirements", command, source.root, lines + text)


def _cut(tree: Path, alone: tuple[str, ...], tool: Strip | None) -> Libraries:
    paths = [path.relative_to(tree).as_posix() for path in sorted(tree.rglob("*")) if not path.is_dir()]
    _refuse_pilotlight(paths)
    sizes = {path: (tree / path).stat().st_size for path in paths}
    owned = _owned(tree, paths)
    reasons = prune.reasons(paths, alone, lambda path: (tree / path).read_bytes())
    for path in reasons:
        (tree / path).unlink()
    objects = _objects(tree, sizes.keys() - reasons)
    symbols = stripped.strip(objects, tool) if tool else None
    installed = tuple(_installed(tree, each, owned[each.name], sizes) for each in _distributions(tree))
    left_out: dict[str, int] = {}
    for path, reason in reasons.items():
        left_out[reason] = left_out.get(reason, 0) + sizes[path]
    read = {path.relative_to(tree).as_posix(): elf.read(path) for path in objects}
    return Libraries("", installed, left_out, symbols, read)


def _refuse_pilotlight(paths: Iterable[str]) -> None:
    if any(path.startswith("pilotlight/") for path in paths):
        raise BuildError("packing pilotlight: the requirements name it", "leave it out: it is in every package")


def _distributions(tree: Path) -> list[Distribution]:
    return sorted(distributions(path=[str(tree)]), key=lambda each: each.name)


def _owned(tree: Path, paths: Iterable[str]) -> dict[str, frozenset[str]]:
    """The files of each distribution by its record, which does not ship."""
    there = frozenset(paths)
    return {each.name: there & {file.as_posix() for file in each.files or ()} for each in _distributions(tree)}


def _objects(tree: Path, paths: Iterable[str]) -> list[Path]:
    return [tree / path for path in sorted(paths) if elf.is_named(path)]


def _installed(tree: Path, each: Distribution, owned: frozenset[str], sizes: Mapping[str, int]) -> Installed:
    left = [tree / path for path in owned if (tree / path).exists()]
    tops = {path.partition("/")[0] for path in owned if not path.partition("/")[0].endswith((".dist-info", ".libs"))}
    return Installed(
        name=each.name.lower(),
        version=each.version,
        licence=licences.of(each),
        home=licences.home(each),
        size=sum(path.stat().st_size for path in left),
        installed=sum(sizes[path] for path in owned),
        modules=tuple(sorted({top.partition(".")[0] for top in tops if top not in ("bin", "..")})),
    )
