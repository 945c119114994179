"""Say whether a sentence of a review is positive or negative, with Kim's convolutional network."""

from array import array
from os.path import dirname, join
from time import perf_counter
from typing import NamedTuple

from tokens import tokenize

from pilotlight import InputError, Model, endpoint

LABELS = ("negative", "positive")
UNKNOWN = 0  # the vocabulary's first word, <unk>


class Prediction(NamedTuple):
    """`output` holds the logits in the order of `LABELS`, `prediction` the place of the highest; times in seconds."""

    input: str
    prediction: int
    label: str
    output: list[float]
    t_overall: float
    t_sent_embedding: float
    t_load_model: float
    t_inference: float


def _vocabulary(folder: str) -> dict[str, int]:
    with open(join(folder, "vocabulary.txt"), encoding="utf-8") as file:
        words = file.read().split("\n")
    return dict(zip(words, range(len(words)), strict=True))


_started = perf_counter()
model = Model("models/kim_cnn")
vocabulary = _vocabulary(dirname(model.path))
T_LOAD_MODEL = perf_counter() - _started


@endpoint
def handler(input: str) -> Prediction:
    """Classify one English sentence; of a longer text the first 1,000 words count."""
    started = perf_counter()
    numbers = array("q", [vocabulary.get(token, UNKNOWN) for token in tokenize(input)])
    if not numbers:
        raise InputError(("input", "must contain at least one word"))
    tokens = memoryview(numbers).cast("B").cast("q", shape=[1, len(numbers)])
    embedded = perf_counter()
    [logits] = model.run({"tokens": tokens})["logits"].tolist()
    finished = perf_counter()
    prediction = logits.index(max(logits))
    return Prediction(
        input=input,
        prediction=prediction,
        label=LABELS[prediction],
        output=logits,
        t_overall=finished - started,
        t_sent_embedding=embedded - started,
        t_load_model=T_LOAD_MODEL,
        t_inference=finished - embedded,
    )
