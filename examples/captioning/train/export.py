"""A trained network to the folder that is served: `encoder/` and `decoder/`, each a graph with its settings.

Large weights are stored as float16, half the bytes in the repository, and widened once, when the model is loaded.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from train import graphs
from train.data import END, SIDE, START, WordMap
from train.graph import Graph, Linear
from train.graphs import Sight, Speech
from train.model import Captioner

Weights = Mapping[str, np.ndarray]
SIGHT = Sight(SIDE, [127.5] * 3, [127.5] * 3)
GRID = SIDE // 16


def export(model: Captioner, numbers: WordMap, folder: Path, half: bool = True) -> None:
    """Write what serving needs."""
    weights = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    speech, graph = _speech(weights), Graph(half)
    maps = _encoder(graph, weights, len(model.encoder.blocks))
    parts = {
        "encoder": (graphs.encoder(graph, maps, speech, SIGHT, GRID), looks(SIGHT, GRID)),
        "decoder": (graphs.decoder(Graph(half), speech), says(numbers)),
    }
    for name, (part, settings) in parts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        onnx.save(part, folder / name / "model.onnx")
        describe(folder / name, settings)


def looks(sight: Sight, grid: int) -> dict[str, Any]:
    """Settings of an encoder: how a picture is made ready, and how its cells lie."""
    image = {"width": sight.side, "height": sight.side, "resample": "bilinear", "fit": "stretch", "resize": None}
    return {"image": image, "grid": [grid, grid]}


def says(numbers: WordMap) -> dict[str, Any]:
    """Settings of a decoder: the words by their numbers."""
    return {"start": numbers[START], "end": numbers[END], "words": sorted(numbers, key=lambda word: numbers[word])}


def describe(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write `model.json`."""
    files = {file.name: file.stat().st_size for file in sorted(folder.glob("model.onnx*"))}
    text = json.dumps({"format": 1, "files": files, **settings})
    (folder / "model.json").write_text(text + "\n", encoding="utf-8")


def _encoder(graph: Graph, weights: Weights, blocks: int) -> str:
    def convolve(maps: str, name: str, stride: int) -> str:
        return graph.convolve(maps, weights, f"encoder.{name}", f"encoder.{name}_norm", stride)

    maps = graph.add("Relu", convolve(graphs.pixels(graph, SIGHT), "stem", 2))
    for number in range(blocks):
        name, stride = f"blocks.{number}", 1 + (number + 1) % 2
        found = graph.add("Relu", convolve(maps, f"{name}.first", stride))
        found = convolve(found, f"{name}.second", 1)
        short = convolve(maps, f"{name}.short", stride) if f"encoder.{name}.short.weight" in weights else maps
        maps = graph.add("Relu", graph.add("Add", found, short))
    return maps


def _speech(weights: Weights) -> Speech:
    def linear(name: str) -> Linear:
        return Linear(weights[f"decoder.{name}.weight"], weights.get(f"decoder.{name}.bias"))

    return Speech(
        embedding=weights["decoder.embedding.weight"],
        attend_features=linear("attend_features"),
        attend_state=linear("attend_state"),
        attend=linear("attend"),
        gate=linear("gate"),
        lstm=lstm(weights, "decoder.cell"),
        first_h=linear("first_h"),
        first_c=linear("first_c"),
        output=linear("output"),
        deep=(linear("output_h"), linear("output_z")),
        squashed=True,
    )


def lstm(weights: Weights, name: str) -> Linear:
    """Both products of torch's LSTMCell as one, over the input and h side by side."""
    both = [weights[f"{name}.weight_{kind}"] for kind in ("ih", "hh")]
    return Linear(np.concatenate(both, axis=1), weights[f"{name}.bias_ih"] + weights[f"{name}.bias_hh"])
