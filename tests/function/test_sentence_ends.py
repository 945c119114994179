"""Where long texts are cut, and how their translations come together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.function.sentences import Part, join, split


def test_parts_end_where_sentences_do() -> None:
    text = "It is 3.14 today. Is it? “Yes!” she said.\nA new line"
    assert split(text, 19, len) == [
        Part("It is 3.14 today.", " "),
        Part("Is it? “Yes!”", " "),
        Part("she said.", "\n"),
        Part("A new line", ""),
    ]


def test_chinese_sentences_end_without_a_space() -> None:
    assert split("今天下雨。我们在家看书！好吗？", 7, len) == [
        Part("今天下雨。", ""),
        Part("我们在家看书！", ""),
        Part("好吗？", ""),
    ]


def test_parts_are_as_long_as_they_may_be() -> None:
    assert split("A b. C d. E f. G h.", 9, len) == [Part("A b. C d.", " "), Part("E f. G h.", "")]


def test_a_sentence_that_is_too_long_is_cut_between_words() -> None:
    assert split("one two three four five. Six.", 10, len) == [
        *(Part("one two", " "), Part("three four", " ")),
        Part("five. Six.", ""),
    ]


def test_a_word_that_is_too_long_is_cut_anywhere() -> None:
    assert split("abcdefgh ij", 3, len) == [Part("abc", ""), Part("def", ""), Part("gh", " "), Part("ij", "")]


@given(st.text(st.sampled_from("ab 。.!\n\t火”"), max_size=60), st.integers(1, 12))
def test_nothing_is_lost(text: str, most: int) -> None:
    parts = split(text, most, len)
    assert "".join(part.text + part.gap for part in parts).strip() == text.strip()
    assert all(part.text and part.text == part.text.strip() and len(part.text) <= most for part in parts)


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        ([("One.", " "), ("Two.", "")], "One. Two."),
        ([("一。", " "), ("二。", "")], "一。二。"),
        ([("One.", ""), ("Two.", "")], "One. Two."),
        ([("One.", "\n\n"), ("Two.", "")], "One.\n\nTwo."),
        ([("One.", " "), ("", " "), ("Two.", "")], "One. Two."),
        ([("", "")], ""),
    ],
)
def test_translations_are_joined_as_their_scripts_are_written(parts: list[tuple[str, str]], joined: str) -> None:
    assert join(parts) == joined
