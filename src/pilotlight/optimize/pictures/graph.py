"""An ONNX graph that takes float pictures -> one that takes pixels, and casts, scales and transposes them itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pilotlight.errors import ModelError
from pilotlight.optimize.pictures.samples import INPUT
from pilotlight.optimize.tools import needed

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

    from pilotlight.optimize.pictures.preprocess import Preprocess

OUTPUT = "logits"
TYPES = {1: "float32", 2: "uint8"}


class Taken(NamedTuple):
    """What a model takes: `layout` NHWC or NCHW; 0 for a size that is free."""

    layout: str
    height: int
    width: int
    dtype: str


def taken(model: ModelProto, name: str) -> Taken:
    """ModelError when the one input of `model` is no picture of three channels."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in weights]
    shapes = [_sizes(each) for each in inputs]
    if len(inputs) != 1 or len(shapes[0]) != 4 or 3 not in (shapes[0][1], shapes[0][3]):
        found = ", ".join(f"{each.name} {shape}" for each, shape in zip(inputs, shapes, strict=True)) or "nothing"
        hint = "a picture model takes [batch, height, width, 3] or [batch, 3, height, width]"
        raise ModelError(f"loading {name}: it takes {found}, where one picture is expected", hint)
    dtype = TYPES.get(inputs[0].type.tensor_type.elem_type)
    if dtype is None:
        raise ModelError(f"loading {name}: it takes neither float32 nor uint8", "export it in float32")
    shape = shapes[0]
    return Taken("NHWC", shape[1], shape[2], dtype) if shape[3] == 3 else Taken("NCHW", shape[2], shape[3], dtype)


def classes(model: ModelProto, name: str) -> int:
    """How many scores it gives; ModelError when the first output is not a row of them."""
    shape = _sizes(model.graph.output[0])
    if len(shape) != 2 or shape[1] < 1:
        given = f"{model.graph.output[0].name} {shape}"
        raise ModelError(f"loading {name}: it gives {given}, where a row of scores is expected", "")
    return shape[1]


def of_pixels(model: ModelProto, given: Taken, size: tuple[int, int], preprocess: Preprocess) -> ModelProto:
    """A copy of `model` whose input is `pixels`, uint8 [batch, height, width, 3], and whose one output is `logits`."""
    onnx = needed("onnx")
    copy: ModelProto = onnx.ModelProto()
    copy.CopyFrom(model)
    old = next(each for each in copy.graph.input if each.name not in {one.name for one in copy.graph.initializer})
    batch = old.type.tensor_type.shape.dim[0].dim_value or "batch"
    pixels = onnx.helper.make_tensor_value_info(INPUT, onnx.TensorProto.UINT8, [batch, *size, 3])
    added = _scaled(copy, old.name, given, preprocess)
    copy.graph.input.remove(old)
    copy.graph.input.insert(0, pixels)
    for node in reversed(added):
        copy.graph.node.insert(0, node)
    _name_output(copy)
    del copy.graph.value_info[:]  # they say the batch that was exported
    return copy


def _scaled(model: ModelProto, into: str, given: Taken, preprocess: Preprocess) -> list[object]:
    """Nodes from `pixels` to the tensor `into`; their constants go into the model."""
    onnx, np = needed("onnx"), needed("numpy")
    make = onnx.helper.make_node
    if given.dtype == "uint8":
        return [make("Identity", [INPUT], [into])]
    values = {"pixels_scale": preprocess.scale, "pixels_offset": preprocess.offset}
    needless = {"pixels_scale": (1.0,) * 3, "pixels_offset": (0.0,) * 3}
    nodes, at = [make("Cast", [INPUT], ["pixels_float"], to=onnx.TensorProto.FLOAT)], "pixels_float"
    for operator, name in (("Mul", "pixels_scale"), ("Add", "pixels_offset")):
        if values[name] != needless[name]:
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(values[name], np.float32), name))
            nodes.append(make(operator, [at, name], [f"{name}d"]))
            at = f"{name}d"
    last = ("Transpose", {"perm": [0, 3, 1, 2]}) if given.layout == "NCHW" else ("Identity", {})
    return [*nodes, make(last[0], [at], [into], **last[1])]


def _name_output(model: ModelProto) -> None:
    """The first output becomes `logits`; the others go."""
    output = model.graph.output[0]
    del model.graph.output[1:]
    for node in model.graph.node:
        if output.name in node.output:
            name = output.name
            model.graph.node.append(needed("onnx").helper.make_node("Identity", [name], [OUTPUT]))
            break
    output.name = OUTPUT
    output.type.tensor_type.shape.dim[0].dim_param = "batch"


def _sizes(info: ValueInfoProto) -> list[int]:
    return [dimension.dim_value for dimension in info.type.tensor_type.shape.dim]
