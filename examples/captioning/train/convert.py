"""A checkpoint of "a PyTorch Tutorial to Image Captioning" to the folder that is served.

    python -m train.convert BEST_checkpoint.pth.tar WORDMAP.json --out models/tutorial [--pictures DIR]

With `--pictures`, a folder of some dozens of pictures as the model will see them, both graphs are in int8, smaller and
faster, and what that changes is measured on these pictures and said. Without, they are in float32.

The layout is that of github.com/sgrvinod/a-PyTorch-Tutorial-to-Image-Captioning: a dictionary with `encoder` (a
ResNet of bottlenecks, ResNet-101 there) and `decoder`. That repository saves both as whole modules, a pickle which
may run any code when it is read. Such a file is refused; the state dictionaries, which are read as weights only, are
what is taken. Keys may have the prefixes `module.` (DataParallel). Whoever trusts a file can save it anew, in a
checkout of that repository:

    python -c "import torch; c = torch.load('BEST.pth.tar', map_location='cpu', weights_only=False); \\
      torch.save({part: c[part].state_dict() for part in ('encoder', 'decoder')}, 'weights.pt')"
"""

import argparse
import json
import pickle
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnx import ModelProto
from train import graphs, int8
from train.data import END, START, UNKNOWN
from train.export import Weights, describe, looks, lstm, says
from train.graph import Graph, Linear
from train.graphs import Sight, Speech

from pilotlight.errors import UsageError
from pilotlight.optimize import layout
from pilotlight.optimize.pictures import samples
from pilotlight.optimize.pictures.samples import Picture

SIGHT = Sight(256, [255 * mean for mean in (0.485, 0.456, 0.406)], [255 * std for std in (0.229, 0.224, 0.225)])
GRID = 14  # to which the tutorial pools whatever the encoder gives
STAGES = ("4", "5", "6", "7")  # of torchvision's ResNet as a Sequential: layer1 to layer4
REMEDY = """it holds more than weights. Reading that could run code, so it is not read. If you trust the file, save its
state dictionaries in a checkout of the repository that made it, as python -m train.convert --help shows, and convert
those"""


class Refused(Exception):
    """Why a file is not converted."""


