"""What the graphs of both networks have in common: small weights, looked up and widened where they are used."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
_IR_VERSION = 8  # of the ONNX release that brought opset 17: old runtimes refuse a newer number
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
Shape = Sequence[int | str]


def value(name: str, kind: int, shape: Shape) -> onnx.ValueInfoProto:
    """An input or an output."""
    return helper.make_tensor_value_info(name, kind, shape)


def save(
    folder: Path,
    inputs: Sequence[onnx.ValueInfoProto],
    classes: int,
    nodes: Iterable[onnx.NodeProto],
    weights: Mapping[str, np.ndarray],
    settings: Mapping[str, object],
) -> None:
    """Write `model.onnx`, which ends in `logits` [1, classes], and `model.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    outputs = [value("logits", FLOAT, [1, classes])]
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(list(nodes), "sentences", inputs, outputs, stored)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, folder / "model.onnx")
    text = json.dumps({"format": 1, **settings}, indent=1)
    (folder / "model.json").write_text(text + "\n", encoding="utf-8")


def small_rows(table: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Rows as int8 with a scale each, as `look_up` takes them."""
    scales = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-8) / 127
    return {f"{table}.rows": np.rint(rows / scales).astype(np.int8), f"{table}.scales": scales}


def look_up(table: str, tokens: str, vectors: str) -> list[onnx.NodeProto]:
    """`tokens` [1, n] to `vectors` [1, n, dimensions]. Look up first, widen after: n rows, not the whole table."""
    return [
        helper.make_node("Gather", [f"{table}.rows", tokens], [f"{vectors}.narrow"]),
        helper.make_node("Gather", [f"{table}.scales", tokens], [f"{vectors}.scale"]),
        helper.make_node("Cast", [f"{vectors}.narrow"], [f"{vectors}.wide"], to=FLOAT),
        helper.make_node("Mul", [f"{vectors}.wide", f"{vectors}.scale"], [vectors]),
    ]


def highest(convolution: str, width: int, channels: str, feature: str) -> list[onnx.NodeProto]:
    """The highest response of each channel of a convolution, whose weights are float16, over [1, dimensions, n]."""
    wide, response = f"{convolution}.wide", f"{convolution}.response"
    return [
        helper.make_node("Cast", [f"{convolution}.weight"], [wide], to=FLOAT),
        helper.make_node("Conv", [channels, wide, f"{convolution}.bias"], [response], pads=[width - 1, width - 1]),
        helper.make_node("ReduceMax", [response], [feature], axes=[2], keepdims=0),
    ]


def small_convolutions(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights with those of convolutions, which have three dimensions, as float16."""
    return {name: array.astype(np.float16) if array.ndim == 3 else array for name, array in weights.items()}
