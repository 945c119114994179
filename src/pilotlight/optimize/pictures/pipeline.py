"""A picture model -> a model folder that takes pixels, starts cold fast and answers as the original does."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pilotlight
from pilotlight.errors import FidelityError, UsageError
from pilotlight.function.pictures import Size
from pilotlight.optimize import environment, fidelity, graph, layout, outputs, place, report, state, worker
from pilotlight.optimize.exporters import Reference, cold_start
from pilotlight.optimize.pictures import graph as picture_graph
from pilotlight.optimize.pictures import preprocess, quantize, samples, targets
from pilotlight.optimize.pictures.options import Options, check, picture_size
from pilotlight.optimize.pictures.source import FRAMEWORKS, resolve
from pilotlight.optimize.pipeline import RUNS, finish, libraries, partial, writing
from pilotlight.optimize.progress import Progress
from pilotlight.optimize.quantize import Part
from pilotlight.optimize.source import Source
from pilotlight.optimize.tools import needed

if TYPE_CHECKING:
    from pilotlight.optimize.outputs import Feeds, Outputs
    from pilotlight.optimize.pipeline import Time

__all__ = ["Options", "check", "optimize", "partial", "plan"]


@dataclass(frozen=True)
class Run:
    """One run of the pipeline: what its steps share."""

    options: Options
    source: Source
    pictures: tuple[samples.Picture, ...]
    work: state.Work
    time: Time
    progress: Progress

    @property
    def gate(self) -> fidelity.Gate:
        return fidelity.gate(self.options.task, self.options.agreement, self.options.loss)

    @property
    def is_lite(self) -> bool:
        return self.options.format == "tflite"

    def folder(self, step: str) -> Path:
        return self.work.folder / step

    def export(self) -> targets.Export:
        return targets.read_export(self.folder("export"))

    def size(self) -> Size:
        made = self.export()
        return picture_size(self.options, made.height, made.width)

    def feeds(self) -> tuple[Feeds, ...]:
        return samples.feeds(self.pictures, self.size())

    def original(self) -> list[Outputs]:
        return outputs.load(self.folder("reference") / "outputs.npz")

    def labels(self) -> list[str]:
        return labels(self.options, self.source, self.pictures, self.export().classes)

    def settings(self) -> dict[str, Any]:
        """What model.json says of the model."""
        image = {name: value for name, value in self.size()._asdict().items() if name != "draft"}
        rows = [row["logits"] for row in self.original()]
        scores = "probabilities" if all(_adds_up(row) for row in rows) else "logits"
        return {"task": self.options.task, "image": image, "labels": self.labels(), "scores": scores}

    def stage(self, folder: Path, what: str) -> fidelity.Stage:
        """What the model in `folder` gives for the pictures, as serving gives it."""
        found = scores(folder, self.progress.each(f"outputs of {what}", self.feeds()))
        return stage(found, self.labels())


def scores(folder: Path, feeds: Any) -> list[Outputs]:
    """The numbers of each picture; those that the integers of a quantised output stand for."""
    from pilotlight.function.model import Model

    np, model = needed("numpy"), Model(folder)
    (taken,), given = model.inputs, model.outputs[0]
    found: list[Outputs] = []
    for feed in feeds:
        row = np.array(model.run({taken.name: feed[samples.INPUT]}, [given.name])[given.name])
        scaled = (row.astype(np.float32) - given.zero_point) * given.scale if given.scale else row
        found.append({"logits": scaled})
    return found


def stage(found: Sequence[Outputs], named: Sequence[str]) -> fidelity.Stage:
    return fidelity.Stage(found, tuple(named[int(row["logits"].argmax())] for row in found))


def _adds_up(row: Any) -> bool:
    return bool((row >= 0).all() and abs(float(row.sum()) - 1) < 0.02)


def labels(options: Options, source: Source, pictures: Sequence[samples.Picture], classes: int) -> list[str]:
    """Of --labels, or `labels.txt` beside the source, or the samples' folders where they are as many; else numbers."""
    file = _file_of_labels(options, source)
    if file is None:
        named = sorted({label for picture in pictures for label in picture.right})
        return named if len(named) == classes else [str(number) for number in range(classes)]
    try:
        found = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"reading the labels in {file}: {error}", "--labels takes a text file, one a line") from None
    if len(found) != classes:
        raise UsageError(f"reading the labels in {file}: {len(found)} for {classes} scores", "one a line, in order")
    return found


def _file_of_labels(options: Options, source: Source) -> Path | None:
    beside = source.path.with_name("labels.txt")
    return options.labels or (beside if beside.is_file() else None)


