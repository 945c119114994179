"""A small translation model of random weights: what it says means nothing, and is the same for the same text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pilotlight.optimize.sequences import folder as model_folder
from pilotlight.optimize.sequences import graphs, pieces

WORDS = ("the", "a", "is", "of", "and", "to", "in", "it", "was", "cat", "dog", "house", "he", "she", "they", "good")
CHINESE = "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可"
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?'\"-:;()。，！？"


def sentencepiece(extra: Sequence[str] = ()) -> pieces.Sentences:
    """A unigram model: a few words, letters, Chinese characters; no normalisation but of spaces."""
    normal = ["▁", *(f"▁{word}" for word in WORDS), *WORDS, *LETTERS, *CHINESE, *extra]
    scored = [(text, -3.0 - number / 10, pieces.NORMAL) for number, text in enumerate(dict.fromkeys(normal))]
    special = [("<unk>", 0.0, pieces.UNKNOWN), ("<s>", 0.0, pieces.CONTROL), ("</s>", 0.0, pieces.CONTROL)]
    return pieces.Sentences([*special, *scored], flags={"type": 1, "suffix": 0, "bytes": 0})


def vocabulary(model: pieces.Sentences) -> dict[str, int]:
    """As Marian numbers pieces: the end first, padding last."""
    texts = ["</s>", "<unk>", *(text for text, _, kind in model.pieces if kind == pieces.NORMAL), ">>cmn<<", "<pad>"]
    return {text: number for number, text in enumerate(texts)}


def weights(rows: int, width: int = 16, inner: int = 32, layers: int = 2, seed: int = 0) -> dict[str, np.ndarray]:
    """By their names in a checkpoint of transformers' MarianMTModel."""
    draw = np.random.default_rng(seed)
    made: dict[str, np.ndarray] = {}

    def linear(name: str, outputs: int, inputs: int) -> None:
        made[f"{name}.weight"] = draw.normal(0, 1.5 / np.sqrt(inputs), (outputs, inputs)).astype(np.float32)
        made[f"{name}.bias"] = draw.normal(0, 0.1, outputs).astype(np.float32)

    def norm(name: str) -> None:
        made[f"{name}.weight"] = draw.normal(1, 0.1, width).astype(np.float32)
        made[f"{name}.bias"] = draw.normal(0, 0.1, width).astype(np.float32)

    made["model.shared.weight"] = draw.normal(0, 1 / np.sqrt(width), (rows, width)).astype(np.float32)
    made["final_logits_bias"] = draw.normal(0, 0.1, (1, rows)).astype(np.float32)
    for part in ("encoder", "decoder"):
        made[f"model.{part}.embed_positions.weight"] = graphs.sinusoids(64, width)
        for layer in range(layers):
            name = f"model.{part}.layers.{layer}"
            for attention in ("self_attn", *(["encoder_attn"] if part == "decoder" else [])):
                for each in ("q_proj", "k_proj", "v_proj", "out_proj"):
                    linear(f"{name}.{attention}.{each}", width, width)
                norm(f"{name}.{attention}_layer_norm")
            linear(f"{name}.fc1", inner, width)
            linear(f"{name}.fc2", width, inner)
            norm(f"{name}.final_layer_norm")
    return made


def network(
    rows: int, width: int = 16, heads: int = 2, layers: int = 2, seed: int = 0, **options: Any
) -> graphs.Network:
    made = weights(rows, width, 2 * width, layers, seed)
    return graphs.Network(made, width, layers, layers, heads, heads, rows, "swish", width**0.5, **options)


def write(folder: Path, *, seed: int = 0, int8: bool = False, generation: Mapping[str, Any] = {}) -> Path:
    """A whole model folder of the task `translation`, of a few kilobytes: English and Chinese characters both ways."""
    model = sentencepiece()
    numbers = vocabulary(model)
    pad, size = numbers["<pad>"], len(numbers)
    made = network(size, seed=seed, banned=(pad,))
    if int8:
        made = graphs.Network(**{**made.__dict__, "int8": made.layers()})
    folder.parent.mkdir(parents=True, exist_ok=True)
    tokenizer = pieces.write(model, numbers, numbers, folder.parent)
    settings = {
        "task": "translation",
        "tokenizer": {**tokenizer, "max_length": 64, "end": 0, "special": [0, 1, pad]},
        "generation": {
            **{"start": pad, "pad": pad, "ends": [0], "vocabulary": size, "beams": 4, "max_length": 24},
            **{"length_penalty": 1.0, "early_stopping": False, "forced_end": [0]},
            **generation,
        },
    }
    model_folder.write(made, settings, folder.parent / pieces.FILE, folder)
    (folder.parent / pieces.FILE).unlink()
    return folder
