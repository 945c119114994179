"""Static int8: weights by channel, activations by the ranges that calibration pictures show.

Convolutions of pictures have their weights read once for many pixels, so int8 activations pay there, other than in a
transformer, whose activations are quantised as they come (`optimize/quantize.py`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilotlight.errors import FidelityError
from pilotlight.optimize import graph
from pilotlight.optimize.progress import Progress
from pilotlight.optimize.quantize import Part
from pilotlight.optimize.search import Choice
from pilotlight.optimize.tools import needed

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

    from pilotlight.optimize.outputs import Feeds

    Judge = Callable[[ModelProto], str]

PRODUCTS = ("Conv", "Gemm", "MatMul")
CALIBRATED = 100
"""Pictures that ranges are taken from, at most: their extremes grow hardly any more."""


def choose(model: ModelProto, feeds: Sequence[Feeds], judge: Judge, precision: str, progress: Progress) -> Choice:
    """The model with as much in int8 as `judge` passes: all, or all but the ends, which pictures suffer most from, or
    all but those and the depthwise convolutions, or nothing. FidelityError when `precision` is int8 and all fails."""
    plain = folded(model)
    parts = _parts(plain)
    if precision == "fp32" or not parts:
        return Choice(model, (), parts)
    for left in _ladder(plain, parts):
        made = quantized(plain, feeds, left, progress)
        reason = judge(made)
        if not reason:
            return Choice(made, tuple(part for part in parts if part not in left), left)
        if precision == "int8":
            raise FidelityError(f"quantising to int8: {reason}", "--precision auto leaves the worst parts in fp32")
        progress.say(f"int8 but for {len(left)} of {len(parts)} parts does not pass: {reason}")
    return Choice(model, (), parts)


def _ladder(model: ModelProto, parts: tuple[Part, ...]) -> list[tuple[Part, ...]]:
    ends = (parts[0], parts[-1]) if len(parts) > 2 else parts
    depthwise = {node.name for node in model.graph.node if _groups(node) > 1}
    more = tuple(part for part in parts if part in ends or part.node in depthwise)
    return [left for left in dict.fromkeys([(), ends, more]) if len(left) < len(parts)]


def quantized(model: ModelProto, feeds: Sequence[Feeds], left: Sequence[Part], progress: Progress) -> ModelProto:
    """A copy in int8 but for the parts `left`, with QuantizeLinear and DequantizeLinear around each operator, which
    ONNX Runtime's optimisation joins."""
    quantization = needed("onnxruntime.quantization")
    with tempfile.TemporaryDirectory() as folder, graph.quiet():
        given, made = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        needed("onnx").save(model, str(given))
        quantization.quantize_static(
            str(given),
            str(made),
            _reader(feeds[:CALIBRATED], progress),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=[part.node for part in left],
        )
        return graph.read(made)


def folded(model: ModelProto) -> ModelProto:
    """With normalisations folded into convolutions and every node named, as quantising wants it."""
    runtime = needed("onnxruntime")
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "given.onnx", Path(folder) / "folded.onnx"
        needed("onnx").save(model, str(given))
        options.optimized_model_filepath = str(made)
        runtime.InferenceSession(str(given), options, providers=["CPUExecutionProvider"])
        folded = graph.read(made)
    for number, node in enumerate(folded.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
    return folded


def _parts(model: ModelProto) -> tuple[Part, ...]:
    """The products with constant weights, in the order of the graph."""
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    found = []
    for node in model.graph.node:
        if node.op_type in PRODUCTS and len(node.input) > 1 and node.input[1] in held:
            kind = "convolution" if node.op_type == "Conv" else "dense"
            found.append(Part(node.name, kind, int(needed("numpy").prod(held[node.input[1]].dims))))
    return tuple(found)


def _groups(node: NodeProto) -> int:
    return next((int(each.i) for each in node.attribute if each.name == "group"), 1)


def _reader(feeds: Sequence[Feeds], progress: Progress) -> Any:
    """What ONNX Runtime's calibration asks for the next picture."""
    calibrate = needed("onnxruntime.quantization.calibrate")

    class Reader(calibrate.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self._feeds = progress.each("calibration", feeds)

        def get_next(self) -> Any:
            return next(self._feeds, None)

    return Reader()