def plan(options: Options) -> dict[str, Any]:
    """What `optimize` would do; nothing is made or written. Raises as `check` does."""
    check(options)
    found, source = samples.read(options.samples), resolve(options.source)
    framework = FRAMEWORKS[source.kind][0]
    wanted = environment.read(framework) if framework else None
    there = wanted is None or (environment.home() / "exporters" / wanted.key).is_dir()
    size = "" if wanted is None else f"{wanted.download_mb} MB to download, {wanted.installed_mb} MB installed"
    return {
        "source": f"{source.path} ({source.kind})",
        "task": options.task,
        "samples": f"{len(found)}, {options.samples}",
        "environment": "" if there else f"an environment with {framework}: {size}",
        "finished": [] if options.fresh else state.finished(partial(options.out)),
        "out": str(options.out),
        "replaces": options.out.is_dir() and any(options.out.iterdir()),
    }


def optimize(options: Options, time: Time, progress: Progress) -> dict[str, Any]:
    """Make the model folder `options.out`; give its report. Else as `optimize.pipeline.optimize`."""
    check(options)
    for library in ("numpy", "onnx", "onnxruntime"):
        needed(library)
    found = samples.read(options.samples)
    progress.say(f"reading {options.source}")
    source = resolve(options.source)
    with place.held(place.resolve(options.out)) as folder, writing(folder):
        check(options)  # again, by what is there now that no other run writes it
        key = f"{pilotlight.__version__} {_asked(options, source)} {state.digest_of(source.path)} {libraries()}"
        run = Run(options, source, found, state.Work(folder, key, options.fresh), time, progress)
        return _finish(run, _steps(run))


def _asked(options: Options, source: Source) -> str:
    names = ("task", "preprocess", "format", "size", "resample", "fit", "resize")
    file = _file_of_labels(options, source)
    named = state.digest(file.read_text("utf-8", "replace")) if file and file.is_file() else ""
    return " ".join([*(str(getattr(options, name)) for name in names), named])


def _steps(run: Run) -> state.Results:
    shown = [[str(picture.path), picture.path.stat().st_size, *picture.right] for picture in run.pictures]
    does: Mapping[str, tuple[object, state.Step[Run]]] = {
        "export": (shown, _export),
        "reference": (None, _reference),
        "graph": (None, _graph),
        "int8": ([run.options.precision, asdict(run.gate)], _int8),
        "layout": (run.options.prefer, _layout),
        "measure": (None, _measure),
    }
    return run.work.steps(run, does, run.progress)


def _export(run: Run, folder: Path) -> dict[str, Any]:
    targets.export(run.source, run.options, run.pictures, folder, run.progress)
    return {"bytes": report.size(folder)}


def _reference(run: Run, folder: Path) -> dict[str, Any]:
    """The original's scores for the pictures, prepared as its trainer did, and what it takes."""
    samples.check_labels(run.pictures, run.labels())
    made, progress = run.export(), run.progress
    outputs.save(folder / "feeds.npz", run.feeds())
    framework, packages = FRAMEWORKS[run.source.kind]
    python = environment.python(framework, progress) if framework else Path(sys.executable)
    asked = targets.job(
        "picture_answers",
        run.source,
        run.options,
        feeds=str(folder / "feeds.npz"),
        out=str(folder / "outputs.npz"),
        layout=made.layout,
        dtype=made.dtype,
        packages=packages,
    )
    progress.say(f"running the original of {run.source.name}")
    done = worker.run(python, asked, progress)
    cold = cold_start(python, {**asked, "do": "picture_first"}, progress)
    size = report.size(run.source.path) if run.source.path.is_dir() else run.source.path.stat().st_size
    return asdict(Reference(cold, done["warm_ms"], done["framework_bytes"] + size))


def _graph(run: Run, folder: Path) -> dict[str, Any]:
    """What takes pixels, in fp32, is as the original."""
    if run.is_lite:
        targets.folder(run.folder("export") / targets.TFLITE, run.settings(), folder / "fp32", "cold")
    else:
        made = run.export()
        given = graph.read(run.folder("export") / layout.FILE)
        taken = picture_graph.Taken(made.layout, made.height, made.width, made.dtype)
        model = picture_graph.of_pixels(
            given, taken, (made.height, made.width), preprocess.find(run.options.preprocess)
        )
        needed("onnx").save(model, str(folder / "pixels.onnx"))
        targets.folder(model, run.settings(), folder / "fp32", "cold")
    after = run.stage(folder / "fp32", "the graph of pixels")
    difference = _same(run, after.outputs)
    return {"difference": asdict(difference), "note": ""}


