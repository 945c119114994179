"""What is wrong with a file, told line by line while it is read: files may be of any size."""

from collections.abc import Callable
from typing import NamedTuple


class Problem(NamedTuple):
    """`line` counts from 1; in a binary file it is the number of the vector. `kind` is one word for all of a sort."""

    line: int
    kind: str
    text: str


Tell = Callable[[Problem], None]


class Broken(Exception):
    """A line that cannot be used, and why."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind, text)
        self.kind, self.text = kind, text

    def at(self, line: int) -> Problem:
        return Problem(line, self.kind, self.text)


def text_of(word: bytes) -> str:
    """Raises `Broken`."""
    try:
        return word.decode()
    except UnicodeDecodeError:
        raise Broken("not UTF-8", f"{shown(word)} is not UTF-8") from None


def shown(text: str | bytes) -> str:
    """Quoted, and cut where it is too long for a line of output."""
    quoted = repr(text)
    return quoted if len(quoted) <= 60 else f"{quoted[:60]}..."
