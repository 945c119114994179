"""What a function's code says without being run: calls by their full names, paths that are written out, texts.

Names are followed through imports and plain assignments, not through arguments and attributes: what is found is there,
what is hidden well is not found.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

TASK_ROOT = "/var/task"  # docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
_PATHS = {"pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath"}
_SAME_ROOT = {"resolve", "absolute", "joinpath", "with_suffix", "with_name", "expanduser", "as_posix", "__str__"}
_FIRST_ARGUMENT = {"os.path.join", "os.path.expanduser", "os.path.abspath", "os.path.dirname", "os.fspath", "str"}
_ELSEWHERE = {"pathlib.Path.home": "~", "pathlib.Path.cwd": ".", "os.getcwd": "."}


class Call(NamedTuple):
    """One call; `name` is the callee's full name where it is known, else ".method"."""

    name: str
    node: ast.Call
    module: "Module"

    @property
    def place(self) -> str:
        return f"{self.module.path}, line {self.node.lineno}"

    def argument(self, position: int, keyword: str = "") -> ast.expr | None:
        """The argument there, or of that keyword."""
        named = {each.arg: each.value for each in self.node.keywords}
        return self.node.args[position] if position < len(self.node.args) else named.get(keyword)

    def path(self, position: int, keyword: str = "") -> str | None:
        """Where a path argument begins, as far as it is written out."""
        argument = self.argument(position, keyword)
        return self.module.root_of(argument) if argument is not None else None


class Module:
    """One file of the project. `path` is relative to it."""

    def __init__(self, path: str, tree: ast.Module) -> None:
        self.path = path
        self.nodes = list(_run(tree))
        self.names: dict[str, str] = {}  # a name -> the full name of what it means
        self.values: dict[str, ast.expr] = {}  # a name -> what was assigned to it last
        for node in self.nodes:
            self._bind(node)

    def _bind(self, node: ast.AST) -> None:
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    top = alias.name.partition(".")[0]
                    self.names[alias.asname or top] = alias.name if alias.asname else top
            case ast.ImportFrom(module=str(module), names=aliases, level=0):
                self.names |= {alias.asname or alias.name: f"{module}.{alias.name}" for alias in aliases}
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                self.values[name] = value

    @property
    def imports(self) -> Iterator[tuple[str, int]]:
        """Full names that are imported, each with its line."""
        for node in self.nodes:
            match node:
                case ast.Import(names=aliases, lineno=line):
                    yield from ((alias.name, line) for alias in aliases)
                case ast.ImportFrom(module=str(module), names=aliases, level=0, lineno=line):
                    yield from ((f"{module}.{alias.name}", line) for alias in aliases)

    def name_of(self, node: ast.expr, seen: frozenset[str] = frozenset()) -> str:
        """The full name of what an expression means; "" where that is not known."""
        match node:
            case ast.Name(id=name) if name in self.names:
                return self.names[name]
            case ast.Name(id=name) if name in self.values and name not in seen:
                return self.name_of(self.values[name], seen | {name})
            case ast.Name(id=name):
                return name
            case ast.Attribute(value=value, attr=attr):
                owner = self.name_of(value, seen)
                return f"{owner}.{attr}" if owner else ""
            case ast.Call(func=function) if self.name_of(function, seen) == "multiprocessing.get_context":
                return "multiprocessing"
        return ""

    def root_of(self, node: ast.expr, seen: frozenset[str] = frozenset()) -> str | None:
        """How a path begins; None where that is only known when the code runs."""
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.JoinedStr(values=[first, *_]):
                return self.root_of(first.value if isinstance(first, ast.FormattedValue) else first, seen)
            case ast.Name(id="__file__"):
                return TASK_ROOT
            case ast.Name(id=name) if name in self.values and name not in seen:
                return self.root_of(self.values[name], seen | {name})
            case ast.BinOp(left=left, op=ast.Div() | ast.Add()):
                return self.root_of(left, seen)
            case ast.Attribute(value=value, attr="parent" | "parents") | ast.Subscript(value=value):
                return self.root_of(value, seen)
            case ast.Call(func=function, args=arguments):
                return self._root_of_call(function, arguments, seen)
        return None

    def _root_of_call(self, function: ast.expr, arguments: list[ast.expr], seen: frozenset[str]) -> str | None:
        name = self.name_of(function)
        if name in _ELSEWHERE:
            return _ELSEWHERE[name]
        if name in _PATHS | _FIRST_ARGUMENT:
            return self.root_of(arguments[0], seen) if arguments else "."
        if isinstance(function, ast.Attribute) and function.attr in _SAME_ROOT:
            return self.root_of(function.value, seen)
        return None


class Code(NamedTuple):
    """The files of the project that a function's own file reaches, itself first."""

    modules: tuple[Module, ...]

    @property
    def calls(self) -> Iterator[Call]:
        for module in self.modules:
            for node in module.nodes:
                if isinstance(node, ast.Call):
                    method = f".{node.func.attr}" if isinstance(node.func, ast.Attribute) else ""
                    yield Call(module.name_of(node.func) or method, node, module)

    @property
    def texts(self) -> Iterator[tuple[str, str]]:
        """Texts that are written out, each with its place."""
        for module in self.modules:
            for node in module.nodes:
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value, f"{module.path}, line {node.lineno}"

    def imported(self, *names: str) -> Iterator[tuple[str, str]]:
        """Imports of one of the modules `names` or of something in it, each with its place."""
        for module in self.modules:
            for name, line in module.imports:
                if any(name == each or name.startswith(f"{each}.") for each in names):
                    yield name, f"{module.path}, line {line}"


def read(root: Path, files: Iterable[str]) -> Code:
    """The code in `files`, paths relative to `root`. Those that are not Python are that function's defect already."""
    return Code(tuple(parse(name, (root / name).read_bytes()) for name in files))


def parse(path: str, text: bytes) -> Module:
    return Module(path, ast.parse(text))


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but what only type checkers, or those who run the file themselves, come to."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and _is_left_out(ast.unparse(child.test)):
            continue
        yield child
        yield from _run(child)


def _is_left_out(test: str) -> bool:
    return test in ("TYPE_CHECKING", "typing.TYPE_CHECKING") or test.replace("'", '"') == '__name__ == "__main__"'


def literal(node: ast.expr | None) -> object:
    """The value of a constant; None for all else."""
    return node.value if isinstance(node, ast.Constant) else None
