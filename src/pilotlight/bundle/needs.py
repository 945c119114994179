"""Which libraries go into a package, in which form, and why.

What `requirements.txt` names goes in with all that it needs. Pilotlight's own libraries go in when the function or its
models ask for them, without what they would only need for other things than inference: see `LIBRARIES`.
"""

import json
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Literal, NamedTuple

from pilotlight.bundle.imports import Trace
from pilotlight.bundle.sources import Model
from pilotlight.errors import BuildError

REQUIREMENTS = "requirements.txt"
Form = Literal["module", "library"]
_INDEXES = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--no-index")  # of requirements files


class Library(NamedTuple):
    """`name` in the index, `module` as it is imported. `companions` is what its module imports at inference: of the
    rest that it asks for nothing is, as decision 25 shows. `has_library` says whether its C library runs alone."""

    name: str
    module: str
    companions: tuple[str, ...] = ()
    has_library: bool = False


LIBRARIES = (
    Library("onnxruntime", "onnxruntime", ("numpy",), has_library=True),
    Library("ai-edge-litert", "ai_edge_litert", ("numpy",), has_library=True),
    Library("tokenizers", "tokenizers"),
    Library("pillow", "PIL"),
    Library("pillow-heif", "pillow_heif", ("pillow",)),
    Library("numpy", "numpy"),
    Library("msgspec", "msgspec"),
    Library("multipart", "multipart"),
)
_LIBRARIES = {library.name: library for library in LIBRARIES}
_PICTURES = (
    *("pilotlight.Image", "pilotlight.ImageUrl", "pilotlight.function.image", "pilotlight.function.pictures"),
    *("pilotlight.function.inputs.Image", "pilotlight.function.inputs.ImageUrl"),
)
_ENDPOINTS = ("pilotlight.endpoint", "pilotlight.function.endpoint")


class Need(NamedTuple):
    """One of `LIBRARIES`, with the versions that are admitted ("" for any), its form and the reason."""

    name: str
    versions: str
    form: Form
    reason: str

    @property
    def requirement(self) -> str:
        return f"{self.name}{self.versions}"


class Needs(NamedTuple):
    """`lines` of requirements.txt that are no library of Pilotlight's; `ours` are, in the order of names."""

    lines: tuple[str, ...]
    ours: tuple[Need, ...]

    @property
    def indexes(self) -> tuple[str, ...]:
        """The lines that say where wheels are. They may hold a password, so no lock has them."""
        return tuple(line for line in self.lines if line.startswith(_INDEXES))


def find(root: Path, trace: Trace, models: Iterable[Model], uris: Iterable[str] = ()) -> Needs:
    """What a function needs that reaches `trace` and runs `models`, which are packed. Of those that `uris` name nothing
    is known but that they are ONNX: what else they need is for requirements.txt to name.

    Raises `BuildError` when a model's settings or requirements.txt cannot be read.
    """
    lines = list(_lines(root / REQUIREMENTS))
    written = {_name(line): line for line in lines if _name(line) in _LIBRARIES}
    found: dict[str, Need] = {}
    for name, form, reason in (
        *_of_requirements(written),
        *_of_code(trace),
        *_of_models(models),
        *_of_uris(uris),
    ):
        _add(found, Need(name, _versions(name, written), form, reason))
    others = tuple(line for line in lines if _name(line) not in _LIBRARIES)
    return Needs(others, tuple(sorted(found.values())))


def _add(found: dict[str, Need], need: Need) -> None:
    """The module has the library in it, so it is the form of a library that is needed as both."""
    if need.name not in found or (need.form == "module" and found[need.name].form == "library"):
        found[need.name] = need
    for name in _LIBRARIES[need.name].companions if need.form == "module" else ():
        found.setdefault(name, Need(name, _versions(name, {}), "module", f"{need.name} imports it"))


def _of_requirements(written: Iterable[str]) -> Iterator[tuple[str, Form, str]]:
    for name in written:
        library = _LIBRARIES[name]
        if not library.has_library:
            yield name, "module", f"{REQUIREMENTS} names it"


def _of_code(trace: Trace) -> Iterator[tuple[str, Form, str]]:
    for library in LIBRARIES:
        if found := trace.first(library.module):
            yield library.name, "module", f"{found.place} imports {library.module}"
    if found := trace.first(*_PICTURES):
        yield "pillow", "module", f"{found.place} takes pictures"
    if found := trace.first(*_ENDPOINTS):
        yield "multipart", "module", f"{found.place}: an @endpoint takes forms with files"
        yield "msgspec", "module", f"{found.place}: an @endpoint takes and gives types that only it converts"


def _of_models(models: Iterable[Model]) -> Iterator[tuple[str, Form, str]]:
    for file, where in (each for model in models for each in _files(model)):
        if file.suffix == ".onnx":
            yield "onnxruntime", "library", f"{where} runs in its C library"
        if file.suffix == ".tflite":
            yield "ai-edge-litert", "library", f"{where} runs in its C library"
        if file.name == "model.json" and _tokenizer(file) == "tokenizers":
            yield "tokenizers", "module", f"{where} names its tokenizer"


def _files(model: Model) -> Iterator[tuple[Path, str]]:
    """Each with its path below the task root."""
    if not model.path.is_dir():
        yield model
    for file in sorted(model.path.rglob("*")):
        yield file, f"{model.place}/{file.relative_to(model.path).as_posix()}"


def _of_uris(uris: Iterable[str]) -> Iterator[tuple[str, Form, str]]:
    for uri in uris:
        yield "onnxruntime", "library", f"what {uri} holds runs in its C library"


def _tokenizer(file: Path) -> object:
    try:
        settings = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise BuildError(f"reading {file}: {error}", "make the model folder again") from None
    table = settings.get("tokenizer") if isinstance(settings, dict) else None
    return table.get("type") if isinstance(table, dict) else None


def _lines(file: Path) -> Iterator[str]:
    """The lines of a requirements file that say something; one that ends in a backslash goes on in the next."""
    try:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"reading {file}: {error}", "save it as UTF-8 text") from None
    for line in text.replace("\\\n", " ").splitlines():
        said = " ".join(re.sub(r"(^|\s)#.*$", "", line).split())
        if said:
            yield said


def _name(line: str) -> str:
    """The distribution that a line of a requirements file names, as indexes spell it; "" for options."""
    match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line)
    return re.sub("[-_.]+", "-", match[0]).lower() if match else ""


def _versions(name: str, written: dict[str, str]) -> str:
    """As the project's own file writes them, else those that Pilotlight's extras admit."""
    if name in written:
        return re.sub(r"^[A-Za-z0-9._-]+", "", written[name]).strip()
    for requirement in requires("pilotlight") or ():
        if _name(requirement) == name:
            return re.sub(r"^[A-Za-z0-9._-]+", "", requirement.partition(";")[0]).strip()
    return ""
