"""Chinese text -> its words, with the dictionary of jiagu and as jiagu's `seg` finds them: the likeliest row of words,
each of which has the probability of its frequency.

`chinese/words.txt`, written by `train/segmenter.py`, begins with the sum of all frequencies. Each line after it has the
words that begin with one character: that character, then what follows it in each word, with the word's frequency, as in
`爱4502 好310 情877`. A line is read when a text has its character, so that a cold start parses next to nothing. Time is
linear in the length of the text. Standard library only, since it ships.
"""

import re
from itertools import pairwise
from math import log
from os.path import dirname, join

LONGEST = 5  # characters, which jiagu's longest words have
WIDTH = 3  # bytes of a Chinese character in UTF-8; those of four begin none of jiagu's words
FILE = join(dirname(__file__), "chinese", "words.txt")
_RUN = re.compile("[\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
_ENTRY = re.compile(r"(\D*)(\d+) ?")


def is_chinese(word: str) -> bool:
    """Whether it has Chinese characters alone."""
    return _RUN.fullmatch(word) is not None


class Segmenter:
    """The words of a file."""

    def __init__(self, path: str = FILE) -> None:
        with open(path, "rb") as file:
            total, *lines = file.read().split(b"\n")
        self._log_total = log(int(total))
        self._lines = {line[:WIDTH]: line for line in lines}  # not decoded yet: few are ever needed
        self._read: dict[str, dict[str, float]] = {}

    def words(self, text: str) -> list[str]:
        """The words of `text`, in order and without a gap; what is not Chinese stays in one piece between them."""
        words, done = [], 0
        for run in _RUN.finditer(text):
            words += [text[done : run.start()], *self.segment(run.group())]
            done = run.end()
        return [word for word in (*words, text[done:]) if word]

    def segment(self, text: str) -> list[str]:
        """The words of a text of Chinese characters alone. One that begins no word is a word, as rare as can be."""
        size = len(text)
        best = [(0.0, size)] * (
            size + 1
        )  # from each place on: the logarithm of the probability, the end of the first word
        for start in reversed(range(size)):
            known = self._beginning_with(text[start])
            ends = range(start + 1, min(start + LONGEST, size) + 1)
            found = ((known.get(text[start:end]), end) for end in ends)
            best[start] = max((log_of_it + best[end][0], end) for log_of_it, end in found if log_of_it is not None)
        places = [0]
        while places[-1] < size:
            places.append(best[places[-1]][1])
        return [text[start:end] for start, end in pairwise(places)]

    def _beginning_with(self, character: str) -> dict[str, float]:
        """The logarithms of the probabilities of words, one of the character alone included."""
        known = self._read.get(character)
        if known is None:
            entries = _ENTRY.findall(self._lines.get(character.encode(), b"").decode(), 1)
            known = {character: -self._log_total}
            known |= {character + rest: log(int(number)) - self._log_total for rest, number in entries}
            self._read[character] = known
        return known