def _same(run: Run, given: Sequence[Outputs]) -> outputs.Difference:
    """A model that was quantised before it came is rounded elsewhere by another runtime, so it is held to the gate."""
    original = run.original()
    if run.export().dtype != "uint8":
        return fidelity.check_same(original, given, "the graph of pixels", run.pictures)
    named = run.labels()
    compared = fidelity.compare(stage(original, named), stage(given, named), run.options.task, run.pictures)
    if reason := run.gate.reason(compared, run.pictures):
        raise FidelityError(f"checking the graph of pixels: {reason}", "the conversion is wrong for this model")
    return compared.difference


def _int8(run: Run, folder: Path) -> dict[str, Any]:
    before = run.stage(run.folder("graph") / "fp32", "fp32")

    def judge(model: Any) -> str:
        shutil.rmtree(folder / "tried", ignore_errors=True)
        targets.folder(model, run.settings(), folder / "tried", "cold")
        after = run.stage(folder / "tried", "int8")
        compared = fidelity.compare(before, after, run.options.task, run.pictures)
        return run.gate.reason(compared, run.pictures)

    done = _int8_lite(run, folder, judge) if run.is_lite else _int8_onnx(run, folder, judge)
    shutil.rmtree(folder / "tried", ignore_errors=True)
    return done


def _int8_onnx(run: Run, folder: Path, judge: Any) -> dict[str, Any]:
    model = graph.read(run.folder("graph") / "pixels.onnx")
    choice = quantize.choose(model, run.feeds(), judge, run.options.precision, run.progress)
    needed("onnx").save(choice.model, str(folder / layout.FILE))
    return {"int8": [asdict(part) for part in choice.int8], "fp32": [asdict(part) for part in choice.fp32]}


def _int8_lite(run: Run, folder: Path, judge: Any) -> dict[str, Any]:
    """The whole in int8, or nothing of it: the converter's calibration knows no parts."""
    plain, whole = (run.folder("export") / name for name in (targets.TFLITE, targets.INT8))
    part = asdict(Part("the whole model", "other", run.export().parameters))
    if run.export().dtype == "uint8":
        shutil.copyfile(plain, folder / targets.TFLITE)
        return {"int8": [part], "fp32": []}
    reason = "" if run.options.precision == "fp32" else judge(whole)
    if reason and run.options.precision == "int8":
        raise FidelityError(f"quantising to int8: {reason}", "--precision auto falls back to fp32")
    if reason:
        run.progress.say(f"int8 does not pass: {reason}")
    is_int8 = run.options.precision != "fp32" and not reason
    shutil.copyfile(whole if is_int8 else plain, folder / targets.TFLITE)
    return {"int8": [part] if is_int8 else [], "fp32": [] if is_int8 else [part]}


def _layout(run: Run, folder: Path) -> dict[str, Any]:
    """The model folder itself, compared once more as it is."""
    name = targets.TFLITE if run.is_lite else layout.FILE
    model = run.folder("int8") / name
    targets.folder(model if run.is_lite else graph.read(model), run.settings(), folder / "model", run.options.prefer)
    before = run.stage(run.folder("graph") / "fp32", "fp32")
    after = run.stage(folder / "model", "the finished model")
    compared = fidelity.compare(before, after, run.options.task, run.pictures)
    if reason := run.gate.reason(compared, run.pictures):
        raise FidelityError(f"comparing the model as it is written: {reason}", "--prefer cold writes it otherwise")
    return {
        "fp32": asdict(outputs.difference(run.original(), before.outputs)),
        "final": {**asdict(compared), "title": run.pictures[compared.differing].title},
        "operators": {} if run.is_lite else graph.operators(graph.read(folder / "model" / layout.FILE)),
    }


def _measure(run: Run, folder: Path) -> dict[str, Any]:
    from pilotlight.function.model import Model

    made, model = run.export(), run.folder("layout") / "model"
    name = Model(model).inputs[0].name
    run.progress.say("timing the finished model")
    timing = run.time(model, {name: ("uint8", (1, made.height, made.width, 3))}, RUNS, run.progress)
    return {
        "timing": timing._asdict(),
        "lite": run.is_lite,
        "model": targets.TFLITE if run.is_lite else layout.FILE,
        "pixels": f"{made.width} x {made.height}",
    }


def _finish(run: Run, done: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    written = report.make(run.options, run.source, run.export(), run.gate, len(run.pictures), done)
    written["preprocess"] = run.options.preprocess
    return finish(written, run.folder("layout") / "model", run.work.folder, run.options.out, run.source.path)
