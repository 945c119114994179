"""`wordpiece` against the library `tokenizers`: the same pieces, the same places, the same words, for any text."""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import generate_unicode
import pytest
from _pytest.mark import ParameterSet
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from pilotlight.errors import ModelError
from pilotlight.function import wordpiece
from pilotlight.function.characters import MOVING
from pilotlight.function.tokenizer import Encoding
from pilotlight.function.vocabulary import Indexed, Listed, split
from pilotlight.function.wordpiece import WordPiece
from pilotlight.optimize.wordpiece import index

ROOT = Path(__file__).parents[2]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = [
    "un",
    "##aff",
    "##able",
    "runn",
    "##ing",
    "the",
    "naive",
    "cafe",
    "istanbul",
    "hello",
    "##llo",
    "东",
    "京",
    "\u8c48",
]
WRITTEN = ["do", "not", "n", "##'", "don", "##t", "ve", "re", "m", "s"]  # what decoding joins
BLOCKS = ((0x3400, 0xA000), (0xAC00, 0xD7A4), (0xE000, 0xF900), (0x11800, 0x1B000), (0x20000, 0x2F800))  # much alike
PLANES = [range(first, first + 0x10000) for first in range(0, 0x110000, 0x10000)]


class Options(NamedTuple):
    lowercase: bool
    strip_accents: bool | None
    chinese: bool


UNCASED, CASED = Options(True, None, True), Options(False, None, True)
OPTIONS = [Options(*each) for each in product((True, False), (True, False), (True, False))]
every_option = pytest.mark.parametrize("options", OPTIONS, ids=str)


@cache
def characters() -> list[str]:
    """A vocabulary with every character, alone and inside a word, so that no two are taken for one another.

    Of ideographs, syllables and private use it has every sixteenth; beyond plane 2 there is next to nothing.
    """
    every = (code for code in generate_unicode.EVERY if code < 0x2FA20 and chr(code).strip())
    letters = [chr(code) for code in every if not any(a <= code < b for a, b in BLOCKS) or code % 16 == 0]
    return list(dict.fromkeys([*SPECIAL, *PIECES, *WRITTEN, *letters, *(f"##{letter}" for letter in letters)]))


def library(vocabulary: Sequence[str], options: Options) -> Tokenizer:
    numbers = {piece: number for number, piece in enumerate(vocabulary)}
    made = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]", max_input_chars_per_word=100))
    made.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=options.chinese,
        strip_accents=options.strip_accents,
        lowercase=options.lowercase,
    )
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.add_special_tokens(SPECIAL)
    return made


def indexed(vocabulary: Sequence[str]) -> Indexed:
    content = "".join(f"{piece}\n" for piece in vocabulary).encode()
    return Indexed(content, index(content))


def own(vocabulary: Sequence[str], options: Options) -> WordPiece:
    strip = options.lowercase if options.strip_accents is None else options.strip_accents
    return WordPiece(
        indexed(vocabulary),
        lowercase=options.lowercase,
        strip_accents=strip,
        chinese=options.chinese,
        special=SPECIAL,
    )


def rows(codes: Sequence[int], size: int) -> Iterator[list[str]]:
    """Code points as characters, `size` at a time."""
    for start in range(0, len(codes), size):
        yield [chr(code) for code in codes[start : start + size]]


class Both(NamedTuple):
    theirs: Tokenizer
    ours: WordPiece

    def check(self, texts: Iterable[str]) -> None:
        """Both give the same for each text."""
        texts = list(texts)
        for text, theirs in zip(texts, self.theirs.encode_batch(texts, add_special_tokens=False), strict=True):
            assert self.ours.encode(text) == (theirs.ids, theirs.offsets, theirs.word_ids), ascii(text)


@cache
def both(options: Options) -> Both:
    return Both(library(characters(), options), own(characters(), options))


def pieces(text: str, options: Options = UNCASED) -> list[tuple[str, str]]:
    """The pieces, each with what it was in the text."""
    done = both(options).ours.encode(text)
    both(options).check([text])
    return [(characters()[piece], text[first:end]) for piece, (first, end) in zip(done.ids, done.offsets, strict=True)]


def test_longest_pieces_first() -> None:
    assert pieces("Unaffable, the running!") == [
        ("un", "Un"),
        ("##aff", "aff"),
        ("##able", "able"),
        (",", ","),
        ("the", "the"),
        ("runn", "runn"),
        ("##ing", "ing"),
        ("!", "!"),
    ]


