"""Class and score of answers: those of our own examples, and what others answer."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from pilotlight.measure.answer_class import Judged, is_error, judged


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ('{"label": "positive", "score": 0.98}', Judged("positive", 0.98)),  # text-classification
        ('[{"label": "cat", "score": 0.7}, {"label": "dog", "score": 0.2}]', Judged("cat", 0.7)),
        ('{"answer": "62 metres", "score": 0.91, "start": 4, "end": 13}', Judged(None, 0.91)),  # question answering
        ('{"dress": 3.5, "hat": -1.75, "pants": 0}', Judged("dress", 3.5)),  # logits of clothing
        ('{"churn_probability": 0.62, "churn": true}', Judged("churn: true", 0.62)),
        ('{"input": "A joy.", "prediction": 1, "label": "positive", "output": [-1.5, 2.0]}', Judged("positive")),
        ('{"prediction": 3}', Judged("3")),
        ('{"class": true, "confidence": 1}', Judged("true", 1.0)),
        ('{"category": "a", "class": "b"}', Judged("b")),
        ('{"greeting": "Hello, Ada!"}', Judged()),
        ('{"a": true, "b": false}', Judged()),
        ('{"width": 3}', Judged()),
        (json.dumps({"label": "x" * 65}), Judged()),  # a text, not a class
        ('{"label": "good", "score": 0.5, "maps": [[0.1, … [cut: 40000 bytes]', Judged("good", 0.5)),
        ('{"score": 0.12… [cut: 40000 bytes]', Judged()),  # who knows how it goes on
        ('{"score": NaN}', Judged()),
        ("[]", Judged()),
        ("", Judged()),
        ("a man rides a wave", Judged()),
        ("[8046 bytes of image/png]", Judged()),
    ],
)
def test_class_and_score(output: str, expected: Judged) -> None:
    assert judged(output) == expected


leaves = some.none() | some.booleans() | some.integers() | some.floats() | some.text()
names = some.sampled_from(["label", "score", "x"])
values = some.recursive(leaves, lambda inner: some.lists(inner) | some.dictionaries(names, inner), max_leaves=8)


@given(some.text() | values.map(json.dumps))
def test_any_answer_has_a_short_class_and_a_finite_score(output: str) -> None:
    found = judged(output)
    assert found.name is None or 0 < len(found.name) <= 80
    assert found.score is None or abs(found.score) < 1e300


def test_errors() -> None:
    assert is_error({"error": "ValueError: no"})
    assert is_error({"status": 400})
    assert not is_error({"status": 399, "error": ""})
