"""A trained network to the folder that is served: `model.onnx` and `idf.txt`, the words with their idf.

Weights are stored small, see `train/graph.py`. What the overlap features are divided by is part of the graph.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import helper
from train import graph
from train.sm_cnn.model import OVERLAP, SMCNN

SIDES = ("question", "answer")


def export(model: SMCNN, idf: Mapping[str, float], folder: Path, table: bool) -> None:
    """Write what serving needs. Word `i` of the idf is row `i` of the vectors, and the first stands for all others.

    The graph takes `question` and `answer`, int64 [1, n] with n at least 1, or float32 [1, n, dimensions] for a
    `table` of vectors; and `overlap` float32 [1, 4] where the network has it.
    """
    kind, size = (graph.FLOAT, [model.config.dimensions]) if table else (graph.INT64, [])
    sides = [graph.value(side, kind, [1, f"{side}s", *size]) for side in SIDES]
    overlap = [graph.value("overlap", graph.FLOAT, [1, OVERLAP])] if model.config.overlap else []
    graph.save(folder, [*sides, *overlap], 2, _nodes(model, table), _weights(model, table), {})
    lines = [f"{word} {number:.4f}\n" for word, number in idf.items()]
    (folder / "idf.txt").write_text("".join(lines), encoding="utf-8")


def _nodes(model: SMCNN, table: bool) -> Iterator[onnx.NodeProto]:
    for side in SIDES:
        vectors = side if table else f"{side}.vectors"
        if not table:
            yield from graph.look_up("vectors", side, vectors)
        yield helper.make_node("Transpose", [vectors], [f"{side}.channels"], perm=[0, 2, 1])
        yield from graph.highest(f"{side}s", model.config.width, f"{side}.channels", f"{side}.highest")
    yield helper.make_node("Concat", [f"{side}.highest" for side in SIDES], ["highest"], axis=1)
    yield helper.make_node("Tanh", ["highest"], ["found"])  # after the maximum: the same, n times less work
    if model.config.overlap:
        yield helper.make_node("Sub", ["overlap", "mean"], ["centred"])
        yield helper.make_node("Mul", ["centred", "scale"], ["standard"])
        yield helper.make_node("Concat", ["found", "standard"], ["joined"], axis=1)
    joined = "joined" if model.config.overlap else "found"
    yield helper.make_node("Gemm", [joined, "hidden.weight", "hidden.bias"], ["dense"], transB=1)
    yield helper.make_node("Tanh", ["dense"], ["hidden"])
    yield helper.make_node("Gemm", ["hidden", "output.weight", "output.bias"], ["logits"], transB=1)


def _weights(model: SMCNN, table: bool) -> dict[str, np.ndarray]:
    learned = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    if not model.config.overlap:
        del learned["mean"], learned["scale"]
    rows = {} if table else graph.small_rows("vectors", model.vectors.numpy())
    return graph.small_convolutions(learned) | rows
