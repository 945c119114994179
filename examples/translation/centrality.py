"""Which sentences stand for a text: those that many others resemble, and that do not say the same again.

LexRank (Erkan and Radev 2004) in its continuous form: a walk over the sentences goes from each to another with a
probability in proportion to how alike they are, and how often it comes by is a sentence's weight. Maximal marginal
relevance (Carbonell and Goldstein 1998) picks, one by one, the heaviest that least resembles what was picked before.
Pure functions over vectors; time is quadratic in the number of sentences.
"""

from collections.abc import Sequence
from math import sqrt
from operator import mul

Vector = Sequence[float]
DAMPING = 0.85  # of the walk, as in PageRank; else it goes anywhere
ROUNDS = 50
CLOSE = 1e-6


def alike(vectors: Sequence[Vector]) -> list[list[float]]:
    """The cosine of each pair, 0 for those that point away from one another, after the mean of all is taken away.

    Without that an encoder's sentences are all alike; what they have in common says little (Mu and Viswanath 2018).
    """
    units = [_unit(vector) for vector in _centred(vectors)]
    rows = [[max(0.0, sum(map(mul, one, other))) for other in units[: place + 1]] for place, one in enumerate(units)]
    return [[rows[max(i, j)][min(i, j)] for j in range(len(rows))] for i in range(len(rows))]


def _centred(vectors: Sequence[Vector]) -> list[list[float]]:
    means = [sum(column) / len(vectors) for column in zip(*vectors, strict=True)]
    return [[value - mean for value, mean in zip(vector, means, strict=True)] for vector in vectors]


def _unit(vector: Vector) -> Vector:
    length = sqrt(sum(map(mul, vector, vector)))
    return [value / length for value in vector] if length else vector


def weights(likeness: Sequence[Sequence[float]]) -> list[float]:
    """How often the walk comes by each sentence; they add up to 1."""
    count = len(likeness)
    sums = [sum(row) for row in likeness]
    found = [1 / count] * count
    for _ in range(ROUNDS):
        shares = [weight / total if total else 0.0 for weight, total in zip(found, sums, strict=True)]
        lost = sum(weight for weight, total in zip(found, sums, strict=True) if not total)
        ground = (1 - DAMPING + DAMPING * lost) / count
        before, found = found, [ground + DAMPING * sum(map(mul, row, shares)) for row in likeness]
        if max(abs(new - old) for new, old in zip(found, before, strict=True)) < CLOSE / count:
            break
    return found


def pick(weight: Sequence[float], likeness: Sequence[Sequence[float]], count: int, novelty: float = 0.5) -> list[int]:
    """The places of `count` sentences, in order. A `novelty` of 0 picks the heaviest, 1 the least alike."""
    highest = max(weight, default=0.0)
    left = [*range(len(weight))]
    taken: list[int] = []
    while left and len(taken) < count:
        best = max(
            left, key=lambda place: (1 - novelty) * weight[place] / highest - novelty * _nearest(likeness[place], taken)
        )
        left.remove(best)
        taken.append(best)
    return sorted(taken)


def _nearest(row: Sequence[float], taken: Sequence[int]) -> float:
    return max((row[place] for place in taken), default=0.0)
