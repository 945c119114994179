"""Where a picture model comes from: a .keras file, a SavedModel, a .tflite, a .pt2 or an .onnx file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pilotlight.errors import ModelError, SourceError
from pilotlight.function import litert_file
from pilotlight.optimize.source import Kind, Source, license_of

FILES: dict[str, Kind] = {".keras": "keras", ".tflite": "tflite", ".pt2": "pt2", ".onnx": "onnx"}
FORMS = "a picture model is a .keras, .tflite, .pt2 or .onnx file, or the folder of a SavedModel"
CONFIG_LIMIT = 64 << 20  # bytes of JSON
PICKLED = (
    "a pickle can run code, and is not loaded",
    "where you trust it, load it in PyTorch: torch.export.save(torch.export.export(model.eval(), (x,)), 'm.pt2')",
)
OLDER = (
    "Keras's older format can hold code, and is not loaded",
    "where you trust it, keras.models.load_model('m.h5').save('m.keras')",
)
REFUSED = {**dict.fromkeys((".pt", ".pth", ".bin", ".ckpt", ".pkl"), PICKLED), ".h5": OLDER, ".hdf5": OLDER}
FRAMEWORKS: dict[Kind, tuple[str, tuple[str, ...]]] = {
    "keras": ("tensorflow", ("tensorflow",)),
    "savedmodel": ("tensorflow", ("tensorflow",)),
    "tflite": ("tensorflow", ("tensorflow",)),
    "pt2": ("torch", ("torch",)),
    "onnx": ("", ("onnxruntime",)),
}
"""Kind -> the environment that reads it, "" for this one; what of it serving would need."""


def resolve(source: str) -> Source:
    """The model that `source` names. SourceError when there is no such thing, or it is not safe to load; ModelError
    when it is damaged."""
    path = Path(source).expanduser()
    if not path.exists():
        raise SourceError(f"{source}: there is no such file or folder", FORMS)
    if path.is_dir():
        if not (path / "saved_model.pb").is_file():
            raise SourceError(f"{source} is not a model: it has no saved_model.pb", FORMS)
        return _source("savedmodel", path)
    suffix = path.suffix.lower()
    if suffix in REFUSED:
        reason, remedy = REFUSED[suffix]
        raise SourceError(f"{source}: {reason}", remedy)
    if suffix not in FILES:
        raise SourceError(f"{source}: neither {', '.join(FILES)} nor a SavedModel", FORMS)
    return _source(FILES[suffix], path)


def _source(kind: Kind, path: Path) -> Source:
    if kind == "keras":
        check_keras(path)
    if kind == "tflite":
        litert_file.check(str(path))
    path = path.resolve()
    return Source(kind, path, path.stem, "", license_of(path if path.is_dir() else path.parent))


def check_keras(path: Path) -> None:
    """Refuse a file that holds code, by its own description, before Keras reads it.

    A Lambda layer is marshalled byte code; a class of another module than Keras's own would be imported.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("config.json").file_size > CONFIG_LIMIT:
                raise ModelError(f"loading {path}: its config.json is too large")
            config = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, RecursionError) as error:
        raise ModelError(f"loading {path}: it is no .keras file, or cut ({error})", "save or copy it again") from None
    for entry in _classes(config):
        module, name = str(entry.get("module") or "keras"), str(entry["class_name"])
        if name in ("Lambda", "__lambda__") or module.partition(".")[0] not in ("keras", "builtins"):
            what = f"{module}.{name}" if name not in ("Lambda", "__lambda__") else "a Lambda layer"
            raise SourceError(
                f"loading {path}: it holds code, {what}, which is not run",
                "build the model of Keras's own layers, or export it where you trust it: model.export('saved_model')",
            )


def _classes(value: Any) -> Iterator[dict[str, Any]]:
    """Every serialised object in a Keras description."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if isinstance(each.get("class_name"), str):
                yield each
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
