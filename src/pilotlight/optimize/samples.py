"""The samples that fidelity is measured on: given as JSON lines, or the few that come with Pilotlight for each task."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilotlight.errors import OptimizeError, UsageError
from pilotlight.function import tokenizer
from pilotlight.function.model import Model
from pilotlight.optimize.tasks import IDS, MASK, PAST, POSITIONS, TYPES
from pilotlight.optimize.tools import needed

if TYPE_CHECKING:
    from pilotlight.function.session import TensorInfo
    from pilotlight.optimize.outputs import Feeds

BUNDLED = Path(__file__).parent / "samples"
FIELDS = {
    "question-answering": ("question", "context"),
    "text-classification": ("text",),
    "sentence-embedding": ("text",),
    "feature-extraction": ("text",),
    "text-generation": ("prompt",),
    "translation": ("text",),
}
LONGEST = 384
"""Tokens of a sample at most, where the model does not take fewer: what does not fit is cut off."""


@dataclass(frozen=True)
class Sample:
    """Texts in the order of `FIELDS`, and what is right: answers, or one label; empty where that is not known."""

    texts: tuple[str, ...]
    right: tuple[str, ...] = ()
    place: str = field(default="", compare=False)
    """The file and the line that it is from."""

    @property
    def title(self) -> str:
        """The first text, short enough for a message."""
        return self.texts[0] if len(self.texts[0]) <= 60 else f"{self.texts[0][:57]}..."


def read(file: Path | None, task: str) -> tuple[Sample, ...]:
    """The samples in `file`, one JSON object a line, or the bundled ones. UsageError names the line that is wrong."""
    bundled = "sentences" if task in ("sentence-embedding", "feature-extraction") else task
    path = file or BUNDLED / f"{bundled}.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # JSON may hold other line breaks
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"reading the samples in {path}: {error}", "--samples takes a file of JSON lines") from None
    found = tuple(_sample(line, f"{path}, line {number}", task) for number, line in enumerate(lines, 1) if line.strip())
    if not found:
        raise UsageError(f"reading the samples in {path}: there are none", f"a line is {_example(task)}")
    return found


def _sample(line: str, place: str, task: str) -> Sample:
    try:
        given = json.loads(line)
    except ValueError as error:
        raise UsageError(f"reading the samples in {place}: not JSON: {error}", f"a line is {_example(task)}") from None
    names = FIELDS[task]
    values = [given.get(name) for name in names] if isinstance(given, dict) else []
    texts = tuple(value for value in values if isinstance(value, str) and value.strip())
    if len(texts) < len(names):
        raise UsageError(
            f"reading the samples in {place}: {' and '.join(names)} as text", f"a line is {_example(task)}"
        )
    right = given.get("answers", [given["label"]] if "label" in given else [])
    if not isinstance(right, list) or not all(isinstance(each, str) for each in right):
        raise UsageError(f"reading the samples in {place}: what is right is text", f"a line is {_example(task)}")
    return Sample(texts, tuple(right), place)


def check_labels(samples: Sequence[Sample], labels: Sequence[str]) -> None:
    """UsageError when a sample's label is none of the classifier's; without `labels` there is nothing to check."""
    for sample in samples if labels else ():
        if unknown := [label for label in sample.right if label not in labels]:
            raise UsageError(
                f"reading the samples in {sample.place}: the model has no label {unknown[0]!r}",
                f"its labels are {', '.join(labels)}",
            )


def _example(task: str) -> str:
    line: dict[str, object] = dict.fromkeys(FIELDS[task], "...")
    match task:
        case "question-answering":
            line["answers"] = ["..."]
        case "text-classification":
            line["label"] = "..."
    return json.dumps(line)


def feeds(samples: Sequence[Sample], folder: Path, settings: Mapping[str, Any]) -> tuple[Feeds, ...]:
    """What the model in `folder` takes for each sample, a batch of one; `settings` is the tokenizer's block."""
    if not settings:
        raise OptimizeError("reading the samples: the source has no tokenizer.json", "put one beside the model file")
    np, loaded = needed("numpy"), tokenizer.load(str(folder), settings)
    inputs = Model(folder / "model.onnx").inputs
    rows = []
    for sample in samples:
        ids, types = _row([loaded.encode(text).ids for text in sample.texts], settings)
        columns = {IDS: ids, MASK: [1] * len(ids), TYPES: types, POSITIONS: list(range(len(ids)))}
        known = {name: np.array([column], np.int64) for name, column in columns.items()}
        rows.append({info.name: known[info.name] if info.name in known else _past(info) for info in inputs})
    return tuple(rows)


def with_gaps(feed: Feeds) -> Feeds:
    """The same with the first and every fifth token after it masked: any mask has to be honoured."""
    mask = feed[MASK].copy()
    mask[:, ::5] = 0
    return {**feed, MASK: mask}


def _row(texts: Sequence[Sequence[int]], settings: Mapping[str, Any]) -> tuple[list[int], list[int]]:
    """Ids with the special tokens, the last text cut to what fits, and the type of each token."""
    around = settings["single"] if len(texts) == 1 else settings["pair"]
    longest = min(settings["max_length"], LONGEST)
    room = longest - sum(map(len, around)) - sum(map(len, texts[:-1]))
    parts = [*texts[:-1], texts[-1][: max(room, 1)]]
    if len(parts) == 1:
        ids = [*around[0], *parts[0], *around[1]]
        return ids, [settings["pair_types"][0]] * len(ids)
    first = [*around[0], *parts[0], *around[1]]
    second = [*parts[1], *around[2]]
    return first + second, [settings["pair_types"][0]] * len(first) + [settings["pair_types"][1]] * len(second)


def _past(info: TensorInfo) -> Any:
    """Keys or values of no token yet, [1, heads, 0, width]."""
    if not info.name.startswith(PAST) or len(info.shape) != 4:
        raise OptimizeError(f"reading the samples: the model takes {info.name!r}, which no task here gives")
    heads, width = info.shape[1], info.shape[3]
    return needed("numpy").zeros((1, heads, 0, width), "float32")
