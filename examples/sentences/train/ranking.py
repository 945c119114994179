"""How well answers are ranked: mean average precision and mean reciprocal rank, with trec_eval's ties.

trec_eval (github.com/usnistgov/trec_eval) orders a question's answers by falling score, and answers of one score by
falling document name, whatever their order in a file. Files of answers list the right ones first, so that with
ties in file order a constant score would be perfect.

Two conventions are common, and figures of one are not those of the other:

- raw: every question counts, as in trec_eval's means. One without a right answer gives 0, one without a wrong answer 1.
- clean: questions without a right answer or without a wrong one are left out (Rao, He and Lin, "Noise-Contrastive
  Estimation for Answer Selection with Deep Neural Networks", CIKM 2016).
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Answer(NamedTuple):
    """A candidate: its document's name, the score that it got, and whether it is right."""

    document: str
    score: float
    right: bool


class Quality(NamedTuple):
    """`map` and `mrr` in [0, 1], over `questions` questions."""

    map: float
    mrr: float
    questions: int

    def __str__(self) -> str:
        return f"MAP {self.map:.4f}, MRR {self.mrr:.4f} over {self.questions} questions"


def ranked(answers: Iterable[Answer]) -> list[bool]:
    """Which of the answers are right, from the best on. Raises `ValueError` for a score that is not a number."""
    answers = list(answers)
    if any(math.isnan(answer.score) for answer in answers):
        raise ValueError("ranking answers: a score is not a number")
    return [answer.right for answer in sorted(answers, key=lambda it: (it.score, it.document), reverse=True)]


def average_precision(right: Sequence[bool]) -> float:
    """The mean, over the right answers, of the share of right ones down to each; 0 where there is none."""
    places = [place for place, good in enumerate(right, start=1) if good]
    return sum(count / place for count, place in enumerate(places, start=1)) / len(places) if places else 0.0


def reciprocal_rank(right: Sequence[bool]) -> float:
    """One by the place of the first right answer; 0 where there is none."""
    return 1 / (right.index(True) + 1) if any(right) else 0.0


def measure(questions: Iterable[Iterable[Answer]], clean: bool = False) -> Quality:
    """The quality over questions, each with its answers. Raises `ValueError` when no question is left."""
    rankings = [ranked(answers) for answers in questions]
    if clean:
        rankings = [right for right in rankings if any(right) and not all(right)]
    if not rankings:
        raise ValueError("measuring a ranking: there is no question")
    count = len(rankings)
    return Quality(sum(map(average_precision, rankings)) / count, sum(map(reciprocal_rank, rankings)) / count, count)
