"""Beam search over made-up decoders of a few tokens, whose probabilities are known."""

import math
from collections.abc import Callable, Sequence
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotlight.function.beamsearch import Candidate, Rules, Search, sequence

END, START, WORDS = 0, 3, 4
Likely = Callable[[Sequence[int]], Sequence[float]]
"""What went before -> the logarithm of each token's probability."""


def searched(likely: Likely, beams: int, rules: Rules) -> tuple[list[int], float]:
    """The tokens found and their total, the decoder's part done here."""
    search = Search(beams, START, rules)
    paths: list[list[int]] = [[] for _ in range(beams)]
    while not search.is_done:
        if search.is_forced:
            search.force()
            break
        if paths[0] or any(paths):
            assert [path[-1] for path in paths] == search.tokens
        every = [
            Candidate(total + value, beam, token)
            for beam, total in enumerate(search.totals)
            for token, value in enumerate(likely(paths[beam]))
        ]
        search.advance(sorted(every, key=lambda each: -each.total)[: search.wanted])
        paths = [[*paths[parent], token] for parent, token in zip(search.parents, search.tokens, strict=True)]
    best = search.result()
    assert len(sequence(best.last)) == best.length
    return sequence(best.last), best.total


def table(rows: dict[tuple[int, ...], Sequence[float]], other: Sequence[float]) -> Likely:
    return lambda path: [math.log(each) for each in rows.get(tuple(path), other)]


TRAP = table({(): (0.01, 0.5, 0.45, 0.04), (1,): (0.1, 0.3, 0.3, 0.3), (2,): (0.97, 0.01, 0.01, 0.01)}, (0.25,) * 4)
"""The likelier first token leads to a worse text."""


def test_greedy_takes_the_most_probable_token_each_time() -> None:
    assert searched(TRAP, 1, Rules([END], 4))[0] == [1, 1, 0]
    assert searched(TRAP, 1, Rules([END], 3))[0] == [1, 1]


def test_more_beams_find_what_greedy_misses() -> None:
    found, total = searched(TRAP, 2, Rules([END], 6))
    assert found == [2, END]
    assert total == pytest.approx(math.log(0.45 * 0.97))


def test_the_forced_end_comes_last() -> None:
    endless = table({}, (1e-9, 0.6, 0.3, 0.1))
    for beams in (1, 2, 3):
        assert searched(endless, beams, Rules([END], 5, forced=[END]))[0] == [1, 1, 1, END]
        assert searched(endless, beams, Rules([END], 5))[0] == [1, 1, 1, 1]


def test_a_penalty_prefers_longer_texts() -> None:
    even = table({}, (0.5, 0.5 - 2e-6, 1e-6, 1e-6))
    assert len(searched(even, 2, Rules([END], 8, penalty=0.0))[0]) == 1
    assert len(searched(even, 2, Rules([END], 8, penalty=2.0, early="never"))[0]) > 1


def test_enough_texts_end_an_early_search() -> None:
    rules = Rules([END], 12, early=True)
    often = table({}, (0.4, 0.3, 0.2, 0.1))
    search = Search(2, START, rules)
    steps = 0
    while not search.is_done:
        every = [
            Candidate(total + value, beam, token)
            for beam, total in enumerate(search.totals)
            for token, value in enumerate(often([]))
        ]
        search.advance(sorted(every, key=lambda each: -each.total)[: search.wanted])
        steps += 1
    assert steps == 2


def test_several_tokens_may_end_a_text() -> None:
    rules = Rules([END, 2], 6)
    assert Search(4, START, rules).wanted == 12
    assert Search(4, START, Rules([END], 6)).wanted == 8
    assert Search(1, START, rules).wanted == 1
    assert searched(TRAP, 2, rules)[0] == [2]


def every_text(likely: Likely, length: int) -> list[tuple[float, tuple[int, ...]]]:
    """All texts of at most `length` tokens that end, or are as long, with their totals."""
    found = []
    for size in range(1, length + 1):
        for path in product(range(WORDS), repeat=size):
            if END in path[:-1] or (path[-1] != END and size < length):
                continue
            found.append((sum(likely(path[:at])[token] for at, token in enumerate(path)), path))
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 4))
def test_as_many_beams_as_texts_find_the_best_text(seed: int, length: int) -> None:
    from random import Random

    def likely(path: Sequence[int]) -> list[float]:
        draw = Random(f"{seed} {list(path)}")
        weights = [draw.random() + 0.01 for _ in range(WORDS)]
        return [math.log(weight / sum(weights)) for weight in weights]

    best = max(every_text(likely, length), key=lambda each: each[0])
    found, total = searched(likely, WORDS**length, Rules([END], length + 1, penalty=0.0, early="never"))
    assert (tuple(found), total) == (best[1], pytest.approx(best[0]))