def read(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """The weights of `encoder` and `decoder`. Raises `Refused`; never runs what a pickle asks for."""
    try:
        saved: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise Refused(f"reading {path}: {REMEDY}") from None
    except (OSError, EOFError, RuntimeError) as error:
        raise Refused(f"reading {path}: it is no checkpoint of torch: {error}") from None
    return {part: _tensors(saved, part, path) for part in ("encoder", "decoder")}


def _tensors(saved: object, part: str, path: Path) -> dict[str, np.ndarray]:
    weights = saved.get(part) if isinstance(saved, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in weights.values()):
        raise Refused(f"reading {path}: there is no dictionary of weights {part!r} in it")
    return {name.removeprefix("module."): tensor.float().numpy() for name, tensor in weights.items()}


def read_words(path: Path, speech: Speech) -> dict[str, int]:
    """The word map. Raises `Refused` for one that does not belong to the decoder."""
    try:
        numbers: Any = json.loads(path.read_text(encoding="utf-8"))
        is_right = sorted(numbers.values()) == list(range(len(speech.embedding)))
    except (ValueError, TypeError, AttributeError):  # no JSON, no object, or not of numbers alone
        is_right = False
    if not is_right:
        raise Refused(f"reading {path}: it does not number the decoder's {len(speech.embedding)} words from 0")
    if missing := {START, END, UNKNOWN} - numbers.keys():
        raise Refused(f"reading {path}: {min(missing)} has no number")
    return numbers


def convert(checkpoint: Path, words: Path, out: Path, pictures: Sequence[Picture] = ()) -> int8.Fidelity | None:
    """Write the folder; what int8 changes, when there are `pictures`. Raises `Refused` before anything is written."""
    weights = read(checkpoint)
    try:
        speech = read_speech(weights["decoder"])
        encoder = read_encoder(weights["encoder"], speech)
    except KeyError as error:
        raise Refused(f"reading {checkpoint}: it has no weights {error}") from None
    numbers = read_words(words, speech)
    decoder = graphs.decoder(Graph(half=False), speech)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as made:
        plain = Path(made) / "float32"
        _write(encoder, decoder, numbers, plain, layout.COLD)
        if not pictures:
            plain.rename(out)
            return None
        small = Path(made) / "int8"
        _write(int8.encoder(encoder, pictures, SIGHT.side), int8.decoder(decoder), numbers, small, layout.WARM)
        fidelity = int8.compare(plain, small, pictures)
        if fidelity.cosine < int8.LEAST:
            raise Refused(
                f"converting to int8: {fidelity}, and {int8.LEAST} is asked: leave out --pictures for float32"
            )
        small.rename(out)
        return fidelity


def _write(encoder: ModelProto, decoder: ModelProto, numbers: dict[str, int], out: Path, session: object) -> None:
    """With the `session` settings of `layout`: float32 weights are used as they are mapped; int8 ones are arranged for
    the processor when they are loaded, which costs less than the first picture gains."""
    for name, model, settings in (("encoder", encoder, looks(SIGHT, GRID)), ("decoder", decoder, says(numbers))):
        (out / name).mkdir(parents=True)
        layout.write(model, out / name, "cold")
        describe(out / name, {**settings, "session": session})


def read_speech(weights: Weights) -> Speech:
    """The tutorial's DecoderWithAttention, whose gate has a value for each feature and whose output sees h alone."""

    def linear(name: str) -> Linear:
        return Linear(weights[f"{name}.weight"], weights[f"{name}.bias"])

    return Speech(
        embedding=weights["embedding.weight"],
        attend_features=linear("attention.encoder_att"),
        attend_state=linear("attention.decoder_att"),
        attend=linear("attention.full_att"),
        gate=linear("f_beta"),
        lstm=lstm(weights, "decode_step"),
        first_h=linear("init_h"),
        first_c=linear("init_c"),
        output=linear("fc"),
    )


def read_encoder(weights: Weights, speech: Speech) -> ModelProto:
    """The tutorial's Encoder: a ResNet without its head, pooled to `GRID` x `GRID` cells."""
    graph = Graph(half=False)
    maps = graph.add("Relu", graph.convolve(graphs.pixels(graph, SIGHT), weights, "resnet.0", "resnet.1", 2))
    maps = graph.add("MaxPool", maps, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for stage in STAGES:
        for number in range(_blocks(weights, stage)):
            stride = 1 if stage == STAGES[0] or number else 2
            maps = _bottleneck(graph, weights, f"resnet.{stage}.{number}", maps, stride)
    pool = _pooling(SIGHT.side // 32, GRID)
    maps = graph.add("MatMul", graph.add("MatMul", graph.constant(pool), maps), graph.constant(pool.T))
    return graphs.encoder(graph, maps, speech, SIGHT, GRID)


def _blocks(weights: Mapping[str, object], stage: str) -> int:
    found = (re.match(rf"resnet\.{stage}\.(\d+)\.conv3\.weight$", name) for name in weights)
    count = len([match for match in found if match])
    if not count:
        raise KeyError(f"resnet.{stage}.0.conv3.weight")
    return count


def _bottleneck(graph: Graph, weights: Weights, name: str, maps: str, stride: int) -> str:
    found = graph.add("Relu", graph.convolve(maps, weights, f"{name}.conv1", f"{name}.bn1"))
    found = graph.add("Relu", graph.convolve(found, weights, f"{name}.conv2", f"{name}.bn2", stride))
    found = graph.convolve(found, weights, f"{name}.conv3", f"{name}.bn3")
    if f"{name}.downsample.0.weight" in weights:
        maps = graph.convolve(maps, weights, f"{name}.downsample.0", f"{name}.downsample.1", stride)
    return graph.add("Relu", graph.add("Add", found, maps))


def _pooling(inputs: int, outputs: int) -> np.ndarray:
    """What AdaptiveAvgPool2d does along one side, as a matrix: ONNX has no such operator."""
    pool = np.zeros((outputs, inputs), np.float32)
    for row in range(outputs):
        first, last = row * inputs // outputs, -(-(row + 1) * inputs // outputs)
        pool[row, first:last] = 1 / (last - first)
    return pool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("words", type=Path, help="the word map, WORDMAP_....json")
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write, which must not be there")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="for int8: pictures as the model will see them")
    options = parser.parse_args()
    if options.out.exists():
        parser.error(f"{options.out} is there already")
    try:
        pictures = samples.read(options.pictures) if options.pictures else ()
        fidelity = convert(options.checkpoint, options.words, options.out, pictures)
    except (Refused, UsageError) as refused:
        parser.exit(1, f"{refused}\n")
    if fidelity:
        print(fidelity)


if __name__ == "__main__":
    main()
