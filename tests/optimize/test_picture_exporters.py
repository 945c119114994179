"""Keras, SavedModel, TensorFlow Lite and PyTorch -> model folders, held against what each framework itself answers.

Makes the exporters' environments, three gigabytes, when they are not in the cache.
"""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from picture_models import photographs

from pilotlight.artifacts import Timing
from pilotlight.errors import SourceError
from pilotlight.function.image import ImageClassifier
from pilotlight.function.inputs import Image
from pilotlight.measure.model import Feed, time_model
from pilotlight.optimize import environment
from pilotlight.optimize.pictures import pipeline
from pilotlight.optimize.pictures.options import Options
from pilotlight.optimize.progress import Progress

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

MAKER = Path(__file__).parent / "make_picture_model.py"
NAMES = {
    "keras": "m.keras", "lambda": "m.keras", "savedmodel": "saved", "unsafe": "saved", "printing": "saved",
    "saving": "saved", "tflite": "m.tflite", "pt2": "m.pt2",
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    home = tmp_path_factory.mktemp("models")

    def make(kind: str) -> Path:
        path = home / kind / NAMES[kind]
        if not path.exists():
            path.parent.mkdir()
            python = environment.python("torch" if kind == "pt2" else "tensorflow", Progress())
            subprocess.run([python, "-I", MAKER, kind, path], check=True, capture_output=True)
        return path

    return make


def time(model: Path, feeds: Mapping[str, tuple[str, tuple[int, ...]]], runs: int, progress: Progress) -> Timing:
    return time_model(model, {name: Feed(*feed) for name, feed in feeds.items()}, 1)


@pytest.mark.parametrize(
    ("kind", "form", "preprocess"),
    [
        ("keras", "onnx", "inception"),
        ("keras", "tflite", "inception"),
        ("savedmodel", "onnx", "unit"),
        ("savedmodel", "tflite", "none"),
        ("tflite", "onnx", "inception"),
        ("pt2", "onnx", "torchvision"),
    ],
)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_source_becomes_a_folder(
    made: Callable[[str], Path], tmp_path: Path, kind: str, form: str, preprocess: str, precision: str
) -> None:
    photos = photographs(tmp_path / "photos", 4)
    asked: dict[str, Any] = {"samples": photos, "precision": precision, "agreement": 0.0, "loss": 100.0}
    options = Options(
        str(made(kind)), "image-classification", tmp_path / "m", **asked, preprocess=preprocess, format=form
    )
    report = pipeline.optimize(options, time, Progress())
    assert report["fidelity"]["fp32"]["relative"] < 1e-3  # to what the framework itself gives
    assert report["fidelity"]["final"]["difference"]["cosine"] > 0.98
    assert bool(report["precision"]["int8"]) is (precision == "int8")
    assert (report["source"]["kind"], report["model"]) == (kind, f"model.{form}")
    assert report["before"]["bytes"] > 10 * report["after"]["bytes"]
    classifier = ImageClassifier(tmp_path / "m")
    labels = classifier.classify(Image((photos / "red/0.png").read_bytes()), 3)
    assert {label.label for label in labels} == {"red", "green", "blue"}
    assert sum(label.score for label in labels) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("lambda", "it holds code, a Lambda layer, which is not run"),
        ("unsafe", "has the operator ReadFile"),
        ("printing", "has the operator PrintV2"),
        ("saving", "has the operator SaveV2"),
    ],
)
def test_a_source_that_would_run_code_is_refused(
    made: Callable[[str], Path], tmp_path: Path, kind: str, reason: str
) -> None:
    options = Options(
        str(made(kind)), "image-classification", tmp_path / "m", samples=photographs(tmp_path / "photos", 1)
    )
    with pytest.raises(SourceError, match=reason):
        pipeline.optimize(options, time, Progress())
    assert not (tmp_path / "m").exists()
