"""A source -> model.onnx in fp32 with what is known of it, and what the original answers and costs.

PyTorch runs in an environment of its own (`environment`), by the scripts of this folder; this process reads their JSON.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pilotlight.errors import ModelError, SourceError
from pilotlight.optimize import environment, worker
from pilotlight.optimize.exporters import onnx_source, tokenization
from pilotlight.optimize.progress import Progress
from pilotlight.optimize.source import Source
from pilotlight.optimize.tasks import Task

COLD_STARTS = 3
FRAMEWORKS = {"transformers": ["torch", "transformers"], "pt2": ["torch"], "onnx": ["onnxruntime"]}


@dataclass(frozen=True)
class Export:
    """What `export.json` says. 0, "" and empty stand for what the source does not tell."""

    task: str
    model_type: str = ""  # of transformers: "bert", "distilbert", "roberta", "gpt2", ...
    hidden_size: int = 0
    heads: int = 0
    layers: int = 0
    labels: tuple[str, ...] = ()
    tokenizer: Mapping[str, Any] = field(default_factory=dict)  # the block of model.json
    pooling: str = ""  # "mean" or "cls", of sentence-embedding
    normalize: bool = False
    generation: Mapping[str, Any] = field(default_factory=dict)  # the block of model.json, of text-generation
    parameters: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    license: str = ""


@dataclass(frozen=True)
class Reference:
    """The framework that the model came from, on this machine with its page cache warm. Medians.

    `cold_ms` is from the start of a process to its first answer: imports, the tokenizer, the weights, one forward
    pass. `disk_bytes` is the framework with all that it needs, and the weights.
    """

    cold_ms: float
    warm_ms: float
    disk_bytes: int


def export(source: Source, task: Task, out: Path, progress: Progress) -> Export:
    """Write model.onnx, the tokenizer's file and export.json to the empty folder `out`.

    Raises SourceError when the source does not fit the task or is not safe to load, ModelError when it is damaged.
    """
    exporters = {"transformers": _checkpoint, "pt2": _program, "onnx": _graph}
    done = exporters[source.kind](source, task, out, progress)
    (out / "export.json").write_text(json.dumps(asdict(done), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return done


def _checkpoint(source: Source, task: Task, out: Path, progress: Progress) -> Export:
    pooling = _pooling(source.path) if task.name == "sentence-embedding" else {}
    python = environment.python("torch", progress)
    progress.say(f"exporting {source.name} by PyTorch")
    job = {**_job("export", source, task), **pooling, "out": str(out)}
    facts = worker.run(python, job, progress)
    return _export(source, task, facts, out / "tokenizer.json", out)


def _program(source: Source, task: Task, out: Path, progress: Progress) -> Export:
    python = environment.python("torch", progress)
    with tempfile.TemporaryDirectory(dir=out) as folder:
        progress.say(f"exporting {source.name} by PyTorch")
        facts = worker.run(python, {**_job("export", source, task), "out": folder}, progress)
        onnx_source.normalise(Path(folder) / "model.onnx", task, out)
    return _export(source, task, _beside(source.path) | facts, source.path.parent / "tokenizer.json", out)


def _graph(source: Source, task: Task, out: Path, progress: Progress) -> Export:
    _, parameters = onnx_source.normalise(source.path, task, out)
    facts = {"parameters": parameters, "versions": {}, **_beside(source.path)}
    return _export(source, task, facts, source.path.parent / "tokenizer.json", out)


def _job(do: str, source: Source, task: Task) -> dict[str, Any]:
    return {"do": do, "kind": source.kind, "path": str(source.path), "task": task.name, "inputs": task.inputs}


def _beside(file: Path) -> dict[str, Any]:
    """What the config.json of transformers beside a graph says, where there is one."""
    config = tokenization.read_settings(file.parent / "config.json")
    labels = config.get("id2label") or {}
    eos = config.get("eos_token_id")
    return {
        "model_type": config.get("model_type", ""),
        "hidden_size": config.get("hidden_size") or config.get("dim") or config.get("n_embd") or 0,
        "heads": config.get("num_attention_heads") or config.get("n_heads") or config.get("n_head") or 0,
        "layers": config.get("num_hidden_layers") or config.get("n_layers") or config.get("n_layer") or 0,
        "labels": [labels[key] for key in sorted(labels, key=int)],
        "max_positions": config.get("max_position_embeddings") or config.get("n_positions"),
        "pad": config.get("pad_token_id"),
        "eos": eos if isinstance(eos, list) else [] if eos is None else [eos],
        "bos": config.get("bos_token_id"),
    }


def _export(source: Source, task: Task, facts: Mapping[str, Any], tokenizer: Path, out: Path) -> Export:
    settings = source.path if source.kind == "transformers" else source.path.parent
    positions = facts["max_positions"]
    there = tokenizer.is_file()
    pooling = _pooling(settings) if task.name == "sentence-embedding" else {}
    return Export(
        task.name,
        **{name: facts[name] for name in ("model_type", "hidden_size", "heads", "layers", "parameters", "versions")},
        labels=tuple(facts["labels"]) if task.name == "text-classification" else (),
        tokenizer=tokenization.describe(tokenizer, settings, positions, facts["pad"], out) if there else {},
        **pooling,
        generation=_generation(facts) if task.name == "text-generation" else {},
        license=source.license,
    )


def _generation(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "eos": facts["eos"],
        "bos": facts["bos"],
        "max_positions": facts["max_positions"],
        "layers": facts["layers"],
    }


def _pooling(folder: Path) -> dict[str, Any]:
    """How sentence-transformers makes one vector of many; where nothing is said, the normalised mean."""
    steps = _steps(folder)
    if not steps:
        return {"pooling": "mean", "normalize": True}
    unknown = [step for step in steps if step not in ("Transformer", "Pooling", "Normalize")]
    if unknown:
        raise SourceError(f"loading {folder}: its step {unknown[0]} is not known", "choose the task feature-extraction")
    settings = tokenization.read_settings(folder / "1_Pooling" / "config.json")
    kinds = [
        kind for kind, name in (("cls", "cls_token"), ("mean", "mean_tokens")) if settings.get(f"pooling_mode_{name}")
    ]
    others = [name for name, on in settings.items() if name.startswith("pooling_mode_") and on is True]
    if isinstance(mode := settings.get("pooling_mode"), str):
        kinds = others = [mode]
    if len(others) != 1 or kinds not in (["cls"], ["mean"]):
        raise SourceError(
            f"loading {folder}: its pooling is neither mean nor cls", "choose the task feature-extraction"
        )
    return {"pooling": kinds[0], "normalize": "Normalize" in steps}


def _steps(folder: Path) -> list[str]:
    """The last parts of the class names in modules.json."""
    file = folder / "modules.json"
    if not file.is_file():
        return []
    try:
        return [str(step["type"]).rpartition(".")[2] for step in json.loads(file.read_bytes())]
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"loading {file}: not a list of modules") from error


def reference(source: Source, task: Task, feeds: Path, out: Path, progress: Progress) -> Reference:
    """Answer the feeds of one .npz ("0.input_ids", ...) by the original model into another ("0.start_logits", ...).

    Of an ONNX file, ONNX Runtime with its default settings is the original. Raises as `export` does.
    """
    with tempfile.TemporaryDirectory(prefix="pilotlight-") as folder:
        python, job = _original(source, task, Path(folder), progress)
        job = {**job, "feeds": str(feeds)}
        progress.say(f"running the original of {source.name}")
        answer = {**job, "do": "answer", "out": str(out), "packages": FRAMEWORKS[source.kind]}
        done = worker.run(python, answer, progress)
        cold = cold_start(python, {**job, "do": "first"}, progress)
    return Reference(cold, done["warm_ms"], done["framework_bytes"] + sum(weight_files(source)))


def _original(source: Source, task: Task, folder: Path, progress: Progress) -> tuple[Path, dict[str, Any]]:
    job = _job("answer", source, task)
    match source.kind:
        case "onnx":
            onnx_source.normalise(source.path, task, folder)
            return Path(sys.executable), {**job, "path": str(folder / "model.onnx")}
        case "pt2":
            python = environment.python("torch", progress)
            facts = worker.run(python, {**_job("export", source, task), "out": str(folder)}, progress)
            names, _ = onnx_source.normalise(folder / "model.onnx", task, folder)
            return python, {
                **job,
                **{key: [names.get(name, "") for name in facts[key]] for key in ("inputs", "outputs")},
            }
        case "transformers":
            pooling = _pooling(source.path) if task.name == "sentence-embedding" else {}
            return environment.python("torch", progress), {**job, **pooling}
        case _:
            raise SourceError(f"{source.path}: a {source.kind} model reads pictures", "--task image-classification")


def cold_start(python: Path, job: Mapping[str, Any], progress: Progress) -> float:
    """The median of some processes that do `job`, in milliseconds from their start to when its result says `at`."""

    def once() -> float:
        start = time.monotonic()
        return (float(worker.run(python, job, progress)["at"]) - start) * 1000

    starts = progress.each("cold starts of the original", range(COLD_STARTS))
    return statistics.median(once() for _ in starts)


def weight_files(source: Source) -> Iterable[int]:
    """The bytes of each file that holds weights."""
    if source.kind == "pt2":
        return [source.path.stat().st_size]
    if source.kind == "onnx":
        stems = (f"{source.path.name}.", f"{source.path.name}_")
        files = (path for path in source.path.parent.iterdir() if path == source.path or path.name.startswith(stems))
        return [path.stat().st_size for path in files]
    kind = "*.safetensors" if any(source.path.glob("*.safetensors")) else "pytorch_model*.bin"
    return [path.stat().st_size for path in source.path.glob(kind)]
