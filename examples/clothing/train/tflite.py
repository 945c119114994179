"""The same weights as a TensorFlow Lite model, after `train.export`.

    python -m train.tflite --beside models/clothing --out models/clothing_tflite

It runs in an environment of its own, made from `train/tflite.txt`, with TensorFlow and neither torch nor Pilotlight.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf
from tensorflow import keras

from .steps import Step, Weights, steps


def rebuilt(weights: Weights, size: int) -> keras.Model:
    """The network in Keras: pixels in -1..1, float32 `[1, size, size, 3]`, to logits `[1, classes]`."""
    tensors = {"pixels": keras.Input((size, size, 3), batch_size=1, name="pixels")}
    for step in steps(weights):
        tensors[step.name] = _layers(step, weights)(*(tensors[name] for name in step.inputs))
    network = keras.Model(tensors["pixels"], {"logits": tensors["head"]})
    for step in steps(weights):
        if step.kind in ("conv", "linear"):
            matrix, bias = weights[f"{step.name}.weight"], weights[f"{step.name}.bias"]
            network.get_layer(step.name).set_weights([matrix.transpose(*range(2, matrix.ndim), 1, 0), bias])
    return network


def _layers(step: Step, weights: Weights) -> Callable[..., tf.Tensor]:
    layers = keras.layers
    match step.kind:
        case "conv":
            count, _, *window = weights[f"{step.name}.weight"].shape
            return _padded(step, layers.Conv2D(count, window, step.stride, name=step.name))
        case "highest":  # what comes in is never negative, so that zeros around it win nowhere
            return _padded(step, layers.MaxPooling2D(3, step.stride))
        case "average":
            return layers.AveragePooling2D(2, step.stride)
        case "relu":
            return layers.ReLU()
        case "add":
            return lambda *summands: layers.Add()(list(summands))
        case "mean":
            return layers.GlobalAveragePooling2D()
        case "linear":
            return layers.Dense(len(weights[f"{step.name}.bias"]), name=step.name)


def _padded(step: Step, layer: keras.layers.Layer) -> Callable[..., tf.Tensor]:
    """The layer behind zeros on all sides. What Keras calls "same" has more of them below and on the right."""
    return lambda tensor: layer(keras.layers.ZeroPadding2D(step.padding)(tensor) if step.padding else tensor)


def converted(network: keras.Model, pixels: NDArray[np.uint8] | None) -> bytes:
    """The model as it is saved. With `pixels` `[n, size, size, 3]`, which say how far activations go, it is int8.

    int8 takes uint8 `[1, size, size, 3]`: they are the numbers -1..1 already, in steps of 1/127.5. float32 casts them.
    """
    converter = tf.lite.TFLiteConverter.from_keras_model(network if pixels is not None else _casting(network))
    if pixels is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _samples(pixels)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
    found: bytes = converter.convert()
    return found


def _casting(network: keras.Model) -> keras.Model:
    pixels = keras.Input(network.input_shape[1:], batch_size=1, dtype="uint8", name="pixels")
    return keras.Model(pixels, network(keras.ops.cast(pixels, "float32") / 127.5 - 1))


def _samples(pixels: NDArray[np.uint8]) -> Iterator[list[NDArray[np.float32]]]:
    extremes = np.zeros_like(pixels[0])
    extremes[0] = 255  # so that the range of the input is that of its type
    for picture in (extremes, *pixels):
        yield [picture[None].astype(np.float32) / 127.5 - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("run"), help="where train.export put weights.npz")
    parser.add_argument("--beside", type=Path, default=Path("models/clothing"), help="the folder with its model.json")
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    parser.add_argument("--float", action="store_true", help="float32 instead of int8")
    options = parser.parse_args()
    settings = (options.beside / "model.json").read_text(encoding="utf-8")
    network = rebuilt(np.load(options.run / "weights.npz"), json.loads(settings)["image"]["width"])
    model = converted(network, None if options.float else np.load(options.run / "calibration.npy"))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "model.tflite").write_bytes(model)
    (options.out / "model.json").write_text(settings, encoding="utf-8")


if __name__ == "__main__":
    main()
