"""How alike sentences are: in their words, and in what they mean to an encoder.

A small translator's encoder tells little of whole sentences, as `train/likeness.py` measures, so it has a small share.
The share of a model that is made for sentences, half, was not measured.
"""

from collections.abc import Callable, Sequence

import centrality
import terms
from embedding import embedder, is_for_sentences

Likeness = Callable[[Sequence[str]], list[list[float]]]
TRANSLATOR, FOR_SENTENCES = 0.1, 0.5  # the encoder's share


def likeness(model: str) -> Likeness:
    """By the model of that path or URI; raises as `embedder` does."""
    embed, share = embedder(model), FOR_SENTENCES if is_for_sentences(model) else TRANSLATOR

    def alike(texts: Sequence[str]) -> list[list[float]]:
        pairs = zip(centrality.alike(embed(texts)), terms.alike(texts), strict=True)
        return [[share * one + (1 - share) * other for one, other in zip(*rows, strict=True)] for rows in pairs]

    return alike
