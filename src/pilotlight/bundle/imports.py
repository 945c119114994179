"""What a function imports, found by reading its code and that of the modules beside it: nothing is run.

Imports inside functions count, as they run some day; those for type checkers alone do not. A module that is named
only while the program runs is found where the name is written out: `import_module("x")`.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pilotlight.errors import BuildError

_BY_NAME = {"import_module", "importlib.import_module", "__import__"}


class Import(NamedTuple):
    """`name` has its dots; of `from a import b` both "a" and "a.b" are given. `file` is relative to the project."""

    name: str
    file: str
    line: int

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]

    @property
    def place(self) -> str:
        return f"{self.file}, line {self.line}"


class Trace(NamedTuple):
    """`files` are the project's own, relative to it; `imports` what is not in it; `texts` the string constants of these
    files."""

    files: tuple[str, ...]
    imports: tuple[Import, ...]
    texts: frozenset[str]

    @property
    def others(self) -> tuple[Import, ...]:
        """Those that are neither in the standard library nor Pilotlight's."""
        known = {*sys.stdlib_module_names, "pilotlight", ""}
        return tuple(each for each in self.imports if each.top not in known)

    def first(self, *names: str) -> Import | None:
        """The first import of one of the modules `names`, or of something below it."""
        prefixes = tuple(f"{name}." for name in names)
        return next((each for each in self.imports if each.name in names or each.name.startswith(prefixes)), None)


def trace(root: Path, file: Path) -> Trace:
    """Follow the imports of `file` in the project `root`. Raises `BuildError` when a file is not Python."""
    todo, seen = [file], {file: None}
    found: list[Import] = []
    texts: set[str] = set()
    while todo:
        path = todo.pop(0)
        tree = _parse(path)
        texts |= _texts(tree)
        for each in _imports(tree, path.relative_to(root)):
            own = list(_own(root, each.name))
            found += [] if own or (root / each.name.replace(".", "/")).is_dir() else [each]
            todo += [one for one in own if one not in seen]
            seen |= dict.fromkeys(own)
    return Trace(tuple(path.relative_to(root).as_posix() for path in seen), tuple(found), frozenset(texts))


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes())
    except OSError as error:
        raise BuildError(f"reading {path}: {error.strerror}", "let this user read it") from None
    except (SyntaxError, ValueError) as error:
        raise BuildError(f"reading {path}: this is not Python: {error}", "correct the syntax") from None


def _texts(tree: ast.Module) -> set[str]:
    return {each.value for each in ast.walk(tree) if isinstance(each, ast.Constant) and isinstance(each.value, str)}


def _own(root: Path, name: str) -> Iterator[Path]:
    """The project's files that importing `name` runs: those of its packages too. None when it has no such module."""
    path = root
    for part in name.split("."):
        path /= part
        if path.with_name(f"{part}.py").is_file():
            yield path.with_name(f"{part}.py")
            return
        if (path / "__init__.py").is_file():
            yield path / "__init__.py"


def _imports(tree: ast.Module, file: Path) -> Iterator[Import]:
    for node in _run(tree):
        for name in _names(node, file):
            yield Import(name, file.as_posix(), getattr(node, "lineno", 0))


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            continue
        yield child
        yield from _run(child)


def _names(node: ast.AST, file: Path) -> Iterable[str]:
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            base = ".".join([*_package(file, level), *([module] if module else [])])
            return [base, *(f"{base}.{alias.name}" for alias in names if alias.name != "*")]
        case ast.Attribute(value=ast.Name(id="pilotlight"), attr=name):
            return [f"pilotlight.{name}"]
        case ast.Call(func=called, args=[ast.Constant(value=str(name)), *_]) if ast.unparse(called) in _BY_NAME:
            return [name]
    return []


def _package(file: Path, level: int) -> tuple[str, ...]:
    """The package that `level` dots mean in `file`; () for none."""
    return file.parts[: len(file.parts) - level] if level else ()
