import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.function import record_text
from pilotlight.function.record_text import Redactor

JSON = {"content-type": "application/json"}
SECRET = "the harbour library"

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
secrets = st.text(st.characters(codec="utf-8"), min_size=8).map(lambda text: f"SECRET{text}")


@st.composite
def with_secret(draw: st.DrawFn) -> Any:
    """A JSON value with a secret under the name `context`, at any depth."""
    secret = draw(secrets)
    hidden: Any = draw(st.sampled_from([secret, [secret], {"deeper": secret}]))
    name = draw(st.sampled_from(["context", "Context", "CONTEXT"]))
    value: Any = {name: hidden, **draw(st.dictionaries(st.text(max_size=8), values, max_size=2))}
    value[name] = hidden
    for wrap in draw(st.lists(st.sampled_from(["list", "dict", "text"]), max_size=4)):
        match wrap:
            case "list":
                value = [draw(values), value]
            case "dict":
                value = {**draw(st.dictionaries(st.text(max_size=8), values, max_size=2)), "body": value}
            case _:
                value = {"body": json.dumps(value)}
    return value


@given(with_secret())
def test_a_redacted_field_is_nowhere_in_json(value: Any) -> None:
    kept = Redactor(["context"]).text(json.dumps(value))
    assert "[redacted]" in kept
    assert "SECRET" not in kept


@given(values)
def test_where_nothing_is_redacted_a_text_stays_as_it_was_sent(value: Any) -> None:
    text = json.dumps(value, indent=1)
    assert Redactor([]).text(text) == text
    assert json.loads(Redactor(["no such field here"]).text(text)) == value


@given(with_secret(), st.integers(1, 200))
def test_json_that_is_cut_off_is_described(value: Any, missing: int) -> None:
    text = json.dumps(value)
    kept = Redactor(["context"]).text(text[:-missing])
    assert "SECRET" not in kept


@given(
    st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"))), secrets
)
def test_a_redacted_field_is_nowhere_in_a_form(fields: Mapping[str, str], secret: str) -> None:
    kept = record_text.of_body(
        urlencode({**fields, "context": secret}),
        False,
        {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        Redactor(["context"]),
    )
    assert "SECRET" not in kept
    assert "context=[redacted]" in kept or "cannot be redacted" in kept


@pytest.mark.parametrize(
    ("text", "kind", "kept"),
    [
        ('{"question": "how?", "context": "c"}', "", '{"question": "how?", "context": "[redacted]"}'),
        ("a=1&context=c&b=", "application/x-www-form-urlencoded", "a=1&context=[redacted]&b="),
        ('{"context": "c", ', "application/json", "[17 bytes of application/json that cannot be redacted]"),
        ('{"\\u0063ontext": "c"', "", "[20 bytes of text that cannot be redacted]"),
        (
            '{"context": 1}\n{"context": 2}',
            "application/x-ndjson",
            "[29 bytes of application/x-ndjson that cannot be redacted]",
        ),
        ('data: {"context": 1}\n\n', "text/event-stream", "[22 bytes of text/event-stream that cannot be redacted]"),
        ("<context>c</context>", "application/xml", "[20 bytes of application/xml that cannot be redacted]"),
        ("in this context, a sentence", "text/plain", "in this context, a sentence"),
        ("42", "application/json", "42"),
    ],
)
def test_what_is_kept_of_a_text(text: str, kind: str, kept: str) -> None:
    assert Redactor(["context"]).text(text, kind) == kept


def test_a_message_does_not_quote_what_was_redacted() -> None:
    redactor = Redactor(["context"])
    long = "line one\nline 'two' of a text that is longer than forty characters"
    redactor.text(json.dumps({"context": [long, "short"], "n": 5}))
    shown = f"{long[:40]}…"
    assert redactor.message(f"ValueError: {long}") == "ValueError: [redacted]"
    assert redactor.message(f"context: expected int, got {shown!r}") == 'context: expected int, got "[redacted]…"'
    assert redactor.message("a short answer") == "a short answer"


@pytest.mark.parametrize(
    ("body", "encoded", "headers", "kept"),
    [
        (None, False, None, ""),
        ('{"a": 1}', False, JSON, '{"a": 1}'),
        ({"a": 1}, None, JSON, '{"a": 1}'),
        (base64.b64encode(b'{"a": 1}').decode(), True, JSON, '{"a": 1}'),
        (base64.b64encode(b"\xff\xd8\xff").decode(), True, {"Content-Type": "image/jpeg"}, "[3 bytes of image/jpeg]"),
        (base64.b64encode(b"\xff").decode(), True, {"Content-Type": "text/plain"}, "[1 bytes of text/plain]"),
        (base64.b64encode(b"\xff").decode(), True, {}, "[1 bytes of no type]"),
        ("%%%", True, JSON, "[3 characters of damaged base64]"),
        ("--b\r\n", False, {"content-type": "multipart/form-data; boundary=b"}, "[5 bytes of multipart/form-data]"),
    ],
)
def test_what_is_kept_of_a_body(body: object, encoded: object, headers: object, kept: str) -> None:
    assert record_text.of_body(body, encoded, headers, Redactor([])) == kept


def test_what_is_kept_of_a_stream() -> None:
    plain = Redactor([])
    text, jpeg = {"content-type": "text/plain; charset=utf-8"}, {"content-type": "image/jpeg"}
    assert record_text.of_stream("naïve".encode(), 6, text, plain) == "naïve"
    assert record_text.of_stream("naïve".encode()[:3], 6, text, plain) == "na… [cut: 6 bytes]"
    assert record_text.of_stream(b"\xff\xd8", 600, jpeg, plain) == "[600 bytes of image/jpeg]"
    assert record_text.of_stream(b'{"context": "a', 60, JSON, Redactor(["context"])) == "[60 bytes of application/json]"


def test_parameters_are_fields_beside_those_of_the_body() -> None:
    redactor = Redactor(["token"])
    assert record_text.joined("", {"id": "7"}, redactor) == '{"id": "7"}'
    assert (
        record_text.joined('{"a": 1}', {"id": "7", "token": "t"}, redactor)
        == '{"id": "7", "token": "[redacted]", "a": 1}'
    )
    assert record_text.joined("[1]", {"id": "7"}, redactor) == '{"id": "7", "body": [1]}'
    assert record_text.joined("hello", {"id": "7"}, redactor) == '{"id": "7", "body": "hello"}'


@given(st.text(), st.text(), st.integers(100, 300), st.integers(1, 40))
def test_two_texts_fit_into_their_room(first: str, second: str, room: int, times: int) -> None:
    first, second = first * times, second * times
    kept = record_text.fitted(first, second, room)
    assert sum(len(text.encode()) for text in kept) <= room
    valid = [text.encode("utf-8", "replace").decode() for text in (first, second)]
    if sum(len(text.encode()) for text in valid) <= room:
        assert list(kept) == valid


def test_a_short_text_is_left_whole_beside_a_long_one() -> None:
    assert record_text.fitted("a" * 500, "short", 100) == ("a" * 75 + "… [cut: 500 bytes]", "short")
    assert record_text.fitted("short", "é" * 500, 100) == ("short", "é" * 37 + "… [cut: 1000 bytes]")
    assert record_text.fitted("a" * 500, "b" * 500, 100) == (
        "a" * 30 + "… [cut: 500 bytes]",
        "b" * 30 + "… [cut: 500 bytes]",
    )
