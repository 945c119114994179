"""The measures of tasks, in percent, as their papers define them."""

import re
import string
from collections import Counter
from collections.abc import Sequence


def normalize(answer: str) -> str:
    """Lower case, without punctuation and articles, single spaces: as SQuAD's own script compares answers."""
    bare = "".join(character for character in answer.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def exact_match(predictions: Sequence[str], answers: Sequence[Sequence[str]]) -> float:
    """Percent of predictions that equal any of their right answers (Rajpurkar et al. 2016, section 6.1)."""
    found = [
        normalize(prediction) in map(normalize, right) for prediction, right in zip(predictions, answers, strict=True)
    ]
    return 100 * sum(found) / len(found)


def f1(predictions: Sequence[str], answers: Sequence[Sequence[str]]) -> float:
    """Mean over predictions of the harmonic mean of precision and recall of words, the best over the right answers."""
    found = [
        max(_f1(prediction, each) for each in right) for prediction, right in zip(predictions, answers, strict=True)
    ]
    return 100 * sum(found) / len(found)


def accuracy(predictions: Sequence[str], answers: Sequence[Sequence[str]]) -> float:
    """Percent of predictions that are the right label."""
    return 100 * sum(one in right for one, right in zip(predictions, answers, strict=True)) / len(predictions)


def chrf(predictions: Sequence[str], answers: Sequence[Sequence[str]]) -> float:
    """Mean over predictions of the F2 of their runs of 1 to 6 characters without spaces, the best over the right
    answers (Popovic 2015, of single sentences)."""
    found = [
        max(_chrf(prediction, each) for each in right) for prediction, right in zip(predictions, answers, strict=True)
    ]
    return 100 * sum(found) / len(found)


def _chrf(prediction: str, answer: str) -> float:
    pairs = [(_runs(prediction, size), _runs(answer, size)) for size in range(1, 7)]
    shown = [(said, right) for said, right in pairs if said and right]
    if not shown:
        return float("".join(prediction.split()) == "".join(answer.split()))
    common = [(said & right).total() for said, right in shown]
    precision = sum(one / said.total() for one, (said, _) in zip(common, shown, strict=True)) / len(shown)
    recall = sum(one / right.total() for one, (_, right) in zip(common, shown, strict=True)) / len(shown)
    return 5 * precision * recall / (4 * precision + recall) if precision + recall else 0.0


def _runs(text: str, size: int) -> Counter[str]:
    letters = "".join(text.split())
    return Counter(letters[at : at + size] for at in range(len(letters) - size + 1))


def _f1(prediction: str, answer: str) -> float:
    words, right = normalize(prediction).split(), normalize(answer).split()
    common = (Counter(words) & Counter(right)).total()
    if not words or not right:
        return float(words == right)  # no answer, found as such
    return 2 * common / (len(words) + len(right))
