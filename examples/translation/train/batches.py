"""Batches of sentence pairs as numbers, cut into pieces and put together anew in every epoch."""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from train.data import Pair
from train.pieces import END, PADDING, Segmented, Side

_LONGEST = 60  # pieces of a side; few sentences have more
_WORDS = 0.5  # share of the words that an epoch has
_JOINED = 0.1  # share of the sentences that a second one follows
Numbers = list[int]


class Batch(NamedTuple):
    """`source` and `target` `[n, longest]`: each row a sentence and its end, padded.

    `before` `[n, longest]` is `target` one place later, after what every translation starts with.
    """

    source: Tensor
    before: Tensor
    target: Tensor


class Batches:
    """Pairs segmented once in their likeliest ways; an epoch draws one for each, and the order, by its seed."""

    def __init__(
        self,
        sentences: Sequence[Pair],
        words: Sequence[Pair],
        direction: str,
        sides: tuple[Side, Side],
        numbers: dict[str, int],
        tokens: int,
    ) -> None:
        self._sentences = [_segmented(pair, direction, sides) for pair in sentences]
        self._words = [_segmented(pair, direction, sides) for pair in words]
        self._end, self._padding, self._tokens = numbers[END], numbers[PADDING], tokens

    def epoch(self, seed: str) -> list[Batch]:
        generator = random.Random(seed)
        rows = sorted(self._drawn(generator), key=lambda row: (len(row[0]) + len(row[1]), generator.random()))
        batches = [self._padded(some) for some in _cut(rows, self._tokens)]
        generator.shuffle(batches)
        return batches

    def _drawn(self, generator: random.Random) -> Iterator[tuple[Numbers, Numbers]]:
        """Some of the words, and all sentences, now and then with another after it."""
        for pair in generator.sample(self._words, round(len(self._words) * _WORDS)):
            yield pair[0].drawn(generator), pair[1].drawn(generator)
        for pair in self._sentences:
            source, target = (side.drawn(generator) for side in pair)
            if generator.random() < _JOINED:
                more = generator.choice(self._sentences)
                source, target = source + more[0].drawn(generator), target + more[1].drawn(generator)
            if max(len(source), len(target)) <= _LONGEST:
                yield source, target

    def _padded(self, rows: Sequence[tuple[Numbers, Numbers]]) -> Batch:
        source = self._rows([[*row[0], self._end] for row in rows])
        target = self._rows([[*row[1], self._end] for row in rows])
        return Batch(source, self._rows([[self._padding, *row[1]] for row in rows]), target)

    def _rows(self, rows: Sequence[Numbers]) -> Tensor:
        longest = max(map(len, rows))
        return torch.tensor([row + [self._padding] * (longest - len(row)) for row in rows])


def _segmented(pair: Pair, direction: str, sides: tuple[Side, Side]) -> tuple[Segmented, Segmented]:
    source, target = pair.turned(direction)
    return sides[0].segmented(source), sides[1].segmented(target)


def _cut(rows: Sequence[tuple[Numbers, Numbers]], tokens: int) -> Iterator[list[tuple[Numbers, Numbers]]]:
    """Rows of about the same length, as many as have so many tokens, the padding counted."""
    some: list[tuple[Numbers, Numbers]] = []
    for row in rows:
        longest = len(row[0]) + len(row[1]) + 2
        if some and (len(some) + 1) * longest > tokens:
            yield some
            some = []
        some.append(row)
    if some:
        yield some
