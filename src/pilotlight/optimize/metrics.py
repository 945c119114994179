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


def _f1(prediction: str, answer: str) -> float:
    words, right = normalize(prediction).split(), normalize(answer).split()
    common = (Counter(words) & Counter(right)).total()
    if not words or not right:
        return float(words == right)  # no answer, found as such
    return 2 * common / (len(words) + len(right))
