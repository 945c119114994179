"""Record what Keras and torchvision make of two pictures: `preprocessing.json`, which tests hold pictures against.

    python -m venv golden
    golden/bin/pip install torch==2.13.0 torchvision==0.28.0 keras==3.15.1 pillow==13.0.0
    KERAS_BACKEND=torch golden/bin/python tests/golden/record_preprocessing.py

A result is the digest of all its numbers, float32 and little-endian, and 48 of them spread over it.
"""

import hashlib
import importlib.metadata
import json
import os
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

FILE = Path(__file__).with_name("preprocessing.json")
SAMPLES = 48
SIZES = {"wide": (500, 375), "small": (90, 131)}  # larger and smaller than what models take
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # of ImageNet, as torchvision's weights have them
PACKAGES = ("keras", "torch", "torchvision", "pillow")


def picture(name: str) -> Image.Image:
    """Slopes, rings and a fine pattern: what every way of resampling makes something else of."""
    width, height = SIZES[name]
    rows, columns = np.mgrid[0:height, 0:width]
    red = columns * 255 // width
    green = (columns * columns + rows * rows) // 64 % 256
    blue = np.where((columns // 3 + rows // 2) % 2, 240, rows * 255 // height)
    return Image.fromarray(np.stack([red, green, blue], axis=-1).astype(np.uint8))


def by_keras(file: str) -> dict[str, np.ndarray]:
    from keras.utils import img_to_array, load_img

    def loaded(side: int) -> np.ndarray:
        return img_to_array(load_img(file, target_size=(side, side), interpolation="nearest"))[None]

    return {"keras 299": loaded(299) / 127.5 - 1, "keras 150": loaded(150) / 255}


def by_torchvision(file: str) -> dict[str, np.ndarray]:
    from torchvision import transforms

    steps = [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()]
    prepared = transforms.Compose([*steps, transforms.Normalize(MEAN, STD)])
    return {"torchvision 224": prepared(Image.open(file).convert("RGB")).numpy()[None]}


def summary(numbers: np.ndarray) -> dict[str, object]:
    flat = np.ascontiguousarray(numbers, "<f4").ravel()
    samples = flat[:: flat.size // SAMPLES][:SAMPLES]
    return {
        "shape": numbers.shape,
        "sha256": hashlib.sha256(flat.tobytes()).hexdigest(),
        "samples": [round(float(number), 7) for number in samples],
    }


def main() -> None:
    recorded: dict[str, object] = {"versions": {name: importlib.metadata.version(name) for name in PACKAGES}}
    with tempfile.TemporaryDirectory() as folder:
        for name in SIZES:
            file = os.path.join(folder, f"{name}.png")
            picture(name).save(file)
            results = {**by_keras(file), **by_torchvision(file)}
            recorded[name] = {way: summary(numbers) for way, numbers in results.items()}
    FILE.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
