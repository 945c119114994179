"""`spans` against the definition: all spans, one by one."""

from math import exp, inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from pilotlight.function.spans import Logits, Span, read, whole_words, windows

logit = st.floats(-20, 20, width=32)
logits = st.integers(1, 30).flatmap(
    lambda size: st.builds(Logits, *[st.lists(logit, min_size=size, max_size=size)] * 2, logit, logit)
)


def every_span(given: Logits, longest: int) -> list[Span]:
    starts = [exp(value) for value in (*given.starts, given.null_start)]
    ends = [exp(value) for value in (*given.ends, given.null_end)]
    total = sum(starts) * sum(ends)
    places = [(start, end) for start in range(len(given.starts)) for end in range(start, len(given.starts))]
    spans = [Span(starts[start] * ends[end] / total, start, end) for start, end in places if end - start < longest]
    return sorted(spans, reverse=True)


@given(logits, st.integers(1, 20), st.integers(1, 40))
def test_the_best_spans_are_found_among_all(given: Logits, longest: int, count: int) -> None:
    expected = every_span(given, longest)[:count]
    found = read(given, longest, count).spans
    assert [span.score for span in found] == pytest.approx([span.score for span in expected])
    assert all(0 <= span.start <= span.end < min(span.start + longest, len(given.starts)) for span in found)
    assert len({(span.start, span.end) for span in found}) == len(found)


@given(logits)
def test_all_spans_and_no_answer_are_all_of_the_probability_when_ends_do_not_matter(given: Logits) -> None:
    single = Logits(given.starts[:1], given.ends[:1], given.null_start, given.null_end)
    reading = read(single, 1, 1)
    [starts], [ends], null = single.starts, single.ends, (single.null_start, single.null_end)
    total = (exp(starts) + exp(null[0])) * (exp(ends) + exp(null[1]))
    assert reading.null_score == pytest.approx(exp(sum(null)) / total)
    assert reading.spans[0].score == pytest.approx(exp(starts + ends) / total)


def test_without_a_token_for_no_answer_its_probability_is_0() -> None:
    assert read(Logits([1.0], [2.0]), 5, 3) == ([Span(1.0, 0, 0)], 0.0)


def test_logits_far_apart_overflow_nowhere() -> None:
    reading = read(Logits([9e4, -9e4], [-9e4, 9e4], 0.0, 0.0), 5, 9)
    assert reading == ([Span(1.0, 0, 1), Span(0.0, 0, 0), Span(0.0, 1, 1)], 0.0)


def test_a_span_grows_to_whole_words() -> None:
    words = [0, 1, 1, 1, 2, 3, 3]
    assert whole_words(Span(0.5, 2, 5), words) == (1, 6)
    assert whole_words(Span(0.5, 0, 4), words) == (0, 4)
    assert whole_words(Span(0.5, 3, 3), words) == (1, 3)


@given(st.integers(1, 60), st.integers(1, 20), st.data())
def test_windows_are_those_of_the_library_tokenizers(tokens: int, room: int, data: st.DataObject) -> None:
    shared = data.draw(st.integers(0, room - 1))
    tokenizer = Tokenizer(models.WordLevel({str(number): number for number in range(tokens)}, unk_token="0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.enable_truncation(room, stride=shared)
    first = tokenizer.encode(" ".join(map(str, range(tokens))))
    expected = [window.ids for window in (first, *first.overflowing)]
    begins = windows(tokens, room, shared)
    assert [list(range(begin, min(begin + room, tokens))) for begin in begins] == expected


@pytest.mark.parametrize("wrong", [nan, inf])
def test_logits_that_are_no_numbers_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="the logits are not numbers"):
        read(Logits([1.0, wrong, 3.0], [1.0, 2.0, 3.0]), 15, 3)
