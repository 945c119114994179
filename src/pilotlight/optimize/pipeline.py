"""A source -> a model folder that starts cold fast and answers as the original does, or an error and nothing."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pilotlight
from pilotlight.artifacts import Timing
from pilotlight.errors import FidelityError, OptimizeError, UsageError
from pilotlight.optimize import (
    calibration,
    card,
    environment,
    fidelity,
    graph,
    layout,
    outputs,
    place,
    quantize,
    report,
    samples,
    search,
    state,
    tasks,
)
from pilotlight.optimize.exporters import Export, Reference, export, reference
from pilotlight.optimize.progress import Progress
from pilotlight.optimize.source import HUB, Source, resolve
from pilotlight.optimize.tools import needed

if TYPE_CHECKING:
    from pilotlight.optimize.outputs import Feeds
    from pilotlight.optimize.samples import Sample

    Time = Callable[[Path, Mapping[str, tuple[str, tuple[int, ...]]], int, Progress], Timing]
    """Model folder, dtype and shape of each input, number of fresh processes, who is told of them -> what it takes."""

RUNS = 5
"""Fresh processes that the finished model is timed in."""


@dataclass(frozen=True)
class Options:
    """What the command line asks for. `agreement` and `loss` are the gate's; None is the task's own."""

    source: str
    task: str
    out: Path
    samples: Path | None = None
    precision: str = "auto"
    prefer: str = "cold"
    agreement: float | None = None
    loss: float = 0.5
    force: bool = False
    fresh: bool = False
    command: str = ""


@dataclass(frozen=True)
class Run:
    """One run of the pipeline: what its steps share."""

    options: Options
    source: Source
    samples: tuple[Sample, ...]
    work: state.Work
    time: Time
    progress: Progress

    @property
    def gate(self) -> fidelity.Gate:
        return fidelity.gate(self.options.task, self.options.agreement, self.options.loss)

    def folder(self, step: str) -> Path:
        return self.work.folder / step

    def export(self) -> Export:
        """What the finished step `export` wrote."""
        return Export(**json.loads((self.folder("export") / "export.json").read_text(encoding="utf-8")))

    def feeds(self) -> tuple[Feeds, ...]:
        return samples.feeds(self.samples, self.folder("export"), self.export().tokenizer)

    def stage(self, folder: Path, feeds: Sequence[Feeds], what: str) -> fidelity.Stage:
        """What the model in `folder` gives for the samples; `what` it is called while that goes on."""
        asked = self.progress.each(f"answers of {what}", self.samples)
        fed = self.progress.each(f"outputs of {what}", feeds)
        return fidelity.stage(folder, self.options.task, asked, fed)


def partial(out: Path) -> Path:
    """The work folder beside what `out` means."""
    return place.partial(place.resolve(out))


def check(options: Options) -> None:
    """Raises UsageError when the task is unknown, a threshold is no number, or `out` is not free to be written."""
    tasks.find(options.task)
    for name, value in (("--min-agreement", options.agreement), ("--max-loss", options.loss)):
        if value is not None and not math.isfinite(value):
            raise UsageError(f"{name} {value}: not a number to compare with", "as in --min-agreement 0.95")
    inputs = [options.samples] if options.samples else []
    if not options.source.startswith(HUB):
        inputs.append(Path(options.source).expanduser())
    place.check(options.out, options.force, inputs)


def plan(options: Options) -> dict[str, Any]:
    """What `optimize` would do; nothing is fetched, made or written. Raises as `check` does."""
    check(options)
    found = samples.read(options.samples, options.task)
    needs = environment.read("torch")
    hub = options.source.startswith(HUB)
    source = None if hub else resolve(options.source)
    wanted = hub or (source is not None and source.kind != "onnx")
    there = (environment.home() / "exporters" / needs.key).is_dir()
    size = f"an environment with PyTorch: {needs.download_mb} MB to download, {needs.installed_mb} MB installed"
    return {
        "source": options.source if source is None else f"{source.path} ({source.kind})",
        "task": options.task,
        "samples": f"{len(found)}, {'bundled' if options.samples is None else options.samples}",
        "environment": size if wanted and not there else "",
        "finished": [] if options.fresh else state.finished(partial(options.out)),
        "out": str(options.out),
        "replaces": options.out.is_dir() and any(options.out.iterdir()),
    }


def optimize(options: Options, time: Time, progress: Progress) -> dict[str, Any]:
    """Make the model folder `options.out`; give its report.

    A run that was broken off goes on after its last finished step. Raises UsageError, SourceError, ModelError,
    OptimizeError, and FidelityError when the gate is not passed; `out` is then as it was.
    """
    check(options)
    for library in ("numpy", "onnx", "onnxruntime", "sympy"):
        needed(library)
    found = samples.read(options.samples, options.task)
    progress.say(f"reading {options.source}")
    source = resolve(options.source, progress)
    with place.held(place.resolve(options.out)) as folder, writing(folder):
        check(options)  # again, by what is there now that no other run writes it
        key = f"{pilotlight.__version__} {options.task} {state.digest_of(source.path)} {libraries()}"
        run = Run(options, source, found, state.Work(folder, key, options.fresh), time, progress)
        return _finish(run, _steps(run))


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """What the system refuses, such as space on a full disk, as an error that says where and how to go on."""
    try:
        yield
    except BrokenPipeError:  # who reads what is said has gone
        raise
    except OSError as error:
        raise OptimizeError(
            f"working in {folder}: {error.strerror or error}", "what is done is kept there: the same command goes on"
        ) from error


def _steps(run: Run) -> state.Results:
    texts = [[*sample.texts, *sample.right] for sample in run.samples]
    does: Mapping[str, tuple[object, state.Step[Run]]] = {
        "export": (None, _export),
        "reference": (texts, _reference),
        "graph": (None, _graph),
        "int8": ([run.options.precision, asdict(run.gate)], _int8),
        "layout": (run.options.prefer, _layout),
        "measure": (None, _measure),
    }
    return run.work.steps(run, does, run.progress)


def _export(run: Run, folder: Path) -> dict[str, Any]:
    export(run.source, tasks.find(run.options.task), folder, run.progress)
    return {"bytes": report.size(folder)}


def _reference(run: Run, folder: Path) -> dict[str, Any]:
    """The original's outputs for the samples, in files that later steps read, and what it takes."""
    samples.check_labels(run.samples, layout.labels(run.export(), run.folder("export") / "model.onnx"))
    feeds = run.feeds()
    order = _middle_first(feeds)
    outputs.save(folder / "feeds.npz", [feeds[number] for number in order])
    task = tasks.find(run.options.task)
    found: Reference = reference(run.source, task, folder / "feeds.npz", folder / "answers.npz", run.progress)
    answers = outputs.load(folder / "answers.npz")
    outputs.save(folder / "outputs.npz", [answers[order.index(number)] for number in range(len(feeds))])
    return asdict(found)


