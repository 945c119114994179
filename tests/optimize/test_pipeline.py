"""Checkpoints of transformers -> model folders that Pilotlight's own tasks read.

Makes the exporter's environment, a gigabyte, when it is not in the cache.
"""

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from told import Told

from pilotlight.artifacts import Timing
from pilotlight.function.text import Classifier, Embedder, Generator, Reader
from pilotlight.measure.model import Feed, time_model
from pilotlight.optimize import environment, pipeline
from pilotlight.optimize.pipeline import Options
from pilotlight.optimize.progress import Progress

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

MAKER = Path(__file__).parent / "make_checkpoint.py"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    home = tmp_path_factory.mktemp("checkpoints")

    def make(kind: str) -> Path:
        python = environment.python("torch", Progress())
        subprocess.run([python, "-I", MAKER, kind, home / kind], check=True, capture_output=True)
        return home / kind

    return make


def time(model: Path, feeds: Mapping[str, tuple[str, tuple[int, ...]]], runs: int, progress: Progress) -> Timing:
    return time_model(model, {name: Feed(*feed) for name, feed in feeds.items()}, runs)


def answer(folder: Path, task: str) -> object:
    match task:
        case "question-answering":
            return Reader(folder).answer("where is it ?", "the tower stands in paris.").answer
        case "text-classification":
            return Classifier(folder).classify("the tower").label
        case "sentence-embedding":
            return len(Embedder(folder).embed("the tower"))
        case _:
            return len("".join(Generator(folder).stream("the", max_length=12))) >= 0


@pytest.mark.parametrize(
    ("kind", "task", "expected"),
    [
        ("bert-qa", "question-answering", str),
        ("roberta", "question-answering", str),
        ("distilbert-classes", "text-classification", str),
        ("bert", "sentence-embedding", int),
        ("gpt2", "text-generation", bool),
        ("llama", "text-generation", bool),
    ],
)
def test_a_checkpoint_becomes_a_model_folder(
    checkpoint: Callable[[str], Path], tmp_path: Path, kind: str, task: str, expected: type
) -> None:
    told = Told()
    options = Options(str(checkpoint(kind)), task, tmp_path / "made", agreement=0.0, loss=100.0)
    report = pipeline.optimize(options, time, told)
    assert report["fidelity"]["fp32"]["relative"] < 1e-3
    assert ("answers of the original", 19, 20) in told.counts
    assert report["source"]["kind"] == "transformers"
    assert report["before"]["bytes"] > 10 * report["after"]["bytes"]
    assert isinstance(answer(tmp_path / "made", task), expected)
    assert json.loads((tmp_path / "made/model.json").read_text())["task"] == task
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
