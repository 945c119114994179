"""A Marian checkpoint -> its weights, the file of its pieces, and what is known of it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilotlight.errors import SourceError
from pilotlight.optimize import environment, tasks, worker
from pilotlight.optimize.exporters import tokenization
from pilotlight.optimize.sequences import graphs, pieces
from pilotlight.optimize.tools import needed

if TYPE_CHECKING:
    from pilotlight.optimize.progress import Progress
    from pilotlight.optimize.sequences.graphs import Network
    from pilotlight.optimize.source import Source

FILE, WEIGHTS = "export.json", "weights.npz"


@dataclass(frozen=True)
class Export:
    """What `export.json` says."""

    network: Mapping[str, Any]
    settings: Mapping[str, Any]  # of model.json
    parameters: int
    versions: Mapping[str, str]
    license: str


def write(source: Source, task: str, folder: Path, progress: Progress) -> Export:
    """Fill the empty folder. Raises SourceError when the source does not fit the task, ModelError when damaged."""
    if misfit := tasks.misfit(task, str(tokenization.read_settings(source.path / "config.json").get("model_type", ""))):
        raise SourceError(f"loading {source.path}: {misfit}", "the models Helsinki-NLP/opus-mt-* are such")
    model = pieces.read(source.path / "source.spm")
    given, said = pieces.vocabularies(source.path)
    python = environment.python("torch", progress)
    progress.say(f"reading the weights of {source.name} by PyTorch")
    job = {"do": "sequence_export", "path": str(source.path), "out": str(folder)}
    facts = worker.run(python, job, progress)
    generation = facts["generation"]
    end = given.get("</s>", generation["ends"][0])
    tokenizer = {
        **pieces.write(model, given, said, folder),
        "max_length": tokenization.limit(source.path, facts["positions"]),
        "end": end,
        "special": sorted({end, generation["pad"], *generation["ends"], said.get("<unk>", end)}),
    }
    settings = {"task": task, "tokenizer": tokenizer, "generation": generation}
    made = Export(facts["network"], settings, facts["parameters"], facts["versions"], source.license)
    (folder / FILE).write_text(json.dumps(asdict(made), ensure_ascii=False, indent=2), encoding="utf-8")
    return made


def read(folder: Path) -> Export:
    """What `write` wrote."""
    return Export(**json.loads((folder / FILE).read_text(encoding="utf-8")))


def network(folder: Path, int8: Collection[str] = ()) -> Network:
    """The network, those layers in int8."""
    with needed("numpy").load(folder / WEIGHTS, allow_pickle=False) as file:
        weights = {name: file[name] for name in file.files}
    return graphs.check(graphs.Network(weights, **read(folder).network, int8=frozenset(int8)))
