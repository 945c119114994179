"""What a learner of Chinese knows: the words of HSK 2.0 up to a level, in simplified and in traditional characters."""

from functools import cache
from os.path import dirname, join

LEVELS = 6
FILE = join(dirname(__file__), "chinese", "hsk.txt")


@cache
def known(level: int) -> frozenset[str]:
    """The words of the levels from 1 to `level`, of the file that `train/hsk.py` wrote."""
    return frozenset(word for entry in _entries(level) for word in entry.split("/"))


def simplified(level: int) -> frozenset[str]:
    """The same, of words that two scripts write differently only the simplified form."""
    return frozenset(entry.partition("/")[0] for entry in _entries(level))


def _entries(level: int) -> list[str]:
    with open(FILE, encoding="utf-8") as file:
        return " ".join(file.read().splitlines()[:level]).split(" ")
