"""The tokenizer of a model folder: text -> numbers of pieces, and where each piece stands in the text.

BERT's WordPiece is read and done by the standard library alone (`wordpiece`); any other `tokenizer.json` by the library
`tokenizers`, which is imported only then.
"""

from __future__ import annotations

import os

from pilotlight.errors import ModelError
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Protocol

    import tokenizers

    class Tokenizer(Protocol):
        """What `load` gives."""

        def encode(self, text: str) -> Encoding:
            """The whole text, without the special tokens that a model wants around it, neither cut nor padded.

            A lone surrogate, which JSON can carry and UTF-8 cannot, counts as U+FFFD.
            """
            ...

        def decode(self, ids: Sequence[int]) -> str:
            """The text of pieces, without special tokens. Numbers that stand for no piece are left out."""
            ...


FOLDER_HINT = "make the model folder again"


class Encoding(NamedTuple):
    """Of each piece its number in the vocabulary, its first character and its end in the text, and its word's number.

    Words are counted from 0 as the tokenizer splits them, so punctuation is one; what is no word for the tokenizer,
    such as a space, is not counted.
    """

    ids: list[int]
    offsets: list[tuple[int, int]]
    words: list[int]


def load(folder: str, settings: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer in a model folder, `settings` being the table `tokenizer` of its model.json.

    Raises `ModelError` when its file is missing or damaged, when the type is unknown, and when the library `tokenizers`
    is needed and not installed.
    """
    kind = settings.get("type")
    make = TYPES.get(str(kind))
    if make is None:
        reason = f"{kind!r} is no type of tokenizer, it is one of: {', '.join(TYPES)}"
        raise ModelError(f"loading the tokenizer of {folder}: {reason}", "correct tokenizer.type in model.json")
    return make(folder, settings)


def _wordpiece(folder: str, settings: Mapping[str, Any]) -> Tokenizer:
    from pilotlight.function import vocabulary
    from pilotlight.function.wordpiece import WordPiece

    path = os.path.join(folder, settings.get("vocabulary", "vocab.txt"))
    loaded = vocabulary.load(path)
    lowercase = settings.get("lowercase", True)
    strip_accents = settings.get("strip_accents")
    try:
        return WordPiece(
            loaded,
            lowercase=lowercase,
            strip_accents=lowercase if strip_accents is None else strip_accents,
            chinese=settings.get("chinese", True),
            unknown=settings.get("unknown", "[UNK]"),
            special=settings.get("special", ()),
        )
    except ModelError as error:
        raise ModelError(f"loading {path}: {error}", error.hint) from None


def _library(folder: str, settings: Mapping[str, Any]) -> Tokenizer:
    path = os.path.join(folder, settings.get("file", "tokenizer.json"))
    try:
        from tokenizers import Tokenizer as Loaded
    except ImportError:
        reason = "it needs the library tokenizers, which is not installed"
        raise ModelError(f"loading {path}: {reason}", 'pip install "pilotlight[text]"') from None
    if not os.path.isfile(path):
        raise ModelError(f"loading {path}: there is no such file", FOLDER_HINT)
    try:
        loaded = Loaded.from_file(path)
    except Exception as error:  # the library raises nothing narrower
        raise ModelError(f"loading {path}: the library tokenizers refused it: {error}", FOLDER_HINT) from None
    return Library(loaded)


class Library:
    """The library `tokenizers` as a `Tokenizer`."""

    def __init__(self, loaded: tokenizers.Tokenizer) -> None:
        loaded.no_truncation()
        loaded.no_padding()
        self._loaded = loaded

    def encode(self, text: str) -> Encoding:
        done = self._loaded.encode(_without_surrogates(text), add_special_tokens=False)
        words = [-1 if word is None else word for word in done.word_ids]  # None is for special tokens put around
        return Encoding(done.ids, done.offsets, words)

    def decode(self, ids: Sequence[int]) -> str:
        return self._loaded.decode(list(ids))


def _without_surrogates(text: str) -> str:
    """The text as UTF-8 can carry it, of the same length."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in text)
    return text


TYPES: dict[str, Callable[[str, Mapping[str, Any]], Tokenizer]] = {"wordpiece": _wordpiece, "tokenizers": _library}
