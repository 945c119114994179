"""The steps of a network as an ONNX graph, in float32 or in int8."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from .steps import Step, Weights, steps

_OPSET = 17
_IR_VERSION = 8  # of the ONNX release that brought opset 17: old runtimes refuse a newer number


def write(weights: Weights, size: int, file: Path) -> None:
    """Write the graph: `pixels` uint8 `[1, size, size, 3]` to `logits` float32 `[1, classes]`."""
    classes = len(weights["head.bias"])
    taken = helper.make_tensor_value_info("pixels", TensorProto.UINT8, [1, size, size, 3])
    given = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, classes])
    constants = {"half": np.array(127.5, np.float32), "one": np.array(1, np.float32)}
    stored = [numpy_helper.from_array(array, name) for name, array in {**constants, **weights}.items()]
    graph = helper.make_graph(list(_nodes(weights)), "clothing", [taken], [given], stored)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, file)


def write_int8(weights: Weights, size: int, pixels: NDArray[np.uint8], file: Path) -> None:
    """The same in int8, weights with a scale a channel; `pixels` `[n, size, size, 3]` say how far activations go."""
    with tempfile.TemporaryDirectory() as folder:
        wide = Path(folder) / "float.onnx"
        write(weights, size, wide)
        quantize_static(
            wide,
            file,
            _Batches(pixels),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", "MaxPool", "AveragePool", "Add", "GlobalAveragePool", "Gemm"],
        )


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._left = iter(pixels)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        pixels = next(self._left, None)
        return None if pixels is None else {"pixels": pixels[None]}


def _nodes(weights: Weights) -> Iterator[onnx.NodeProto]:
    yield helper.make_node("Transpose", ["pixels"], ["pixels.planes"], perm=[0, 3, 1, 2])
    yield helper.make_node("Cast", ["pixels.planes"], ["pixels.wide"], to=TensorProto.FLOAT)
    yield helper.make_node("Div", ["pixels.wide", "half"], ["pixels.scaled"])
    yield helper.make_node("Sub", ["pixels.scaled", "one"], ["pixels.centred"])
    for step in steps(weights):
        inputs = ["pixels.centred" if name == "pixels" else name for name in step.inputs]
        yield from _node(step, inputs)


def _node(step: Step, inputs: list[str]) -> Iterator[onnx.NodeProto]:
    learned = [f"{step.name}.weight", f"{step.name}.bias"]
    window = {"strides": [step.stride] * 2, "pads": [step.padding] * 4}
    match step.kind:
        case "conv":
            yield helper.make_node("Conv", inputs + learned, [step.name], **window)
        case "relu":
            yield helper.make_node("Relu", inputs, [step.name])
        case "highest":
            yield helper.make_node("MaxPool", inputs, [step.name], kernel_shape=[3, 3], **window)
        case "average":
            yield helper.make_node("AveragePool", inputs, [step.name], kernel_shape=[2, 2], **window)
        case "add":
            yield helper.make_node("Add", inputs, [step.name])
        case "mean":
            yield helper.make_node("GlobalAveragePool", inputs, [f"{step.name}.places"])
            yield helper.make_node("Flatten", [f"{step.name}.places"], [step.name])
        case "linear":
            yield helper.make_node("Gemm", inputs + learned, ["logits"], transB=1)
