"""Models of TensorFlow Lite that prepare nothing themselves, served by `ImageClassifier`."""

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from tflite_files import Operator, Operators, Tensor, add, schema, write

from pilotlight.errors import ModelError
from pilotlight.function.image import ImageClassifier
from pilotlight.function.inputs import Image
from pilotlight.function.pixels import numbers, prepared, tables
from pilotlight.function.session import TensorInfo

FLOATS = TensorInfo("x", "f", (1, 1, 2, 3))
PIXELS = memoryview(bytes([0, 51, 255, 1, 2, 3])).cast("B", (1, 1, 2, 3))


def picture(*pixels: tuple[int, int, int]) -> Image:
    made = Pillow.new("RGB", (len(pixels), 1))
    made.putdata(pixels)
    written = io.BytesIO()
    made.save(written, "PNG")
    return Image(written.getvalue())


def test_pixels_that_a_model_takes_stay_as_they_are() -> None:
    info = TensorInfo("pixels", "B", (1, 1, 2, 3))
    assert tables({"width": 2, "height": 1}, info) == []
    assert prepared(PIXELS, [], info) is PIXELS


def test_floats_are_scaled_and_standardised() -> None:
    made = tables({"scale": 1 / 255, "mean": [0, 0.1, 0.5], "std": [1, 0.1, 0.5]}, FLOATS)
    given = prepared(PIXELS, made, FLOATS)
    expected = (np.asarray(PIXELS) / 255 - [0, 0.1, 0.5]) / [1, 0.1, 0.5]
    assert (given.format, given.shape) == ("f", (1, 1, 2, 3))
    np.testing.assert_allclose(np.asarray(given), expected, rtol=1e-6, atol=1e-7)


def test_channels_come_first_where_the_model_has_them_so() -> None:
    info = TensorInfo("x", "f", (1, 3, 1, 2))
    given = prepared(PIXELS, tables({}, info), info)
    assert given.tolist() == [[[[0.0, 1.0]], [[51.0, 2.0]], [[255.0, 3.0]]]]


def test_integers_stand_for_what_the_floats_would_be() -> None:
    info = TensorInfo("x", "b", (1, 1, 2, 3), 1 / 127.5, 0)
    given = prepared(PIXELS, tables({"scale": 1 / 127.5, "mean": 1}, info), info)
    assert given.tolist() == [[[[-128, -76, 127], [-126, -126, -124]]]]


@pytest.mark.parametrize(
    ("settings", "dtype", "reason"),
    [
        ({"scale": "big"}, "f", '"scale" is a number, or three'),
        ({"mean": [1, 2]}, "f", '"mean" is a number, or three'),
        ({"std": 0}, "f", '"std" is 0'),
        ({}, "q", "the input 'x' is neither of pixels nor of float32"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], dtype: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        tables(settings, TensorInfo("x", dtype, (1, 1, 2, 3)))


def test_the_integers_of_an_output_become_what_they_stand_for() -> None:
    output = memoryview(struct.pack("3b", -128, 0, 127)).cast("b", (1, 3))
    assert numbers(output, TensorInfo("y", "b", (1, 3), 0.5, -128)) == [0.0, 64.0, 127.5]
    assert numbers(output, TensorInfo("y", "b", (1, 3))) == [-128, 0, 127]


def classifier(folder: Path, dtype: str, quantization: tuple[float, int], image: dict[str, Any]) -> Path:
    """Sums of each channel over two pixels, plus themselves: a model of [1, 1, 2, 3] -> [1, 3]."""
    folder.mkdir(exist_ok=True)
    options = schema.ReducerOptionsT()
    options.keepDims = False
    tensors = [
        Tensor("x", dtype, (1, 1, 2, 3), None, *quantization),
        Tensor("axes", "i", (2,), [1, 2]),
        Tensor("mean", dtype, (1, 3), None, *quantization),
        Tensor("twice", dtype, (1, 3), None, *(quantization[0] * 2, quantization[1])),
    ]
    mean = Operator(Operators.MEAN, ["x", "axes"], ["mean"], schema.BuiltinOptions.ReducerOptions, options)
    write(folder / "model.tflite", tensors, [mean, add(["mean", "mean"], "twice")], ["x"], ["twice"])
    settings = {"format": 1, "image": {"width": 2, "height": 1, **image}, "labels": ["r", "g", "b"]}
    (folder / "model.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def test_a_float_tflite_is_served(tmp_path: Path) -> None:
    image = {"scale": 1 / 255, "mean": 0.5, "std": 0.5}
    served = ImageClassifier(classifier(tmp_path / "m", "f", (0.0, 0), image))
    given = served.logits(picture((255, 0, 51), (255, 255, 51)))
    assert {label: round(value, 5) for label, value in given.items()} == {"r": 2.0, "g": 0.0, "b": -1.2}
    assert served.classify(picture((255, 0, 51), (255, 255, 51)), 1)[0].label == "r"


def test_a_quantised_tflite_is_served_as_the_floats_that_it_stands_for(tmp_path: Path) -> None:
    served = ImageClassifier(classifier(tmp_path / "m", "B", (1 / 128, 128), {}))
    given = served.logits(picture((255, 0, 128), (255, 255, 128)))
    np.testing.assert_allclose(list(given.values()), [2 * 127 / 128, 0.0, 0.0], atol=0.02)


def test_settings_that_do_not_fit_are_named(tmp_path: Path) -> None:
    folder = classifier(tmp_path / "m", "f", (0.0, 0), {"std": [1, 0, 1]})
    with pytest.raises(ModelError, match=r'its model.json does not fit: "image": "std" is 0'):
        ImageClassifier(folder)
