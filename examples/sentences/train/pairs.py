"""Questions with candidate answers: TrecQA and WikiQA, and what SQuAD gives when its passages are taken apart.

A folder of the former holds `a.toks` (the question), `b.toks` (the candidate), `id.txt` (the question's name) and
`sim.txt` (1 where the candidate answers the question, else 0), line by line.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from tokens import tokenize
from train.data import UNKNOWN, read_lines
from train.ranking import Answer

LONGEST = 60  # words of a candidate; a passage's few longer sentences are lists
_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])")


class Pair(NamedTuple):
    """A question and a candidate; `document` names the candidate, by its line from 0, as the sets' own files do."""

    name: str
    question: tuple[str, ...]
    answer: tuple[str, ...]
    right: bool
    document: str


def read(folder: Path) -> list[Pair]:
    """The pairs of a folder. Raises `ValueError` when its files have different numbers of lines."""
    columns = [read_lines(folder / name) for name in ("id.txt", "a.toks", "b.toks", "sim.txt")]
    return [
        Pair(name.strip(), tuple(tokenize(question)), tuple(tokenize(answer)), right.strip() == "1", str(line))
        for line, (name, question, answer, right) in enumerate(zip(*columns, strict=True))
    ]


def squad(file: Path) -> list[Pair]:
    """The questions of a file of SQuAD 1.1, each with the sentences of its passage; right are those with an answer."""
    articles = json.loads(file.read_text(encoding="utf-8"))["data"]
    passages = (passage for article in articles for passage in article["paragraphs"])
    found = (pair for passage in passages for pair in _passage(passage))
    return [Pair(*texts, str(number)) for number, texts in enumerate(found)]


def scored(pairs: Sequence[Pair], scores: Iterable[float]) -> list[list[Answer]]:
    """The answers of each question with the scores that its pairs got."""
    together = zip(pairs, scores, strict=True)
    groups = groupby(sorted(together, key=lambda it: it[0].name), key=lambda it: it[0].name)
    return [[Answer(pair.document, score, pair.right) for pair, score in group] for _, group in groups]


def idf(sentences: Iterable[Sequence[str]], asked: Collection[str] = (), least: int = 1) -> dict[str, float]:
    """The logarithm of how many sentences there are for each that has the word, the most frequent word first.

    Of the words in less than `least` sentences only those `asked` for are there. `UNKNOWN` stands for words in none.
    """
    distinct = set(map(tuple, sentences))
    counts = Counter(word for sentence in distinct for word in set(sentence))
    words = [
        word for word in sorted(counts, key=lambda it: (-counts[it], it)) if counts[word] >= least or word in asked
    ]
    return {UNKNOWN: math.log(len(distinct)), **{word: math.log(len(distinct) / counts[word]) for word in words}}


def idf_sum(pair: Pair, weights: Mapping[str, float]) -> float:
    """The baseline that needs no network: the summed idf of the question's words that the answer has."""
    rare = weights[UNKNOWN]
    return sum(weights.get(word, rare) for word in sorted(set(pair.question) & set(pair.answer)))


def sentences(passage: str) -> Iterator[tuple[int, str]]:
    """The sentences of a passage with the places where they begin."""
    start = 0
    for gap in _END.finditer(passage):
        yield start, passage[start : gap.start()]
        start = gap.end()
    yield start, passage[start:]


def _passage(passage: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...], bool]]:
    candidates = [(start, text, tuple(tokenize(text))) for start, text in sentences(passage["context"])]
    for question in passage["qas"]:
        asked = tuple(tokenize(question["question"]))
        starts = {answer["answer_start"] for answer in question["answers"]}
        for start, text, words in candidates:
            if 0 < len(words) <= LONGEST:
                right = any(start <= place < start + len(text) for place in starts)
                yield question["id"], asked, words, right
