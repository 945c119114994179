"""Chinese words and what some of them mean -> one text in which both stand: pure functions from values to values.

learned(["我", "没有", "钱"], known={"我", "没", "有"}, listed={"钱"})          # ["我", "没", "有", "钱"]
hard(["我", "喜欢", "经济学", "。"], frozenset({"我", "喜欢"}))               # ["经济学"]
splice(["我", "喜欢", "经济学", "。"], {"经济学": "economics"})              # 我喜欢 economics。
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(f"[{_HAN}]")
_NUMBER = re.compile("第?[〇零一二两兩三四五六七八九十百千万萬亿億半]+")
_TOUCHES = re.compile(r"\w")


class Part(NamedTuple):
    """A piece of the answer. `chinese` is what stood there before, "" for a blank that parts two words."""

    text: str
    hard: bool
    chinese: str


def is_word(word: str) -> bool:
    """Whether this is a Chinese word: no punctuation, no other script, and no number, in digits or in characters."""
    return bool(_WORD.match(word)) and not _NUMBER.fullmatch(word)


def learned(words: Iterable[str], known: Collection[str], listed: Collection[str]) -> list[str]:
    """The words as a learner knows them: one that is on no list, but is made of words that are known, becomes those."""
    found: list[str] = []
    for word in words:
        is_new = is_word(word) and word not in known and word not in listed
        found += (_made_of(word, known) if is_new else ()) or [word]
    return found


def _made_of(word: str, known: Collection[str]) -> Sequence[str]:
    """The known words that the word consists of, the first as long as can be; none when there is no such row."""
    if word in known:
        return [word]
    for end in range(len(word) - 1, 0, -1):
        if word[:end] in known and (rest := _made_of(word[end:], known)):
            return [word[:end], *rest]
    return ()


def hard(words: Iterable[str], known: Collection[str]) -> list[str]:
    """The words that are not known, each once, as they come."""
    return [*dict.fromkeys(word for word in words if is_word(word) and word not in known)]


def splice(words: Iterable[str], meanings: Mapping[str, str]) -> list[Part]:
    """The parts of the answer: words, with what they mean in place of those that have a meaning.

    `"".join(part.chinese for part in parts)` are the words again; `text` of all parts, joined, is the answer.
    """
    return [*_parted(_part(word, meanings.get(word, "")) for word in words)]


def _part(word: str, meaning: str) -> Part:
    return Part(meaning or word, bool(meaning), word)


def _parted(parts: Iterable[Part]) -> Iterator[Part]:
    """A blank between a meaning and its neighbour, where both would run into one another."""
    before = Part("", False, "")
    for part in parts:
        if (part.hard or before.hard) and _touch(before.text, part.text):
            yield Part(" ", False, "")
        yield part
        before = part


def _touch(left: str, right: str) -> bool:
    return bool(_TOUCHES.match(left[-1:]) and _TOUCHES.match(right[:1]))
