"""Questions with their contexts as token windows, in batches of near lengths."""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor
from train.squad import Example, Span


class Window(NamedTuple):
    """One question with as much of its context as fits the model."""

    example: int
    encoding: Encoding
    targets: tuple[tuple[int, int], ...]
    """First and last token of each marked answer, `(0, 0)` (the token [CLS]) for one that is not in this window."""


class Batch(NamedTuple):
    ids: Tensor
    """Token ids, int64 [batch, tokens]."""
    types: Tensor
    mask: Tensor
    context: Tensor
    """True where a token is [CLS] or of the context, bool [batch, tokens]."""
    windows: list[Window]

    def targets(self, draw: random.Random) -> tuple[Tensor, Tensor]:
        """First and last token of one annotator's answer a window, each int64 [batch]."""
        start, end = zip(*(draw.choice(window.targets) for window in self.windows), strict=True)
        return torch.tensor(start), torch.tensor(end)


def cut(tokenizer: Tokenizer, examples: Sequence[Example], length: int, stride: int) -> list[Window]:
    """Windows of at most `length` tokens that share `stride` context tokens with the one before."""
    tokenizer.no_padding()
    tokenizer.enable_truncation(length, stride=stride, strategy="only_second")
    encodings = tokenizer.encode_batch([(one.question.strip(), one.context) for one in examples])
    return [
        Window(number, window, tuple(_target(window, span) for span in example.answers) or ((0, 0),))
        for number, (example, first) in enumerate(zip(examples, encodings, strict=True))
        for window in (first, *first.overflowing)
    ]


def _target(window: Encoding, span: Span) -> tuple[int, int]:
    """First and last token of a span of characters, `(0, 0)` where the window does not hold all of it."""
    inside = [
        number
        for number, (side, (start, end)) in enumerate(zip(window.type_ids, window.offsets, strict=True))
        if side == 1 and start < span.end and end > span.start
    ]
    if not inside:
        return 0, 0
    whole = window.offsets[inside[0]][0] <= span.start and window.offsets[inside[-1]][1] >= span.end
    return (inside[0], inside[-1]) if whole else (0, 0)


def batches(windows: Sequence[Window], size: int, seed: str | None = None) -> Iterator[Batch]:
    """Batches of windows of near lengths; with a seed, in an order that it sets, else the shortest first."""
    order = list(windows)
    if seed is not None:
        shuffle = random.Random(seed)
        shuffle.shuffle(order)
    order.sort(key=lambda window: -(-len(window.encoding) // 8))  # stable: equal lengths stay shuffled
    groups = [order[first : first + size] for first in range(0, len(order), size)]
    if seed is not None:
        shuffle.shuffle(groups)
    yield from map(_stack, groups)


def _stack(windows: list[Window]) -> Batch:
    longest = max(len(window.encoding) for window in windows)

    def pad(rows: Iterator[list[int]]) -> Tensor:
        return torch.tensor([row + [0] * (longest - len(row)) for row in rows])

    types = pad(window.encoding.type_ids for window in windows)
    special = pad(window.encoding.special_tokens_mask for window in windows)
    context = (types == 1) & (special == 0)
    context[:, 0] = True
    return Batch(
        pad(window.encoding.ids for window in windows),
        types,
        pad(window.encoding.attention_mask for window in windows),
        context,
        windows,
    )


def best_span(start: Tensor, end: Tensor, context: Tensor, longest: int = 30) -> tuple[int, int, float]:
    """First and last token of the likeliest answer in one window, and its score; [CLS] is no answer."""
    allowed = context.clone()
    allowed[0] = False
    pairs = start[:, None] + end[None, :]
    valid = torch.ones_like(pairs, dtype=torch.bool).triu().tril(longest - 1)
    pairs = pairs.masked_fill(~(valid & allowed[:, None] & allowed[None, :]), -torch.inf)
    best = int(pairs.argmax())
    return best // len(start), best % len(start), float(pairs.flatten()[best])
