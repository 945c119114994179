"""Transfer learning: a network of Keras applications that knows ImageNet, taught ten kinds of clothes.

    python -m train.transfer --network xception --size 150 --data DIR --out run/xception

It runs in the environment of `train/tflite.txt`. The network's own layers stay as they are, one dense layer behind them
learns, as in "Machine Learning Bookcamp", chapter 7. It writes `model.keras`, and with `--tflite` a model folder.
`--weights none` begins with nothing, where ImageNet's weights (from storage.googleapis.com) cannot be downloaded: to
try the steps, for it learns little.
"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf
from tensorflow import keras

from .steps import CLASSES

NETWORKS: dict[str, Callable[..., keras.Model]] = {
    "xception": keras.applications.Xception,
    "mobilenet_v2": keras.applications.MobileNetV2,
}


class Recipe(NamedTuple):
    """What is trained; `inner` is the width of a layer before the last, 0 for none."""

    network: str
    size: int
    weights: str
    rate: float
    dropout: float
    inner: int


def base(recipe: Recipe) -> keras.Model:
    """The network without its last layer, frozen. Ends the program where its weights cannot be downloaded."""
    weights = None if recipe.weights == "none" else recipe.weights
    try:
        network = NETWORKS[recipe.network](
            include_top=False, weights=weights, input_shape=(recipe.size, recipe.size, 3)
        )
    except Exception as error:  # the boundary to Keras: every failure of a download is a plain Exception
        raise SystemExit(
            f"loading the weights {recipe.weights!r} of {recipe.network}: {error}\n"
            "let this machine reach storage.googleapis.com; or put the file that Keras names into ~/.keras/models; or "
            "give a weights file by --weights FILE; or try the steps with --weights none"
        ) from None
    network.trainable = False
    return network


def built(recipe: Recipe) -> keras.Model:
    """Pixels uint8 `[n, size, size, 3]` to logits `[n, 10]`; both networks take `x / 127.5 - 1`."""
    pixels = keras.Input((recipe.size, recipe.size, 3), dtype="uint8", name="pixels")
    tensor = base(recipe)(keras.ops.cast(pixels, "float32") / 127.5 - 1, training=False)
    tensor = keras.layers.GlobalAveragePooling2D()(tensor)
    if recipe.inner:
        tensor = keras.layers.Dense(recipe.inner, activation="relu")(tensor)
        tensor = keras.layers.Dropout(recipe.dropout)(tensor)
    model = keras.Model(pixels, keras.layers.Dense(len(CLASSES), name="logits")(tensor))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(recipe.rate), loss, metrics=["accuracy"])
    return model


def pictures(folder: Path, size: int, batch: int, seed: int | None) -> tf.data.Dataset:
    """Batches of pixels and classes, scaled to `size` by the nearest pixel; shuffled where there is a seed."""
    return keras.utils.image_dataset_from_directory(
        folder,
        class_names=list(CLASSES),
        image_size=(size, size),
        interpolation="nearest",
        batch_size=batch,
        shuffle=seed is not None,
        seed=seed,
        verbose=False,
    ).map(lambda pixels, labels: (tf.cast(pixels, tf.uint8), labels))


def save(model: keras.Model, recipe: Recipe, folder: Path, tflite: bool) -> None:
    """Write `model.keras`, or what the function serves: `model.tflite` with `model.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    if not tflite:
        model.save(folder / "model.keras")
        return
    one = keras.Input((recipe.size, recipe.size, 3), batch_size=1, dtype="uint8", name="pixels")
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(one, {"logits": model(one)}))
    (folder / "model.tflite").write_bytes(converter.convert())
    image = {"width": recipe.size, "height": recipe.size, "resample": "nearest", "fit": "stretch"}
    text = json.dumps({"format": 1, "labels": CLASSES, "image": image}, indent=1)
    (folder / "model.json").write_text(text + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and validation/")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--network", choices=NETWORKS, default="xception")
    parser.add_argument("--size", type=int, default=150, help="pixels a side: 150, 224 or 299, say (default 150)")
    parser.add_argument("--weights", default="imagenet", help="imagenet, none, or a weights file")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--steps", type=int, help="batches an epoch; all of them unless given")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0.001)
    parser.add_argument("--inner", type=int, default=100, help="width of a layer before the last; 0 for none")
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tflite", action="store_true", help="write a model folder for Pilotlight")
    return parser.parse_args()


def main() -> None:
    options = _options()
    keras.utils.set_random_seed(options.seed)
    recipe = Recipe(*(getattr(options, name) for name in Recipe._fields))
    model = built(recipe)
    given = pictures(options.data / "train", recipe.size, options.batch, options.seed)
    apart = pictures(options.data / "validation", recipe.size, options.batch, None)
    if options.steps:
        given, apart = given.take(options.steps), apart.take(options.steps)
    model.fit(given, validation_data=apart, epochs=options.epochs, verbose=2)
    save(model, recipe, options.out, options.tflite)


if __name__ == "__main__":
    main()
