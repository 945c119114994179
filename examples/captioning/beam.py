"""Beam search over any decoder that continues all beams in one step, in plain Python.

Totals are sums of logarithms of probabilities, so they only fall: a caption that ended is final as soon as no beam that
goes on has more.
"""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

L = TypeVar("L")


class Choice(NamedTuple):
    """A beam, by its place among those given, continued with a word."""

    total: float
    beam: int
    word: int


class Beams(NamedTuple):
    """What a step continues: the last words and totals of beams, and which ones of the step before they continue."""

    words: list[int]
    totals: list[float]
    parents: list[int]


Step = Callable[[Beams, int], tuple[Sequence[Choice], Sequence[L]]]
"""Beams and a number n -> the n best choices, best first, and for each of the beams where it looked."""


class Said(NamedTuple, Generic[L]):
    """A word, the total up to it, where the decoder looked before it, and the word before; all None at the start."""

    word: int
    total: float
    look: L | None
    before: "Said[L] | None"


class Caption(NamedTuple, Generic[L]):
    """Words without start and end, where the decoder looked for each, the total, and whether it came to an end."""

    words: list[int]
    looks: list[L]
    total: float
    ended: bool


def search(step: Step[L], start: int, end: int, beam: int, limit: int) -> Caption[L]:
    """The likeliest caption that `beam` beams find in at most `limit` steps (Xu et al.'s search: totals as they are).

    A caption that ends takes a beam with it. Where none ended within the limit, the best one so far is given, cut off
    there. Of equals the one that ended first counts.
    """
    going, parents = [Said[L](start, 0.0, None, None)], [0]
    ended: list[Said[L]] = []
    for _ in range(limit):
        beams = Beams([each.word for each in going], [each.total for each in going], parents)
        choices, looks = step(beams, beam - len(ended))
        grown = [Said(choice.word, choice.total, looks[choice.beam], going[choice.beam]) for choice in choices]
        ended += [each for each in grown if each.word == end]
        parents = [choice.beam for choice in choices if choice.word != end]
        going = [each for each in grown if each.word != end]
        if not going or any(each.total >= going[0].total for each in ended):
            break
    return _caption(max(ended or going, key=_total), bool(ended))


def _total(said: Said[L]) -> float:
    return said.total


def _caption(last: Said[L], ended: bool) -> Caption[L]:
    words, looks = [], []
    said = last.before if ended else last
    while said is not None and said.look is not None:
        words.append(said.word)
        looks.append(said.look)
        said = said.before
    return Caption(words[::-1], looks[::-1], last.total, ended)
