"""BERT's tokenizer in the standard library: the same pieces at the same places as by the library `tokenizers`.

It exists for the cold start, and only as the equal of the library's BertNormalizer, BertPreTokenizer and WordPiece:
docs/decisions/0007 says what that took. Pieces are found as in Wu et al., "Google's Neural Machine Translation System"
(2016), section 4.1: of a word the longest piece that it begins with, then of the rest the longest that continues it.
"""

from __future__ import annotations

from pilotlight.errors import ModelError
from pilotlight.function.tokenizer import FOLDER_HINT, Encoding

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pilotlight.function.characters import Characters
    from pilotlight.function.vocabulary import Vocabulary

    Pieces = Sequence[tuple[int, int, int]]  # number in the vocabulary, first character and end within the word

CONTINUES = "##"  # what a piece begins with that continues a word
LONGEST_WORD = 100  # characters; a longer one is unknown
MOST_WORDS = 10_000  # remembered with their pieces
MOST_CHARACTERS = 20_000  # remembered with what they are

LETTER, ALONE, SPACE = "a!\n"  # what a character is to a word: a part of it, a word of its own, none

# English as the library writes it: in each piece with the space before it, in this order.
JOINED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " do not", " 's", " 've", " 're")


class WordPiece:
    """A `Tokenizer`.

    `lowercase`, `strip_accents` and `chinese` (every Chinese character is a word) are BERT's. `unknown` is the piece
    for words that cannot be put together. The pieces in `special` are found wherever they stand in a text, as they are.

    Raises `ModelError` when `unknown` or a special piece is not in the vocabulary.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        lowercase: bool = True,
        strip_accents: bool = True,
        chinese: bool = True,
        unknown: str = "[UNK]",
        special: Iterable[str] = (),
    ) -> None:
        self._vocabulary = vocabulary
        self._number = vocabulary.get
        self._unknown = self._known_piece(unknown)
        self._special = {piece: self._known_piece(piece) for piece in sorted(special)}
        self._kinds = Kinds(strip_accents, chinese)
        self._lowercase, self._strip_accents = lowercase, strip_accents
        self._known: dict[str, Pieces] = {}
        self._characters: Characters | None = None

    def encode(self, text: str) -> Encoding:
        done = Encoding([], [], [])
        at = 0
        for first, end in self._places_of_special(text):
            self._encode(text[at:first], at, done)
            done.ids.append(self._special[text[first:end]])
            done.offsets.append((first, end))
            done.words.append(done.words[-1] + 1 if done.words else 0)
            at = end
        self._encode(text[at:], at, done)
        return done

    def decode(self, ids: Sequence[int]) -> str:
        pieces = [self._vocabulary.piece(number) for number in ids if 0 <= number < len(self._vocabulary)]
        return "".join(_written(*each) for each in enumerate(each for each in pieces if each not in self._special))

    def _known_piece(self, piece: str) -> int:
        number = self._number(piece)
        if number is None:
            raise ModelError(f"the vocabulary has no {piece!r}", FOLDER_HINT)
        return number

    def _places_of_special(self, text: str) -> Iterable[tuple[int, int]]:
        """Where several begin at one place, the longest. Texts with some are rare, and `re` is not loaded before."""
        if not any(piece in text for piece in self._special):
            return ()
        import re

        pieces = sorted(self._special, key=len, reverse=True)
        return [match.span() for match in re.finditer("|".join(map(re.escape, pieces)), text)]

    def _encode(self, text: str, at: int, done: Encoding) -> None:
        """Add the pieces of a part without special pieces, which begins at the character `at`."""
        ids, offsets, words = done
        number = words[-1] if words else -1
        for start, end in words_of(text.translate(self._kinds)):
            word = text[start:end]
            pieces = self._known.get(word)
            if pieces is None:
                pieces = self._look_up(word)
            number += bool(pieces)
            start += at
            for piece, first, last in pieces:
                ids.append(piece)
                offsets.append((start + first, start + last))
                words.append(number)

    def _look_up(self, word: str) -> Pieces:
        """The pieces of a word as it stands in the text. Short words are remembered, though not without end."""
        pieces = self._split(*self._normalize(word))
        if len(word) <= LONGEST_WORD:
            if len(self._known) >= MOST_WORDS:
                self._known.clear()
            self._known[word] = pieces
        return pieces

    def _normalize(self, word: str) -> tuple[str, Sequence[int]]:
        """A word as the vocabulary writes it, and for each of its characters the one that it comes from."""
        if word.isascii() and word.isprintable():
            return word.lower() if self._lowercase else word, range(len(word))
        if self._characters is None:
            from pilotlight.function.characters import Characters

            self._characters = Characters(self._lowercase, self._strip_accents)
        return self._characters.normalize(word)

    def _split(self, word: str, places: Sequence[int]) -> Pieces:
        """The longest piece first, then the longest that continues it, and so on; the unknown piece if that fails."""
        if not word:
            return ()
        if len(word) > LONGEST_WORD:
            return ((self._unknown, places[0], places[-1] + 1),)
        pieces = []
        first = 0
        while first < len(word):
            number, end = self._longest_piece(word, first)
            if end == first:
                return ((self._unknown, places[0], places[-1] + 1),)
            pieces.append((number, places[first], places[end - 1] + 1))
            first = end
        return pieces

    def _longest_piece(self, word: str, first: int) -> tuple[int, int]:
        """The number and the end of the longest piece at `first`; the end is `first` when there is none."""
        mark = CONTINUES if first else ""
        for end in range(min(len(word), first + self._vocabulary.longest), first, -1):
            number = self._number(mark + word[first:end])
            if number is not None:
                return number, end
        return self._unknown, first


class Kinds(dict[int, str]):
    """For `str.translate`: each code point -> what it is to a word. Those beyond ASCII are looked up when met."""

    def __init__(self, strip_accents: bool, chinese: bool) -> None:
        letters = range(128)  # control characters, which are dropped later, do not end a word
        super().__init__(dict.fromkeys(letters, LETTER))
        self.update(dict.fromkeys(b"\t\n\r ", SPACE))
        self.update(dict.fromkeys(b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", ALONE))
        self._strip_accents, self._chinese = strip_accents, chinese

    def __missing__(self, code: int) -> str:
        from pilotlight.function import characters

        if characters.is_space(code):
            kind = SPACE
        elif characters.is_punctuation(code, self._strip_accents) or (self._chinese and characters.is_chinese(code)):
            kind = ALONE
        else:
            kind = LETTER
        if len(self) < MOST_CHARACTERS:
            self[code] = kind
        return kind


def words_of(kinds: str) -> Iterator[tuple[int, int]]:
    """First character and end of each word in a text of `LETTER`, `ALONE` and `SPACE`."""
    first = 0
    for run in kinds.split(SPACE):
        for letters in run.split(ALONE):
            end = first + len(letters)
            if letters:
                yield first, end
            if kinds[end : end + 1] == ALONE:
                yield end, end + 1
            first = end + 1


def _written(position: int, piece: str) -> str:
    """A piece as it stands in a text."""
    if position:
        piece = piece[len(CONTINUES) :] if piece.startswith(CONTINUES) else f" {piece}"
    for spaced in JOINED:
        piece = piece.replace(spaced, " don't" if spaced == " do not" else spaced.strip())
    return piece
