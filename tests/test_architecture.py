"""The rules of docs/architecture.md that a program can hold."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "pilotlight"

ENGINES = ("local", "optimize", "vectors", "bundle", "deploy", "measure")
SETTINGS = tuple(f"settings_{part}" for part in ("parts", "gateway", "deploy", "convert", "checks", "edit"))
BESIDE = ("architecture", "artifacts", "fronts", "model_version", "prices", "route", "source", "usage")
PROJECT = ("project", "settings", "settings_file", *BESIDE, *SETTINGS)
GROUND = ("", "errors", "events", "limits", "tuples", "values")  # "" is the package itself
SHIPPED = ("function", *GROUND)

MAY_IMPORT = {
    "cli": ("cli", *ENGINES, *PROJECT, *SHIPPED),
    "__main__": ("cli",),
    **{engine: (engine, *PROJECT, *SHIPPED) for engine in ENGINES},
    **{part: (*PROJECT, *GROUND) for part in PROJECT},
    "function": SHIPPED,
    **{part: GROUND for part in GROUND},
}
REACHED_WHEN_TOUCHED = {("", "function"), ("events", "fronts")}  # the names that both offer and load when first used

SLOW = {"asyncio", "dataclasses", "datetime", "email", "http", "inspect", "logging", "pathlib", "ssl", "urllib"}
LIBRARIES_INSIDE_FUNCTIONS = {"PIL", "msgspec", "multipart", "pillow_heif", "tokenizers"}
NEVER = {"torch", "tensorflow", "numpy", "onnx", "onnxruntime", "ai_edge_litert", "boto3", "botocore", "pydantic"}
ONE_MODULE = {  # imported where a wheel carries no plain library
    "function/ort_module.py": {"numpy", "onnxruntime"},
    "function/litert_module.py": {"numpy", "ai_edge_litert"},
    "deploy/session.py": {"boto3", "botocore"},
}
OWN_ENVIRONMENT = "optimize/exporters/scripts/"  # run by an interpreter that has the frameworks and not Pilotlight
PICKLES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
MAY_EXIT = (  # what child processes run
    *("function/describe.py", "function/failures.py", "function/runtime.py", "function/workers.py"),
    "local/launch.py",
)


class Import(NamedTuple):
    name: str
    at_start: bool  # run when the module is imported
    line: int

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]

    @property
    def part(self) -> str:
        """Of the package: "local" for pilotlight.local.pool, "" for pilotlight."""
        return [*self.name.split("."), ""][1]


class Module(NamedTuple):
    path: str
    part: str
    text: str
    tree: ast.Module
    imports: tuple[Import, ...]


def read(path: Path) -> Module:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    inside = path.relative_to(SOURCE)
    part = inside.parts[0].removesuffix(".py")
    return Module(inside.as_posix(), "" if part == "__init__" else part, text, tree, tuple(imports(tree)))


def imports(node: ast.AST, at_start: bool = True) -> Iterator[Import]:
    """Every import but those for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=otherwise):
                for each in otherwise:
                    yield from imports(each, at_start)
            case ast.Import(names=names):
                yield from (Import(alias.name, at_start, child.lineno) for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                package = "pilotlight" if module == "pilotlight" else ""
                parts = [f"{package}.{alias.name}" for alias in names if is_part(alias.name)] if package else []
                yield from (Import(name, at_start, child.lineno) for name in parts or [module])
            case ast.ImportFrom():
                raise AssertionError(f"line {child.lineno}: imports are written from the package down")
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                yield from imports(child, at_start=False)
            case _:
                yield from imports(child, at_start)


def is_part(name: str) -> bool:
    return (SOURCE / name).is_dir() or (SOURCE / f"{name}.py").is_file()


MODULES = [read(path) for path in sorted(SOURCE.rglob("*.py")) if "templates" not in path.parts]
every_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.path)
what_ships = pytest.mark.parametrize("module", [m for m in MODULES if m.part in SHIPPED], ids=lambda m: m.path)


@every_module
def test_imports_point_down(module: Module) -> None:
    reached = {part for source, part in REACHED_WHEN_TOUCHED if source == module.part}
    for each in module.imports:
        if each.top == "pilotlight":
            allowed = {*MAY_IMPORT[module.part], *(() if each.at_start else reached)}
            assert each.part in allowed, f"{module.path}, line {each.line}: {each.name}"


@what_ships
def test_what_ships_starts_with_the_standard_library_alone(module: Module) -> None:
    for each in module.imports:
        if each.at_start and each.top != "pilotlight":
            assert each.top in sys.stdlib_module_names - SLOW, f"{module.path}, line {each.line}: {each.name}"


@what_ships
def test_what_ships_loads_few_libraries_later(module: Module) -> None:
    libraries = {each.top for each in module.imports} - sys.stdlib_module_names - {"pilotlight"}
    assert libraries <= LIBRARIES_INSIDE_FUNCTIONS | ONE_MODULE.get(module.path, set())


@every_module
def test_serving_needs_no_training_library_and_loads_no_pickle(module: Module) -> None:
    never = set() if module.path.startswith(OWN_ENVIRONMENT) else NEVER - ONE_MODULE.get(module.path, set())
    forbidden = never | PICKLES
    assert {each.top for each in module.imports} & forbidden == set()