def test_an_encoding() -> None:
    assert WordPiece(Listed(["[UNK]", "un", "##able", "!"])).encode("Unable  unwell!") == Encoding(
        ids=[1, 2, 0, 3], offsets=[(0, 2), (2, 6), (8, 14), (14, 15)], words=[0, 0, 1, 2]
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\n\r", []),
        ("naïve", [("naive", "naïve")]),
        ("cafe\u0301 the", [("cafe", "cafe"), ("the", "the")]),  # the accent is no part of the piece
        ("İstanbul", [("istanbul", "İstanbul")]),
        ("he\u200bllo", [("hello", "he\u200bllo")]),  # dropped inside a word
        ("he\0\ufffdllo\x7f", [("hello", "he\0\ufffdllo")]),
        ("the\u00a0the", [("the", "the"), ("the", "the")]),
        ("the\x85the", [("the", "the"), *[(f"##{letter}", letter) for letter in "the"]]),  # no space: a control code
        ("东the京", [("东", "东"), ("the", "the"), ("京", "京")]),
        ("\uf900", [("\u8c48", "\uf900")]),
        ("\u2260", [("=", "\u2260")]),
        ("가", [("\u1100", "가"), ("##\u1161", "가")]),
        ("ﬁ", [("ﬁ", "ﬁ")]),
        ("ΔΣ", [("δ", "Δ"), ("##\u03c3", "Σ")]),  # no final sigma
        ("\U0001f600!", [("\U0001f600", "\U0001f600"), ("!", "!")]),
        ("\u1b44\u0323", [("\u1b44", "\u1b44")]),
        ("a\u0301\u1b44", [("a", "a"), ("##\u1b44", "\u0301")]),  # ordered before the accent, and so placed
        ("the[MASK]the[", [("the", "the"), ("[MASK]", "[MASK]"), ("the", "the"), ("[", "[")]),
    ],
)
def test_what_becomes_of(text: str, expected: list[tuple[str, str]]) -> None:
    assert pieces(text) == expected


def test_accents_stay_when_they_are_not_stripped() -> None:
    assert pieces("É", Options(True, False, True)) == [("é", "É")]
    assert pieces("İ", Options(True, False, True)) == [("i", "İ"), ("##\u0307", "İ")]
    assert pieces("É", Options(False, True, True)) == [("E", "É")]


def test_a_long_word_is_unknown() -> None:
    assert pieces("a" * 100) == [("a", "a"), *[("##a", "a")] * 99]
    assert pieces("the " + "a" * 101) == [("the", "the"), ("[UNK]", "a" * 101)]
    assert pieces("a\u0301" * 100) == [("a", "a"), *[("##a", "a")] * 99]
    assert pieces("\u0301" + "a\u0301" * 101) == [("[UNK]", "a\u0301" * 100 + "a")]


@pytest.mark.system  # for its time
def test_the_tables_are_what_the_library_does() -> None:
    assert generate_unicode.TARGET.read_text(encoding="utf-8") == generate_unicode.source()


def _plane(codes: range) -> ParameterSet:
    """All but the Basic Multilingual Plane are looked through with the slow tests."""
    return pytest.param(codes, id=f"{codes[0]:x}", marks=[pytest.mark.system] if codes[0] else [])


@pytest.mark.parametrize("plane", [_plane(each) for each in PLANES])
@pytest.mark.parametrize("options", [UNCASED, CASED], ids=str)
def test_every_code_point(plane: range, options: Options) -> None:
    """Alone, between letters, twice, and before an accent; sixteen in a text, apart."""
    both(options).check(
        " ".join(f"{letter} A{letter}b {letter}{letter} {letter}\u0301" for letter in letters)
        for letters in rows([code for code in plane if code not in generate_unicode.SURROGATES], 16)
    )


@every_option
def test_every_code_point_beside_others(options: Options) -> None:
    """Side by side, in order: with their neighbours they make words, syllables and rows of marks."""
    codes = [code for code in generate_unicode.EVERY if code < 0x20000 or 0xE0000 <= code < 0xE0200]
    both(options).check("".join(letters) for letters in rows(codes, 48))


@pytest.mark.parametrize("options", [UNCASED, Options(False, True, False)], ids=str)
def test_marks_in_any_order(options: Options) -> None:
    """Each character that canonical ordering may move, beside one mark of each class, before and after it."""
    moving = sorted(MOVING)
    marks = "\u0334\u093c\u3099\u094d\u05b0\u064b\u0670\u0711\u0e38\u0f71\u0321\u0327\u031b\u0323\u302a\u0301\u035c"
    both(options).check(
        f"a{one}{mark}{other} {mark}{one} {mark}\u200b{one}é{mark}b"
        for one in moving
        for mark in marks
        for other in moving[::9]
    )


SCRIPTS = (
    *(
        "abcXYZ019",
        ".,-[]#'!",
        " \t\n\u00a0\u3000",
        "éÉñÅßİıŁøﬁ",
        "\u0300\u0301\u0323\u0334\u0345",
        "\0\x1f\x85\u200b\ufeff",
    ),
    *("ΑΣςσώ", "ЖёЙ", "שׁלוֹם", "العَرَبِيَّة", "हिन्दी", "ไทยน้ำ", "ཀཱིཾ", "한국어각", "ひらカタガが", "中文東京", "豈慨"),
    *("\u1b13\u1b44\u1b05", "\u302e\u302f", "\U0001d15e\U0001d165\U0001d16d\U0001d172", "\U0001e001\U0001e944"),
    *("😀👩🏽\u200d🚀🇩🇪", "\ue000\U000f0000\U0010fffd", "\u0378\U000e0041\ufffe", "≠≮\u037e\u1fef"),
)
scripts = st.sampled_from(SCRIPTS).flatmap(lambda letters: st.text(letters, min_size=1, max_size=6))
mixed = st.lists(st.one_of(scripts, st.sampled_from([*SPECIAL, *PIECES, "[CLS", "MASK]", "##"])), max_size=12).map(
    "".join
)


