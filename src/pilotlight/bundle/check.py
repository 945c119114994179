"""What may be wrong with a package, each point with what was found. What was not tried is never a pass."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pilotlight import limits
from pilotlight.bundle import elf, proof, secrets
from pilotlight.bundle.build import Choice, Package, megabytes
from pilotlight.bundle.files import Part
from pilotlight.bundle.licences import UNKNOWN
from pilotlight.bundle.proof import Event, Proof

Status = Literal["passed", "failed", "not run", "noted"]
_CLIENT = {"awslambdaric", "simplejson", "snapshot-restore-py"}  # with what it needs: the proof runs without it
Found = tuple[Status, Sequence[str]]


class Finding(NamedTuple):
    """What was looked at, how it ended, and lines about it."""

    name: str
    status: Status
    lines: tuple[str, ...]


def run(package: Package, choice: Choice, handler: str, variables: Mapping[str, str]) -> list[Finding]:
    """Every point. `variables` are the function's; `handler` is what Lambda is told to call."""
    proven = _prove(package, handler, variables)
    points: dict[str, Callable[[], Found]] = {
        "imports": lambda: _imports(package, proven),
        "handler": lambda: _handler(proven),
        "test events": lambda: _events(package, proven),
        "writable paths": lambda: _written(proven),
        "shared objects": lambda: _objects(package),
        "size": lambda: _size(package, choice),
        "pickles": lambda: _none("no file is one", _each(package.parts, secrets.pickles)),
        "secrets": lambda: _none("no file has one", _each(package.parts, secrets.find)),
        "licences": lambda: _licences(package),
    }
    return [Finding(name, status, tuple(lines)) for name, find in points.items() for status, lines in [find()]]


def _prove(package: Package, handler: str, variables: Mapping[str, str]) -> Proof | str:
    """The proof, or why there is none."""
    function, target, found = package.plan.function, package.plan.target, package.interpreter
    if found is None:
        return f"no {target.runtime} on PATH: name one with --python"
    if found.machine != target.machine:
        return f"{found.path} is for {found.machine}, the package for {target.machine}"
    return proof.run(package.parts, handler, events(function.event_file), found, variables, function.timeout)


def events(saved: Path) -> list[Event]:
    """The saved event of a function, and those in the folder beside it that has its name."""
    beside = saved.with_suffix("")
    paths = [saved] if saved.is_file() else []
    paths += sorted(beside.glob("*.json")) if beside.is_dir() else []
    return [Event(path.relative_to(saved.parent).as_posix(), path.read_bytes()) for path in paths]


def _imports(package: Package, proven: Proof | str) -> Found:
    missing = [f"{each.place}: nothing brings {each.name}: name it in requirements.txt" for each in package.unmet]
    missing += _left_out(package)
    if isinstance(proven, str):
        return ("failed", missing) if missing else ("not run", [proven])
    if proven.error:
        return "failed", [proven.error, *missing]
    loaded = {name.partition(".")[0] for name in proven.modules}
    unused = [each.name for each in package.libraries.installed if each.modules and not loaded & set(each.modules)]
    known = {need.name for need in package.plan.needs.ours}
    known |= _CLIENT if package.plan.function.runtime == "awslambdaric" else set()
    spare = [f"{name} was not imported: perhaps it can be left out" for name in unused if name not in known]
    return ("noted" if missing or spare else "passed"), [f"{len(proven.modules)} modules", *missing, *spare]


def _left_out(package: Package) -> list[str]:
    """Modules of the project's own that the function reaches, and that are in no part."""
    there = {entry.path for part in package.parts for entry in part.entries}
    gone = [path for path in package.plan.trace.files if path not in there]
    return [f"{path} is imported, and left out: take it in by exclude = [{_taken_in(path)!r}]" for path in gone]


def _taken_in(path: str) -> str:
    """What is below a folder that is left out cannot be taken in alone, as in .gitignore."""
    top, slash, _ = path.partition("/")
    return f"!/{top}{slash}"


def _handler(proven: Proof | str) -> Found:
    if isinstance(proven, str):
        return "not run", [proven]
    return ("failed", [proven.error]) if proven.error else ("passed", [f"loaded in {proven.init_seconds:.2f} s"])


def _events(package: Package, proven: Proof | str) -> Found:
    if isinstance(proven, str):
        return "not run", [proven]
    if proven.error:
        return "not run", ["the handler was not loaded"]
    if not proven.answers:
        return "not run", [f"there is none: save one as events/{package.plan.function.event_file.name}"]
    failed = [f"{answer.event}: {answer.error}" for answer in proven.answers if answer.error]
    return ("failed", failed) if failed else ("passed", [f"{a.event} in {a.seconds:.2f} s" for a in proven.answers])


def _written(proven: Proof | str) -> Found:
    if isinstance(proven, str) or proven.error:
        return "not run", [proven if isinstance(proven, str) else "the handler was not loaded"]
    lines = [f"{path} was written, which Lambda allows in /tmp only" for path in proven.written]
    return ("failed", lines) if lines else ("passed", ["nothing is written outside /tmp"])


def _objects(package: Package) -> Found:
    target, found = package.plan.target, dict(_read(package))
    own = frozenset(path.rpartition("/")[2] for path in found)
    lines = [f"{path}: {reason}" for path, each in found.items() for reason in elf.problems(each, target, own)]
    return ("failed", lines) if lines else ("passed", [f"{len(found)} for {target.machine} and Amazon Linux 2023"])


def _read(package: Package) -> Iterator[tuple[str, elf.Object | str]]:
    yield from package.libraries.objects.items()
    for entry in (entry for part in package.parts if part.name != "dependencies" for entry in part.entries):
        if elf.is_named(entry.path) and isinstance(entry.source, Path):
            yield entry.path, elf.read(entry.source)


def _size(package: Package, choice: Choice) -> Found:
    limit = limits.ZIP_UNZIPPED if choice.kind == "zip" else limits.IMAGE
    return "passed", [f"{megabytes(package.size)} MB of {megabytes(limit)} MB unpacked, as {choice.kind}"]


def _each(parts: Iterable[Part], find: Callable[[Part], Iterator[tuple[str, str]]]) -> list[str]:
    """What is found in the project's own parts: libraries are what their authors published."""
    return [f"{path}: {reason}" for part in parts if part.name != "dependencies" for path, reason in find(part)]


def _none(fine: str, lines: list[str]) -> Found:
    return ("failed", lines) if lines else ("passed", [fine])


def _licences(package: Package) -> Found:
    lines = [f"{each.name} {each.version}: {each.licence}" for each in package.libraries.installed]
    return ("noted" if any(line.endswith(UNKNOWN) for line in lines) else "passed"), lines or ["no libraries"]
