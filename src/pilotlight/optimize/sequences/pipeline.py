"""A Marian checkpoint -> a model folder that translates as `generate` of transformers does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pilotlight
from pilotlight.errors import FidelityError, SourceError
from pilotlight.function import unigram
from pilotlight.optimize import environment, fidelity, graph, outputs, report, samples, state, worker
from pilotlight.optimize import place as places
from pilotlight.optimize.exporters import Reference, cold_start, weight_files
from pilotlight.optimize.pipeline import RUNS, Options, check, finish, libraries, partial, plan, writing
from pilotlight.optimize.sequences import export, ladder, pieces, timing
from pilotlight.optimize.sequences import folder as model_folder
from pilotlight.optimize.sequences.export import Export
from pilotlight.optimize.source import Source, resolve
from pilotlight.optimize.tools import needed

if TYPE_CHECKING:
    from pilotlight.optimize.pipeline import Time
    from pilotlight.optimize.progress import Progress
    from pilotlight.optimize.samples import Sample
    from pilotlight.optimize.sequences.graphs import Network

__all__ = ["Options", "check", "optimize", "partial", "plan"]

CHOSEN = "chosen.json"
FOREIGN = 0.2
"""The share of a bundled sample's pieces that may be unknown: the others are of a language that the model reads."""


@dataclass(frozen=True)
class Run:
    """One run of the pipeline: what its steps share."""

    options: Options
    source: Source
    samples: tuple[Sample, ...]
    work: state.Work
    progress: Progress

    @property
    def gate(self) -> fidelity.Gate:
        return fidelity.gate(self.options.task, self.options.agreement, self.options.loss)

    def folder(self, step: str) -> Path:
        return self.work.folder / step

    def export(self) -> Export:
        return export.read(self.folder("export"))

    def network(self, int8: Sequence[str] = ()) -> Network:
        return export.network(self.folder("export"), int8)

    def read(self) -> tuple[Sample, ...]:
        """The samples that the model can read: of the bundled ones, those of its language."""
        if self.options.samples:
            return self.samples
        loaded = unigram.load(str(self.folder("export")), self.export().settings["tokenizer"])

        def share(sample: Sample) -> float:
            numbers = loaded.encode(sample.texts[0])
            return numbers.count(loaded.unknown) / max(len(numbers), 1)

        known = tuple(sample for sample in self.samples if share(sample) <= FOREIGN)
        return known or self.samples

    def rows(self) -> list[list[int]]:
        """The samples as token numbers."""
        tokenizer = self.export().settings["tokenizer"]
        loaded = unigram.load(str(self.folder("export")), tokenizer)
        most = tokenizer["max_length"] - 1
        return [[*loaded.encode(sample.texts[0])[:most], tokenizer["end"]] for sample in self.read()]

    def beams(self) -> list[int]:
        """Those that are compared: greedy, and as many as the model asks for."""
        return [1, max(2, self.export().settings["generation"]["beams"])]

    def write(self, network: Network, out: Path) -> None:
        model_folder.write(network, self.export().settings, self.folder("export") / pieces.FILE, out)

    def stage(self, folder: Path, what: str) -> fidelity.Stage:
        """What the model in `folder` gives for the samples, one after another: embeddings and translations."""
        from pilotlight.function.translate import Translator

        np, translator = needed("numpy"), Translator(folder)
        embeddings, texts = [], []
        for sample in self.progress.each(f"translations of {what}", self.read()):
            embeddings.append({"embedding": np.array(translator.embed(sample.texts)[0])})
            texts.append(translator.translate(sample.texts, beam=self.beams()[-1])[0].text)
        return fidelity.Stage(embeddings, tuple(texts))


def optimize(options: Options, time: Time, progress: Progress) -> dict[str, Any]:
    """Make the model folder `options.out`; give its report. Else as `optimize.pipeline.optimize`."""
    check(options)
    for library in ("numpy", "onnx", "onnxruntime"):
        needed(library)
    found = samples.read(options.samples, options.task)
    progress.say(f"reading {options.source}")
    source = resolve(options.source, progress)
    if source.kind != "transformers":
        raise SourceError(f"{source.path}: {options.task} takes a checkpoint of transformers", "give its folder")
    with places.held(places.resolve(options.out)) as folder, writing(folder):
        check(options)  # again, by what is there now that no other run writes it
        key = f"{pilotlight.__version__} {options.task} {state.digest_of(source.path)} {libraries()}"
        run = Run(options, source, found, state.Work(folder, key, options.fresh), progress)
        return _finish(run, _steps(run))


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


def _job(run: Run, do: str, **more: Any) -> dict[str, Any]:
    return {"do": do, "path": str(run.source.path), **more}


def _export(run: Run, folder: Path) -> dict[str, Any]:
    export.write(run.source, run.options.task, folder, run.progress)
    return {"bytes": report.size(folder)}


