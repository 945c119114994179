"""Graphs of the convolutions of MobileNetV2 and Xception, with random weights: speed does not depend on them.

MobileNetV2: arxiv.org/abs/1801.04381, table 2. Xception: arxiv.org/abs/1610.02357, figure 5; its three kinds of flow,
without the additions beside them, which cost little.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MOBILENET = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
XCEPTION = ((128, 2, 2), (256, 2, 2), (728, 2, 2), *((728, 3, 1),) * 8, (1_024, 2, 2))


class Made(NamedTuple):
    file: Path
    size: dict[str, Any]


def made(folder: Path) -> dict[str, Made]:
    mobile = {"width": 224, "height": 224, "resample": "bilinear", "fit": "crop", "resize": 256}
    xception = {"width": 299, "height": 299, "resample": "nearest"}
    return {
        "MobileNetV2-sized": Made(_Graph().mobilenet(folder / "mobilenet.onnx"), mobile),
        "Xception-sized": Made(_Graph().xception(folder / "xception.onnx"), xception),
    }


class _Graph:
    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(0)
        self._channels = 3
        self._last = "pixels"

    def mobilenet(self, file: Path) -> Path:
        self._begin()
        self._convolve(32, 3, 2)
        for factor, channels, repeats, stride in MOBILENET:
            for step in _steps(repeats, stride):
                if factor > 1:
                    self._convolve(self._channels * factor, 1)
                self._convolve(self._channels, 3, step, depthwise=True)
                self._convolve(channels, 1, relu=False)
        self._convolve(1_280, 1)
        return self._write(file, 224)

    def xception(self, file: Path) -> Path:
        self._begin()
        self._convolve(32, 3, 2)
        self._convolve(64, 3)
        for channels, repeats, stride in XCEPTION:
            for _ in range(repeats):
                self._convolve(self._channels, 3, depthwise=True, relu=False)
                self._convolve(channels, 1)
            if stride > 1:
                self._add("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        for channels in (1_536, 2_048):
            self._convolve(self._channels, 3, depthwise=True, relu=False)
            self._convolve(channels, 1)
        return self._write(file, 299)

    def _begin(self) -> None:
        self._add("Cast", to=TensorProto.FLOAT)
        self._add("Div", self._weight(np.float32(127.5)))
        self._add("Transpose", perm=[0, 3, 1, 2])

    def _convolve(self, to: int, kernel: int, stride: int = 1, *, depthwise: bool = False, relu: bool = True) -> None:
        groups = self._channels if depthwise else 1
        shape = (to, self._channels // groups, kernel, kernel)
        weight = (self._random.standard_normal(shape) * (2 / np.prod(shape[1:])) ** 0.5).astype(np.float32)
        pads = [kernel // 2] * 4
        bias = self._weight(np.zeros(to, np.float32))
        self._add("Conv", self._weight(weight), bias, group=groups, strides=[stride] * 2, pads=pads)
        if relu:
            self._add("Relu")
        self._channels = to

    def _add(self, kind: str, *more: str, **attributes: object) -> None:
        output = f"{kind}{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, [self._last, *more], [output], **attributes))
        self._last = output

    def _weight(self, numbers: Any) -> str:
        name = f"weight{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.asarray(numbers), name))
        return name

    def _write(self, file: Path, side: int) -> Path:
        self._add("GlobalAveragePool")
        self._convolve(1_000, 1, relu=False)
        pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, [1, side, side, 3])
        output = helper.make_tensor_value_info(self._last, TensorProto.FLOAT, [1, 1_000, 1, 1])
        graph = helper.make_graph(self._nodes, "graph", [pixels], [output], self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, file)
        return file


def _steps(repeats: int, stride: int) -> Iterator[int]:
    """The first of a group of blocks has the stride."""
    yield stride
    yield from [1] * (repeats - 1)
