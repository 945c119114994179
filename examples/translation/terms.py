"""How alike sentences are in their words: the cosine of their tf-idf, as LexRank has it. Standard library only."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from math import log, sqrt

from tokens import tokenize


def alike(texts: Sequence[str]) -> list[list[float]]:
    """The cosine of each pair of texts, from 0 to 1; 0 for a text in which all words are in every text, or none are."""
    rows = [[0.0] * len(texts) for _ in texts]
    for places in _by_word([_unit(weighed) for weighed in _weighed(texts)]).values():
        for one, weight in places:
            for other, second in places:
                rows[one][other] += weight * second
    return rows


def _weighed(texts: Sequence[str]) -> list[dict[str, float]]:
    """The words of each text, with how often they are there times how rare they are among the texts."""
    bags = [Counter(tokenize(text)) for text in texts]
    spread = Counter(word for bag in bags for word in bag)
    return [{word: count * log(len(bags) / spread[word]) for word, count in bag.items()} for bag in bags]


def _unit(weighed: Mapping[str, float]) -> dict[str, float]:
    length = sqrt(sum(weight * weight for weight in weighed.values()))
    return {word: weight / length for word, weight in weighed.items() if weight}


def _by_word(units: Sequence[Mapping[str, float]]) -> Mapping[str, list[tuple[int, float]]]:
    places: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    for number, unit in enumerate(units):
        for word, weight in unit.items():
            places[word].append((number, weight))
    return places
