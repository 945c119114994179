"""Summarize an article by the sentences that stand for the rest."""

from os import environ
from typing import NamedTuple

import centrality
from likeness import likeness
from sentences import sentences as spans

from pilotlight import InputError, endpoint
from pilotlight.errors import InputTooLarge
from pilotlight.function.textmodel import well_formed

LONGEST = 100_000  # characters
MOST = 400  # sentences, each of which is compared with each


class Sentence(NamedTuple):
    """`article[start:end] == text`; `score` is its share of the article, all sentences' scores add up to 1."""

    text: str
    start: int
    end: int
    score: float


class Summary(NamedTuple):
    """`summary` is the sentences joined by blanks, in the order of the article."""

    summary: str
    sentences: list[Sentence]


alike = likeness(environ.get("PILOTLIGHT_MODEL", "models/en-zh"))


@endpoint
def handler(article: str, sentences: int = 3) -> Summary:
    """Summarize an English article in at most that many of its own sentences."""
    if sentences < 1:
        raise InputError(("sentences", f"expected 1 or more, got {sentences}"))
    cut = spans(well_formed("article", article, LONGEST))
    found = [span for span in cut if any(map(str.isalnum, article[slice(*span)]))]  # not of invisible characters alone
    if not found:
        raise InputError(("article", "must not be empty"))
    if len(found) > MOST:
        raise InputTooLarge(("article", f"{len(found)} sentences, and {MOST} are allowed"))
    rows = alike([article[start:end] for start, end in found])
    weights = centrality.weights(rows)
    picked = [Sentence(article[slice(*found[place])], *found[place], weights[place])
              for place in centrality.pick(weights, rows, sentences)]  # fmt: skip
    return Summary(" ".join(sentence.text for sentence in picked), picked)
