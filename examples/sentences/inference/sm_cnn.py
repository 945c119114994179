"""Say how likely a sentence answers a question, with Severyn and Moschitti's convolutional network."""

from array import array
from math import exp
from os import environ
from os.path import dirname, join
from time import perf_counter
from typing import NamedTuple

import embedding
from overlap import features
from tokens import tokenize

from pilotlight import InputError, Model, endpoint


class Score(NamedTuple):
    """`score` is the probability that `sent2` answers `sent1`, `output` the logits of no and yes; times in seconds."""

    sent1: str
    sent2: str
    score: float
    output: list[list[float]]
    t_overall: float
    t_sent_embedding: float
    t_load_model: float
    t_inference: float


def _idf() -> dict[str, float]:
    with open(join(dirname(model.path), "idf.txt"), encoding="utf-8") as file:
        pairs = [line.split(" ") for line in file]
    return {word: float(number) for word, number in pairs}


def _numbers() -> dict[str, int]:
    return dict(zip(idf, range(len(idf)), strict=True))


_started = perf_counter()
model = Model(environ.get("PILOTLIGHT_MODEL", "models/sm_cnn"))
takes_overlap = "overlap" in [info.name for info in model.inputs]
idf = _idf()
rare = next(iter(idf.values()))  # the first line is of the words that have none
embed = embedding.feed(model, _numbers)
T_LOAD_MODEL = perf_counter() - _started


@endpoint
def handler(sent1: str, sent2: str) -> Score:
    """Score one English sentence as an answer to a question; of longer texts the first 1,000 words count."""
    started = perf_counter()
    question, answer = _words("sent1", sent1), _words("sent2", sent2)
    feeds = {"question": embed(question), "answer": embed(answer)}
    if takes_overlap:
        common = array("f", features(question, answer, idf, rare))
        feeds["overlap"] = memoryview(common).cast("B").cast("f", shape=[1, len(common)])
    embedded = perf_counter()
    [[no, yes]] = output = model.run(feeds)["logits"].tolist()
    finished = perf_counter()
    return Score(
        sent1=sent1,
        sent2=sent2,
        score=1 / (1 + exp(no - yes)),
        output=output,
        t_overall=finished - started,
        t_sent_embedding=embedded - started,
        t_load_model=T_LOAD_MODEL,
        t_inference=finished - embedded,
    )


def _words(name: str, text: str) -> list[str]:
    words = tokenize(text)
    if not words:
        raise InputError((name, "must contain at least one word"))
    return words
