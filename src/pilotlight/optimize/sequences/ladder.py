"""Which layers are in int8: all of them if the gate allows, else the steps below one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pilotlight.errors import FidelityError
from pilotlight.optimize.quantize import SMALLEST, Part

if TYPE_CHECKING:
    from pilotlight.optimize.progress import Progress
    from pilotlight.optimize.sequences.graphs import Network

STEPS: tuple[tuple[str, Callable[[Part], bool]], ...] = (
    ("everything", lambda part: True),
    ("all but the embeddings", lambda part: part.kind != "embedding"),
    ("all but embeddings and attention", lambda part: part.kind not in ("embedding", "attention")),
    ("the encoder's feed-forward layers", lambda part: part.kind == "feed-forward" and "encoder.layers" in part.node),
)
"""What is in int8, less and less of it."""


def parts(network: Network) -> tuple[Part, ...]:
    """The layers that are large enough. Products of one activation are one in the graph: all in int8, or none."""
    sizes = {name: network.weights[f"{name}.weight"].size for name in network.layers()}
    return tuple(Part(name, _kind(name), size) for name, size in sizes.items() if size >= SMALLEST)


def _kind(name: str) -> str:
    if "layers" not in name:
        return "embedding"
    return "attention" if "attn" in name else "feed-forward"


def choose(
    found: Sequence[Part], judge: Callable[[Sequence[str]], str], precision: str, progress: Progress
) -> tuple[Part, ...]:
    """The parts of the first step that `judge` passes, none where it passes none; it says why one does not pass, else
    "". FidelityError when `precision` is int8 and not everything passes."""
    if precision == "fp32":
        return ()
    for name, takes in STEPS:
        chosen = tuple(part for part in found if takes(part))
        reason = judge([part.node for part in chosen]) if chosen else ""
        if not reason:
            return chosen
        if precision == "int8":
            raise FidelityError(f"quantising to int8: {reason}", "--precision auto leaves the worst parts in fp32")
        progress.say(f"{name} in int8: {reason}")
    return ()
