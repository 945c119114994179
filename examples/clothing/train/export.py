"""A trained network as the folder that is served.

    python -m train.export --checkpoint run/network.pt --data DIR --out models/clothing

writes `model.onnx` in int8 and `model.json`, and below `--run` what `train.tflite` makes the same model of.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from . import onnx_graph
from .network import Network
from .pictures import decode, files
from .steps import CLASSES, Weights

SAMPLES = 300  # training pictures that say how far activations go


def folded(network: Network) -> Weights:
    """The weights with each norm, which is linear once trained, folded into the convolution before it."""
    modules = dict(network.named_modules())
    found: dict[str, NDArray[np.float32]] = {}
    for name, module in modules.items():
        if isinstance(module, nn.Conv2d):
            weight, bias = _folded(module, modules[f"{name}_norm"])
        elif isinstance(module, nn.Linear):
            weight, bias = module.weight, module.bias
        else:
            continue
        found |= {f"{name}.weight": weight.detach().numpy(), f"{name}.bias": bias.detach().numpy()}
    return found


def _folded(convolution: nn.Conv2d, norm: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    weight = convolution.weight * factor[:, None, None, None]
    return weight.contiguous(), norm.bias - norm.running_mean * factor


def samples(folder: Path, size: int, count: int = SAMPLES) -> NDArray[np.uint8]:
    """Pictures of a folder, evenly over its classes' files: uint8 `[count, size, size, 3]`."""
    found = files(folder)
    chosen = [found[place * len(found) // count][0] for place in range(min(count, len(found)))]
    return np.stack([decode(file, size).numpy() for file in chosen])


def settings(size: int) -> dict[str, object]:
    """What `model.json` says: how pixels are made of a picture, and the names of the logits."""
    image = {"width": size, "height": size, "resample": "bilinear", "fit": "stretch"}
    return {"format": 1, "labels": CLASSES, "image": image}


def load(checkpoint: Path) -> Network:
    """The averaged network of a checkpoint."""
    network = Network(len(CLASSES))
    network.load_state_dict(torch.load(checkpoint, weights_only=True)["average"])
    return network.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/CLASS/*.jpg")
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    parser.add_argument("--run", type=Path, default=Path("run"), help="where weights.npz and calibration.npy go")
    parser.add_argument("--size", type=int, default=128, help="pixels a side (default 128)")
    parser.add_argument("--float", action="store_true", help="float32 instead of int8")
    options = parser.parse_args()
    weights, pixels = folded(load(options.checkpoint)), samples(options.data / "train", options.size)
    for folder in (options.out, options.run):
        folder.mkdir(parents=True, exist_ok=True)
    np.savez(options.run / "weights.npz", **weights)
    np.save(options.run / "calibration.npy", pixels)
    if options.float:
        onnx_graph.write(weights, options.size, options.out / "model.onnx")
    else:
        onnx_graph.write_int8(weights, options.size, pixels, options.out / "model.onnx")
    text = json.dumps(settings(options.size), indent=1)
    (options.out / "model.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
