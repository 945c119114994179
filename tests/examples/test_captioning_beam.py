"""The captioning example's beam search, on small languages whose captions can be counted by hand."""

import importlib.util
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

SERVICE = Path(__file__).parents[2] / "examples" / "captioning"
START, END = -1, 0
Language = dict[int, list[float]]
"""The probability of each word, by its number, after a word."""


def _beam() -> ModuleType:
    spec = importlib.util.spec_from_file_location("captioning_beam", SERVICE / "beam.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


beam = _beam()


class Speaker:
    """A decoder of which the next word depends on the last alone. It looks at the words that it has heard so far."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self.heard: list[list[int]] = [[]]
        self.widths: list[int] = []

    def __call__(self, beams: "beam.Beams", width: int) -> tuple[list["beam.Choice"], Sequence[list[int]]]:
        self.widths.append(width)
        self.heard = [[*self.heard[parent], word] for parent, word in zip(beams.parents, beams.words, strict=True)]
        grown = [
            beam.Choice(total + math.log(likely), number, word)
            for number, (total, last) in enumerate(zip(beams.totals, beams.words, strict=True))
            for word, likely in enumerate(self.language[last])
            if likely
        ]
        return sorted(grown, key=lambda choice: -choice.total)[:width], self.heard


A, B, C = 1, 2, 3
HASTY: Language = {
    START: [0.0, 0.6, 0.4, 0.0],
    A: [0.2, 0.2, 0.3, 0.3],  # the likeliest word leads to nothing likely
    B: [0.9, 0.1, 0.0, 0.0],
    C: [0.5, 0.5, 0.0, 0.0],
}


def test_one_beam_is_greedy_and_two_find_what_it_misses() -> None:
    greedy = beam.search(Speaker(HASTY), START, END, beam=1, limit=9)
    assert greedy.words == [A, B]
    assert greedy.total == pytest.approx(math.log(0.6 * 0.3 * 0.9))
    wide = beam.search(Speaker(HASTY), START, END, beam=2, limit=9)
    assert wide.words == [B]
    assert wide.total == pytest.approx(math.log(0.4 * 0.9))
    assert greedy.ended
    assert wide.ended


def test_each_word_comes_with_what_its_own_beam_looked_at() -> None:
    found = beam.search(Speaker(HASTY), START, END, beam=3, limit=9)
    assert found.words == [B]
    assert found.looks == [[START]]
    longer = beam.search(Speaker({**HASTY, B: [0.1, 0.0, 0.0, 0.9]}), START, END, beam=3, limit=9)
    assert longer.words == [B, C]
    assert longer.looks == [[START], [START, B]]


def test_an_ended_caption_takes_a_beam_with_it_and_the_search_ends_when_no_other_can_win() -> None:
    speaker = Speaker({START: [0.1, 0.5, 0.4], A: [0.3, 0.7, 0.0], B: [0.1, 0.1, 0.8]})
    found = beam.search(speaker, START, END, beam=3, limit=50)
    # <end> .1, a .5, b .4; then a a .35, b b .32, and no third; a a a .245, b b b .256 ...: a <end> .15 wins at once
    assert speaker.widths[:2] == [3, 2]
    assert found.ended
    assert len(speaker.widths) < 50


def test_the_limit_cuts_off_and_never_raises() -> None:
    endless: Language = {START: [0.0, 1.0], A: [0.0, 1.0]}
    found = beam.search(Speaker(endless), START, END, beam=3, limit=4)
    assert found == beam.Caption([A] * 4, [[START, *[A] * number] for number in range(4)], 0.0, False)
    rarely: Language = {START: [0.0, 0.9, 0.1], A: [0.0, 1.0, 0.0], B: [1.0, 0.0, 0.0]}
    assert beam.search(Speaker(rarely), START, END, beam=2, limit=4).words == [B]  # one that ended, be it unlikely


def test_a_caption_may_be_empty() -> None:
    found = beam.search(Speaker({START: [0.9, 0.1], A: [1.0, 0.0]}), START, END, beam=2, limit=4)
    assert found == beam.Caption([], [], math.log(0.9), True)


def test_of_equals_the_first_counts() -> None:
    even: Language = {START: [0.0, 0.5, 0.5], A: [1.0, 0.0, 0.0], B: [1.0, 0.0, 0.0]}
    assert [beam.search(Speaker(even), START, END, beam=width, limit=4).words for width in (1, 2, 3)] == [[A]] * 3


@st.composite
def languages(draw: st.DrawFn) -> Language:
    """Three words and an end; distinct weights, so that no two captions are as likely by chance of rounding."""
    rows = {}
    for last in (START, 1, 2, 3):
        weights = draw(st.lists(st.integers(0, 50), min_size=4, max_size=4).filter(any))
        rows[last] = [weight / sum(weights) for weight in weights]
    return rows


def likelihood(language: Language, words: Sequence[int]) -> float:
    return math.prod(language[last][word] for last, word in itertools.pairwise([START, *words]))


def greedy(language: Language, limit: int) -> list[int]:
    said = [START]
    while len(said) <= limit and (len(said) == 1 or said[-1] != END):
        row = language[said[-1]]
        said.append(row.index(max(row)))
    return [word for word in said[1:] if word != END]


@given(languages(), st.integers(1, 10))
def test_one_beam_says_the_likeliest_word_each_time(language: Language, limit: int) -> None:
    assert beam.search(Speaker(language), START, END, beam=1, limit=limit).words == greedy(language, limit)


@given(languages(), st.integers(1, 12), st.integers(1, 6))
def test_what_is_found_is_as_likely_as_it_says(language: Language, width: int, limit: int) -> None:
    found = beam.search(Speaker(language), START, END, beam=width, limit=limit)
    whole = [*found.words, *([END] if found.ended else [])]
    assert math.exp(found.total) == pytest.approx(likelihood(language, whole))
    assert 0 < len(whole) <= limit
    assert found.looks == [[START, *found.words[:number]] for number in range(len(found.words))]


@given(languages(), st.integers(1, 4))
def test_beams_without_end_find_the_likeliest_caption_of_all(language: Language, limit: int) -> None:
    found = beam.search(Speaker(language), START, END, beam=10_000, limit=limit)
    ended = [(*words, END) for n in range(limit) for words in itertools.product((1, 2, 3), repeat=n)]
    cut = list(itertools.product((1, 2, 3), repeat=limit))
    best = max((likelihood(language, words) for words in ended), default=0.0)
    assert found.ended == (best > 0)
    wanted = best or max(likelihood(language, words) for words in cut)
    assert math.exp(found.total) == pytest.approx(wanted)
