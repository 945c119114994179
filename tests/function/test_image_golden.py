"""Pixels are those of the trainers: what Keras and torchvision made of two pictures, recorded by tests/golden."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import model_folders
import numpy as np
import pytest
from onnx import TensorProto, helper

from pilotlight.function.inputs import Image
from pilotlight.function.model import Model
from small_pictures import written

GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.append(str(GOLDEN))
from record_preprocessing import MEAN, SAMPLES, SIZES, STD, picture  # noqa: E402

RECORDED = json.loads((GOLDEN / "preprocessing.json").read_text(encoding="utf-8"))
WAYS: dict[str, dict[str, Any]] = {
    "keras 299": {"width": 299, "height": 299, "resample": "nearest"},
    "keras 150": {"width": 150, "height": 150, "resample": "nearest"},
    "torchvision 224": {"width": 224, "height": 224, "resample": "bilinear", "fit": "crop", "resize": 256},
}
every_way = pytest.mark.parametrize("way", WAYS)
every_picture = pytest.mark.parametrize("name", SIZES)


def pixels(name: str, way: str) -> memoryview:
    return Image(written(picture(name), "PNG")).pixels(**WAYS[way])


def prepared(view: memoryview, way: str) -> np.ndarray:
    """Float32 as the trainers calculate it, in their order."""
    numbers = np.asarray(view).astype(np.float32)
    match way:
        case "keras 299":
            return numbers / np.float32(127.5) - np.float32(1)
        case "keras 150":
            return numbers / np.float32(255)
    scaled = (numbers / np.float32(255)).transpose(0, 3, 1, 2)
    mean, std = (np.asarray(each, np.float32)[:, None, None] for each in (MEAN, STD))
    return (scaled - mean) / std


@every_way
@every_picture
def test_every_number_is_the_trainer_s(name: str, way: str) -> None:
    recorded = RECORDED[name][way]
    numbers = prepared(pixels(name, way), way)
    assert list(numbers.shape) == recorded["shape"]
    assert sampled(numbers) == pytest.approx(recorded["samples"], abs=1e-6)
    assert hashlib.sha256(np.ascontiguousarray(numbers).tobytes()).hexdigest() == recorded["sha256"]


@every_way
@every_picture
def test_a_graph_that_takes_uint8_calculates_the_same(name: str, way: str, tmp_path: Path) -> None:
    view = pixels(name, way)
    model = Model(graph(tmp_path, way, list(view.shape)))
    assert sampled(np.asarray(model.run({"pixels": view})["floats"])) == pytest.approx(
        RECORDED[name][way]["samples"], abs=1e-6
    )


def sampled(numbers: np.ndarray) -> list[float]:
    flat = np.ascontiguousarray(numbers).ravel()
    return [float(number) for number in flat[:: flat.size // SAMPLES][:SAMPLES]]


def graph(folder: Path, way: str, shape: list[int]) -> Path:
    """uint8 [1, height, width, 3] -> what the trainer's network takes: cast, scaled, and transposed for torch."""
    scale, offset = {"keras 299": (127.5, 1), "keras 150": (255, 0)}.get(way, (255, MEAN))
    weights = {
        "scale": np.float32(scale),
        "offset": np.asarray(offset, np.float32),
        "std": np.asarray(STD if way.startswith("torch") else 1, np.float32),
    }
    order = (0, 3, 1, 2) if way.startswith("torch") else (0, 1, 2, 3)
    nodes = [
        helper.make_node("Cast", ["pixels"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["cast", "scale"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "offset"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["normal"]),
        helper.make_node("Transpose", ["normal"], ["floats"], perm=order),
    ]
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.UINT8, shape)]
    outputs = [helper.make_tensor_value_info("floats", TensorProto.FLOAT, [shape[axis] for axis in order])]
    return model_folders.write(folder, {}, nodes, inputs, outputs, weights)
