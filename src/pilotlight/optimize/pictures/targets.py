"""A source in the two forms that are served: an ONNX graph, or a file of TensorFlow Lite."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilotlight.errors import UsageError
from pilotlight.function.model import FORMAT, Model
from pilotlight.optimize import environment, graph, layout, worker
from pilotlight.optimize.exporters import onnx_source
from pilotlight.optimize.pictures import graph as picture_graph
from pilotlight.optimize.pictures import preprocess, samples
from pilotlight.optimize.pictures.options import Options, picture_size
from pilotlight.optimize.pictures.source import FRAMEWORKS
from pilotlight.optimize.progress import Progress
from pilotlight.optimize.source import Source
from pilotlight.optimize.tools import needed

if TYPE_CHECKING:
    from onnx import ModelProto

TFLITE, INT8 = "model.tflite", "int8.tflite"


@dataclass(frozen=True)
class Export:
    """What `export.json` says. `dtype` and `layout` are those of the original, whose input is [1, height, width, 3] or
    [1, 3, height, width]; what is served always takes pixels."""

    height: int
    width: int
    layout: str
    dtype: str
    classes: int
    parameters: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    license: str = ""


def job(do: str, source: Source, options: Options, **more: object) -> dict[str, Any]:
    """What a script is asked; see `exporters/scripts`."""
    preset = preprocess.find(options.preprocess)
    asked = {"do": do, "kind": source.kind, "path": str(source.path), "format": options.format}
    return {
        **asked,
        "size": [options.size, options.size],
        "scale": preset.scale,
        "offset": preset.offset,
        "pictures": "",
        **more,
    }


def export(source: Source, options: Options, pictures: Sequence[samples.Picture], out: Path, told: Progress) -> Export:
    """Write `model.onnx` with float pictures as input, or `model.tflite` and `int8.tflite`, to `out`."""
    made = (
        _lite(source, options, pictures, out, told) if options.format == "tflite" else _onnx(source, options, out, told)
    )
    (out / "export.json").write_text(json.dumps(asdict(made), indent=2) + "\n", encoding="utf-8")
    return made


def read_export(folder: Path) -> Export:
    return Export(**json.loads((folder / "export.json").read_text(encoding="utf-8")))


def _onnx(source: Source, options: Options, out: Path, told: Progress) -> Export:
    facts: dict[str, Any] = {}
    if source.kind == "onnx":
        needed("onnx").save(onnx_source.load(source.path), str(out / layout.FILE))
    else:
        framework = FRAMEWORKS[source.kind][0]
        told.say(f"exporting {source.name} by {framework}")
        do = "picture_program" if framework == "torch" else "picture_export"
        facts = worker.run(environment.python(framework, told), job(do, source, options, out=str(out)), told)
    model = graph.read(out / layout.FILE)
    taken = picture_graph.taken(model, source.path.name)
    height, width = (given or options.size for given in (taken.height, taken.width))
    _check_size(height, width, options)
    _check_preprocess(taken.dtype, options)
    classes = picture_graph.classes(model, source.path.name)
    parameters = facts.get("parameters") or sum(
        int(needed("numpy").prod(each.dims)) for each in model.graph.initializer
    )
    return Export(
        height, width, taken.layout, taken.dtype, classes, parameters, facts.get("versions", {}), source.license
    )


def _lite(source: Source, options: Options, pictures: Sequence[samples.Picture], out: Path, told: Progress) -> Export:
    if source.kind == "tflite":
        shutil.copyfile(source.path, out / TFLITE)
        return _of_lite(source, options, out)
    if source.kind not in ("keras", "savedmodel"):
        raise UsageError(f"--format tflite: {source.path.name} is of {source.kind}", "--format onnx takes it")
    python = environment.python("tensorflow", told)
    facts = worker.run(python, job("picture_facts", source, options), told)
    height, width = (given or options.size for given in facts["shape"][1:3])
    _check_size(height, width, options)
    shown = out / "pictures.npz"
    _save(shown, pictures, options, height, width)
    told.say(f"exporting {source.name} by tensorflow")
    worker.run(python, job("picture_export", source, options, out=str(out), pictures=str(shown)), told)
    shown.unlink()
    classes = Model(out / TFLITE).outputs[0].shape[-1]
    assert isinstance(classes, int)
    return Export(
        height, width, "NHWC", facts["dtype"], classes, facts["parameters"], facts["versions"], source.license
    )


def _of_lite(source: Source, options: Options, out: Path) -> Export:
    """One that is served as it came, so its input has to be pixels already."""
    model = Model(out / TFLITE)
    info, scores = model.inputs[0], model.outputs[0].shape[-1]
    if len(model.inputs) != 1 or len(info.shape) != 4 or info.dtype != "B" or not isinstance(scores, int):
        reason = f"its input {info.name!r} is not of uint8 pixels [1, height, width, 3]"
        raise UsageError(f"--format tflite: {source.path.name} is served as it is, and {reason}", "--format onnx casts")
    height, width = (size if isinstance(size, int) else options.size for size in info.shape[1:3])
    _check_size(height, width, options)
    return Export(height, width, "NHWC", "uint8", scores, license=source.license)


def _check_size(height: int, width: int, options: Options) -> None:
    if not height or not width:
        raise UsageError("the model takes pictures of any size", "say which one serves, as in --size 224")
    picture_size(options, height, width)


def _check_preprocess(dtype: str, options: Options) -> None:
    if dtype == "uint8" and options.preprocess != "none":
        raise UsageError(f"--preprocess {options.preprocess}: the model takes pixels as they are", "leave it out")


def _save(path: Path, pictures: Sequence[samples.Picture], options: Options, height: int, width: int) -> None:
    from pilotlight.optimize import outputs

    outputs.save(path, samples.feeds(pictures, picture_size(options, height, width)))


def folder(model: ModelProto | Path, settings: Mapping[str, Any], out: Path, prefer: str) -> None:
    """Write the model folder `out`: the graph and its weights, or the file, and model.json."""
    out.mkdir(parents=True)
    session: dict[str, object] = {}
    if isinstance(model, Path):
        shutil.copyfile(model, out / TFLITE)
    else:
        session = {"session": layout.write(model, out, prefer)}
        data = out / layout.DATA
        if data.exists() and not data.stat().st_size:  # nothing is large enough
            data.unlink()
    files = {file.name: file.stat().st_size for file in sorted(out.iterdir())}
    checked = {"files": files, "sha256": layout.digests(out, files)}
    text = json.dumps({"format": FORMAT, **settings, **session, **checked}, indent=2, ensure_ascii=False)
    (out / "model.json").write_text(f"{text}\n", encoding="utf-8")
