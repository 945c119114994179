"""What can be known of a function's file without importing it: importing may take seconds, and runs the user's code."""

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pilotlight.settings_file import nearest

_SCOPES = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)


class Source(NamedTuple):
    """`defect` says why the file cannot be a function, "" when it can; `streams` whether its handler is a generator."""

    defect: str = ""
    hint: str = ""
    streams: bool = False


def inspect(file: Path, handler: str) -> Source:
    """Look for `handler` at the top level of `file`: defined, assigned or imported there, in whatever block."""
    try:
        tree = _parse(file.read_bytes())
    except OSError as error:
        return Source(f"{file}: reading it failed: {error.strerror}")
    except SyntaxError as error:
        where = f"{file}, line {error.lineno}" if error.lineno else f"{file}"
        return Source(f"{where}: this is not Python: {error.msg}", "correct the syntax")
    except (RecursionError, MemoryError):  # an expression that Python can run and cannot show as a tree
        return Source()
    return _find(file, handler, tree)


def _parse(text: bytes) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are shown when the function is imported, once is enough
        try:
            return ast.parse(text)
        except ValueError as error:  # null bytes, before Python 3.11.4
            raise SyntaxError(str(error)) from None


def _find(file: Path, handler: str, tree: ast.Module) -> Source:
    nodes = list(_scope(tree))
    names = {name for node in nodes for name in _bound(node)}
    if not names & {handler, "*"}:
        guess = nearest(handler, names)
        table = f"[functions.{file.stem}]"
        hint = f"define it there, or set handler under {table} to the name that it has"
        if guess:
            hint = f'rename {guess!r}, or set handler = "{guess}" under {table}'
        return Source(f"{file}: there is no {handler!r} at the top level", hint)
    return Source(streams=any(_is_generator(node) for node in nodes if handler in _bound(node)))


def _scope(top: ast.AST) -> Iterator[ast.AST]:
    """Every node of the scope of `top`, which is all below it but the insides of nested scopes."""
    todo = list(ast.iter_child_nodes(top))
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, _SCOPES):
            todo.extend(ast.iter_child_nodes(node))


def _bound(node: ast.AST) -> list[str]:
    """The names that a statement or target binds; "*" for an import of everything."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Name(id=name, ctx=ast.Store()):
            return [name]
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return [alias.asname or alias.name.partition(".")[0] for alias in aliases]
    return []


def _is_generator(node: ast.AST) -> bool:
    is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    return is_function and any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in _scope(node))
