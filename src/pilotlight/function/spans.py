"""Which spans of a text answer a question, from a reader's logits: pure functions.

Spans are scored and joined as the question-answering pipeline of transformers 4 does (`transformers/pipelines/
question_answering.py`): a span's score is the product of the probabilities of its start and its end, each a softmax
over the tokens of one window, and spans that read the same, whatever the case of their letters, are one answer whose
score is the sum.
"""

from __future__ import annotations

from math import exp, inf, isfinite, log

from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Sequence


class Span(NamedTuple):
    """From the token `start` to the token `end`, both included, counted from the first of the context's in a window."""

    score: float
    start: int
    end: int


class Logits(NamedTuple):
    """What a reader gives for one window: of the context's tokens, and of the special token that means no answer."""

    starts: Sequence[float]
    ends: Sequence[float]
    null_start: float = -inf
    null_end: float = -inf


class Reading(NamedTuple):
    """What one window says: its most probable spans, the best first, and how probable it is that it has no answer."""

    spans: list[Span]
    null_score: float


def windows(tokens: int, room: int, shared: int) -> range:
    """Where the windows begin that hold `room` tokens each, `shared` of them also the next one's, the last maybe fewer.

    They are those that the library `tokenizers` cuts by `enable_truncation(stride=shared)`.
    """
    return range(0, max(tokens - shared, 1), room - shared)


def read(logits: Logits, longest: int, count: int) -> Reading:
    """The `count` most probable spans of at most `longest` tokens. Raises `ValueError` where logits are no numbers."""
    normal = _log_sum(logits.starts, logits.null_start) + _log_sum(logits.ends, logits.null_end)
    if not isfinite(normal):
        raise ValueError("the logits are not numbers")
    spans = [Span(exp(-total - normal), start, end) for total, start, end in _highest(logits, longest, count)]
    return Reading(spans, exp(logits.null_start + logits.null_end - normal))


def whole_words(span: Span, words: Sequence[int]) -> tuple[int, int]:
    """The first and the last token of the words in which a span starts and ends; `words` holds each token's word."""
    start, end = span.start, span.end
    while start > 0 and words[start - 1] == words[start]:
        start -= 1
    while end + 1 < len(words) and words[end + 1] == words[end]:
        end += 1
    return start, end


def _highest(logits: Logits, longest: int, count: int) -> list[tuple[float, int, int]]:
    """The `count` highest sums of a start's and an end's logit, negated so that of equals the first in the text leads.

    Starts are taken from the highest down, until none that is left could be among them, whatever its end: some tens
    of all the hundreds.
    """
    starts, ends = logits.starts, logits.ends
    found: list[tuple[float, int, int]] = []
    bar, highest_end = -inf, max(ends)
    for start in sorted(range(len(starts)), key=starts.__getitem__, reverse=True):
        value = starts[start]
        if value + highest_end <= bar:
            break
        for end, other in enumerate(ends[start : start + longest], start):
            if value + other > bar:
                found.append((-value - other, start, end))
        if len(found) >= count:
            found = sorted(found)[:count]
            bar = -found[-1][0]
    return sorted(found)


def _log_sum(values: Sequence[float], other: float) -> float:
    """The logarithm of the sum of all exponentials, what a softmax divides by."""
    highest = max(other, max(values))
    return highest + log(exp(other - highest) + sum([exp(value - highest) for value in values]))