def _graph(run: Run, folder: Path) -> dict[str, Any]:
    """The fused graph, or the one that was exported where fusing fails or changes what it gives."""
    made, feeds, each = run.export(), run.feeds(), run.progress.each
    plain = run.folder("export") / "model.onnx"
    original = outputs.load(run.folder("reference") / "outputs.npz")
    exported = outputs.run(plain, each("outputs of the exported graph", feeds), list(original[0]))
    difference = fidelity.check_same(original, exported, "the exported graph", run.samples)
    model, note = _fused(run, plain, made, feeds)
    needed("onnx").save(model, str(folder / "fused.onnx"))
    layout.folder(model, made, run.folder("export"), folder / "fp32", "cold")
    again = outputs.run(folder / "fp32", each("outputs of the optimised graph", feeds), list(original[0]))
    fidelity.check_same(original, again, "the optimised graph", run.samples)
    written = graph.read(folder / "fp32" / layout.FILE)
    return {"export": asdict(difference), "note": note, "operators": graph.operators(written)}


def _fused(run: Run, plain: Path, made: Export, feeds: Sequence[Feeds]) -> tuple[Any, str]:
    """The fused model and "", or the plain one and why."""
    if plain.stat().st_size > graph.LIMIT or plain.with_name(layout.DATA).exists():
        raise OptimizeError("optimising the graph: it has more than 2 GB, which is more than is read here")
    try:
        model = graph.fuse(plain, made.heads, made.hidden_size)
    except Exception as error:  # a library that recognises patterns; what it does not know it may trip over
        return graph.read(plain), f"not fused: {type(error).__name__}: {error}"
    masked = [samples.with_gaps(feed) for feed in feeds[:2] if tasks.MASK in feed]
    tried = [*feeds, *masked]
    path = plain.with_name("fused.onnx")
    needed("onnx").save(model, str(path))
    try:
        before = outputs.run(plain, run.progress.each("outputs of the plain graph", tried))
        after = outputs.run(path, run.progress.each("outputs of the fused graph", tried))
        difference = outputs.difference(before, after)
    finally:
        path.unlink()
    if not difference.relative <= fidelity.SAME:
        return graph.read(plain), f"not fused: the outputs would differ by {difference.largest:.3g}"
    return model, "" if graph.has_fused(model) else "nothing was found to fuse"


