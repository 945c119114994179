"""Feeds that show how large activations become: the samples, and texts of tokens drawn from the whole vocabulary.

A few samples hold a few hundred of a model's tokens. Smoothing that saw only those does harm on other texts; that is
measured in docs/decisions/0008-how-models-are-optimised.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pilotlight.optimize.tasks import IDS, POSITIONS
from pilotlight.optimize.tools import needed

if TYPE_CHECKING:
    from onnx import ModelProto

    from pilotlight.optimize.outputs import Feeds

DRAWN, TOKENS = 16, 256
"""How many feeds are drawn, and of how many tokens at most."""


def feeds(given: Sequence[Feeds], model: ModelProto, longest: int) -> tuple[Feeds, ...]:
    """`given`, and feeds like them with other tokens; `longest` is how many tokens the model takes."""
    rows, tokens = vocabulary(model), min(TOKENS, longest)
    if not rows:
        return tuple(given)
    draw = needed("numpy").random.default_rng(0)
    likes = (given[number % len(given)] for number in range(DRAWN))
    return (*given, *(_drawn(like, tokens, draw.integers(0, rows, tokens)) for like in likes))


def vocabulary(model: ModelProto) -> int:
    """Rows of the table that `input_ids` are looked up in; 0 when there is none that is constant."""
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    tables = (node.input[0] for node in model.graph.node if node.op_type == "Gather" and node.input[1] == IDS)
    return max((int(held[name].dims[0]) for name in tables if name in held), default=0)


def _drawn(like: Feeds, tokens: int, ids: object) -> Feeds:
    """`like` drawn out or cut to `tokens`, with its first and last token and those `ids` between them."""
    np = needed("numpy")
    at = np.linspace(0, like[IDS].shape[1] - 1, tokens).astype(int)
    feed = {name: array[:, at] if array.ndim == 2 else array for name, array in like.items()}
    feed[IDS][:, 1:-1] = np.asarray(ids)[1:-1]
    if POSITIONS in feed:
        feed[POSITIONS] = np.arange(tokens)[None, :]
    return feed