@given(st.lists(st.one_of(mixed, st.text()), max_size=5), st.sampled_from(OPTIONS))
def test_any_text(texts: list[str], options: Options) -> None:
    both(options).check(texts)


@given(st.lists(st.text("ab[]", min_size=1, max_size=4), max_size=5), st.text("ab[] ", max_size=20))
def test_any_special_pieces(special: list[str], text: str) -> None:
    vocabulary = list(dict.fromkeys(["[UNK]", *"ab[]", "##a", "##b", *special]))
    theirs = library(vocabulary, UNCASED)
    plain = Tokenizer(theirs.model)
    plain.normalizer, plain.pre_tokenizer = theirs.normalizer, theirs.pre_tokenizer
    plain.add_special_tokens(special)
    Both(plain, WordPiece(indexed(vocabulary), special=special)).check([text])


@given(st.lists(st.text("ab#", min_size=1, max_size=5), max_size=20), st.text("ab# ", max_size=40))
def test_any_vocabulary(vocabulary: list[str], text: str) -> None:
    vocabulary = list(dict.fromkeys([*SPECIAL, *vocabulary]))
    Both(library(vocabulary, UNCASED), own(vocabulary, UNCASED)).check([text])


@given(st.lists(st.sampled_from([*SPECIAL, *PIECES, *WRITTEN, *".?!,'"])))
def test_decoding(written: list[str]) -> None:
    ids = [*map(characters().index, written), len(characters()) + 7]
    assert both(UNCASED).ours.decode(ids) == both(UNCASED).theirs.decode(ids)


@pytest.mark.parametrize(
    "text",
    [
        *("a" * 1_000_000, "\u0301" * 1_000_000, "中" * 300_000, "\u1b44\u0323" * 200_000, "." * 300_000),
        *("\0" * 1_000_000, "[" * 300_000, "\uac00" * 300_000),
        " ".join(f"{number:x}" for number in range(100_000)),  # more words than are remembered
    ],
    ids=lambda text: f"{text[0]!a}",
)
def test_a_megabyte(text: str) -> None:
    both(UNCASED).check([text])
    assert len(both(UNCASED).ours._known) <= wordpiece.MOST_WORDS


def test_a_surrogate_is_dropped() -> None:
    """The library refuses the text. Here it counts as U+FFFD, which is dropped."""
    done = both(UNCASED).ours.encode("the\ud800 \udfffthe")
    assert done == both(UNCASED).ours.encode("the\ufffd \ufffdthe")
    assert done.offsets == [(0, 3), (6, 9)]


def paragraphs() -> Iterator[str]:
    """The text of this repository."""
    for pattern in ("*.md", "docs/**/*.md", "src/**/*.py", "tests/**/*.py", "examples/**/*.json", "examples/**/*.md"):
        for path in sorted(ROOT.glob(pattern)):
            yield from path.read_text(encoding="utf-8", errors="replace").split("\n\n")


def vocabulary_of(texts: Iterable[str]) -> list[str]:
    """Every second word, all characters, and the ends of words."""
    words = sorted({word.strip(".,:;()`").lower() for text in texts for word in text.split()} - {""})
    ends = {f"##{word[-size:]}" for word in words for size in (1, 2, 3, 4)}
    letters = {letter for word in words for letter in word}
    return list(dict.fromkeys([*SPECIAL, *words[::2], *sorted(ends), *sorted(letters)]))


@pytest.mark.system
def test_the_texts_of_this_repository() -> None:
    """By a vocabulary made of them, and by that of the example for question answering where it is installed."""
    texts = list(paragraphs())
    shipped = ROOT / "examples" / "question_answering" / "models" / "qa" / "vocab.txt"
    vocabularies = [vocabulary_of(texts), *([split(shipped.read_bytes())] if shipped.is_file() else [])]
    for vocabulary, options in product(vocabularies, (UNCASED, CASED)):
        Both(library(vocabulary, options), own(vocabulary, options)).check(texts)


def test_a_vocabulary_that_lacks_pieces() -> None:
    with pytest.raises(ModelError, match=r"the vocabulary has no '\[UNK\]'"):
        WordPiece(Listed(["the"]))
    with pytest.raises(ModelError, match="the vocabulary has no '<s>'"):
        WordPiece(Listed(["[UNK]"]), special=["<s>"])


START = """
import sys
from pilotlight.function.vocabulary import Listed
from pilotlight.function.wordpiece import WordPiece
tokenizer = WordPiece(Listed(["[UNK]", "the", "cafe", "."]))
assert tokenizer.encode("The.").ids == [1, 3]
assert not {"pilotlight.function.unicode_tables", "unicodedata"} & set(sys.modules)
assert tokenizer.encode("café").ids == [2]
"""


def test_a_text_of_ascii_loads_no_tables() -> None:
    subprocess.run([sys.executable, "-c", START], check=True)
