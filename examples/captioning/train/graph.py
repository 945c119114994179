"""A graph built node by node."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

OPSET = 17
_IR_VERSION = 8  # of the ONNX release that brought opset 17: old runtimes refuse a newer number
_LARGE = 1024  # numbers; what is smaller is not worth a cast
_EPSILON = 1e-5  # that torch's batch normalisation adds to the variance
FLOAT, INT64, UINT8 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8
Ends = Mapping[str, tuple[int, Sequence[int | str]]]
"""Inputs or outputs: type and shape by name."""


class Linear(NamedTuple):
    """`weight` [outputs, inputs], as torch has it, and `bias` [outputs]; None adds nothing."""

    weight: np.ndarray
    bias: np.ndarray | None = None


class Graph:
    """Nodes and weights as they are added. With `half` large weights are stored as float16 and widened when loaded."""

    def __init__(self, half: bool) -> None:
        self._half = half
        self._nodes: list[onnx.NodeProto] = []
        self._stored: list[TensorProto] = []

    def add(self, operation: str, *inputs: str, name: str = "", **attributes: object) -> str:
        """Add a node with one output, and give the output's name."""
        [output] = self.split(operation, *inputs, names=[name or self._name(operation)], **attributes)
        return output

    def split(self, operation: str, *inputs: str, names: Sequence[str], **attributes: object) -> Sequence[str]:
        """Add a node with several outputs."""
        self._nodes.append(helper.make_node(operation, list(inputs), list(names), **attributes))
        return names

    def constant(self, numbers: np.ndarray) -> str:
        """float32 or int64 as they are, or, where so much is gained, as float16."""
        name = self._name("constant")
        if not self._half or numbers.dtype != np.float32 or numbers.size < _LARGE:
            self._stored.append(numpy_helper.from_array(np.ascontiguousarray(numbers), name))
            return name
        self._stored.append(numpy_helper.from_array(numbers.astype(np.float16), name))
        return self.add("Cast", name, to=FLOAT)

    def whole(self, *numbers: int) -> str:
        return self.constant(np.array(numbers, np.int64))

    def linear(self, inputs: str, layer: Linear, name: str = "") -> str:
        weight = self.constant(layer.weight.T)
        if layer.bias is None:
            return self.add("MatMul", inputs, weight, name=name)
        return self.add("Add", self.add("MatMul", inputs, weight), self.constant(layer.bias), name=name)

    def convolve(self, maps: str, weights: Mapping[str, np.ndarray], name: str, norm: str, stride: int = 1) -> str:
        """A convolution without bias, with its batch normalisation made part of it."""
        kernel = weights[f"{name}.weight"]
        scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + np.float32(_EPSILON))
        bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
        constants = self.constant(kernel * scale[:, None, None, None]), self.constant(bias)
        return self.add("Conv", maps, *constants, strides=[stride] * 2, pads=[kernel.shape[2] // 2] * 4)

    def model(self, name: str, inputs: Ends, outputs: Ends) -> ModelProto:
        """All that was added, checked."""
        ends = [[helper.make_tensor_value_info(name, *of) for name, of in each.items()] for each in (inputs, outputs)]
        graph = helper.make_graph(self._nodes, name, *ends, self._stored)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        return model

    def _name(self, operation: str) -> str:
        return f"{operation}_{len(self._nodes)}_{len(self._stored)}"
