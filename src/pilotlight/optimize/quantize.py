"""int8 weights: embeddings by rows, matrix products by columns with activations quantised as they come.

Products are smoothed first (SmoothQuant, Xiao et al. 2023, section 4): a few activation channels of a transformer are
far larger than the others and take the range of the 8 bits away from them. Dividing each channel of the activations
by a factor, and multiplying the weights that meet it, leaves the product as it is and evens the ranges.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pilotlight.optimize import graph
from pilotlight.optimize.tools import needed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto, TensorProto

    from pilotlight.optimize.outputs import Feeds

    Floats = NDArray[np.float32]
    Peaks = Mapping[str, Floats]
    """The largest absolute value of each channel (the last axis) of an activation, by its name."""

PRODUCTS = ("MatMul", "Gemm", "Attention")
SMALLEST = 16 * 1024
"""Weights below this many numbers stay as they are: too small to matter for size or speed."""
STRENGTH = 0.75
"""How much of the activations' unevenness the weights take over (Xiao's alpha)."""
TINY = 1e-5


@dataclass(frozen=True)
class Part:
    """A node whose weights can be quantised."""

    node: str
    kind: str
    """embedding, attention or feed-forward: which part of the network it belongs to; other, where that is not seen."""
    weights: int
    """How many numbers."""


def parts(model: ModelProto) -> tuple[Part, ...]:
    """What can be quantised in `model`, in the order of the graph. Every node gets a name where it has none."""
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    found = []
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
        size = _weights(node, held)
        if size >= SMALLEST:
            found.append(Part(node.name, _kind(node), size))
    return tuple(found)


def peaks(model: ModelProto, feeds: Iterable[Feeds]) -> Peaks:
    """The largest values that the activations before each product have over `feeds`."""
    np, runtime = needed("numpy"), needed("onnxruntime")
    names = sorted({node.input[0] for node in _products(model, {part.node for part in parts(model)})})
    with tempfile.TemporaryDirectory() as folder:
        watched = _with_outputs(model, names)
        needed("onnx").save(watched, str(Path(folder) / "watched.onnx"))
        session = runtime.InferenceSession(str(Path(folder) / "watched.onnx"), providers=["CPUExecutionProvider"])
    found: dict[str, Floats] = {}
    for feed in feeds:
        for name, value in zip(names, session.run(names, dict(feed)) if names else (), strict=True):
            peak = np.abs(value.reshape(-1, value.shape[-1])).max(axis=0)
            found[name] = np.maximum(found[name], peak) if name in found else peak
    return found


def quantized(model: ModelProto, chosen: Sequence[Part], peaks: Peaks) -> ModelProto:
    """A copy of `model` with the `chosen` parts in int8."""
    names = {part.node for part in chosen}
    copy = needed("onnx").ModelProto()
    copy.CopyFrom(model)
    _smooth(copy, names, peaks)
    _by_rows(copy, names)
    _drop_unused(copy)
    return _by_columns(copy, [node.name for node in _products(copy, names)])


def _weights(node: NodeProto, held: Mapping[str, TensorProto]) -> int:
    """How many numbers the constant matrix has that the node multiplies with, or looks rows up in; 0 without one."""
    if node.op_type == "Gather":
        name, fits = node.input[0], not any(each.name == "axis" and each.i != 0 for each in node.attribute)
    else:
        name, fits = (node.input[1] if len(node.input) > 1 else ""), node.op_type in PRODUCTS
    tensor = held.get(name)
    if not fits or tensor is None or len(tensor.dims) != 2 or tensor.data_type != tensor.FLOAT:
        return 0
    return int(tensor.dims[0] * tensor.dims[1])


def _kind(node: NodeProto) -> str:
    if node.op_type == "Gather":
        return "embedding"
    name = node.name.lower()
    if "attention" in name or "attn" in name:
        return "attention"
    return "feed-forward" if any(word in name for word in ("intermediate", "output", "mlp", "ffn", "lin")) else "other"


def _products(model: ModelProto, names: set[str]) -> list[NodeProto]:
    return [node for node in model.graph.node if node.name in names and node.op_type in PRODUCTS]


def _with_outputs(model: ModelProto, names: Sequence[str]) -> ModelProto:
    onnx = needed("onnx")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    present = {output.name for output in copy.graph.output}
    kind = onnx.TensorProto.FLOAT
    infos = [onnx.helper.make_tensor_value_info(name, kind, None) for name in names if name not in present]
    copy.graph.output.extend(infos)
    return copy  # type: ignore[no-any-return]


def _smooth(model: ModelProto, names: set[str], peaks: Peaks) -> None:
    """Divide the channels of the activations before the chosen products by factors, and multiply the weights by them.

    Products of one activation share its factors, so that it is divided once.
    """
    onnx = needed("onnx")
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    chosen = [node for node in _products(model, names) if node.input[0] in peaks and not _transposed(node)]
    for source in dict.fromkeys(node.input[0] for node in chosen):
        readers = [node for node in chosen if node.input[0] == source]
        factors = _factors([held[node.input[1]] for node in readers], peaks[source])
        added = [onnx.numpy_helper.from_array(1 / factors, f"{source}_smoothing")]
        _insert(model, readers[0].name, source)
        for node in readers:
            name = f"{node.name}_smoothed"  # the node's own: another may use the same weights as they are
            added.append(onnx.numpy_helper.from_array(held[node.input[1]] * factors[:, None], name))
            _node(model, node.name).input[:2] = [f"{source}_smoothed", name]
        model.graph.initializer.extend(added)


def _factors(weights: Sequence[Floats], peaks: Floats) -> Floats:
    """Xiao et al. 2023, equation 4, with a geometric mean of 1: [channels], for weights [channels, columns]."""
    np = needed("numpy")
    reach = np.maximum(np.max([np.abs(each).max(axis=1) for each in weights], axis=0), TINY)
    factors = np.maximum(peaks, TINY) ** STRENGTH / reach ** (1 - STRENGTH)
    return (factors / np.exp(np.log(factors).mean())).astype(np.float32)  # type: ignore[no-any-return]


def _insert(model: ModelProto, before: str, source: str) -> None:
    """Put the product of `source` and its smoothing before the node of that name."""
    at = next(index for index, node in enumerate(model.graph.node) if node.name == before)
    names = [source, f"{source}_smoothing"], [f"{source}_smoothed"]
    model.graph.node.insert(at, needed("onnx").helper.make_node("Mul", *names, name=f"{source}_smooth"))


def _node(model: ModelProto, name: str) -> NodeProto:
    found: NodeProto = next(node for node in model.graph.node if node.name == name)
    return found


def _transposed(node: NodeProto) -> bool:
    return any(each.name in ("transA", "transB") and each.i for each in node.attribute)


def _by_rows(model: ModelProto, names: set[str]) -> None:
    """Look up int8 rows and the scale of each, and restore only those: error and cost are those of a few rows."""
    onnx, np = needed("onnx"), needed("numpy")
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        if node.name not in names or node.op_type != "Gather":
            model.graph.node.append(node)
            continue
        table, ids = node.input
        if f"{table}_rows" not in held:
            rows = onnx.numpy_helper.to_array(held[table])
            scales = np.maximum(np.abs(rows).max(axis=1, keepdims=True), TINY) / 127
            for name, array in (("rows", np.rint(rows / scales).astype(np.int8)), ("scales", scales)):
                held[f"{table}_{name}"] = onnx.numpy_helper.from_array(array, f"{table}_{name}")
                model.graph.initializer.append(held[f"{table}_{name}"])
        model.graph.node.extend(_looked_up(node, table, ids))


def _looked_up(node: NodeProto, table: str, ids: str) -> list[NodeProto]:
    onnx = needed("onnx")
    make, name = onnx.helper.make_node, node.name
    return [
        make("Gather", [f"{table}_rows", ids], [f"{name}_row"], name=f"{name}_row"),
        make("Gather", [f"{table}_scales", ids], [f"{name}_scale"], name=f"{name}_scale"),
        make("Cast", [f"{name}_row"], [f"{name}_cast"], name=f"{name}_cast", to=onnx.TensorProto.FLOAT),
        make("Mul", [f"{name}_cast", f"{name}_scale"], list(node.output), name=f"{name}_restore"),
    ]


def _by_columns(model: ModelProto, names: Sequence[str]) -> ModelProto:
    """int8 weights with a scale for each column; signed, since the kernels of VNNI take unsigned by signed fastest."""
    if not names:
        return model
    quantization, onnx = needed("onnxruntime.quantization"), needed("onnx")
    chosen = [*names, *(f"{name}_MatMul" for name in names)]  # what its quantiser makes of a Gemm
    with tempfile.TemporaryDirectory() as folder, graph.quiet():
        path = Path(folder) / "model.onnx"
        quantization.quantize_dynamic(
            model,
            str(path),
            op_types_to_quantize=list(PRODUCTS),
            nodes_to_quantize=chosen,
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},  # it cannot infer types after fused nodes
        )
        return graph.read(path)


def _drop_unused(model: ModelProto) -> None:
    used = {name for node in model.graph.node for name in node.input} | {each.name for each in model.graph.output}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
