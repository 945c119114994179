"""Small picture models, and pictures to try them on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

LABELS = ("red", "green", "blue")


def photographs(folder: Path, count: int = 8, size: tuple[int, int] = (40, 30)) -> Path:
    """Pictures that are mostly of one colour, in a folder for each."""
    random = np.random.default_rng(0)
    for channel, label in enumerate(LABELS):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 120, (size[1], size[0], 3), np.uint8)
            pixels[..., channel] += 130
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


def network(path: Path, size: int = 16, layout: str = "NCHW", *, soft: bool = False) -> Path:
    """Two convolutions and a dense layer that tell the strongest colour of a picture of 0 to 1.

    It takes `x`, [batch, 3, size, size] or [batch, size, size, 3], and gives `scores`.
    """
    random = np.random.default_rng(1)
    first = np.zeros((9, 3, 3, 3), np.float32)
    first[np.arange(9), np.arange(9) % 3, 1, 1] = 1 + random.random(9) / 10
    depthwise = np.full((9, 1, 3, 3), 1 / 9, np.float32) * (1 + random.random((9, 1, 1, 1)).astype(np.float32) / 10)
    dense = np.zeros((9, 3), np.float32)
    dense[np.arange(9), np.arange(9) % 3] = 1
    weights = {"first": first, "depthwise": depthwise, "dense": dense}
    nodes = [helper.make_node("Transpose", ["x"], ["nchw"], perm=[0, 3, 1, 2])] if layout == "NHWC" else []
    nodes += [
        helper.make_node("Conv", ["nchw" if nodes else "x", "first"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "depthwise"], ["c2"], group=9, pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["c2"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "dense"], ["row" if soft else "scores"]),
    ]
    nodes += [helper.make_node("Softmax", ["row"], ["scores"], axis=-1)] if soft else []
    shape: Sequence[int | str] = ["n", 3, size, size] if layout == "NCHW" else ["n", size, size, 3]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "graph", [x], [y], initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))
    return path
