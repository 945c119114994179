"""The trained network as a list of steps, from which the ONNX graph and the TensorFlow Lite model are both built.

It imports neither torch nor TensorFlow, whose environments are not the same.
"""

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

CLASSES = ("dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt")

Weights = Mapping[str, NDArray[np.float32]]
"""`NAME.weight` `[out, in, height, width]`, or `[out, in]` of `head`, and `NAME.bias` `[out]`; norms are folded in."""


class Step(NamedTuple):
    """One operation on the outputs of the steps that `inputs` names; `pixels` is the input, in -1..1.

    `conv` and `highest` pad by `padding` on each side; `average` takes squares of two by two; `mean` goes over all
    places.
    """

    kind: Literal["conv", "relu", "highest", "average", "add", "mean", "linear"]
    name: str
    inputs: tuple[str, ...]
    stride: int = 1
    padding: int = 0


def steps(weights: Weights) -> Iterator[Step]:
    """The steps of `network.Network`, the last of which gives the logits."""
    yield Step("conv", "stem", ("pixels",), 2, 2)
    yield Step("relu", "stem.relu", ("stem",))
    yield Step("highest", "pool", ("stem.relu",), 2, 1)
    before, count = "pool", sum(name.endswith(".second.weight") for name in weights)
    for place in range(count):
        yield from _block(f"blocks.{place}", before, 2 if place else 1)
        before = f"blocks.{place}"
    yield Step("mean", "features", (before,))
    yield Step("linear", "head", ("features",))


def _block(name: str, before: str, stride: int) -> Iterator[Step]:
    yield Step("conv", f"{name}.first", (before,), stride, 1)
    yield Step("relu", f"{name}.inner", (f"{name}.first",))
    yield Step("conv", f"{name}.second", (f"{name}.inner",), 1, 1)
    if stride == 2:
        yield Step("average", f"{name}.pool", (before,), 2)
        before = f"{name}.pool"
    yield Step("conv", f"{name}.short", (before,))
    yield Step("add", f"{name}.sum", (f"{name}.second", f"{name}.short"))
    yield Step("relu", name, (f"{name}.sum",))
