"""Labelled sentences as token lists: the Stanford Sentiment Treebank, TREC's questions, and film reviews (MR).

A tree of the Treebank is one line, `(3 (2 It) (4 (2 's) (3 good)))`: every node is a phrase with a label from 0 (very
negative) over 2 (neutral) to 4 (very positive). In the binary task 0 and 1 are negative, 3 and 4 positive, neutral
sentences are left out. For training the degree is kept and neutral phrases stay: that a phrase says nothing is worth
learning too. The other sets are lines of `label text`.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from tokens import tokenize

NEGATIVE, POSITIVE = 0, 1
UNKNOWN = "<unk>"
SENTIMENT = ("negative", "positive")
QUESTIONS = ("description", "entity", "abbreviation", "human", "location", "number")  # Li and Roth 2002
_BINARY = {"0": NEGATIVE, "1": NEGATIVE, "3": POSITIVE, "4": POSITIVE}
_DEGREE = {"0": 0.02, "1": 0.2, "2": 0.5, "3": 0.8, "4": 0.98}
_PIECE = re.compile(r"\((\d) |\)|[^\s()]+")
T = TypeVar("T")


class Example(NamedTuple):
    """A phrase or a sentence with the number of its class; of two classes, a label in between is a probability."""

    tokens: tuple[str, ...]
    label: float


class Parts(NamedTuple):
    """What trains, what chooses the epoch, and what only measures; `labels` are the names of the classes."""

    training: list[Example]
    apart: list[Example]
    development: list[Example]
    labels: tuple[str, ...]


def sst2(folder: Path, share: float, part: int = 0, cased: bool = False) -> Parts:
    """`trees/train.txt`, of which a part, a share of the trees, is kept apart, and `trees/dev.txt`."""
    kept, apart = keep_apart(read_lines(folder / "trees/train.txt"), share, part)
    development = sentences(read_lines(folder / "trees/dev.txt"), cased)
    return Parts(training_examples(kept, cased), sentences(apart, cased), development, SENTIMENT)


def trec(folder: Path, share: float, part: int = 0, cased: bool = False) -> Parts:
    """`TREC.train.all`, whose test part is a file of its own: a tenth of the training part measures."""
    return _in_parts(folder / "TREC.train.all", share, part, cased, QUESTIONS)


def mr(folder: Path, share: float, part: int = 0, cased: bool = False) -> Parts:
    """`rt-polarity.all`, which has no parts: a tenth of it measures."""
    return _in_parts(folder / "rt-polarity.all", share, part, cased, SENTIMENT)


SETS: dict[str, Callable[[Path, float, int, bool], Parts]] = {"sst2": sst2, "trec": trec, "mr": mr}


def phrases(tree: str) -> Iterator[tuple[str, str]]:
    """Every node of a tree as `(label, words)`, children before parents: the last one is the whole sentence."""
    opened: list[tuple[str, int]] = []
    words: list[str] = []
    for piece in _PIECE.finditer(tree):
        if label := piece.group(1):
            opened.append((label, len(words)))
        elif piece.group() == ")":
            label, start = opened.pop()
            yield label, " ".join(words[start:])
        else:
            words.append(piece.group())


def training_examples(trees: Iterable[str], cased: bool = False) -> list[Example]:
    """Every phrase of the trees once, neutral ones too, with the degree of its label as the wanted probability."""
    degrees = {_tokens(words, cased): _DEGREE[label] for tree in trees for label, words in phrases(tree)}
    return [Example(tokens, degree) for tokens, degree in degrees.items() if tokens]


def sentences(trees: Iterable[str], cased: bool = False) -> list[Example]:
    """The whole sentences that are not neutral, for measuring the binary task."""
    roots = (list(phrases(tree))[-1] for tree in trees)
    return [Example(_tokens(words, cased), _BINARY[label]) for label, words in roots if label in _BINARY]


def labelled(lines: Iterable[str], cased: bool = False) -> list[Example]:
    """The examples of `label text` lines, where a label is the number of a class."""
    return [Example(_tokens(text, cased), int(label)) for label, text in (line.split(" ", 1) for line in lines)]


def read_lines(path: Path) -> list[str]:
    """The lines of a file in UTF-8, or else in Latin-1, as the older sets are."""
    stored = path.read_bytes()
    try:
        text = stored.decode()
    except UnicodeDecodeError:
        text = stored.decode("latin-1")
    return text.removesuffix("\n").split("\n")  # not splitlines, for which Latin-1's NEL ends a line too


def keep_apart(items: Sequence[T], share: float, part: int = 0) -> tuple[list[T], list[T]]:
    """The items to train on and those kept apart from them: one draw for every seed, so that seeds compare.

    Of the disjoint parts of that share `part` says which is kept apart.
    """
    shuffled = random.Random(0).sample(items, len(items))
    apart = round(len(items) * share)
    start, end = part * apart, (part + 1) * apart
    return shuffled[:start] + shuffled[end:], shuffled[start:end]


def vocabulary(examples: Iterable[Example]) -> list[str]:
    """The words of the examples, most frequent first, after `UNKNOWN`. A word's place is its number."""
    counts = Counter(word for example in examples for word in example.tokens)
    return [UNKNOWN, *(word for _, word in sorted((-count, word) for word, count in counts.items()))]


def _in_parts(path: Path, share: float, part: int, cased: bool, labels: tuple[str, ...]) -> Parts:
    """What differs in case only is there once, and in the same part as in lower case."""
    lines = read_lines(path)
    distinct: dict[Example, Example] = {}
    for lower, example in zip(labelled(lines), labelled(lines, cased), strict=True):
        if lower.tokens:
            distinct.setdefault(lower, example)
    rest, development = keep_apart(list(distinct.values()), 0.1)
    training, apart = keep_apart(rest, share, part)
    return Parts(training, apart, development, labels)


def _tokens(text: str, cased: bool) -> tuple[str, ...]:
    return tuple(tokenize(text, cased=cased))
