"""Training of the clothing example end to end, on a handful of generated pictures.

Needs the extra `train`, and an environment with TensorFlow, which the example's own script makes.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pilotlight import Model

SERVICE = Path(__file__).parents[2] / "examples" / "clothing"
KINDS = ("dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt")
SMALL = ("--threads", 1, "--batch", 8, "--size", 32)
Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]


def pictures(folder: Path, each: int) -> None:
    """Pictures whose colour tells their class."""
    from PIL import Image, ImageDraw

    for number, kind in enumerate(KINDS):
        (folder / kind).mkdir(parents=True)
        for place in range(each):
            picture = Image.new("RGB", (60 + 4 * place, 80), (25 * number, 255 - 25 * number, 40 * (number % 5)))
            ImageDraw.Draw(picture).ellipse((10, 10, 30 + 5 * place, 60), "white")
            picture.save(folder / kind / f"{kind} {place}.jpg")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as `pilotlight new` would make it, with pictures in `data/clothing`."""
    left_out = shutil.ignore_patterns("__pycache__", "models", "data", "run")
    folder = Path(shutil.copytree(SERVICE, tmp_path_factory.mktemp("clothing") / "service", ignore=left_out))
    pictures(folder / "data" / "clothing" / "train", 4)
    pictures(folder / "data" / "clothing" / "validation", 2)
    return folder


@pytest.fixture(scope="module")
def run(service: Path) -> Run:
    """`run(module, argument, ...)` in the service's folder, by this interpreter unless `python` names another."""

    def run(module: str, *arguments: object, python: object = sys.executable, **variables: str) -> Any:
        command = [str(python), "-m", module, *map(str, arguments)]
        environ = {**os.environ, **variables}
        return subprocess.run(command, cwd=service, env=environ, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="module")
