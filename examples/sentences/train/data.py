"""The Stanford Sentiment Treebank as token lists with the probability that each is positive.

A tree is one line, `(3 (2 It) (4 (2 's) (3 good)))`: every node is a phrase with a label from 0 (very negative) over
2 (neutral) to 4 (very positive). In the binary task 0 and 1 are negative, 3 and 4 positive, neutral sentences are left
out. For training the degree is kept and neutral phrases stay: that a phrase says nothing is worth learning too.
"""

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tokens import tokenize

NEGATIVE, POSITIVE = 0, 1
UNKNOWN = "<unk>"
_BINARY = {"0": NEGATIVE, "1": NEGATIVE, "3": POSITIVE, "4": POSITIVE}
_DEGREE = {"0": 0.02, "1": 0.2, "2": 0.5, "3": 0.8, "4": 0.98}
_PIECE = re.compile(r"\((\d) |\)|[^\s()]+")


class Example(NamedTuple):
    """A phrase or a sentence; `positive` is the wanted probability of the class `POSITIVE`."""

    tokens: tuple[str, ...]
    positive: float


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


def training_examples(trees: Iterable[str]) -> list[Example]:
    """Every phrase of the trees once, neutral ones too, with the degree of its label as the wanted probability."""
    degrees = {tuple(tokenize(words)): _DEGREE[label] for tree in trees for label, words in phrases(tree)}
    return [Example(tokens, degree) for tokens, degree in degrees.items() if tokens]


def sentences(trees: Iterable[str]) -> list[Example]:
    """The whole sentences that are not neutral, for measuring the binary task."""
    roots = (list(phrases(tree))[-1] for tree in trees)
    return [Example(tuple(tokenize(words)), _BINARY[label]) for label, words in roots if label in _BINARY]


def labelled(lines: Iterable[str]) -> list[Example]:
    """The examples of `label text` lines, where label is 0 or 1: the other form they are passed on in."""
    return [Example(tuple(tokenize(text)), int(label)) for label, text in (line.split(" ", 1) for line in lines)]


def read_lines(path: Path) -> list[str]:
    """The lines of a file; in the Treebank's files each is a tree."""
    return path.read_text(encoding="utf-8").splitlines()


def keep_apart(trees: list[str], share: float) -> tuple[list[str], list[str]]:
    """The trees to train on and the trees kept apart from them: one draw for every seed, so that seeds compare."""
    shuffled = random.Random(0).sample(trees, len(trees))
    apart = round(len(trees) * share)
    return shuffled[apart:], shuffled[:apart]


def vocabulary(examples: Iterable[Example]) -> list[str]:
    """The words of the examples, most frequent first, after `UNKNOWN`. A word's place is its number."""
    counts = Counter(word for example in examples for word in example.tokens)
    return [UNKNOWN, *(word for _, word in sorted((-count, word) for word, count in counts.items()))]
