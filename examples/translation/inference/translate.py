"""Translate English into Chinese for a learner: words beyond the learner's level stand in English."""

from os import environ
from typing import Literal, NamedTuple

import hsk
import splicing
from segmentation import Segmenter
from splicing import Part
from texts import in_place, pieces, put_in

from pilotlight import InputError, Request, endpoint
from pilotlight.function.textmodel import well_formed
from pilotlight.function.translate import Translator

LONGEST = 5000  # characters: some 900 words
BEAM = 4


class Explained(NamedTuple):
    """`text` is what the parts say, one after the other, `chinese` the translation without English in it."""

    text: str
    chinese: str
    parts: list[Part]


into_chinese = Translator(environ.get("PILOTLIGHT_MODEL_EN_ZH", "models/en-zh"), prefix=environ.get("PREFIX", ""))
into_english = Translator(environ.get("PILOTLIGHT_MODEL_ZH_EN", "models/zh-en"))
segmenter = Segmenter()
listed = hsk.known(hsk.LEVELS)


@endpoint
def handler(
    request: Request, text: str, difficulty: Literal[0, 1, 2, 3, 4, 5] = 5, parts: bool = False
) -> str | Explained:
    """Translate `text` into Chinese; words beyond HSK 1 (difficulty 0) to HSK 6 (difficulty 5) stay in English.

    With `parts`, or `Accept: application/json`, the answer tells each word and what stood there.
    """
    if not text.strip():
        raise InputError(("text", "must not be empty"))
    chinese = _chinese(well_formed("text", text, LONGEST))
    known = hsk.known(difficulty + 1)
    words = splicing.learned(segmenter.words(chinese), known, listed)
    said = splicing.splice(words, _meanings(splicing.hard(words, known), text))
    answer = "".join(part.text for part in said)
    wants_parts = parts or request.header("accept").startswith("application/json")
    return Explained(answer, chinese, said) if wants_parts else answer


def _chinese(text: str) -> str:
    """The text with its English translated, all of it in one batch."""
    found = pieces(text)
    english = [piece.text for piece in found if piece.english]
    translated = into_chinese.translate(english, beam=BEAM) if english else []
    return put_in(found, [each.text for each in translated])


def _meanings(words: list[str], source: str) -> dict[str, str]:
    """What each of the words means, all of them in one batch."""
    translated = into_english.translate(words, beam=BEAM) if words else []
    return {word: in_place(each.text, source) for word, each in zip(words, translated, strict=True)}
