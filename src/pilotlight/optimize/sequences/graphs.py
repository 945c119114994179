"""The two graphs of a sequence-to-sequence model, built from its weights.

The encoder, once for some texts: `input_ids` int64 and `attention_mask` int32 [texts, tokens] to keys and values of
every layer's cross-attention, `cross.N.key` and `.value` [texts, heads, tokens, width of a head], and `embedding`
[texts, width], the mean of the states over the tokens, of length 1.

The decoder, one step of all beams of all texts. It takes what the encoder gave; the same `attention_mask`; of every
beam its last token, `tokens` int64 [texts, beams], and the logarithm of its probability, `totals` [texts, beams];
`parents` int64 [rows], for every row (beam after beam, text after text) the row of the step before that it continues;
`past.N.key` and `.value` [rows before, heads, past, width of a head]; and `count` int64 [1]. It gives the `count` best
continuations of each text, the best first: `best` [texts, count], the new totals, and `places` int64 [texts, count],
which is beam * vocabulary + token; and `present.N.key` and `.value` [rows, heads, past + 1, width of a head].

Beams of a text are queries of one attention over its keys, so those are not copied for every beam.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pilotlight.errors import SourceError
from pilotlight.optimize.sequences.builder import FLOAT, INT32, INT64, Builder, Linear, Table
from pilotlight.optimize.tools import needed

if TYPE_CHECKING:
    from onnx import ModelProto

    from pilotlight.optimize.sequences.builder import Floats

EPSILON = 1e-5  # of torch's LayerNorm, which these models leave as it is
ACTIVATIONS = ("swish", "silu", "relu", "gelu")


@dataclass(frozen=True)
class Network:
    """A model's numbers and its weights, by their names in a checkpoint of transformers."""

    weights: Mapping[str, Floats]
    width: int
    encoder_layers: int
    decoder_layers: int
    encoder_heads: int
    decoder_heads: int
    vocabulary: int  # of what is generated
    activation: str
    scale: float  # of embeddings
    banned: tuple[int, ...] = ()  # tokens that are never generated
    renormalize: bool = False  # whether the others' probabilities sum to 1 all the same
    int8: Collection[str] = ()
    """Layers whose weights are to be int8: names of their weights without `.weight`."""

    @property
    def is_tied(self) -> bool:
        """Whether all three tables of embeddings are one."""
        return "model.encoder.embed_tokens.weight" not in self.weights

    def layers(self) -> list[str]:
        """What can be in int8: every matrix, without `.weight`, in the order of the graphs."""
        matrices = [name for name, each in self.weights.items() if name.endswith(".weight") and each.ndim == 2]
        return [name.removesuffix(".weight") for name in matrices if "embed_positions" not in name]


def check(network: Network) -> Network:
    """SourceError where the network is none that these graphs are for."""
    if network.activation not in ACTIVATIONS:
        raise SourceError(
            f"reading the model: its activation is {network.activation}", f"these are known: {', '.join(ACTIVATIONS)}"
        )
    return network


