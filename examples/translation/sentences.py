"""Where the sentences of an English text are. Time is linear. Standard library only, since it ships."""

import re
from itertools import pairwise

_BREAK = re.compile(
    r"""(?:[.!?\u2026]["')\]\u2019\u201d]*(?=\s)|\n\s*\n)\s*"""
)  # behind a sentence, or between paragraphs
_CONTINUES = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Mt|Gen|Col|Lt|Sgt|Capt|Rev|Hon|Jr|Sr|vs|etc|No|Nos|Fig|Vol|pp|cf|al|approx|c|ca"
    r"|e\.g|i\.e|Inc|Ltd|Co|Corp|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)|\b[A-Z])\.$"
)  # what ends in a full stop that ends no sentence
_SMALL = re.compile(r"[a-z]")


def sentences(text: str) -> list[tuple[int, int]]:
    """Where each sentence of `text` begins and ends, without the blanks around it."""
    ends = [match.end() for match in _BREAK.finditer(text) if _ends(text, match)]
    spans = (_stripped(text, start, end) for start, end in pairwise([0, *ends, len(text)]))
    return [span for span in spans if span[0] < span[1]]


def _ends(text: str, match: re.Match[str]) -> bool:
    if match.group().startswith("\n"):
        return True
    before = text[max(0, match.start() - 8) : match.start() + 1]
    return not _CONTINUES.search(before) and not _SMALL.match(text, match.end())


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end
