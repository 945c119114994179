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

FLOAT, INT32, INT64 = 1, 6, 7  # TensorProto.DataType
OPSET, IR = 21, 10
MICROSOFT = "com.microsoft"
TINY = 1e-12


@dataclass(frozen=True)
class Linear:
    """A layer as torch has it, `weight` [out, in]; in int8 with a scale for each output where `int8` says so."""

    weight: Floats
    bias: Floats | None
    int8: bool


@dataclass(frozen=True)
class Table:
    """Names of weights: [width, rows], as the product with every row takes it; in int8 with `scales` [rows]."""

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
        """[..., in] to [..., out]. In int8 by ONNX Runtime's own operator, which quantises all rows by one scale."""
        if layer.int8:
            return self._int8(value, *self._columns(layer.weight), layer.bias)
        product = self.add("MatMul", value, self.constant(layer.weight.T))
        return product if layer.bias is None else self.add("Add", product, self.constant(layer.bias))

    def table(self, weight: Floats, int8: bool) -> Table:
        """Embeddings [rows, width], stored once for looking up and for the product with them."""
        return Table(*self._columns(weight)) if int8 else Table(self.constant(weight.T), "")

    def looked_up(self, table: Table, ids: str) -> str:
        """[..., width] for ids of two axes."""
        found = self.add("Gather", table.name, ids, axis=1)
        if table.scales:
            found = self.add("Mul", self.add("Cast", found, to=FLOAT), self.add("Gather", table.scales, ids))
        return self.add("Transpose", found, perm=[1, 2, 0])

    def projected(self, value: str, table: Table, bias: Floats | None) -> str:
        """The product with every row of the table."""
        if table.scales:
            return self._int8(value, table.name, table.scales, bias)
        product = self.add("MatMul", value, table.name)
        return product if bias is None else self.add("Add", product, self.constant(bias))

    def _columns(self, weight: Floats) -> tuple[str, str]:
        """[out, in] as int8 [in, out] and a scale for each output."""
        numbers, scales = quantized(weight)
        return self.constant(numbers.T), self.constant(scales)

    def _int8(self, value: str, numbers: str, scales: str, bias: Floats | None) -> str:
        zeros = self.constant(needed("numpy").zeros(self.weights[scales].dims[0], "int8"))
        inputs = [value, numbers, scales, zeros, *([] if bias is None else [self.constant(bias)])]
        return self.node("DynamicQuantizeMatMul", inputs, 1, domain=MICROSOFT)[0]

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
