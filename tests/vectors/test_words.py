"""Words counted, the most frequent ones, lists: with what cannot be read told by its line."""

from collections import Counter

import pytest

from pilotlight.vectors import words
from pilotlight.vectors.problems import Problem
from pilotlight.vectors.words import Counted


def test_the_last_word_of_a_line_has_no_newline() -> None:
    counts: Counter[str] = Counter()
    words.count([b"what is it ?\n", b"it is\ta film\r\n", b"\n", b"a film"], counts, print)
    assert counts == {"what": 1, "is": 2, "it": 2, "?": 1, "a": 2, "film": 2}
    assert list(counts) == ["what", "is", "it", "?", "a", "film"]
    words.count([b"A Film"], counts, print, lower=True)
    assert (counts["a"], counts["film"], "Film" in counts) == (3, 3, False)


def test_a_line_that_is_not_utf_8_counts_for_nothing() -> None:
    counts: Counter[str] = Counter()
    problems: list[Problem] = []
    words.count([b"one two\n", b"three f\xfcnf\n", b"six\n"], counts, problems.append)
    assert list(counts) == ["one", "two", "six"]
    assert problems == [Problem(2, "not UTF-8", "b'three f\\xfcnf\\n' is not UTF-8")]


@pytest.mark.parametrize(
    "text",
    [
        "word,count\nthe,23135851162\nof,13151942776\nfilm,5\n",
        "the,23135851162\nof,13151942776\nfilm,5\n",
        "the\t23135851162\r\nof\t13151942776\r\n\r\nfilm\t5",
        "Rank,Count,Word\n3,5,film\n1,23135851162,the\n2,13151942776,of\n",
        "lemma,per million\nfilm,0.5\nthe,9.5e4\nof,95\n",
        'word,freq,token\n"the",99,x\nof,98,y\nfilm,97,z\n',
    ],
)
def test_the_most_frequent_words_of_a_table(text: str) -> None:
    lines = text.encode().splitlines(keepends=True)
    assert [each.word for each in words.most_frequent(lines, 2, print)] == ["the", "of"]
    assert [each.word for each in words.most_frequent(lines, 9, print)] == ["the", "of", "film"]


def test_of_equals_the_earlier_one_comes_first() -> None:
    lines = [b"d,1\n", b"c,2\n", b"b,2\n", b"a,1\n"]
    assert words.most_frequent(lines, 3, print) == [Counted("c", 2), Counted("b", 2), Counted("d", 1)]


@pytest.mark.parametrize(
    ("line", "kind", "text"),
    [
        (b"film", "too few columns", "1 of the 2 columns that are needed"),
        (b"film,many", "not a number", "'many' is no count"),
        (b"film,-1", "not a number", "'-1' is no count"),
        (b"film,nan", "not a number", "'nan' is no count"),
        (b",5", "no word", "the word is empty"),
        (b"new york,5", "space in a word", "'new york' has a space in it"),
        (b"the,5", "duplicate word", "'the' was there before, in line 2"),
        (b"f\xfcnf,5", "not UTF-8", "b'f\\xfcnf,5' is not UTF-8"),
        (b'"film,5', "not CSV", "'\"film,5': unexpected end of data"),
    ],
)
def test_a_row_that_cannot_be_used(line: bytes, kind: str, text: str) -> None:
    problems: list[Problem] = []
    lines = [b"word,count\n", b"the,9\n", line + b"\n", b"of,8\n"]
    assert words.most_frequent(lines, 9, problems.append) == [Counted("the", 9), Counted("of", 8)]
    assert problems == [Problem(3, kind, text)]


def test_a_list_of_words() -> None:
    problems: list[Problem] = []
    lines = [b"film\n", b"\n", b" plot \r\n", b"new york\n", b"f\xfcnf\n", b"film"]
    assert words.read_list(lines, problems.append) == {"film", "plot"}
    assert problems == [
        Problem(4, "space in a word", "'new york' has a space in it"),
        Problem(5, "not UTF-8", "b'f\\xfcnf' is not UTF-8"),
    ]