def _reference(run: Run, folder: Path) -> dict[str, Any]:
    """What the original generates for the samples, in a file that the next step reads, and what it takes."""
    rows, progress = run.rows(), run.progress
    middle = sorted(rows, key=len)[len(rows) // 2]
    python = environment.python("torch", progress)
    progress.say(f"running the original of {run.source.name}")
    asked = _job(run, "sequence_answers", rows=rows, beams=run.beams())
    found = worker.run(python, asked, progress)
    (folder / "answers.json").write_text(json.dumps(found), encoding="utf-8")
    first = _job(run, "sequence_first", rows=[middle], beams=run.beams())
    cold = cold_start(python, first, progress)
    size = found["framework_bytes"] + sum(weight_files(run.source))
    return asdict(Reference(cold, found["warm_ms"], size))


def _graph(run: Run, folder: Path) -> dict[str, Any]:
    """The graphs in fp32 say what the original says, token for token."""
    from pilotlight.function.seq2seq import Seq2Seq

    np = needed("numpy")
    run.write(run.network(), folder / "fp32")
    said = json.loads((run.folder("reference") / "answers.json").read_text(encoding="utf-8"))
    model, rows = Seq2Seq(folder / "fp32", run.options.task), run.rows()
    original = [{"embedding": np.array(each, np.float32)} for each in said["embeddings"]]
    ours = [{"embedding": np.array(model.encode([row], ["embedding"])["embedding"])[0]} for row in rows]
    difference = fidelity.check_same(original, ours, "the graphs", run.read())
    equal = {}
    for beams in run.beams():
        progress = run.progress.each(f"the graphs, {beams} beams", rows)
        given = [model.generate([row], beams)[0].tokens for row in progress]
        same = [one == other for one, other in zip(given, said["tokens"][str(beams)], strict=True)]
        equal[str(beams)] = sum(same)
        _check_equal(same, beams, run.read())
    return {"note": "", "difference": asdict(difference), "equal": equal, "of": len(rows)}


def _check_equal(same: Sequence[bool], beams: int, read: Sequence[Sample]) -> None:
    """A sample may part where two ways are as probable as each other within rounding; several never do."""
    wrong = [number for number, each in enumerate(same) if not each]
    if len(wrong) > max(1, len(same) // 10):
        raise FidelityError(
            f"checking the graphs: with {beams} beams {len(wrong)} of {len(same)} samples are not what the original "
            f'says, the first is "{read[wrong[0]].title}"',
            "the export is wrong for this model: nothing was written; please report the model's architecture",
        )


def _int8(run: Run, folder: Path) -> dict[str, Any]:
    """Which layers can be in int8; the model itself is made of that by the next step."""
    before = run.stage(run.folder("graph") / "fp32", "fp32")

    def judge(int8: Sequence[str]) -> str:
        made = folder / "tried"
        shutil.rmtree(made, ignore_errors=True)
        run.write(run.network(int8), made)
        compared = fidelity.compare(before, run.stage(made, "int8"), run.options.task, run.read())
        return run.gate.reason(compared, run.read())

    parts = ladder.parts(run.network())
    chosen = ladder.choose(parts, judge, run.options.precision, run.progress)
    for left in folder.iterdir():
        shutil.rmtree(left)
    kept = {part.node for part in chosen}
    (folder / CHOSEN).write_text(json.dumps(sorted(kept)), encoding="utf-8")
    return {
        "int8": [asdict(part) for part in parts if part.node in kept],
        "fp32": [asdict(part) for part in parts if part.node not in kept],
    }


def _layout(run: Run, folder: Path) -> dict[str, Any]:
    """The model folder itself, compared once more as it is."""
    chosen = json.loads((run.folder("int8") / CHOSEN).read_text(encoding="utf-8"))
    run.write(run.network(chosen), folder / "model")
    before = run.stage(run.folder("graph") / "fp32", "fp32")
    after = run.stage(folder / "model", "the finished model")
    compared = fidelity.compare(before, after, run.options.task, run.read())
    if reason := run.gate.reason(compared, run.read()):
        raise FidelityError(f"comparing the model as it is written: {reason}")
    read = [graph.read(folder / "model" / name) for name in (model_folder.ENCODER, model_folder.DECODER)]
    operators = [graph.operators(each) for each in read]
    original = json.loads((run.folder("reference") / "answers.json").read_text(encoding="utf-8"))["embeddings"]
    stated = [{"embedding": needed("numpy").array(each)} for each in original]
    return {
        "fp32": asdict(outputs.difference(stated, before.outputs)),
        "final": {**asdict(compared), "title": run.read()[compared.differing].title},
        "operators": {name: sum(each.get(name, 0) for each in operators) for each in operators for name in each},
    }


def _measure(run: Run, folder: Path) -> dict[str, Any]:
    text = sorted(run.read(), key=lambda sample: len(sample.texts[0]))[len(run.read()) // 2].texts[0]
    run.progress.say("timing the finished model")
    model = run.folder("layout") / "model"
    measured = timing.time(model, text, run.beams()[-1], RUNS, run.progress)
    return {"timing": measured._asdict(), "tokens": len(sorted(run.rows(), key=len)[len(run.rows()) // 2])}


def _finish(run: Run, done: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    written = report.make(run.options, run.source, run.export(), run.gate, len(run.read()), done)
    equal = {name: done["graph"][name] for name in ("equal", "of")}
    written["fidelity"]["tokens"] = equal
    return finish(written, run.folder("layout") / "model", run.work.folder, run.options.out, run.source.path)
