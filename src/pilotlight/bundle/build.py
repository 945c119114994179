"""A function becomes the parts of a package: what is needed, from where, how large, and whether a zip can hold it."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, NoReturn

from pilotlight import limits
from pilotlight.bundle import compiled, files, imports, interpreter, libraries, lock, needs, shipped, sources
from pilotlight.bundle.files import Part
from pilotlight.bundle.imports import Import
from pilotlight.bundle.interpreter import Interpreter
from pilotlight.bundle.libraries import Libraries
from pilotlight.bundle.needs import Need, Needs
from pilotlight.bundle.target import Target
from pilotlight.errors import BuildError, FunctionError, PackageTooLarge
from pilotlight.project import Function
from pilotlight.settings import Build

Say = Callable[[str], None]
Kind = Literal["zip", "image"]


class Plan(NamedTuple):
    """What a package of `function` will be made of; nothing was installed or written for it."""

    function: Function
    target: Target
    trace: imports.Trace
    models: tuple[sources.Model, ...]
    needs: Needs

    @property
    def packed(self) -> Mapping[str, str]:
        """Of the URIs whose models go in, their places below the task root."""
        return sources.places(self.function)

    @property
    def alone(self) -> tuple[str, ...]:
        """The libraries that are needed as C libraries only."""
        return tuple(need.name for need in self.needs.ours if need.form == "library")


class Row(NamedTuple):
    """A line of the table: what takes how many bytes, unpacked."""

    part: str
    what: str
    size: int


class Package(NamedTuple):
    """The parts, and how they came to be. `interpreter` None means that nothing was compiled."""

    plan: Plan
    parts: tuple[Part, ...]
    libraries: Libraries
    interpreter: Interpreter | None

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    @property
    def rows(self) -> tuple[Row, ...]:
        """What takes the space, in parts, the largest of each first; compiled modules are on their own."""
        return tuple(row for part in self.parts for row in sorted(_rows(self, part), key=lambda row: -row.size))

    @property
    def unmet(self) -> tuple[Import, ...]:
        """Imports of what neither the project nor its libraries bring."""
        there = {module for each in self.libraries.installed for module in each.modules}
        return tuple(each for each in self.plan.trace.others if each.top not in there)


def plan(function: Function, target: Target) -> Plan:
    """Read the function's code and models. Raises `FunctionError` when it cannot run, `BuildError`, `ModelError`."""
    if function.defect:
        raise FunctionError(function.defect, function.hint)
    trace = imports.trace(function.root, function.file)
    models = sources.models(function, trace)
    return Plan(function, target, trace, models, needs.find(function.root, trace, models, function.fetches))


def pack(plan: Plan, build: Build, cache: Path, python: str, say: Say) -> Package:
    """The parts of the package, with libraries installed and modules compiled, as far as that is not in `cache`.

    `python` is the interpreter that was chosen, "" for the one on PATH. Raises as `plan`, and `RequirementError`.
    """
    function, target = plan.function, plan.target
    found = interpreter.find(target, python)
    say(f"resolving and installing the libraries of {function.name} for {target}")
    text = lock.resolve(plan.needs, target, lock.file(function.root, function.name, target), function.root)
    source = libraries.Source(function.root, plan.needs.indexes)
    installed = libraries.install(text, plan.alone, target, cache / "libraries", source)
    own = [
        files.part("dependencies", installed.entries() if installed.folder else ()),
        files.part("runtime", shipped.entries(target.runtime)),
        files.part("model", sources.model_entries(function.root, plan.models)),
        files.part("code", sources.code_entries(function.root, build.exclude, plan.models)),
    ]
    _check_names(own, installed)
    parts = tuple(compiled.add(part, found, cache / "compiled") if found else part for part in own)
    files.check(parts)
    return Package(plan, parts, installed, found)


def _check_names(parts: Iterable[Part], installed: Libraries) -> None:
    """A module of the project that is called like a library would hide it, or be hidden."""
    modules = {module: each.name for each in installed.installed for module in each.modules} | {
        "pilotlight": "Pilotlight"
    }
    for entry in (entry for part in parts if part.name in ("code", "model") for entry in part.entries):
        top = entry.path.partition("/")[0].removesuffix(".py")
        if top in modules and ("/" in entry.path or entry.path.endswith(".py")):
            raise BuildError(f"packing {entry.path}: {top} is what {modules[top]} is imported as", "rename it")


def _rows(package: Package, part: Part) -> list[Row]:
    pycs = sum(entry.size for entry in part.entries if entry.path.endswith(".pyc"))
    rest = part.size - pycs
    if part.name == "dependencies":
        rows = [Row(part.name, f"{each.name} {each.version}", each.size) for each in package.libraries.installed]
    elif part.name == "model":
        rows = [Row(part.name, model.place, _size(part, model)) for model in package.plan.models]
    else:
        rows = [Row(part.name, "Pilotlight" if part.name == "runtime" else "the project's own files", rest)]
    return [row for row in [*rows, Row(part.name, "compiled modules", pycs)] if row.size]


def _size(part: Part, model: sources.Model) -> int:
    return sum(entry.size for entry in part.entries if model.holds(entry.path))


class Choice(NamedTuple):
    """What Lambda gets, and why."""

    kind: Kind
    reason: str


def choose(package: Package, build: Build, asked: str) -> Choice:
    """A zip where one can hold the package, else an image; `asked` is the setting, or what was said instead of it.

    Raises `PackageTooLarge` when a zip was asked for and cannot hold it, or an image cannot.
    """
    fits = package.size <= limits.ZIP_UNZIPPED
    size = f"{megabytes(package.size)} MB unpacked"
    if package.size > limits.IMAGE:
        remedy = "take a smaller model, or leave out what is not needed by the setting exclude"
        _refuse(package, f"{size}, and an image may have {megabytes(limits.IMAGE)} MB", remedy)
    if asked == "zip" and not fits:
        remedy = 'quantise the model, leave out what is not needed, or set package = "image"'
        _refuse(package, f"{size}, and a zip may have {megabytes(limits.ZIP_UNZIPPED)} MB", remedy)
    if asked in ("zip", "image"):
        return Choice("zip" if asked == "zip" else "image", f'package = "{asked}"')
    if build.base_image:
        return Choice("image", "the setting base_image names what it begins with")
    if not fits:
        return Choice("image", f"it has {size}, and a zip may have {megabytes(limits.ZIP_UNZIPPED)} MB")
    return Choice(
        "zip", f"it has {size}, within the {megabytes(limits.ZIP_UNZIPPED)} MB of a zip, which needs no registry"
    )


def _refuse(package: Package, reason: str, remedy: str) -> NoReturn:
    largest = sorted(package.rows, key=lambda row: -row.size)[:3]
    shown = ", ".join(f"{row.what} {megabytes(row.size)} MB" for row in largest)
    hint = f"the largest are {shown}: {remedy}"
    raise PackageTooLarge(f"packing {package.plan.function.name}: it has {reason}", hint)


def megabytes(size: int) -> str:
    """In millions of bytes, of which small sizes have a decimal."""
    value = size / 1_000_000
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def reasons(package: Package) -> Mapping[str, int]:
    """What was left out of libraries, in bytes, the largest first."""
    return dict(sorted(package.libraries.left_out.items(), key=lambda item: -item[1]))


def why(needs: Iterable[Need]) -> list[str]:
    """A line for each library of Pilotlight's."""
    form = {"library": "C library alone", "module": "Python module"}
    return [f"{need.requirement} ({form[need.form]}): {need.reason}" for need in needs]
