"""What of a project goes into a function's package: its code and its models, without what only its makers need."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pathspec

from pilotlight.bundle import files
from pilotlight.bundle.files import Entry
from pilotlight.bundle.imports import Trace
from pilotlight.errors import BuildError, ModelNotInstalled
from pilotlight.function import cache, cache_entries
from pilotlight.project import MODEL_FILES, Function, is_uri

IGNORE = ".pilotlightignore"
MODELS = "models"
SUFFIXES = (".onnx", ".tflite")


class Model(NamedTuple):
    """A model folder, or file: where it is on this machine, and its place below the task root."""

    path: Path
    place: str

    def holds(self, path: str) -> bool:
        """Whether the entry of that path is of it: a file has its external weights beside it."""
        return path.startswith(f"{self.place}/" if self.path.is_dir() else self.place)


class LeftOut(NamedTuple):
    """Patterns of .gitignore, and why what they match stays here."""

    reason: str
    patterns: tuple[str, ...]


LEFT_OUT = (
    LeftOut("hidden, and never secrets", (".*",)),
    LeftOut(
        "keys and passwords", ("*.pem", "*.key", "*.p12", "*.pfx", "*.kdbx", "id_rsa*", "id_ed25519*", "credentials")
    ),
    LeftOut(
        "made again where it is needed", ("__pycache__/", "*.pyc", "node_modules/", "build/", "dist/", "*.partial/")
    ),
    LeftOut(
        "training",
        ("/train/", "/data/", "/run/", "*.ipynb", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.keras", "*.onnx.bak"),
    ),
    LeftOut("wheels, which are installed", ("*.whl",)),
    LeftOut("tests and saved events", ("/tests/", "/test/", "/events/")),
    LeftOut("for people", ("*.md", "/docs/", "/extension/")),
    LeftOut("settings, which a function has as variables", ("/pilotlight.toml", "/requirements*.txt", "/locks/")),
)
_OF_MODELS = (LeftOut("hidden", (".*",)), LeftOut("for people", ("*.md", "report.json")))
_TAKES_MODELS = (
    *("pilotlight.Model", "pilotlight.function.model", "pilotlight.function.text", "pilotlight.function.image"),
    *("pilotlight.function.classify", "pilotlight.function.generate", "pilotlight.function.onnx"),
    *("pilotlight.function.litert", "pilotlight.function.seq2seq", "pilotlight.function.translate"),
)


def places(function: Function) -> Mapping[str, str]:
    """Of the URIs whose models are on this machine, and are packed, where they are below the task root."""
    return {uri: f"{MODELS}/{cache_entries.name_of(cache.normal(uri))}" for uri in function.fetched}


def models(function: Function, trace: Trace) -> tuple[Model, ...]:
    """The models that a function may load: its settings `model` and `models`, and those that its code names; all below
    models/ when it loads one and names none. Of those that URIs name it has what is on this machine, `fetched`; others
    are fetched at start. Raises `ModelNotInstalled`.
    """
    if function.missing:
        reason = f"packing {function.name}: its model is not at {function.missing[0]}"
        raise ModelNotInstalled(reason, function.how_to_install)
    own = (model for model in function.named_models.values() if not is_uri(model))
    named = {*own, *(text.strip("/") for text in trace.texts if _is_model(function.root, text))}
    folder = function.root / MODELS
    if not named and not function.uris and trace.first(*_TAKES_MODELS) and folder.is_dir():
        named = {MODELS}
    found = {function.root / each for each in named}
    outer = [each for each in found if not found.intersection(each.parents)]
    own_ones = {Model(path, path.relative_to(function.root).as_posix()) for path in outer}
    packed = {Model(Path(function.fetched[uri]), place) for uri, place in places(function).items()}
    return tuple(sorted(own_ones | packed, key=lambda model: model.place))


def _is_model(root: Path, text: str) -> bool:
    if not 0 < len(text) < 256 or "\0" in text or ".." in text.split("/") or text.startswith("/"):
        return False
    path = root / text
    return any((path / name).is_file() for name in MODEL_FILES) or (path.suffix in SUFFIXES and path.is_file())


def model_entries(root: Path, models: tuple[Model, ...]) -> Iterator[Entry]:
    """The files of models, without what is for people. Raises `BuildError` for a link out of the project."""
    spec = _spec(_OF_MODELS, ())
    for path, place in models:
        if path.is_relative_to(root):
            files.check_link(root.resolve(), path)
        if path.is_dir() and path.is_relative_to(root):
            yield from files.of_folder(root, path, spec.match_file)
        elif path.is_dir():
            for entry in files.of_folder(path, None, spec.match_file):
                yield entry._replace(path=f"{place}/{entry.path}")
        else:
            for file in sorted(path.parent.glob(f"{path.name}*")):  # with its external weights
                yield files.of_file(file.relative_to(root).as_posix(), file)


def code_entries(root: Path, exclude: tuple[str, ...], models: tuple[Model, ...]) -> Iterator[Entry]:
    """Every other file of the project but those of `LEFT_OUT`, of the setting `exclude` and of `IGNORE`.

    Raises `BuildError` when a pattern cannot be read.
    """
    folders = tuple(f"/{model.place}" for model in models)
    spec = _spec((*LEFT_OUT, LeftOut("models of other functions", (f"/{MODELS}/",))), (*exclude, *_ignored(root)))
    own = _spec((LeftOut("in the part of the model", folders),), ())
    return files.of_folder(root, None, lambda path: own.match_file(path) or spec.match_file(path))


def _spec(left_out: tuple[LeftOut, ...], more: tuple[str, ...]) -> pathspec.PathSpec[pathspec.Pattern]:
    patterns = [pattern for each in left_out for pattern in each.patterns]
    try:
        return pathspec.PathSpec.from_lines("gitignore", [*patterns, *more])
    except ValueError as error:
        raise BuildError(f"reading the patterns of what is left out: {error}", "write them as in .gitignore") from None


def _ignored(root: Path) -> tuple[str, ...]:
    file = root / IGNORE
    try:
        return tuple(file.read_text(encoding="utf-8").splitlines()) if file.exists() else ()
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"reading {file}: {error}", "save it as UTF-8 text") from None
