"""What of a project goes into a function's package: its code and its models, without what only its makers need."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pathspec

from pilotlight.bundle import files
from pilotlight.bundle.files import Entry
from pilotlight.bundle.imports import Trace
from pilotlight.errors import BuildError, ModelNotInstalled
from pilotlight.project import MODEL_FILES, Function, is_uri

IGNORE = ".pilotlightignore"
MODELS = "models"
SUFFIXES = (".onnx", ".tflite")


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


def models(function: Function, trace: Trace) -> tuple[Path, ...]:
    """The model folders, or files, that a function may load: its settings `model` and `models`, and those that its code
    names; all below models/ when it loads one and names none. Those that URIs name are fetched at start, and none of
    them. Raises `ModelNotInstalled`.
    """
    if function.missing:
        reason = f"packing {function.name}: its model is not at {function.missing[0]}"
        raise ModelNotInstalled(reason, function.how_to_install)
    own = (model for model in function.named_models.values() if not is_uri(model))
    named = {*own, *(text.strip("/") for text in trace.texts if _is_model(function.root, text))}
    folder = function.root / MODELS
    if not named and not function.uris and trace.first(*_TAKES_MODELS) and folder.is_dir():
        named = {MODELS}
    found = sorted(function.root / each for each in named)
    return tuple(each for each in found if not any(other in each.parents for other in found))


def _is_model(root: Path, text: str) -> bool:
    if not 0 < len(text) < 256 or "\0" in text or ".." in text.split("/") or text.startswith("/"):
        return False
    path = root / text
    return any((path / name).is_file() for name in MODEL_FILES) or (path.suffix in SUFFIXES and path.is_file())


def model_entries(root: Path, models: tuple[Path, ...]) -> Iterator[Entry]:
    """The files of models, without what is for people."""
    spec = _spec(_OF_MODELS, ())
    for model in models:
        if model.is_dir():
            yield from files.of_folder(root, model, spec.match_file)
            continue
        for file in sorted(model.parent.glob(f"{model.name}*")):  # with its external weights
            yield files.of_file(file.relative_to(root).as_posix(), file)


def code_entries(root: Path, exclude: tuple[str, ...], models: tuple[Path, ...]) -> Iterator[Entry]:
    """Every other file of the project but those of `LEFT_OUT`, of the setting `exclude` and of `IGNORE`.

    Raises `BuildError` when a pattern cannot be read.
    """
    folders = tuple(f"/{path.relative_to(root).as_posix()}" for path in models)
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