@every_module
def test_only_the_command_line_prints_or_exits(module: Module) -> None:
    calls = {ast.unparse(node.func) for node in ast.walk(module.tree) if isinstance(node, ast.Call)}
    raised = {ast.unparse(node.exc) for node in ast.walk(module.tree) if isinstance(node, ast.Raise) and node.exc}
    if module.part != "cli":
        assert "print" not in calls
        if module.path not in MAY_EXIT:
            assert not {"sys.exit", "exit", "quit", "os._exit", "os.abort"} & calls
            assert not {text for text in raised if text.startswith("SystemExit")}


@every_module
def test_modules_are_short(module: Module) -> None:
    assert module.text.count("\n") < 400


COLD = """
import json, sys
before = set(sys.modules)
from pilotlight.function.runtime import load
handler = load(sys.argv[1], sys.argv[2])
answer = handler(json.loads(sys.argv[3]), None)
assert answer["statusCode"] == 200, answer
print(json.dumps(sorted(set(sys.modules) - before)))
"""

STANDARD = {"binascii", "encodings", "gc", "itertools", "types"}
WITH_C = {"ctypes", "math", "struct"}
PLAIN = {  # what is no slow import by itself, for functions that say so
    *("array", "collections", "contextlib", "copyreg", "enum", "errno", "functools", "genericpath", "io", "json"),
    *("keyword", "operator", "os", "posixpath", "re", "reprlib", "select", "selectors", "socket", "stat", "time"),
    *("typing", "warnings"),
}
TYPED = {
    *("", ".errors", ".events", ".tuples", ".function", ".function.binding", ".function.bodies", ".function.decode"),
    *(".function.encode", ".function.endpoint", ".function.inputs", ".function.runtime", ".function.shapes"),
    *(".function.http1", ".function.plain_json", ".function.runtime_client", ".function.signature", ".function.trace"),
}
WITH_MODEL = {".function.model", ".function.onnx", ".function.ort", ".function.session", ".limits"}
WITH_PICTURE = {".function.pictures", ".limits"}
TEXT = {
    *(".function.spans", ".function.text", ".function.textmodel", ".function.tokenizer"),
    *(".function.vocabulary", ".function.wordpiece"),
}


def cold(service: str, handler: str, fields: dict[str, str], cache: Path) -> set[str]:
    """The modules that a fresh process has imported when `handler` has answered its first request.

    The second of two runs counts: what ships is compiled, and compiling imports modules of its own.
    """
    event = {
        "version": "2.0",
        "requestContext": {"http": {"method": "POST", "path": "/"}},
        "headers": {"content-type": "application/json"},
        "body": json.dumps(fields),
    }
    command = [sys.executable, "-c", COLD, handler, ".", json.dumps(event)]
    environ = {"PATH": os.environ["PATH"], "PYTHONPYCACHEPREFIX": str(cache)}
    for _ in range(2):
        done = subprocess.run(command, cwd=ROOT / "examples" / service, capture_output=True, text=True, env=environ)
        assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def ours(modules: set[str]) -> set[str]:
    return {name.removeprefix("pilotlight") for name in modules if name.partition(".")[0] == "pilotlight"}


def others(modules: set[str]) -> set[str]:
    """The public modules of others, without what is below them."""
    tops = {name.partition(".")[0] for name in modules}
    return {name for name in tops if not name.startswith("_")} - {"pilotlight", "inference"}


def test_what_a_cold_function_imports(tmp_path: Path) -> None:
    modules = cold("minimal", "inference/hello.handler", {"name": "Ada"}, tmp_path)
    assert ours(modules) == TYPED
    assert others(modules) <= STANDARD


def test_what_a_cold_function_with_a_model_imports(tmp_path: Path) -> None:
    modules = cold("sentences", "inference/kim_cnn.handler", {"input": "A joy."}, tmp_path)
    assert ours(modules) == TYPED | WITH_MODEL
    assert others(modules) <= STANDARD | WITH_C | PLAIN | {"embedding", "tokens"}


TAKES_A_PICTURE = """
from pilotlight import Image, ImageUrl, endpoint

@endpoint
def handler(text: str, image: Image | None = None, url: ImageUrl | None = None) -> str:
    return image.format if image else text
"""
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4//8/AAX+Av4N70a4AAAAAElFTkSuQmCC"  # 1 x 1


def test_a_cold_function_loads_pillow_with_its_first_picture(tmp_path: Path) -> None:
    (tmp_path / "look.py").write_text(TAKES_A_PICTURE)
    modules = cold(str(tmp_path), "look.handler", {"text": "none"}, tmp_path / "cache")
    assert ours(modules) == TYPED
    assert others(modules) <= STANDARD | {"look"}
    modules = cold(str(tmp_path), "look.handler", {"text": "one", "image": PICTURE}, tmp_path / "cache")
    assert ours(modules) == TYPED | WITH_PICTURE
    readers = {name for name in modules if name.endswith("ImagePlugin")}
    assert readers == {"PIL.PngImagePlugin"}
    assert {"numpy", "xml", "pillow_heif"} & others(modules) == set()


def test_what_a_cold_reader_imports(tmp_path: Path) -> None:
    asked = {"question": "How long is it?", "context": "It is 62 metres long."}
    modules = cold("question_answering", "inference/qa.handler", asked, tmp_path)
    assert ours(modules) == TYPED | WITH_MODEL | TEXT
    assert others(modules) <= STANDARD | WITH_C
