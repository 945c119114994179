"""What BERT's tokenizer does with characters beyond ASCII, as the library `tokenizers` does it, in every Python alike.

Python's own `str.lower`, `isspace` and categories are of another Unicode version with each Python, and of another than
the library's. Here all that is from `unicode_tables`, but for decompositions and combining classes, which never change.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from operator import itemgetter

from pilotlight.function import unicode_tables as tables

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_FORMS = 20_000  # code points remembered with their form
LOWER = {
    0x130: "i\u0307",
    **{code: chr(code + to) for first, last, by, to in tables.LOWER for code in range(first, last + 1, by)},
}
MOVING = frozenset(
    chr(code) for first, end in zip(tables.MOVING[::2], tables.MOVING[1::2], strict=True) for code in range(first, end)
)


def is_space(code: int) -> bool:
    return _within(tables.SPACES, code)


def is_chinese(code: int) -> bool:
    return _within(tables.CHINESE, code)


def is_punctuation(code: int, strip_accents: bool) -> bool:
    """Whether it is, or becomes so when its accents are stripped, as U+2260 (not equal) becomes "="."""
    return _within(tables.PUNCTUATION, ord(_decomposed(code)[0]) if strip_accents else code)


class Characters:
    """Normalises words: drops control characters, strips accents, lowers."""

    def __init__(self, lowercase: bool, strip_accents: bool) -> None:
        self._lowercase = lowercase
        self._strip_accents = strip_accents
        self._forms = Forms(self)

    def normalize(self, word: str) -> tuple[str, Sequence[int]]:
        """The word normalised, and for each of its characters the index of the one in `word` that it comes from."""
        if self._strip_accents and not MOVING.isdisjoint(word):
            return self._in_order(word)
        forms = self._forms
        parts = [forms[ord(letter)] for letter in word]
        return "".join(parts), [place for place, part in enumerate(parts) for _ in part]

    def form(self, code: int) -> str:
        """A code point normalised, alone; it may be nothing, and more than one."""
        if _within(tables.DROPPED, code):
            return ""
        return "".join(map(self._kept, _decomposed(code) if self._strip_accents else chr(code)))

    def _kept(self, part: str) -> str:
        """What is left of a character that does not decompose."""
        code = ord(part)
        if self._strip_accents and _within(tables.MARKS, code):
            return ""
        if not self._lowercase:
            return part
        return part.lower() if code < 128 else LOWER.get(code, part)

    def _in_order(self, word: str) -> tuple[str, list[int]]:
        """`normalize` for words in which a combining character is kept, which canonical ordering may move.

        The library counts on while it reads the ordered parts: each is at the next character of the word, and the
        later parts of a decomposed character are where the part before them is. So are they here.
        """
        sources = [place for place, letter in enumerate(word) if not _within(tables.DROPPED, ord(letter))]
        text: list[str] = []
        places: list[int] = []
        taken = -1
        for part, added in _ordered(word[place] for place in sources):
            taken += not added
            kept = self._kept(part)
            text.append(kept)
            places += [sources[taken]] * len(kept)
        return "".join(text), places


class Forms(dict[int, str]):
    """Code point -> its form, remembered when it was asked for."""

    def __init__(self, characters: Characters) -> None:
        self._characters = characters

    def __missing__(self, code: int) -> str:
        form = self._characters.form(code)
        if len(self) < MOST_FORMS:
            self[code] = form
        return form


def _ordered(letters: Iterator[str]) -> list[tuple[str, bool]]:
    """NFD: the parts in canonical order, each with whether it is a later part of its character (Unicode, 3.11)."""
    parts = []
    starters = 0
    for letter in letters:
        for number, part in enumerate(_decomposed(ord(letter))):
            rank = unicodedata.combining(part) if _within(tables.COMBINING, ord(part)) else 0
            starters += rank == 0
            parts.append((starters, rank, part, number > 0))
    parts.sort(key=itemgetter(0, 1))  # stable: within a class the order stays
    return [(part, added) for _, _, part, added in parts]


def _decomposed(code: int) -> str:
    letter = chr(code)
    return unicodedata.normalize("NFD", letter) if _within(tables.DECOMPOSED, code) else letter


def _within(ranges: Sequence[int], code: int) -> bool:
    return bisect_right(ranges, code) % 2 == 1
