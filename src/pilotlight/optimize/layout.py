"""How the weights lie on disk: tensors above 1 KB in `model.onnx.data`, which ONNX Runtime maps."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pilotlight.errors import ModelError
from pilotlight.function.model import FORMAT, Model
from pilotlight.optimize import graph
from pilotlight.optimize.tools import needed
from pilotlight.optimize.wordpiece import write_index

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

    from pilotlight.optimize.exporters import Export

FILE, DATA = "model.onnx", "model.onnx.data"
SMALLEST = 1024
"""Bytes from which a tensor goes to the data file; smaller ones stay in the graph, which is read anyway."""
ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector that a kernel loads at once."""

COLD = {"optimize": False, "options": {"session.disable_prepacking": "1"}}
WARM = {"optimize": False}
"""`session` of `model.json`: without prepacking the mapped weights are used as they lie, and shared by environments."""


def write(model: ModelProto, folder: Path, prefer: str) -> dict[str, object]:
    """Write `model`, optimised, into `folder`; give the `session` settings that it is to be loaded with."""
    if prefer == "warm":
        graph.optimize(model, folder / FILE, packed=True)
        return dict(WARM)
    graph.optimize(model, folder / FILE)
    optimized = graph.read(folder / FILE)
    with (folder / DATA).open("wb") as data:
        for tensor in optimized.graph.initializer:
            _move(tensor, data)
    (folder / FILE).write_bytes(optimized.SerializeToString())
    return dict(COLD)


def _move(tensor: TensorProto, data: BinaryIO) -> None:
    """Put what the tensor holds at the next aligned place of the file, when it is large enough."""
    if tensor.data_type == tensor.STRING:
        return
    content = needed("onnx.numpy_helper").to_array(tensor).tobytes()
    if len(content) < SMALLEST:
        return
    data.write(b"\0" * (-data.tell() % ALIGNMENT))
    place = {"offset": data.tell(), "length": len(content)}
    data.write(content)
    outside(tensor, place)


def outside(tensor: TensorProto, place: Mapping[str, int]) -> None:
    """What the tensor holds is at that `offset` of the data file, `length` bytes."""
    name, kind, shape = tensor.name, tensor.data_type, tuple(tensor.dims)
    tensor.Clear()
    tensor.name, tensor.data_type, tensor.data_location = name, kind, tensor.EXTERNAL
    tensor.dims.extend(shape)
    for key, value in {"location": DATA, **place}.items():
        tensor.external_data.add(key=key, value=str(value))


def folder(model: ModelProto, made: Export, source: Path, out: Path, prefer: str) -> None:
    """Write the model folder `out`: the graph, its weights, the tokenizer of the folder `source`, model.json."""
    out.mkdir(parents=True)
    session = write(model, out, prefer)
    name = made.tokenizer.get("vocabulary") or made.tokenizer.get("file")
    if name:
        shutil.copyfile(source / name, out / name)
        if "vocabulary" in made.tokenizer:
            write_index(out / name)
    data = out / DATA
    if data.exists() and not data.stat().st_size:  # nothing is large enough
        data.unlink()
    files = {file.name: file.stat().st_size for file in sorted(out.iterdir())}
    settings = {**_settings(made, out / FILE), "session": session, "files": files, "sha256": digests(out, files)}
    (out / "model.json").write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def add_index(folder: Path | str) -> None:
    """Write the index of the WordPiece vocabulary into a model folder of an earlier version, and name it in model.json.

    Raises `ModelError` where the folder has none.
    """
    file = Path(folder) / "model.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    if "vocabulary" not in settings.get("tokenizer", {}):
        raise ModelError(f"indexing {folder}: its tokenizer has no vocabulary of WordPiece")
    index = write_index(file.with_name(settings["tokenizer"]["vocabulary"]))
    settings.setdefault("files", {})[index.name] = index.stat().st_size
    if "sha256" in settings:
        settings["sha256"].update(digests(file.parent, [index.name]))
    file.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of each file: who fetches the folder from S3 is told by model.json what it should get."""
    found = {}
    for name in names:
        with (folder / name).open("rb") as opened:
            found[name] = hashlib.file_digest(opened, "sha256").hexdigest()
    return found


def _settings(made: Export, file: Path) -> dict[str, object]:
    """What `model.json` says of the model itself."""
    settings: dict[str, object] = {"format": FORMAT, "task": made.task}
    if made.tokenizer:
        settings["tokenizer"] = dict(made.tokenizer)
    match made.task:
        case "text-classification":
            settings["labels"] = labels(made, file)
        case "sentence-embedding":
            settings |= {"pooling": made.pooling, "normalize": made.normalize}
        case "text-generation":
            settings["generation"] = dict(made.generation)
    return settings


def labels(made: Export, file: Path) -> list[str]:
    """Of a classifier, else none; those that the source does not name are numbered, as transformers calls them."""
    if made.labels or made.task != "text-classification":
        return list(made.labels)
    shape = Model(file, optimize=False).outputs[0].shape
    count = shape[-1] if shape else None
    return [f"LABEL_{number}" for number in range(count)] if isinstance(count, int) else []
