"""The two graphs that are served, whatever network the weights come from.

The encoder, once for a picture: `pixels` uint8 [1, side, side, 3] to `features` [cells, width], `keys` [cells,
attention], what attention compares, which is the same for every word, and the first state of the LSTM, `h` and `c`
[1, hidden].

The decoder, one word for all beams at once. It takes the picture's `features` and `keys`; `h` and `c` [before,
hidden] of the step before; of each of n beams `parents` int64 [n], its row in them, `words` int64 [n], its last word,
and `totals` [n], the logarithm of its probability; and `width` int64 [1], how many are to go on. It gives the `width`
best continuations of all beams: `best` [width], their new totals, `from` int64 [width], the beams, and `next` int64
[width], the new words, the best first, of equals that of the earlier beam and the lower word; and of each beam
`looks` [n, cells], where it looked, and its new state `h_next` and `c_next` [n, hidden].
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from onnx import ModelProto
from train.graph import FLOAT, INT64, UINT8, Graph, Linear


class Sight(NamedTuple):
    """What the encoder sees: a square of so many pixels, as `(pixels - mean) / std`."""

    side: int
    mean: Sequence[float]
    std: Sequence[float]


class Speech(NamedTuple):
    """The weights of a decoder.

    `gate` has one output, or one for each feature. `lstm` takes embedding, context and h, and gives the gates in
    torch's order. With `squashed` the first state goes through the hyperbolic tangent. Logits are `output` of h; with
    `deep`, which are of h and of the context, `output` of the hyperbolic tangent of those two and the embedding.
    """

    embedding: np.ndarray
    attend_features: Linear
    attend_state: Linear
    attend: Linear
    gate: Linear
    lstm: Linear
    first_h: Linear
    first_c: Linear
    output: Linear
    deep: tuple[Linear, Linear] | None = None
    squashed: bool = False


def pixels(graph: Graph, sight: Sight) -> str:
    """The picture as convolutions take it, [1, 3, side, side]."""
    wide = graph.add("Transpose", graph.add("Cast", "pixels", to=FLOAT), perm=[0, 3, 1, 2])
    mean, std = (graph.constant(np.array(each, np.float32).reshape(-1, 1, 1)) for each in (sight.mean, sight.std))
    return graph.add("Div", graph.add("Sub", wide, mean), std)


def encoder(graph: Graph, maps: str, speech: Speech, sight: Sight, grid: int) -> ModelProto:
    """The encoder of which all is there up to `maps` [1, width, grid, grid]."""
    hidden, width = speech.first_h.weight.shape
    flat = graph.add("Reshape", maps, graph.whole(width, grid**2))
    features = graph.add("Transpose", flat, perm=[1, 0], name="features")
    graph.linear(features, speech.attend_features, "keys")
    mean = graph.add("ReduceMean", features, axes=[0], keepdims=1)
    for name, layer in (("h", speech.first_h), ("c", speech.first_c)):
        operation = "Tanh" if speech.squashed else "Identity"
        graph.add(operation, graph.linear(mean, layer), name=name)
    attention = len(speech.attend_features.weight)
    state = {name: (FLOAT, [1, hidden]) for name in ("h", "c")}
    seen = {"features": (FLOAT, [grid**2, width]), "keys": (FLOAT, [grid**2, attention])}
    return graph.model("encoder", {"pixels": (UINT8, [1, sight.side, sight.side, 3])}, {**seen, **state})


def decoder(graph: Graph, speech: Speech) -> ModelProto:
    """The decoder, from nothing."""
    h, c = (graph.add("Gather", name, "parents") for name in ("h", "c"))
    embedded = graph.add("Gather", graph.constant(speech.embedding), "words")
    context = _look(graph, speech, h)
    h = _remember(graph, speech, graph.add("Concat", embedded, context, h, axis=1), c)
    _choose(graph, _logits(graph, speech, embedded, context, h), len(speech.embedding))
    return _decoder(graph, speech)


def _look(graph: Graph, speech: Speech, h: str) -> str:
    """The weighted features, [n, width]."""
    asked = graph.add("Unsqueeze", graph.linear(h, speech.attend_state), graph.whole(1))
    compared = graph.add("Relu", graph.add("Add", asked, "keys"))
    scores = graph.add("Squeeze", graph.linear(compared, speech.attend), graph.whole(2))
    looks = graph.add("Softmax", scores, axis=1, name="looks")
    gate = graph.add("Sigmoid", graph.linear(h, speech.gate))
    return graph.add("Mul", gate, graph.add("MatMul", looks, "features"))


def _remember(graph: Graph, speech: Speech, inputs: str, c: str) -> str:
    """One step of the LSTM: the new h."""
    gates = graph.split("Split", graph.linear(inputs, speech.lstm), axis=1, names=["in", "forget", "cell", "out"])
    taken, kept, given = (graph.add("Sigmoid", gates[number]) for number in (0, 1, 3))
    new = graph.add("Mul", taken, graph.add("Tanh", gates[2]))
    c = graph.add("Add", graph.add("Mul", kept, c), new, name="c_next")
    return graph.add("Mul", given, graph.add("Tanh", c), name="h_next")


def _logits(graph: Graph, speech: Speech, embedded: str, context: str, h: str) -> str:
    if speech.deep is None:
        return graph.linear(h, speech.output)
    of_h, of_context = speech.deep
    said = graph.add("Add", graph.linear(h, of_h), graph.linear(context, of_context))
    return graph.linear(graph.add("Tanh", graph.add("Add", embedded, said)), speech.output)


def _choose(graph: Graph, logits: str, words: int) -> None:
    """The best of all beams' continuations: only these leave the graph, not a number for every word."""
    before = graph.add("Unsqueeze", "totals", graph.whole(1))
    totals = graph.add("Add", graph.add("LogSoftmax", logits, axis=1), before)
    flat = graph.add("Reshape", totals, graph.whole(-1))
    _, places = graph.split("TopK", flat, "width", axis=0, names=["best", "places"])
    graph.add("Div", places, graph.whole(words), name="from")
    graph.add("Mod", places, graph.whole(words), name="next")


def _decoder(graph: Graph, speech: Speech) -> ModelProto:
    hidden, width = speech.first_h.weight.shape
    attention = len(speech.attend_features.weight)
    beams = {"parents": (INT64, ["n"]), "words": (INT64, ["n"]), "totals": (FLOAT, ["n"]), "width": (INT64, [1])}
    state = {name: (FLOAT, ["before", hidden]) for name in ("h", "c")}
    seen = {"features": (FLOAT, ["cells", width]), "keys": (FLOAT, ["cells", attention])}
    chosen = {"best": (FLOAT, ["width"]), "from": (INT64, ["width"]), "next": (INT64, ["width"])}
    kept = {"looks": (FLOAT, ["n", "cells"]), **{name: (FLOAT, ["n", hidden]) for name in ("h_next", "c_next")}}
    return graph.model("decoder", {**beams, **state, **seen}, {**chosen, **kept})
