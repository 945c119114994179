"""What classifiers answer with, whatever they read."""

from __future__ import annotations

from math import exp

from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Sequence


class Label(NamedTuple):
    """A class of the model, and how probable it is: a softmax over all classes."""

    label: str
    score: float


def softmax(logits: Sequence[float]) -> list[float]:
    """Probabilities, which add up to 1."""
    highest = max(logits)
    powers = [exp(logit - highest) for logit in logits]
    total = sum(powers)
    return [power / total for power in powers]
