"""SentencePiece's unigram model without a library: text -> numbers of pieces, and back.

Does what sentencepiece 0.2 does (github.com/google/sentencepiece, src/normalizer.cc and src/unigram_model.cc), byte for
byte and in the same single precision; docs/decisions/0023-translation-by-two-graphs-of-our-own.md says how that is
known. What is read is one file that `pilotlight optimize` writes: tables that are used as they lie, so that loading it
takes no time, whatever the size of the vocabulary.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from functools import lru_cache
from struct import Struct

from pilotlight.errors import ModelError

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

MAGIC = b"PLPIECES"
HEADER = Struct("<8s8I")
"""The magic, a 0, and the bytes of each part: the trie of what is normalised and what it becomes, the trie of the
pieces, their scores (float32) and numbers (int32), where the text of each number ends in the texts (uint32), and those,
each ended by a zero. A part begins at a multiple of 4. The tries are double arrays as darts-clone writes them."""
SPACE = "\u2581".encode()
UNKNOWN = -1
LENGTHS = (1,) * 12 + (2, 2, 3, 4)
"""Bytes of a character by the upper half of its first byte."""
LEAF, OFFSET_EXTENDED, LABEL, VALUE = 1 << 8, 1 << 9, 1 << 31 | 0xFF, (1 << 31) - 1
REMEMBERED = 4096
"""Unknown pieces whose numbers are kept: each is a search through all texts."""
AGAIN = "make the model folder again"


def load(folder: str, settings: Mapping[str, Any]) -> Unigram:
    """The tokenizer in a model folder, `settings` being the table `tokenizer` of its model.json."""
    path = os.path.join(folder, str(settings.get("file")))
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise ModelError(f"loading {path}: {error.strerror}", AGAIN) from None
    try:
        return Unigram(content, settings)
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"loading {path}: {error}", AGAIN) from None


class Unigram:
    """The tokenizer whose tables are `content`; `settings` say how spaces are treated, and what is unknown.

    Raises ValueError where the tables are not what they should be.
    """

    def __init__(self, content: bytes, settings: Mapping[str, Any]) -> None:
        parts = _parts(content)
        self._rules, self._becomes = parts[0].cast("I"), bytes(parts[1])
        self._trie, self._scores, self._numbers = parts[2].cast("I"), parts[3].cast("f"), parts[4].cast("i")
        self._ends, self._texts = parts[5].cast("I"), bytes(parts[6])
        self._prefixed: bool = settings["add_dummy_prefix"]
        self._collapsed: bool = settings["remove_extra_whitespaces"]
        self._space = SPACE if settings["escape_whitespaces"] else b" "
        self._unknown_score: float = settings["unknown_score"]
        self._symbols = [str(each).encode() for each in settings.get("symbols", ())]
        self._bytes: int | None = settings.get("bytes")  # the number of <0x00>, before its 255 neighbours
        self.unknown: int = settings["unknown"]
        self._skipped = {int(number) for number in settings["special"]}
        self._find = lru_cache(REMEMBERED)(self._found)

    def __len__(self) -> int:
        """How many numbers have a text."""
        return len(self._ends)

    def encode(self, text: str) -> list[int]:
        """The numbers of the pieces of a text; a lone surrogate counts as U+FFFD."""
        data = self.normalise(_bytes_of(text))
        found = []
        for start, end, piece in _joined(self._segments(data)):
            if piece != UNKNOWN:
                found.append(self._numbers[piece])
            else:
                found += self._unknown_piece(data[start:end])
        return found

    def decode(self, numbers: Sequence[int]) -> str:
        """The text of pieces, without special ones. Numbers that stand for no piece are left out."""
        found = b"".join(self._bytes_of(number) for number in numbers if number not in self._skipped)
        return found.replace(SPACE, b" ").decode("utf-8", "replace").strip()

    def number(self, text: str) -> int | None:
        """The number of a piece by its text."""
        return self._find(text.encode())

    def normalise(self, data: bytes) -> bytes:
        """UTF-8 as pieces are looked up in: normalised, spaces as U+2581."""
        made, at, end = bytearray(), 0, len(data)
        if self._collapsed:
            while at < end:
                becomes, length = self._rule(data, at)
                if becomes != b" ":
                    break
                at += length
        if at == end:
            return b""
        if self._prefixed:
            made += self._space
        self._append(made, data, at)
        if self._collapsed:
            while made.endswith(self._space):
                del made[-len(self._space) :]
        return bytes(made)

    def _append(self, made: bytearray, data: bytes, at: int) -> None:
        """What `data` becomes from `at` on."""
        is_space, end = self._collapsed, len(data)
        while at < end:
            becomes, length = self._rule(data, at)
            at += length
            if is_space:
                becomes = becomes.lstrip(b" ")
            if becomes:
                made += becomes.replace(b" ", self._space)
                is_space = self._collapsed and becomes.endswith(b" ")

    def _rule(self, data: bytes, at: int) -> tuple[bytes, int]:
        """What the longest beginning of data[at:] that has a rule becomes, else its first character; its length."""
        for symbol in self._symbols:
            if data.startswith(symbol, at):
                return symbol, len(symbol)
        longest = value = 0
        for end, found in _prefixes(self._rules, data, at):
            longest, value = end - at, found
        if longest:
            return self._becomes[value : self._becomes.index(0, value)], longest
        return _character(data, at)

    def _segments(self, data: bytes) -> list[tuple[int, int, int]]:
        """Begin, end and piece of the most probable way to cut `data` into pieces (Viterbi).

        Sums are rounded to single precision one by one, as they are there: ways that are nearly alike depend on it.
        """
        size, scores, trie = len(data), self._scores, self._trie
        best, begins, pieces = array("f", bytes(4 * (size + 1))), [-1] * (size + 1), [UNKNOWN] * (size + 1)
        rounded = array("f", (0.0,))
        start = 0
        while start < size:
            here, single, is_known = best[start], min(start + LENGTHS[data[start] >> 4], size), False
            for end, piece in _prefixes(trie, data, start):
                rounded[0] = scores[piece] + here
                if begins[end] < 0 or rounded[0] > best[end]:
                    best[end], begins[end], pieces[end] = rounded[0], start, piece
                is_known = is_known or end == single
            if not is_known:
                rounded[0] = self._unknown_score + here
                if begins[single] < 0 or rounded[0] > best[single]:
                    best[single], begins[single], pieces[single] = rounded[0], start, UNKNOWN
            start = single
        return _back(begins, pieces)

    def _unknown_piece(self, text: bytes) -> list[int]:
        """A vocabulary may have what its SentencePiece model has not, such as a character of the other language."""
        if self._bytes is not None:
            return [self._bytes + each for each in text]
        found = self._find(text)
        return [self.unknown if found is None else found]

    def _found(self, text: bytes) -> int | None:
        if not text or 0 in text:
            return None
        if self._texts.startswith(text + b"\0"):
            return 0
        at = self._texts.find(b"\0" + text + b"\0")
        return None if at < 0 else bisect_right(self._ends, at + 1)

    def _bytes_of(self, number: int) -> bytes:
        if not 0 <= number < len(self._ends):
            return b""
        if self._bytes is not None and 0 <= number - self._bytes < 256:
            return bytes((number - self._bytes,))
        return self._texts[self._ends[number - 1] + 1 if number else 0 : self._ends[number]]


def _parts(content: bytes) -> list[memoryview]:
    if len(content) < HEADER.size:
        raise ValueError("it is cut")
    magic, _, *sizes = HEADER.unpack_from(content)
    if magic != MAGIC:
        raise ValueError("it holds no pieces of this version")
    view, at, parts = memoryview(content), HEADER.size, []
    for size in sizes:
        parts.append(view[at : at + size])
        at += size + -size % 4
    if at != len(content):
        raise ValueError(f"it has {len(content)} bytes, and says {at}")
    return parts


def _prefixes(trie: memoryview[int], data: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Of each beginning of data[at:] that the trie holds, the shortest first, its end and its value."""
    if not trie:
        return
    unit = trie[0]
    node = (unit >> 10) << ((unit & OFFSET_EXTENDED) >> 6)
    for at in range(at, len(data)):  # noqa: B020 - where the search goes on
        byte = data[at]
        node ^= byte
        unit = trie[node]
        if unit & LABEL != byte:
            return
        node ^= (unit >> 10) << ((unit & OFFSET_EXTENDED) >> 6)
        if unit & LEAF:
            yield at + 1, trie[node] & VALUE


def _character(data: bytes, at: int) -> tuple[bytes, int]:
    """One character of UTF-8 and its length."""
    size = LENGTHS[data[at] >> 4]
    return data[at : at + size], size


def _bytes_of(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= each <= "\udfff" else each for each in text).encode()


def _back(begins: Sequence[int], pieces: Sequence[int]) -> list[tuple[int, int, int]]:
    found, end = [], len(begins) - 1
    while end > 0:
        found.append((begins[end], end, pieces[end]))
        end = begins[end]
    return found[::-1]


def _joined(segments: Sequence[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    """Unknown pieces side by side are one."""
    begin = -1
    for start, end, piece in segments:
        if piece == UNKNOWN:
            begin, stop = (start if begin < 0 else begin), end
            continue
        if begin >= 0:
            yield begin, stop, UNKNOWN
            begin = -1
        yield start, end, piece
    if begin >= 0:
        yield begin, stop, UNKNOWN
