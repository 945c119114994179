"""Which parts can be in int8: all of them if the gate allows, else all but those that do most harm for their size."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pilotlight.errors import FidelityError
from pilotlight.optimize import outputs, quantize
from pilotlight.optimize.progress import Progress
from pilotlight.optimize.quantize import Part
from pilotlight.optimize.tools import needed

if TYPE_CHECKING:
    from onnx import ModelProto

    from pilotlight.optimize.outputs import Feeds

    Judge = Callable[[ModelProto], str]
    """Why a model does not pass the gate, "" when it does."""

RANKED_ON = 8
"""Samples that a part's own error is measured on."""


@dataclass(frozen=True)
class Choice:
    """Parts in int8, and those left in fp32, the worst first."""

    model: ModelProto
    int8: tuple[Part, ...]
    fp32: tuple[Part, ...]


def choose(
    model: ModelProto, feeds: Sequence[Feeds], peaks: quantize.Peaks, judge: Judge, precision: str, progress: Progress
) -> Choice:
    """The model with as much in int8 as `judge` passes; FidelityError when `precision` is int8 and that is not all.

    `peaks` are those of the activations, `feeds` what the parts are ranked on.
    """
    parts = quantize.parts(model)
    if precision == "fp32" or not parts:
        return Choice(model, (), parts)

    def without(left: Sequence[Part]) -> ModelProto:
        return quantize.quantized(model, [part for part in parts if part not in left], peaks)

    whole = without(())
    reason = judge(whole)
    if not reason:
        return Choice(whole, parts, ())
    if precision == "int8":
        raise FidelityError(f"quantising to int8: {reason}", "--precision auto leaves the worst parts in fp32")
    progress.say(f"all in int8 does not pass: {reason}")
    order = rank(model, parts, feeds[:RANKED_ON], peaks, progress)
    left = _fewest(order, lambda left: judge(without(left)), progress)
    if len(left) == len(parts):
        return Choice(model, (), order)
    return Choice(without(left), tuple(part for part in parts if part not in left), left)


def rank(
    model: ModelProto, parts: Sequence[Part], feeds: Sequence[Feeds], peaks: quantize.Peaks, progress: Progress
) -> tuple[Part, ...]:
    """The parts by the squared error that each alone makes for each of its weights, the worst first.

    Errors of parts are near independent, so that their squares add up; the weights are what leaving it costs.
    """
    progress.say(f"measuring the error of each of {len(parts)} parts")
    before = _outputs(model, feeds)
    errors = {}
    for part in progress.each("error of each part", parts):
        after = _outputs(quantize.quantized(model, [part], peaks), feeds)
        errors[part] = outputs.difference(before, after).mean ** 2 / part.weights
    return tuple(sorted(parts, key=lambda part: errors[part], reverse=True))


def _fewest(order: tuple[Part, ...], judge: Callable[[Sequence[Part]], str], progress: Progress) -> tuple[Part, ...]:
    """The shortest beginning of `order` that `judge` passes when it is left in fp32, by halving."""
    fails, passes = 0, len(order)  # all in fp32 is the model itself
    while passes - fails > 1:
        count = (fails + passes) // 2
        reason = judge(order[:count])
        progress.say(f"{count} of {len(order)} parts in fp32: {reason or 'passes'}")
        fails, passes = (count, passes) if reason else (fails, count)
    return order[:passes]


def _outputs(model: ModelProto, feeds: Sequence[Feeds]) -> list[outputs.Outputs]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        needed("onnx").save(model, str(path))
        return outputs.run(path, feeds)
