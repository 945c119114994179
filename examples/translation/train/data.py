"""Sentences in English and Chinese: the pairs of `pairs.tsv`, its parts, and the words of an HSK list.

`pairs.tsv` has a line `English<tab>Chinese` for each pair, as https://www.manythings.org/anki/ publishes Tatoeba's
(further columns are not looked at). Chinese is in traditional characters in half of them: all are made simplified ones
by OpenCC. `hsk.json`, if there, is `complete.min.json` of https://github.com/drkameleon/complete-hsk-vocabulary.
"""

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from opencc import OpenCC

ENGLISH, CHINESE = "en", "zh"
DIRECTIONS = ("en-zh", "zh-en")
_HAN = r"[\u3400-\u9fff\U00020000-\U0003ffff]"
_FULL_WIDTH = str.maketrans(",!?:;()＂．｡", '，！？：；（）"。。')  # noqa: RUF001
_PLAIN = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "\u200b": None})  # noqa: RUF001
_INNER_SPACE = re.compile(rf"(?<={_HAN})\s+|\s+(?={_HAN})")
_FULL_STOP = re.compile(rf"(?<={_HAN})\.$")
_SIGNS = re.compile(r"[\W_]+")
_REMARK = re.compile(r"\([^()]*\)")
_NO_MEANING = re.compile(
    r"surname |variant of|used in |see |abbr\.|CL:|classifier|(pre|suf)fix|particle|interjection|onom\.|\[|\bs(b|th)\b"
)


class Pair(NamedTuple):
    """The same said in both languages."""

    english: str
    chinese: str

    def turned(self, direction: str) -> tuple[str, str]:
        """What is translated, and into what."""
        return (self.english, self.chinese) if direction == "en-zh" else (self.chinese, self.english)


class Parts(NamedTuple):
    """What trains, what chooses the epoch, and what only measures: no sentence, on either side, is in two of them."""

    training: list[Pair]
    development: list[Pair]
    test: list[Pair]


class Simplifier:
    """Chinese as it is trained on: simplified characters, wide signs, no spaces between characters."""

    def __init__(self) -> None:
        self._convert = OpenCC("t2s").convert

    def __call__(self, text: str) -> str:
        joined = _INNER_SPACE.sub("", self._convert(text.replace("\u200b", "").strip()))
        return _FULL_STOP.sub("。", joined.translate(_FULL_WIDTH))


def english(text: str) -> str:
    """English with plain quotes and single spaces."""
    return " ".join(text.translate(_PLAIN).split())


def read(folder: Path, share: float = 0.05) -> Parts:
    """The pairs in three parts; `share` of them is for development, as much for the test."""
    simplified = Simplifier()
    lines = (folder / "pairs.tsv").read_text(encoding="utf-8").split("\n")
    columns = (line.split("\t") for line in lines if line)
    pairs = {Pair(english(first), simplified(second)): None for first, second, *_ in columns}
    return split(list(pairs), share)


def split(pairs: Sequence[Pair], share: float) -> Parts:
    """Groups of pairs that share a sentence go to one part whole, drawn once, so that seeds and directions compare."""
    groups = connected(pairs)
    random.Random(0).shuffle(groups)
    parts = Parts([], [], [])
    wanted = round(len(pairs) * share)
    for group in groups:
        part = next((it for it in (parts.test, parts.development) if len(it) + len(group) <= wanted), parts.training)
        part.extend(group)
    return parts


def connected(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """The pairs in groups of those that share a sentence, signs and case aside, with one another or through others."""
    leader = list(range(len(pairs)))
    first: dict[tuple[str, str], int] = {}
    for place, pair in enumerate(pairs):
        for side, text in zip((ENGLISH, CHINESE), pair, strict=True):
            other = first.setdefault((side, _SIGNS.sub(" ", text.lower()).strip()), place)
            leader[_lead(leader, place)] = _lead(leader, other)
    groups: dict[int, list[Pair]] = defaultdict(list)
    for place, pair in enumerate(pairs):
        groups[_lead(leader, place)].append(pair)
    return list(groups.values())


def _lead(leader: list[int], place: int) -> int:
    while leader[place] != place:
        leader[place] = place = leader[leader[place]]
    return place


def words(folder: Path, meanings: int = 2) -> list[Pair]:
    """The words of `hsk.json` with their first meanings; none where there is no such file."""
    path = folder / "hsk.json"
    entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    pairs = {Pair(said, entry["s"]): None for entry in entries for said in _meanings(entry["f"], meanings)}
    return list(pairs)


def _meanings(forms: Sequence[dict[str, Any]], most: int) -> list[str]:
    """The first short meanings of a word, without remarks in brackets: of its first form that has one."""
    for form in forms:
        found = [said for meaning in form["m"] for said in _short(meaning)]
        if found:
            return found[:most]
    return []


def _short(meaning: str) -> Iterator[str]:
    for said in _REMARK.sub("", meaning).split(";"):
        plain = english(said).rstrip("!.")
        if plain and not _NO_MEANING.search(said) and len(plain.split()) <= 4 and not re.search(_HAN, plain):
            yield plain


def references(pairs: Sequence[Pair], direction: str) -> dict[str, list[str]]:
    """Every sentence to translate once, with all its translations."""
    found: dict[str, list[str]] = {}
    for pair in pairs:
        source, target = pair.turned(direction)
        found.setdefault(source, []).append(target)
    return found


def in_parts(texts: Sequence[str], size: int) -> Iterator[list[str]]:
    """So many at a time."""
    for start in range(0, len(texts), size):
        yield list(texts[start : start + size])
