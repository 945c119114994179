"""A long text cut into parts that a model can read: at sentence ends, else between words, else anywhere."""

from __future__ import annotations

import re

from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Count = Callable[[str], int]

CLOSING = "\"'”\u2019»)\\]）」』】》"
ENDS = re.compile(rf"[.!?…]{{1,64}}[{CLOSING}]{{0,64}}(?=\s)|[。！？；…]+[{CLOSING}]*|\n+")
"""Where a sentence ends: a Western mark needs a space behind it, so that 3.14 stays whole, a Chinese one does not.

Bounded, since a row of marks without a space behind it would else take time by the square of its length."""
WORDS = re.compile(r"\S+\s*|\s+")
UNSPACED = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\u3000-\u30ff]")
"""Scripts, and their punctuation, that stand without a space beside one another."""


class Part(NamedTuple):
    """A part of a text, and the white space behind it."""

    text: str
    gap: str


def split(text: str, most: int, count: Count) -> list[Part]:
    """Parts of at most `most` by `count`, as long as they can be; joined they are the text without the space around it.

    A character that alone is more is a part by itself.
    """
    found: list[Part] = []
    for piece in _packed(_sentences(text), most, count, (_words, iter)):
        part = _part(piece)
        if len(part.text) > 1 and most > 1 and count(part.text) > most:  # together they are more than one by one
            found += split(piece, most * 3 // 4, count)
        else:
            found.append(part)
    return found


def join(parts: list[tuple[str, str]]) -> str:
    """Translations, each with the gap behind its source, as one text: lines stay lines, and a space stands where the
    scripts on both sides have one."""
    made = ""
    for number, (text, _) in enumerate(parts):
        made += _between(made, text, parts[number - 1][1]) if number else ""
        made += text
    return made


def _between(before: str, after: str, gap: str) -> str:
    if "\n" in gap:
        return "\n" * gap.count("\n")
    if not before or not after or UNSPACED.match(before[-1]) or UNSPACED.match(after[0]):
        return ""
    return " "


def _packed(
    pieces: Iterator[str], most: int, count: Count, finer: tuple[Callable[[str], Iterator[str]], ...]
) -> Iterator[str]:
    """Pieces put together as long as they fit; one that does not fit by itself is cut by the first of `finer`."""
    held, size = "", 0
    for piece in pieces:
        if not piece.strip():
            held += piece
            continue
        added = count(piece.strip())
        if held.strip() and size + added > most:
            yield held
            held, size = "", 0
        if added > most and finer and len(piece.strip()) > 1:
            *whole, rest = _packed(finer[0](held + piece), most, count, finer[1:])
            yield from whole
            held, size = rest, count(rest.strip())
        else:
            held, size = held + piece, size + added
    if held.strip():
        yield held


def _sentences(text: str) -> Iterator[str]:
    """With the space behind each."""
    at = 0
    for end in ENDS.finditer(text):
        stop = end.end()
        while stop < len(text) and text[stop].isspace():
            stop += 1
        if stop > at:
            yield text[at:stop]
            at = stop
    if at < len(text):
        yield text[at:]


def _words(text: str) -> Iterator[str]:
    return (found[0] for found in WORDS.finditer(text))


def _part(piece: str) -> Part:
    bare = piece.strip()
    return Part(bare, piece[len(piece.rstrip()) :])