def encoder(network: Network) -> ModelProto:
    graph, heads = Builder(), network.encoder_heads
    table = _source_table(graph, network)
    end = graph.add("Shape", "input_ids", start=1, end=2)
    places = graph.add("Slice", _positions(graph, network, "encoder"), graph.whole(0), end)
    hidden = graph.add("Add", _embedded(graph, table, "input_ids", network.scale), places)
    for layer in range(network.encoder_layers):
        name = f"model.encoder.layers.{layer}"
        queries = graph.split(_merged(graph, network, f"{name}.self_attn", hidden, "qkv"), 3)
        seen = graph.attention([*queries, "", "attention_mask"], heads)
        hidden = _normed(
            graph,
            network,
            f"{name}.self_attn_layer_norm",
            _linear(graph, network, f"{name}.self_attn.out_proj", seen),
            hidden,
        )
        hidden = _fed(graph, network, name, hidden)
    crossed = {}
    for layer in range(network.decoder_layers):
        both = graph.split(_merged(graph, network, f"model.decoder.layers.{layer}.encoder_attn", hidden, "kv"), 2)
        for what, value in zip(("key", "value"), both, strict=True):
            shaped = graph.add("Reshape", value, graph.whole(0, 0, network.decoder_heads, -1))
            crossed[f"cross.{layer}.{what}"] = graph.add(
                "Transpose", shaped, perm=[0, 2, 1, 3], name=f"cross.{layer}.{what}"
            )
    _mean(graph, hidden)
    axes = ["texts", network.decoder_heads, "tokens", network.width // network.decoder_heads]
    given = {"input_ids": (INT64, ["texts", "tokens"]), "attention_mask": (INT32, ["texts", "tokens"])}
    outputs: dict[str, tuple[int, list[Any]]] = {name: (FLOAT, axes) for name in crossed}
    return graph.model("encoder", given, {**outputs, "embedding": (FLOAT, ["texts", network.width])})


def _mean(graph: Builder, hidden: str) -> None:
    """`embedding`: the mean over the tokens that are not padding, of length 1."""
    counted = graph.add("Unsqueeze", graph.add("Cast", "attention_mask", to=FLOAT), graph.whole(2))
    total = graph.add("ReduceSum", graph.add("Mul", hidden, counted), graph.whole(1), keepdims=0)
    graph.add("LpNormalization", total, axis=-1, p=2, name="embedding")


def decoder(network: Network) -> ModelProto:
    graph = Builder()
    table = _target_table(graph, network)
    at = graph.add("Shape", "past.0.key", start=2, end=3)
    place = graph.add("Gather", _positions(graph, network, "decoder"), at)
    hidden = graph.add("Add", _embedded(graph, table, "tokens", network.scale), place)
    by_text = graph.add("Shape", hidden)  # what attention over the texts takes; all else takes rows
    hidden = graph.add("Reshape", hidden, graph.whole(-1, network.width))
    for layer in range(network.decoder_layers):
        hidden = _step(graph, network, layer, hidden, by_text)
    _chosen(graph, network, _logits(graph, network, hidden, table))
    heads, width = network.decoder_heads, network.width // network.decoder_heads
    parts = [f"{layer}.{what}" for layer in range(network.decoder_layers) for what in ("key", "value")]
    beams = {"tokens": (INT64, ["texts", "beams"]), "totals": (FLOAT, ["texts", "beams"]), "parents": (INT64, ["rows"])}
    taken: dict[str, tuple[int, list[Any]]] = {
        **beams,
        **{"count": (INT64, [1]), "attention_mask": (INT32, ["texts", "length"])},
        **{f"cross.{part}": (FLOAT, ["texts", heads, "length", width]) for part in parts},
        **{f"past.{part}": (FLOAT, ["before", heads, "past", width]) for part in parts},
    }
    present = {f"present.{part}": (FLOAT, ["rows", heads, "total", width]) for part in parts}
    chosen = {"best": (FLOAT, ["texts", "best"]), "places": (INT64, ["texts", "best"])}
    return graph.model("decoder", taken, {**chosen, **present})


def _step(graph: Builder, network: Network, layer: int, hidden: str, by_text: str) -> str:
    """One layer for all beams: [rows, width] to the same."""
    name, heads, rows = f"model.decoder.layers.{layer}", network.decoder_heads, graph.whole(-1, network.width)
    merged = _merged(graph, network, f"{name}.self_attn", hidden, "qkv")
    queries = graph.split(graph.add("Reshape", merged, graph.whole(-1, 1, 3 * network.width)), 3)
    past = [graph.add("Gather", f"past.{layer}.{what}", "parents") for what in ("key", "value")]
    present = [f"present.{layer}.{what}" for what in ("key", "value")]
    seen = graph.add("Reshape", graph.attention([*queries, "", "", "", *past], heads, present), rows)
    seen = _linear(graph, network, f"{name}.self_attn.out_proj", seen)
    hidden = _normed(graph, network, f"{name}.self_attn_layer_norm", seen, hidden)
    asked = graph.add("Reshape", _linear(graph, network, f"{name}.encoder_attn.q_proj", hidden), by_text)
    cross = [f"cross.{layer}.{what}" for what in ("key", "value")]
    seen = graph.add("Reshape", graph.attention([asked, *cross, "", "attention_mask"], heads), rows)
    seen = _linear(graph, network, f"{name}.encoder_attn.out_proj", seen)
    hidden = _normed(graph, network, f"{name}.encoder_attn_layer_norm", seen, hidden)
    return _fed(graph, network, name, hidden)


def _chosen(graph: Builder, network: Network, logits: str) -> None:
    """`best` and `places`, of logits [rows, vocabulary]: only these leave the graph, not a number for every token."""
    banned = _banned(graph, network)
    if banned and network.renormalize:
        logits = graph.add("Add", logits, banned)
    likely = graph.add("LogSoftmax", logits, axis=-1)
    if banned and not network.renormalize:
        likely = graph.add("Add", likely, banned)
    totals = graph.add("Add", likely, graph.add("Reshape", "totals", graph.whole(-1, 1)))
    by_text = graph.add("Concat", graph.add("Shape", "totals", start=0, end=1), graph.whole(-1), axis=0)
    graph.node("TopK", [graph.add("Reshape", totals, by_text), "count"], ["best", "places"], axis=-1)


def _banned(graph: Builder, network: Network) -> str:
    """Minus infinity for each token that is never generated; "" when there is none."""
    if not network.banned:
        return ""
    np = needed("numpy")

    row = np.zeros(network.vocabulary, np.float32)
    row[list(network.banned)] = -np.inf
    return graph.constant(row, "banned")


def _source_table(graph: Builder, network: Network) -> Table:
    name = "model.shared" if network.is_tied else "model.encoder.embed_tokens"
    return graph.table(network.weights[f"{name}.weight"], name in network.int8)


def _target_table(graph: Builder, network: Network) -> Table:
    name = "model.shared" if network.is_tied else "model.decoder.embed_tokens"
    return graph.table(network.weights[f"{name}.weight"], name in network.int8)


def _logits(graph: Builder, network: Network, hidden: str, table: Table) -> str:
    """Of every token: by the table itself, or where they are not tied by a layer of its own."""
    bias = network.weights.get("final_logits_bias")
    bias = None if bias is None else bias.reshape(-1)
    if "lm_head.weight" not in network.weights:
        return graph.projected(hidden, table, bias)
    return graph.linear(hidden, Linear(network.weights["lm_head.weight"], bias, "lm_head" in network.int8))


def _embedded(graph: Builder, table: Table, ids: str, scale: float) -> str:
    found = graph.looked_up(table, ids)
    return found if scale == 1 else graph.add("Mul", found, graph.number(scale))


def _positions(graph: Builder, network: Network, part: str) -> str:
    return graph.constant(network.weights[f"model.{part}.embed_positions.weight"], f"{part}_positions")


def _merged(graph: Builder, network: Network, name: str, hidden: str, parts: str) -> str:
    """Products of one activation as one: its columns are those of query, key and value, as far as `parts` says."""
    np = needed("numpy")

    names = [f"{name}.{part}_proj" for part in parts]
    weight = np.concatenate([network.weights[f"{each}.weight"] for each in names])
    bias = np.concatenate([network.weights[f"{each}.bias"] for each in names])
    layer = Linear(weight, bias, all(each in network.int8 for each in names))
    return graph.linear(hidden, layer)


def _linear(graph: Builder, network: Network, name: str, hidden: str) -> str:
    return graph.linear(hidden, _layer(network, name))


def _layer(network: Network, name: str) -> Linear:
    weight, bias = (network.weights[f"{name}.{each}"] for each in ("weight", "bias"))
    return Linear(weight, bias, name in network.int8)


def _normed(graph: Builder, network: Network, name: str, added: str, hidden: str) -> str:
    """The sum of both, normalised."""
    scale, shift = (graph.constant(network.weights[f"{name}.{each}"]) for each in ("weight", "bias"))
    [normed] = graph.node(
        "SkipLayerNormalization", [added, hidden, scale, shift], 1, domain="com.microsoft", epsilon=EPSILON
    )
    return normed


def _fed(graph: Builder, network: Network, name: str, hidden: str) -> str:
    inner = graph.activation(network.activation, _linear(graph, network, f"{name}.fc1", hidden))
    return _normed(graph, network, f"{name}.final_layer_norm", _linear(graph, network, f"{name}.fc2", inner), hidden)


def sinusoids(positions: int, width: int) -> Floats:
    """The table of positions that these models have when none is in the checkpoint: sines, then cosines."""
    np = needed("numpy")

    rates = np.power(10000, 2 * (np.arange(width) // 2) / width)
    angles = np.arange(positions)[:, None] / rates
    table: Floats = np.concatenate([np.sin(angles[:, 0::2]), np.cos(angles[:, 1::2])], axis=1).astype(np.float32)
    return table
