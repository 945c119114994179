"""Words of texts: counted, the most frequent ones of a list of frequencies, and lists of words."""

import csv
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from math import inf
from typing import NamedTuple

from pilotlight.vectors.problems import Broken, Tell, shown, text_of
from pilotlight.vectors.seen import Seen

_WORD = ("word", "token", "term")
_COUNT = ("count", "frequency", "freq")


class Counted(NamedTuple):
    """A word and how often it occurs."""

    word: str
    times: float


def count(lines: Iterable[bytes], counts: Counter[str], tell: Tell, lower: bool = False) -> None:
    """Add the words of a file of tokens to `counts`. White space separates them, so does the end of a line."""
    for number, line in enumerate(lines, 1):
        try:
            text = text_of(line)
            counts.update((text.lower() if lower else text).split())
        except Broken as broken:
            tell(broken.at(number))


def most_frequent(lines: Iterable[bytes], top: int, tell: Tell) -> list[Counted]:
    """The `top` most frequent words of a CSV or TSV file, the most frequent first, of equals the earlier one.

    Where its first line names columns, those called word (token, term) and count (frequency, freq) are read, else the
    first two.
    """
    with closing(Seen()) as seen:
        return heapq.nlargest(top, _rows(lines, tell, seen), key=lambda row: row.times)


def _rows(lines: Iterable[bytes], tell: Tell, seen: Seen) -> Iterator[Counted]:
    columns = (0, 1)
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        try:
            row = _fields(line)
            named = _columns(row) if number == 1 else None
            columns = named or columns
            if named is None:
                yield _once(seen, _counted(row, *columns), number)
        except Broken as broken:
            tell(broken.at(number))


def _fields(line: bytes) -> list[str]:
    text = text_of(line.rstrip(b"\r\n"))
    try:
        [row] = csv.reader([text], delimiter="\t" if "\t" in text else ",", strict=True)
    except csv.Error as error:
        raise Broken("not CSV", f"{shown(text)}: {error}") from None
    return row


def _columns(row: list[str]) -> tuple[int, int] | None:
    """Where word and count are, if this row names columns: nothing in it is a number then."""
    names = [name.strip().lower() for name in row]
    if len(names) < 2 or any(map(_is_number, names)):
        return None
    places = [next((names.index(name) for name in known if name in names), None) for known in (_WORD, _COUNT)]
    word, count = places
    return (word or 0, 1 if count is None else count)


def _is_number(text: str) -> bool:
    try:
        return 0 <= float(text) < inf
    except ValueError:
        return False


def _counted(row: list[str], word: int, count: int) -> Counted:
    if len(row) <= max(word, count):
        raise Broken("too few columns", f"{len(row)} of the {max(word, count) + 1} columns that are needed")
    if not _is_number(row[count]):
        raise Broken("not a number", f"{shown(row[count])} is no count")
    return Counted(_word(row[word].strip()), float(row[count]))


def _word(text: str) -> str:
    if not text:
        raise Broken("no word", "the word is empty")
    if text.split() != [text]:
        raise Broken("space in a word", f"{shown(text)} has a space in it")
    return text


def _once(seen: Seen, counted: Counted, line: int) -> Counted:
    if first := seen.add(counted.word, line):
        raise Broken("duplicate word", f"{shown(counted.word)} was there before, in line {first}")
    return counted


def read_list(lines: Iterable[bytes], tell: Tell) -> set[str]:
    """A list with one word a line, as `pilotlight vectors vocab` writes it; empty lines count for nothing."""
    found = set()
    for number, line in enumerate(lines, 1):
        try:
            if text := text_of(line.strip()):
                found.add(_word(text))
        except Broken as broken:
            tell(broken.at(number))
    return found
