"""Sentences -> vectors, by the model folder that the setting names: a translator's, or one made for sentences."""

import json
from array import array
from collections.abc import Callable, Sequence
from os.path import isfile, join

from pilotlight.function.cache import fetch

Embed = Callable[[Sequence[str]], Sequence["array[float] | list[float]"]]


def embedder(model: str) -> Embed:
    """By the model of that path or URI. Raises `ModelNotInstalled`, or `ModelError` when it is one of another task."""
    if is_for_sentences(model):
        from pilotlight.function.text import Embedder

        embed = Embedder(model).embed
        return lambda texts: [embed(text) for text in texts]
    from pilotlight.function.translate import Translator

    return Translator(model).embed


def is_for_sentences(model: str) -> bool:
    """Whether the model was made for the task `sentence-embedding`."""
    file = join(fetch(model), "model.json")
    if not isfile(file):
        return False
    with open(file, encoding="utf-8") as opened:
        return bool(json.load(opened).get("task") == "sentence-embedding")
