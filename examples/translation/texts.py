"""What of a text is to be translated into Chinese, and how single words that come back are written; pure functions."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from sentences import sentences

_LATIN = "A-Za-z\u00aa\u00b5\u00ba\u00c0-\u024f"
_RUN = re.compile(
    "[ -~\u00a0-\u024f\u2010-\u2027\u2030-\u205e\u20a0-\u20bf\u2100-\u214f]+"
)  # with digits and punctuation
_BEHIND = " \u00a0,.;:!?)]}\u2026"  # what belongs to what stands before it
_WORD = re.compile(f"[{_LATIN}]+(?:['\u2019-][{_LATIN}]+)*")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_STOPS = ("。", "！", "？")


class Piece(NamedTuple):
    """A piece of a text, which stays as it is unless it is `english`."""

    text: str
    english: bool


def pieces(text: str) -> list[Piece]:
    """The pieces of a text in order: `"".join(piece.text for piece in pieces(text)) == text`.

    English are the parts of a line in Latin letters, with their digits and punctuation, a sentence each, as models are
    trained. The rest stays: blanks around them, characters of other scripts, emoji, lines without Latin letters, and
    lines that are in Chinese already.
    """
    return [piece for line in text.splitlines(keepends=True) for piece in _of_line(line) if piece.text]


def _of_line(line: str) -> Iterator[Piece]:
    done = 0
    for run in () if is_chinese(line) else _RUN.finditer(line):
        if not _WORD.search(run.group()):
            continue
        inner = run.group().rstrip().lstrip(_BEHIND)
        start = line.index(inner, run.start())
        for begin, end in sentences(inner):
            yield Piece(line[done : start + begin], False)
            yield Piece(inner[begin:end], _WORD.search(inner, begin, end) is not None)
            done = start + end
    yield Piece(line[done:], False)


def put_in(found: Sequence[Piece], translations: Iterable[str]) -> str:
    """The text with translations in place of its English; no blank stays behind a sentence that another one follows."""
    coming, text = iter(translations), ""
    for piece, after in zip_longest(found, found[1:]):
        is_gap = not piece.text.strip(" ") and after is not None and after.english and text.endswith(_STOPS)
        text += next(coming) if piece.english else "" if is_gap else piece.text
    return text


def is_chinese(line: str) -> bool:
    """Whether a line has more Chinese words than others, where two characters count as one."""
    return len(_HAN.findall(line)) > 2 * len(_WORD.findall(line))


def in_place(meaning: str, source: str) -> str:
    """What a model gives for one word, as it stands within a text: without a full stop or the "to" of a verb, and with
    a small first letter unless `source`, the text that was translated, has it with a capital alone.
    """
    meaning = meaning.strip().rstrip(".!?。！？").strip()
    small = meaning[:1].lower() + meaning[1:]
    if small.startswith("to "):
        return small[3:].lstrip()
    return meaning if _has(source, meaning) and not _has(source, small) else small


def _has(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None
