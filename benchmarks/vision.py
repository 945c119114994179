"""Classifiers of pictures, Xception and MobileNetV2 in size: cold start and warm latency against Keras and torch eager.

    .venv-train/bin/python benchmarks/vision.py [--runs 3] [--models xception mobilenet_v2]

needs the extra `optimize`, LiteRT and torch, and makes the exporter's environment with TensorFlow when it is not there.
The weights are random, of true size. Every side reads the same JPEG of 640 x 480, brings it to the model's size and
gives ten scores; ours by `ImageClassifier`. The sides take turns, so what else the machine does hits all. Prints a
table and writes it to `benchmarks/results/vision.md`.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import machine
from PIL import Image

from pilotlight.cli.progress import Lines
from pilotlight.measure.model import Feed, time_model
from pilotlight.optimize import environment
from pilotlight.optimize.pictures import pipeline
from pilotlight.optimize.pictures.options import Options

HERE = Path(__file__).parent
SIZES = {"xception": 299, "mobilenet_v2": 224}
OURS = {  # form and precision
    "ours, ONNX int8": ("onnx", "int8"),
    "ours, ONNX fp32": ("onnx", "fp32"),
    "ours, TFLite int8": ("tflite", "int8"),
    "ours, TFLite fp32": ("tflite", "fp32"),
}
WARM = 30
LIBRARIES = "onnxruntime", "ai-edge-litert", "torch"
TARGETS = (("Keras", "cold", 10), ("torch", "cold", 9), ("Keras", "warm", 2), ("torch", "warm", 2))
"""How many times as fast the best of ours has to be."""

SHARE = 0.1
"""Of a warm answer, what decoding and resizing may take."""


class Side(NamedTuple):
    name: str
    command: list[str]
    cold: list[float]
    """Seconds from the start of the process to its first answer."""
    warm: list[float]
    pixels: list[float]
    """Seconds that decoding and resizing take alone; ours only."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--models", nargs="+", choices=SIZES, default=list(SIZES))
    asked = parser.parse_args()
    parts, found = [], []
    with tempfile.TemporaryDirectory() as folder:
        photos = pictures(Path(folder) / "photos")
        for name in asked.models:
            sides = list(prepared(name, Path(folder), photos))
            for run in range(asked.runs + 1):  # the first warms the page cache
                for side in sides:
                    measure(side, is_kept=run > 0)
                print(f"{name}: {run} of {asked.runs} runs", flush=True)
            parts.append(table(name, sides))
            found += targets(name, sides)
    about = f"Medians of {asked.runs} fresh processes of each side in turn, of {WARM} later answers in each."
    machine.write("vision", ["# Classifiers of pictures", "", about, "", *machine.targets(found), *parts], LIBRARIES)


def pictures(folder: Path, count: int = 24) -> Path:
    """JPEGs of coloured patches: what calibration needs is a spread of values."""
    folder.mkdir()
    draw = random.Random(0)
    for number in range(count):
        patches = Image.frombytes("RGB", (16, 12), draw.randbytes(16 * 12 * 3))
        patches.resize((640, 480), Image.Resampling.BICUBIC).save(folder / f"{number:02}.jpg", quality=90)
    return folder


def prepared(name: str, folder: Path, photos: Path) -> Iterator[Side]:
    size, picture = str(SIZES[name]), str(photos / "00.jpg")
    keras = environment.python("tensorflow", Lines())
    original, weights = folder / f"{name}.keras", folder / f"{name}.safetensors"
    subprocess.run([keras, HERE / "vision_make.py", name, original], check=True)
    torch = [sys.executable, str(HERE / "vision_torch.py"), name, str(weights), picture, size, str(WARM)]
    subprocess.run(torch, check=True)
    yield side("Keras", [str(keras), str(HERE / "vision_keras.py"), str(original), picture, size, str(WARM)])
    yield side("torch", torch)
    for title, (form, precision) in OURS.items():
        made = folder / f"{name}-{form}-{precision}"
        optimize(original, photos, made, form, precision)
        yield side(title, [sys.executable, str(HERE / "vision_ours.py"), str(made), picture, str(WARM)])


def side(name: str, command: list[str]) -> Side:
    return Side(name, command, [], [], [])


def optimize(source: Path, photos: Path, out: Path, form: str, precision: str) -> None:
    """Of random weights answers are worth nothing, so the gate is open."""
    asked = Options(
        str(source),
        "image-classification",
        out,
        samples=photos,
        precision=precision,
        agreement=0.0,
        loss=100.0,
        preprocess="inception",
        format=form,
        resample="nearest",
    )
    timed = lambda model, feeds, runs, progress: time_model(model, {n: Feed(*f) for n, f in feeds.items()}, 1)  # noqa: E731
    pipeline.optimize(asked, timed, Lines())


def measure(side: Side, is_kept: bool) -> None:
    began = time.monotonic()
    done = subprocess.run(
        side.command, env=machine.environ(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    if is_kept:
        side.cold.append(found["answered"] - began)
        side.warm.append(median(found["warm"]))
        side.pixels.extend(found.get("pixels", ()))


def table(name: str, sides: list[Side]) -> str:
    naive = {each.name: each for each in sides if each.name in ("Keras", "torch")}
    lines = [
        f"## {name}, {SIZES[name]} x {SIZES[name]}\n",
        "| | cold, ms | warm, ms | pixels, % of warm | cold: Keras / it | torch / it | warm: Keras / it | torch / it |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in sides:
        share = f"{100 * median(each.pixels) / median(each.warm):.0f}" if each.pixels else ""
        ratios = [
            f"{median(getattr(naive[other], kind)) / median(getattr(each, kind)):.1f}"
            for kind in ("cold", "warm")
            for other in ("Keras", "torch")
        ]
        cells = [each.name, f"{median(each.cold) * 1e3:.0f}", f"{median(each.warm) * 1e3:.1f}", share, *ratios]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def targets(name: str, sides: list[Side]) -> Iterator[tuple[str, str, bool]]:
    """Of ours the best counts."""
    by_name = {each.name: each for each in sides}
    for other, kind, bound in TARGETS:
        best = min(median(getattr(by_name[ours], kind)) for ours in OURS)
        ratio = median(getattr(by_name[other], kind)) / best
        yield f"{name}: {kind} at least {bound} times as fast as {other}", f"{ratio:.1f}", ratio >= bound
    share = min(median(by_name[ours].pixels) / median(by_name[ours].warm) for ours in OURS)
    yield f"{name}: reading the picture less than {SHARE:.0%} of a warm answer", f"{share:.0%}", share < SHARE


if __name__ == "__main__":
    main()
