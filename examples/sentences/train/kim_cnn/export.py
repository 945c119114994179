"""A trained network to the folder that is served: `model.onnx`, the names of its classes, and `vocabulary.txt`.

Word vectors are stored as int8 with one scale a word, convolutions as float16: a quarter of the bytes, and a cold
start reads them all. The graph widens what a sentence needs; logits stay within a few thousandths. In the static form
nothing is stored of the words: the graph takes their vectors, which are looked up in a table.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper
from train import graph
from train.kim_cnn.model import KimCNN


def export(model: KimCNN, words: Sequence[str], labels: Sequence[str], folder: Path, cased: bool = False) -> None:
    """Write what serving needs. Word `i` of the vocabulary is row `i` of the embedding.

    The graph takes `tokens` int64 [1, n], n at least 1, or in the static form `vectors` float32 [1, n, dimensions].
    """
    config = model.config
    taken = graph.value("tokens", graph.INT64, [1, "n"])
    if config.form == "static":
        taken = graph.value("vectors", graph.FLOAT, [1, "n", config.dimensions])
    settings = {"labels": labels, **({"cased": True} if cased else {})}
    graph.save(folder, [taken], config.classes, _nodes(model), _weights(model), settings)
    if config.form != "static":
        (folder / "vocabulary.txt").write_text("\n".join(words) + "\n", encoding="utf-8")


def _nodes(model: KimCNN) -> Iterator[onnx.NodeProto]:
    tables = [] if model.config.form == "static" else list(model.tables())
    for table in tables:
        yield from graph.look_up(table, "tokens", f"{table}.vectors")
    if tables:
        yield helper.make_node("Concat", [f"{table}.vectors" for table in tables], ["vectors"], axis=2)
    yield helper.make_node("Transpose", ["vectors"], ["channels"], perm=[0, 2, 1])
    widths = model.config.widths
    for i, width in enumerate(widths):
        yield from graph.highest(f"convolutions.{i}", width, "channels", f"highest_{i}")
    yield helper.make_node("Concat", [f"highest_{i}" for i in range(len(widths))], ["highest"], axis=1)
    yield helper.make_node("Relu", ["highest"], ["features"])  # after the maximum: the same, n times less work
    yield helper.make_node("Gemm", ["features", "output.weight", "output.bias"], ["logits"], transB=1)


def _weights(model: KimCNN) -> dict[str, np.ndarray]:
    learned = {name: parameter.detach().numpy() for name, parameter in model.named_parameters()}
    learned.pop("embedding.weight", None)
    stored = graph.small_convolutions(learned)
    for table, rows in model.tables().items() if model.config.form != "static" else ():
        stored |= graph.small_rows(table, rows.numpy())
    return stored
