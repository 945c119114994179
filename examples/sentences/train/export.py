"""A trained network to the folder that is served: `model.onnx` and `vocabulary.txt`.

Word vectors are stored as int8 with one scale a word, convolutions as float16: a quarter of the bytes, and a cold
start reads them all. The graph widens what a sentence needs; logits stay within a few thousandths.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from train.model import KimCNN

OPSET = 17
_IR_VERSION = 8  # of the ONNX release that brought opset 17: old runtimes refuse a newer number


def export(model: KimCNN, words: Sequence[str], folder: Path) -> None:
    """Write what serving needs. Word `i` of the vocabulary is row `i` of the embedding."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocabulary.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    onnx.save(to_onnx(model), folder / "model.onnx")


def to_onnx(model: KimCNN) -> onnx.ModelProto:
    """The network as a graph: `tokens` int64 [1, n], n at least 1, to `logits` float32 [1, classes]."""
    widths = model.config.widths
    weights = {name: parameter.detach().numpy() for name, parameter in model.named_parameters()}
    nodes = [*_embedding(), *(node for i, width in enumerate(widths) for node in _convolution(i, width))]
    features = [f"feature_{i}" for i in range(len(widths))]
    nodes.append(helper.make_node("Concat", features, ["features"], axis=1))
    nodes.append(helper.make_node("Gemm", ["features", "output.weight", "output.bias"], ["logits"], transB=1))
    graph = helper.make_graph(
        nodes,
        "kim_cnn",
        [helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, "n"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, model.config.classes])],
        [numpy_helper.from_array(array, name) for name, array in _stored(weights).items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _embedding() -> list[onnx.NodeProto]:
    """Look up first, widen after: n rows are turned into float32, not the whole table."""
    return [
        helper.make_node("Gather", ["embedding.rows", "tokens"], ["rows"]),
        helper.make_node("Gather", ["embedding.scales", "tokens"], ["scales"]),
        helper.make_node("Cast", ["rows"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["wide", "scales"], ["vectors"]),
        helper.make_node("Transpose", ["vectors"], ["channels"], perm=[0, 2, 1]),
    ]


def _convolution(i: int, width: int) -> list[onnx.NodeProto]:
    name = f"convolutions.{i}"
    pads = [width - 1, width - 1]
    return [
        helper.make_node("Cast", [f"{name}.weight"], [f"{name}.wide"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["channels", f"{name}.wide", f"{name}.bias"], [f"response_{i}"], pads=pads),
        helper.make_node("ReduceMax", [f"response_{i}"], [f"highest_{i}"], axes=[2], keepdims=0),
        helper.make_node("Relu", [f"highest_{i}"], [f"feature_{i}"]),  # after the maximum: the same, n times less work
    ]


def _stored(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    table = weights["embedding.weight"]
    scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-8) / 127
    stored = {"embedding.rows": np.rint(table / scales).astype(np.int8), "embedding.scales": scales}
    for name, array in weights.items():
        if name.startswith("convolutions") and name.endswith("weight"):
            stored[name] = array.astype(np.float16)
        elif not name.startswith("embedding"):
            stored[name] = array
    return stored
