"""Models and pictures of others, served: MobileNets of TensorFlow Lite on photographs, an ONNX model on golden pairs.

    python benchmarks/real_models.py --data DIR

DIR/tflite has the two MobileNets in `SIZES`, imagenet_labels.txt and the photographs in `PHOTOGRAPHS`, all of
github.com/google-coral/test_data. DIR/onnx/test/mnist has model.onnx and its test_data_set_N, of
github.com/microsoft/onnxruntime-inference-examples. Each MobileNet goes through LiteRT's library and through its Python
module, which have to agree. Needs the extras image, tflite and test. Prints a table and writes it to
`benchmarks/results/real_models.md`.
"""

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path

import machine
import numpy as np
import onnx

from pilotlight import Model
from pilotlight.function.image import ImageClassifier
from pilotlight.function.inputs import Image

SIZES = {"mobilenet_v1_0.25_128_quant": 128, "mobilenet_v2_1.0_224_quant": 224}
PHOTOGRAPHS = ("cat.bmp", "hot_dog.jpg", "parrot.jpg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    lines = ["# Models of others", ""]
    lines += ["| model | photograph | first label | score |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        for name, size in SIZES.items():
            made = model_folder(Path(folder) / name, data / "tflite", name, size)
            lines += [f"| {name} | {photograph} | {said} |" for photograph, said in answers(made, data / "tflite")]
    lines += ["", golden(data / "onnx/test/mnist")]
    machine.write("real_models", lines, ("ai-edge-litert", "onnxruntime", "pillow"))


def model_folder(folder: Path, data: Path, name: str, size: int) -> Path:
    folder.mkdir()
    shutil.copyfile(data / f"{name}.tflite", folder / "model.tflite")
    labels = [line.strip() for line in (data / "imagenet_labels.txt").read_text(encoding="utf-8").splitlines()]
    image = {"width": size, "height": size}
    settings = {"format": 1, "image": image, "labels": labels, "scores": "probabilities"}
    (folder / "model.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def answers(folder: Path, data: Path) -> list[tuple[str, str]]:
    found = []
    for photograph in PHOTOGRAPHS:
        picture = Image((data / photograph).read_bytes())
        said = []
        for way in ("", "module"):
            os.environ["PILOTLIGHT_LITERT"] = way
            label = ImageClassifier(folder).classify(picture, 1)[0]
            said.append(f"{label.label} | {label.score:.3f}")
        assert said[0] == said[1], said
        found.append((photograph, said[0]))
    return found


def golden(folder: Path) -> str:
    """The largest difference to the recorded outputs."""
    model, worst, sets = Model(folder / "model.onnx"), 0.0, sorted(folder.glob("test_data_set_*"))
    for each in sets:
        given, expected = (tensor(each / f"{name}_0.pb") for name in ("input", "output"))
        (view,) = model.run({model.inputs[0].name: given}).values()
        worst = max(worst, float(np.abs(np.asarray(view) - expected).max() / np.abs(expected).max()))
    return f"mnist.onnx: {len(sets)} golden pairs, the largest difference is {worst:.1e} of the largest output."


def tensor(path: Path) -> np.ndarray:
    return np.ascontiguousarray(onnx.numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes())))


if __name__ == "__main__":
    main()