def _int8(run: Run, folder: Path) -> dict[str, Any]:
    made, feeds, task = run.export(), run.feeds(), run.options.task
    before = run.stage(run.folder("graph") / "fp32", feeds, "fp32")

    def judge(model: Any) -> str:
        shutil.rmtree(folder / "tried", ignore_errors=True)
        layout.folder(model, made, run.folder("export"), folder / "tried", "cold")
        after = run.stage(folder / "tried", feeds, "int8")
        return run.gate.reason(fidelity.compare(before, after, task, run.samples), run.samples)

    fused = graph.read(run.folder("graph") / "fused.onnx")
    shown = calibration.feeds(feeds, fused, made.tokenizer["max_length"])
    peaks = quantize.peaks(fused, run.progress.each("calibration", shown))
    choice = search.choose(fused, feeds, peaks, judge, run.options.precision, run.progress)
    shutil.rmtree(folder / "tried", ignore_errors=True)
    needed("onnx").save(choice.model, str(folder / "model.onnx"))
    return {"int8": [asdict(part) for part in choice.int8], "fp32": [asdict(part) for part in choice.fp32]}


def _layout(run: Run, folder: Path) -> dict[str, Any]:
    """The model folder itself, compared once more as it is."""
    made, feeds, task = run.export(), run.feeds(), run.options.task
    model = graph.read(run.folder("int8") / "model.onnx")
    layout.folder(model, made, run.folder("export"), folder / "model", run.options.prefer)
    before = run.stage(run.folder("graph") / "fp32", feeds, "fp32")
    after = run.stage(folder / "model", feeds, "the finished model")
    compared = fidelity.compare(before, after, task, run.samples)
    if reason := run.gate.reason(compared, run.samples):
        raise FidelityError(f"comparing the model as it is written: {reason}", "--prefer cold writes it otherwise")
    original = outputs.load(run.folder("reference") / "outputs.npz")
    fp32 = fidelity.Stage(before.outputs)
    return {
        "fp32": asdict(outputs.difference(original, [_same(one, original[0]) for one in fp32.outputs])),
        "final": {**asdict(compared), "title": run.samples[compared.differing].title},
        "operators": graph.operators(graph.read(folder / "model" / layout.FILE)),
    }


def _same(given: outputs.Outputs, like: outputs.Outputs) -> outputs.Outputs:
    return {name: given[name] for name in like}


def _measure(run: Run, folder: Path) -> dict[str, Any]:
    feeds = run.feeds()
    feed = feeds[_middle_first(feeds)[0]]
    shapes = {name: (str(array.dtype), tuple(array.shape)) for name, array in feed.items()}
    run.progress.say("timing the finished model")
    timing = run.time(run.folder("layout") / "model", shapes, RUNS, run.progress)
    return {"timing": timing._asdict(), "tokens": feed[tasks.IDS].shape[1]}


def _middle_first(feeds: Sequence[Feeds]) -> list[int]:
    """The order of the feeds in which the one of median length, which is timed, is the first."""
    by_length = sorted(range(len(feeds)), key=lambda number: feeds[number][tasks.IDS].shape[1])
    middle = by_length[len(by_length) // 2]
    return [middle, *(number for number in range(len(feeds)) if number != middle)]


def _finish(run: Run, done: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    written = report.make(run.options, run.source, run.export(), run.gate, len(run.samples), done)
    return finish(written, run.folder("layout") / "model", run.work.folder, run.options.out, run.source.path)


def finish(written: Mapping[str, Any], made: Path, work: Path, given: Path, source: Path) -> dict[str, Any]:
    """Report and card beside the model `made`, and the whole into its place `given`."""
    model, out = place.copy(made, work), place.resolve(given)
    text = json.dumps(written, indent=2, ensure_ascii=False, allow_nan=False)
    (model / "report.json").write_text(f"{text}\n", encoding="utf-8")
    own = source / "README.md" if source.is_dir() else source.with_name("README.md")
    (model / "README.md").write_text(card.write(written, own), encoding="utf-8")
    place.replace(model, out)
    shutil.rmtree(work, ignore_errors=True)
    return {**written, "out": str(given), "files": report.files(out)}


def libraries() -> str:
    return " ".join(f"{name} {needed(name).__version__}" for name in ("numpy", "onnx", "onnxruntime"))