def trained(service: Path, run: Run) -> Path:
    """The service with a network of two epochs, exported as `sh train/install.sh clothing` does it."""
    install = ["sh", "train/install.sh", "clothing", "--epochs", "2", *map(str, SMALL)]
    environ = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(install, cwd=service, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "40 pictures to train on, 0 kept apart" in done.stderr
    assert "epoch 2/2  loss " in done.stderr
    return service


def weights(checkpoint: Path) -> dict[str, Any]:
    import torch

    found: dict[str, Any] = torch.load(checkpoint, weights_only=True)["average"]
    return found


def test_a_run_that_was_broken_off_ends_as_an_unbroken_one(trained: Path, run: Run) -> None:
    """It is broken off by a schedule of the same length that trains one epoch less: the second is made up for."""
    import torch

    whole = trained / "run" / "network.pt"
    stop = "import sys; from train import train; train._epoch, epoch = None, train._epoch\n"
    stop += "def once(run, pictures):\n    if run.epoch: sys.exit('broken off')\n    return epoch(run, pictures)\n"
    stop += "train._epoch = once; train.main()"
    arguments = ("--data", "data/clothing", "--checkpoint", "run/broken.pt", "--epochs", 2, *SMALL)
    command = [sys.executable, "-c", stop, *map(str, arguments)]
    broken = subprocess.run(command, cwd=trained, capture_output=True, text=True, check=False)
    assert "broken off" in broken.stderr
    resumed = run("train.train", *arguments)
    assert resumed.returncode == 0, resumed.stderr
    assert "epoch 1/2" not in resumed.stderr
    first, second = weights(whole), weights(trained / "run" / "broken.pt")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_checkpoint_of_other_settings_is_refused(trained: Path, run: Run) -> None:
    done = run("train.train", "--data", "data/clothing", "--checkpoint", "run/network.pt", "--epochs", 3, *SMALL)
    assert done.returncode == 1
    assert "give the same settings, or another --checkpoint" in done.stderr


def test_a_tenth_may_be_kept_apart(trained: Path, run: Run) -> None:
    arguments = ("--keep-apart", "--epochs", 1, *SMALL)
    done = run("train.train", "--data", "data/clothing", "--checkpoint", "run/second.pt", *arguments)
    assert done.returncode == 0, done.stderr
    assert " kept apart at 128 " in done.stderr


def test_pictures_that_lack_a_class_are_refused(trained: Path, run: Run, tmp_path: Path) -> None:
    shutil.copytree(trained / "data" / "clothing" / "train" / "hat", tmp_path / "train" / "hat")
    done = run("train.train", "--data", tmp_path, "--checkpoint", tmp_path / "network.pt", *SMALL)
    assert done.returncode == 1
    assert "there is no .jpg in dress, longsleeve" in done.stderr


def logits(model: Path, pixels: memoryview) -> list[float]:
    [row] = Model(model).run({"pixels": pixels})["logits"].tolist()
    return list(row)


@pytest.fixture(scope="module")
def pixels(trained: Path) -> memoryview:
    from PIL import Image

    with Image.open(trained / "data" / "clothing" / "validation" / "hat" / "hat 1.jpg") as picture:
        content = picture.convert("RGB").resize((128, 128), Image.Resampling.BILINEAR).tobytes()
    return memoryview(content).cast("B", (1, 128, 128, 3))


NETWORK = """
import sys, json, torch
from pathlib import Path
from train.export import load
from train.pictures import decode
pixels = decode(Path("data/clothing/validation/hat/hat 1.jpg"), 128).permute(2, 0, 1)[None].float()
with torch.no_grad():
    print(json.dumps(load(Path("run/network.pt"))(pixels)[0].tolist()))
"""


@pytest.fixture(scope="module")
def expected(trained: Path) -> list[float]:
    """What the network itself says."""
    done = subprocess.run([sys.executable, "-c", NETWORK], cwd=trained, capture_output=True, text=True, check=True)
    found: list[float] = json.loads(done.stdout)
    return found


def near(expected: list[float], share: float) -> object:
    """Logits that differ by at most a share of what lies between the highest and the lowest."""
    return pytest.approx(expected, abs=share * (max(expected) - min(expected)))


def test_onnx_gives_the_networks_logits(trained: Path, run: Run, pixels: memoryview, expected: list[float]) -> None:
    common = ("--data", "data/clothing", "--checkpoint", "run/network.pt", "--float")
    done = run("train.export", *common, "--out", "run/float")
    assert done.returncode == 0, done.stderr
    assert logits(trained / "run" / "float", pixels) == near(expected, 1e-5)
    assert logits(trained / "models" / "clothing", pixels) == near(expected, 0.1)


@pytest.fixture(scope="module")
def tensorflow(trained: Path) -> Path:
    """The interpreter with TensorFlow that the script makes, after it has made `models/clothing_tflite`."""
    install = ["sh", "train/install.sh", "clothing_tflite"]
    environ = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(install, cwd=trained, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return trained / "run" / "tflite" / "bin" / "python"


def test_tensorflow_lite_gives_the_same_logits(
    trained: Path, run: Run, pixels: memoryview, expected: list[float], tensorflow: Path
) -> None:
    done = run("train.tflite", "--beside", "models/clothing", "--out", "run/float_tflite", "--float", python=tensorflow)
    assert done.returncode == 0, done.stderr
    assert logits(trained / "run" / "float_tflite", pixels) == near(expected, 1e-5)
    assert logits(trained / "models" / "clothing_tflite", pixels) == near(expected, 0.1)


TRANSFER = ("--data", "data/clothing", "--network", "mobilenet_v2", "--size", 96, "--epochs", 1, "--batch", 8)


def test_a_network_of_keras_is_taught_and_served(trained: Path, run: Run, tensorflow: Path) -> None:
    more = ("--steps", 1, "--weights", "none", "--tflite", "--out", "run/transfer")
    done = run("train.transfer", *TRANSFER, *more, python=tensorflow)
    assert done.returncode == 0, done.stderr
    assert len(logits(trained / "run" / "transfer", memoryview(bytes(96 * 96 * 3)).cast("B", (1, 96, 96, 3)))) == 10


def test_weights_that_cannot_be_downloaded_are_asked_for(trained: Path, run: Run, tensorflow: Path) -> None:
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "KERAS_HOME": str(trained / "run" / "keras")}
    done = run("train.transfer", *TRANSFER, "--out", "run/refused", python=tensorflow, **nowhere)
    assert done.returncode == 1
    assert "loading the weights 'imagenet' of mobilenet_v2: " in done.stderr
    assert "or try the steps with --weights none" in done.stderr
    assert not (trained / "run" / "refused").exists()
