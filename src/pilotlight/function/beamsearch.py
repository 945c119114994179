"""Beam search as `generate` of transformers 5 does it, for one text; and the greedy search that is its one beam.

Pure: whoever runs the decoder gives the best continuations of all beams, and is told which beams go on. So texts of one
batch are each searched for themselves, and one that is finished leaves the batch.
"""

from __future__ import annotations

from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

NEVER = -1e9
"""What transformers takes for the logarithm of no probability."""


class Rules(NamedTuple):
    """When and how a search ends. `length` counts the token that the decoder starts with.

    `early` is True (as many finished as beams are enough), False (by a guess whether others can still be better) or
    "never" (by what is possible), as `early_stopping`. `forced` are the tokens one of which is the last at `length`.
    """

    ends: Collection[int]
    length: int
    penalty: float = 1.0
    early: bool | str = False
    forced: Sequence[int] = ()


class Candidate(NamedTuple):
    """A beam, by its place among those of the text, continued with a token."""

    total: float
    beam: int
    token: int


class Tokens(NamedTuple):
    """A token and those before it."""

    token: int
    before: Tokens | None


class Finished(NamedTuple):
    """A text that was generated: its last token with those before, the sum of the logarithms, how many tokens it has;
    `score` is the sum over that to the power of the penalty."""

    score: float
    total: float
    length: int
    last: Tokens


class Search:
    """The search for one text. `tokens`, `totals` and `parents` say of each beam what the decoder has to continue."""

    def __init__(self, beams: int, start: int, rules: Rules) -> None:
        self.beams = beams
        self.rules = rules
        self.tokens = [start] * beams
        self.totals = [0.0] + [NEVER] * (beams - 1)
        self.parents = list(range(beams))
        self.is_done = False
        self._paths: list[Tokens | None] = [None] * beams
        self._finished: list[Finished] = []
        self._count = 0  # tokens so far

    @property
    def wanted(self) -> int:
        """How many continuations are needed, so that enough go on when all ends are among them."""
        return 1 if self.beams == 1 else max(2, 1 + len(self.rules.ends)) * self.beams

    @property
    def is_forced(self) -> bool:
        """Whether the next token is the last one and known, so that the decoder need not be asked."""
        return bool(self.rules.forced) and self._count + 2 == self.rules.length

    def force(self) -> None:
        """`advance` with the token that is forced."""
        pairs = ((total, beam, token) for beam, total in enumerate(self.totals) for token in self.rules.forced)
        best = sorted(pairs, key=lambda pair: -pair[0])[: self.wanted]
        self.advance([Candidate(*pair) for pair in best])

    def advance(self, candidates: Sequence[Candidate]) -> None:
        """Go on with the best continuations, the best first, of which there are `wanted`."""
        self._count += 1
        is_last = self._count + 1 >= self.rules.length
        ended = [is_last or each.token in self.rules.ends for each in candidates]
        grown = [Tokens(each.token, self._paths[each.beam]) for each in candidates]
        for number in range(min(self.beams, len(candidates))):
            if ended[number]:
                self._finish(candidates[number], grown[number])
        going = [number for number, over in enumerate(ended) if not over][: self.beams]
        self.tokens = [candidates[number].token for number in going]
        self.totals = [candidates[number].total for number in going]
        self.parents = [candidates[number].beam for number in going]
        self._paths = [grown[number] for number in going]
        self.is_done = not going or self._is_enough()

    def result(self) -> Finished:
        """The best one; only when the search is done."""
        return self._finished[0]

    def _finish(self, candidate: Candidate, last: Tokens) -> None:
        score = candidate.total / self._count**self.rules.penalty
        kept = [*self._finished, Finished(score, candidate.total, self._count, last)]
        self._finished = sorted(kept, key=lambda each: -each.score)[: self.beams]

    def _is_enough(self) -> bool:
        if len(self._finished) < self.beams:
            return False
        if self.rules.early is True or self.beams == 1:
            return True
        is_hoping = self.rules.early == "never" and self.rules.penalty > 0
        length = self.rules.length - 1 if is_hoping else self._count
        return bool(self.totals[0] / length**self.rules.penalty <= self._finished[-1].score)


def sequence(last: Tokens) -> list[int]:
    """All tokens, in their order."""
    found, each = [], last
    while each is not None:
        found.append(each.token)
        each = each.before  # type: ignore[assignment]
    return found[::-1]
