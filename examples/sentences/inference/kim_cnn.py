"""Say whether a sentence of a review is positive or negative, with Kim's convolutional network."""

from os import environ
from os.path import dirname, join
from time import perf_counter
from typing import NamedTuple

import embedding
from tokens import tokenize

from pilotlight import InputError, Model, endpoint


class Prediction(NamedTuple):
    """`output` holds the logits in class order, `prediction` the place of the highest; times in seconds."""

    input: str
    prediction: int
    label: str
    output: list[float]
    t_overall: float
    t_sent_embedding: float
    t_load_model: float
    t_inference: float


def _vocabulary() -> dict[str, int]:
    with open(join(dirname(model.path), "vocabulary.txt"), encoding="utf-8") as file:
        words = file.read().split("\n")
    return dict(zip(words, range(len(words)), strict=True))


_started = perf_counter()
model = Model(environ.get("PILOTLIGHT_MODEL", "models/kim_cnn"))
labels = model.settings["labels"]
cased = model.settings.get("cased", False)
[taken] = model.inputs
embed = embedding.feed(model, _vocabulary)
T_LOAD_MODEL = perf_counter() - _started


@endpoint
def handler(input: str) -> Prediction:
    """Classify one English sentence; of a longer text the first 1,000 words count."""
    started = perf_counter()
    words = tokenize(input, cased=cased)
    if not words:
        raise InputError(("input", "must contain at least one word"))
    row = embed(words)
    embedded = perf_counter()
    [logits] = model.run({taken.name: row})["logits"].tolist()
    finished = perf_counter()
    prediction = logits.index(max(logits))
    return Prediction(
        input=input,
        prediction=prediction,
        label=labels[prediction],
        output=logits,
        t_overall=finished - started,
        t_sent_embedding=embedded - started,
        t_load_model=T_LOAD_MODEL,
        t_inference=finished - embedded,
    )
