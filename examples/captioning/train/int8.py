"""Both graphs in int8: the encoder by the ranges that pictures show, the decoder by those of each step as it comes."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from captioner import Captioner
from onnx import ModelProto

from pilotlight.optimize import quantize
from pilotlight.optimize.pictures import quantize as calibrated
from pilotlight.optimize.pictures import samples
from pilotlight.optimize.pictures.samples import Picture
from pilotlight.optimize.progress import Progress

LEAST = 0.99
"""Of the cosine of a picture's features before and after: below it cells look at something else."""
BEAM = 3


class Fidelity(NamedTuple):
    """Of so many `pictures`: the least cosine of their features, and how many have the `same` caption as in float32."""

    pictures: int
    cosine: float
    same: int

    def __str__(self) -> str:
        same = f"the same captions for {self.same} of {self.pictures} pictures (beam {BEAM})"
        return f"int8: {same}, features' cosine at least {self.cosine:.4f}"


def encoder(model: ModelProto, pictures: Sequence[Picture], side: int) -> ModelProto:
    """In static int8. `pictures` are seen as `side` x `side` pixels."""
    feeds = samples.feeds(pictures, samples.Size(side, side))
    return calibrated.quantized(calibrated.folded(model), feeds, (), Progress())


def decoder(model: ModelProto) -> ModelProto:
    """In dynamic int8: what a step's activations are depends on the words before."""
    return quantize.quantized(model, quantize.parts(model), {})


def compare(before: Path, after: Path, pictures: Sequence[Picture]) -> Fidelity:
    """Two model folders, through the code that answers."""
    one, two = Captioner(str(before)), Captioner(str(after))
    size = one.encoder.settings["image"]
    cosines, same = [], 0
    for feed in samples.feeds(pictures, samples.Size(size["width"], size["height"])):
        pixels = memoryview(feed[samples.INPUT])
        cosines.append(_cosine(*(each.encoder.run({"pixels": pixels})["features"] for each in (one, two))))
        same += one.of_pixels(pixels, BEAM).words == two.of_pixels(pixels, BEAM).words
    return Fidelity(len(pictures), min(cosines), same)


def _cosine(one: memoryview, two: memoryview) -> float:
    a, b = (np.asarray(each, np.float64).ravel() for each in (one, two))
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
