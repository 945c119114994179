"""A graph of ONNX, node after node, with the operators of ONNX Runtime that do several steps at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pilotlight.optimize.tools import needed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto, TensorProto

    Floats = NDArray[np.float32]

FLOAT, INT8, INT32, INT64 = 1, 3, 6, 7  # TensorProto.DataType
OPSET, IR = 21, 10
MICROSOFT = "com.microsoft"
TINY = 1e-12
MIDDLE = 128


@dataclass(frozen=True)
class Linear:
    """A layer as torch has it, `weight` [out, in]; in int8 with a scale for each output where `int8` says so."""

    weight: Floats
    bias: Floats | None
    int8: bool


@dataclass(frozen=True)
class Table:
    """Names of weights: [rows, width] of uint8 around `MIDDLE`, with `scales` [rows], or [width, rows] without."""

    name: str
    scales: str


@dataclass
class Builder:
    """Nodes and weights so far. Every method gives the name of what its node makes."""

    nodes: list[NodeProto] = field(default_factory=list)
    weights: dict[str, TensorProto] = field(default_factory=dict)
    constants: dict[bytes, str] = field(default_factory=dict)

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        [made] = self.node(operator, inputs, [name] if name else 1, **attributes)
        return made

    def node(
        self, operator: str, inputs: Sequence[str], outputs: Sequence[str] | int, domain: str = "", **attributes: Any
    ) -> list[str]:
        """A node with outputs of those names, or so many."""
        number = len(self.nodes)
        names = [f"v{number}_{at}" for at in range(outputs)] if isinstance(outputs, int) else list(outputs)
        make = needed("onnx").helper.make_node
        self.nodes.append(make(operator, list(inputs), names, name=f"{operator}_{number}", domain=domain, **attributes))
        return names

    def constant(self, value: NDArray[Any], name: str = "") -> str:
        """The same weights get one tensor, however often they are asked for."""
        key = f"{value.dtype} {value.shape} ".encode() + value.tobytes() if value.nbytes < 4096 else b""
        if key in self.constants:
            return self.constants[key]
        name = name or f"w{len(self.weights)}"
        if key:
            self.constants[key] = name
        array = needed("numpy").ascontiguousarray(value)
        self.weights[name] = needed("onnx.numpy_helper").from_array(array, name)
        return name

    def whole(self, *numbers: int) -> str:
        return self.constant(needed("numpy").array(numbers, "int64"))

    def number(self, value: float) -> str:
        return self.constant(needed("numpy").array(value, "float32"))

    def split(self, value: str, parts: int) -> list[str]:
        return self.node("Split", [value], parts, axis=-1, num_outputs=parts)

    def attention(self, inputs: Sequence[str], heads: int, present: Sequence[str] = ()) -> str:
        """query, key, value, bias, mask of the keys, an addition to the scores, past key, past value."""
        outputs = [f"v{len(self.nodes)}_0", *present]
        return self.node("MultiHeadAttention", inputs, outputs, domain=MICROSOFT, num_heads=heads)[0]

    def activation(self, kind: str, value: str) -> str:
        match kind:
            case "swish" | "silu":
                return self.node("QuickGelu", [value], 1, domain=MICROSOFT, alpha=1.0)[0]
            case "gelu":
                return self.add("Gelu", value)
        return self.add("Relu", value)

    def linear(self, value: str, layer: Linear) -> str:
        """For any number of rows: ONNX Runtime's own operator, which quantises all rows by one scale."""
        bias = [] if layer.bias is None else [self.constant(layer.bias)]
        if not layer.int8:
            product = self.add("MatMul", value, self.constant(layer.weight.T))
            return self.add("Add", product, *bias) if bias else product
        numbers, scales = quantized(layer.weight)
        zero = self.constant(needed("numpy").zeros(len(scales), "int8"))
        inputs = [value, self.constant(numbers.T), self.constant(scales), zero, *bias]
        return self.node("DynamicQuantizeMatMul", inputs, 1, domain=MICROSOFT)[0]

    def narrow(self, value: str, layer: Linear) -> str:
        """For the few rows of a step, each quantised by its own scale: [rows, in] to [rows, out].

        The weights are the left side of the product, as they lie in a checkpoint, and the rows are the right one, which
        is small. So the weights are neither packed when they are loaded nor rearranged in every run.
        """
        if not layer.int8:
            return self.linear(value, layer)
        return self._narrow(value, self._rows(layer.weight), layer.bias)

    def _narrow(self, value: str, table: Table, bias: Floats | None) -> str:
        peaks = self.add("ReduceMax", self.add("Abs", value), self.whole(1), keepdims=0)
        scales = self.add("Max", self.add("Mul", peaks, self.number(1 / 127)), self.number(TINY))
        rows = self.add("QuantizeLinear", value, scales, axis=0, output_dtype=INT8)
        inputs = [table.name, self.add("Transpose", rows, perm=[1, 0]), self.number(1), scales, self._middle()]
        [columns] = self.node("MatMulIntegerToFloat", inputs, 1, domain=MICROSOFT)
        product = self.add("Mul", self.add("Transpose", columns, perm=[1, 0]), table.scales)
        return product if bias is None else self.add("Add", product, self.constant(bias))

    def table(self, weight: Floats, int8: bool) -> Table:
        """Embeddings, stored once: in int8 by rows, else by columns, as each product needs them."""
        return self._rows(weight) if int8 else Table(self.constant(weight.T), "")

    def looked_up(self, table: Table, ids: str) -> str:
        """[..., width] for ids of two axes."""
        if not table.scales:
            return self.add("Transpose", self.add("Gather", table.name, ids, axis=1), perm=[1, 2, 0])
        numbers = self.add("Cast", self.add("Gather", table.name, ids), to=FLOAT)
        scales = self.add("Unsqueeze", self.add("Gather", table.scales, ids), self.whole(2))
        return self.add("Mul", self.add("Sub", numbers, self.number(MIDDLE)), scales)

    def projected(self, value: str, table: Table, bias: Floats | None) -> str:
        """The product with every row of the table."""
        if table.scales:
            return self._narrow(value, table, bias)
        product = self.add("MatMul", value, table.name)
        return product if bias is None else self.add("Add", product, self.constant(bias))

    def _rows(self, weight: Floats) -> Table:
        """Unsigned, since the kernels take the left side of a product so."""
        numbers, scales = quantized(weight)
        unsigned = (numbers.astype("int16") + MIDDLE).astype("uint8")
        return Table(self.constant(unsigned), self.constant(scales))

    def _middle(self) -> str:
        return self.constant(needed("numpy").array(MIDDLE, "uint8"))

    def model(
        self,
        name: str,
        inputs: Mapping[str, tuple[int, Sequence[Any]]],
        outputs: Mapping[str, tuple[int, Sequence[Any]]],
    ) -> ModelProto:
        """The whole; an input or output is its type and its axes, by number or by name."""
        helper = needed("onnx").helper

        def infos(tensors: Mapping[str, tuple[int, Sequence[Any]]]) -> list[Any]:
            return [helper.make_tensor_value_info(each, kind, axes) for each, (kind, axes) in tensors.items()]

        graph = helper.make_graph(self.nodes, name, infos(inputs), infos(outputs), list(self.weights.values()))
        sets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=sets, ir_version=IR, producer_name="pilotlight")  # type: ignore[no-any-return]


def quantized(weight: Floats) -> tuple[NDArray[np.int8], Floats]:
    """int8 numbers of [out, in] with a scale for each row: weight = numbers * scales."""
    np = needed("numpy")
    scales = np.maximum(np.abs(weight).max(axis=1), TINY).astype(np.float32) / np.float32(127)
    return np.rint(weight / scales[:, None]).astype(np.int8), scales
