"""SQuAD 1.1: its file, a part of its articles kept apart, and its official measures."""

import json
import re
import string
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SOURCE = "https://rajpurkar.github.io/SQuAD-explorer/dataset/dev-v1.1.json"


class Span(NamedTuple):
    start: int
    """First character of the answer in the context."""
    end: int
    """One past its last."""


class Example(NamedTuple):
    id: str
    article: str
    question: str
    context: str
    answers: tuple[Span, ...]
    """What each annotator marked, the same span more than once where they agree; empty: the context has no answer."""


def read(path: Path) -> list[Example]:
    """The questions of a SQuAD file, in its order; where there is none, the script ends and says where to get it."""
    if not path.is_file():
        sys.exit(f"{path}: there is no such file: `sh train/install.sh qa` fetches it, or take {SOURCE}")
    return [
        Example(question["id"], article["title"], question["question"], paragraph["context"], _spans(question))
        for article in json.loads(path.read_text("utf-8"))["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


def _spans(question: dict) -> tuple[Span, ...]:
    marked = ((answer["answer_start"], answer["text"]) for answer in question["answers"])
    return tuple(Span(start, start + len(text)) for start, text in marked)


def keep_apart(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Training and kept-apart questions: every eighth article by title, from the fifth, is kept apart."""
    titles = sorted({example.article for example in examples})
    apart = set(titles[4::8])
    training = [example for example in examples if example.article not in apart]
    return training, [example for example in examples if example.article in apart]


def normalize(answer: str) -> str:
    """Lower case, no punctuation, no articles, single spaces, as the official script compares answers."""
    bare = "".join(character for character in answer.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1 where the prediction equals any of the answers, else 0 (Rajpurkar et al. 2016, section 6.1)."""
    return float(any(normalize(prediction) == normalize(answer) for answer in answers))


def f1(prediction: str, answers: Sequence[str]) -> float:
    """Harmonic mean of precision and recall over words, the best over all answers (Rajpurkar et al. 2016)."""
    return max(_f1(normalize(prediction).split(), normalize(answer).split()) for answer in answers)


def _f1(prediction: list[str], answer: list[str]) -> float:
    common = (Counter(prediction) & Counter(answer)).total()
    return 2 * common / (len(prediction) + len(answer)) if common else 0.0


def measure(predictions: dict[str, str], examples: Sequence[Example]) -> dict[str, float]:
    """`exact_match` and `f1` in percent over `examples`; `predictions` are by question id."""
    found = [(predictions[one.id], [one.context[start:end] for start, end in one.answers]) for one in examples]
    share = 100 / len(examples)
    return {
        "exact_match": share * sum(exact_match(*pair) for pair in found),
        "f1": share * sum(f1(*pair) for pair in found),
    }
