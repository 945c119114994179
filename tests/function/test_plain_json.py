"""JSON by the C functions of `json`: every value and every error is that of `json`."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.function import plain_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
SPACES = st.text(" \t\r\n", max_size=3)


def outcome(call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """The value with its types, or the error with its text."""
    try:
        return repr(call(*arguments, **options))
    except Exception as error:  # whatever it is, both have to raise it
        return f"{type(error).__name__}: {error}"


@given(VALUES, SPACES, SPACES)
def test_what_json_wrote_is_read(value: object, before: str, after: str) -> None:
    text = f"{before}{json.dumps(value)}{after}"
    assert outcome(plain_json.loads, text) == outcome(json.loads, text)
    assert outcome(plain_json.loads, text.encode()) == outcome(json.loads, text.encode())


@given(st.text('{}[]",:0129.-+eE \t\n\\utrfalsn\x00\x0b\xa0', max_size=12))
def test_any_text_is_read_or_refused_alike(text: str) -> None:
    assert outcome(plain_json.loads, text) == outcome(json.loads, text)


@pytest.mark.parametrize(
    "given",
    [
        *("", " ", "1 2", "[1] x", "NaN", "-Infinity", "[1, Infinity]", '"\x00"', "\x0b1", "1\xa0", "[" * 100_000),
        *("1" * 5000, '{"a": 1, "a": 2}', '"\\ud800"', "\ufeff1", '{"a" 1}', "[1,]", "01"),
        *(
            b"\xef\xbb\xbf[1]",
            '["a"]'.encode("utf-16"),
            '"a"'.encode("utf-16-le"),
            "1".encode("utf-32"),
            b"\xff",
            b'"\xff"',
        ),
        b'"\xed\xa0\x80"',
    ],
    ids=lambda given: repr(given)[:20],
)
def test_odd_texts(given: str | bytes) -> None:
    assert outcome(plain_json.loads, given) == outcome(json.loads, given)


def test_constants_go_to_who_is_asked() -> None:
    seen: list[str] = []
    assert plain_json.loads("[NaN, 1]", parse_constant=seen.append) == [None, 1]
    assert seen == ["NaN"]


@given(VALUES, st.booleans(), st.booleans(), st.booleans())
def test_values_are_written_alike(value: object, ascii: bool, allow_nan: bool, compact: bool) -> None:
    separators = (",", ":") if compact else (", ", ": ")
    theirs = outcome(json.dumps, value, ensure_ascii=ascii, allow_nan=allow_nan, separators=separators)
    assert outcome(plain_json.dumps, value, ascii=ascii, allow_nan=allow_nan, compact=compact) == theirs


def test_what_cannot_be_written() -> None:
    loop: list[object] = []
    loop.append(loop)
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (
        object(),
        {1, 2},
        {(1, 2): 3},
        loop,
        deep,
        [b"x"],
        {"a": {"b": complex(1)}},
        {1: math.inf, None: True},
    ):
        assert outcome(plain_json.dumps, value) == outcome(json.dumps, value)


def test_a_text_is_quoted() -> None:
    assert plain_json.quote('é"\n') == json.dumps('é"\n')


def test_json_is_not_loaded_for_what_is_plain() -> None:
    code = (
        "import sys; from pilotlight.function import plain_json\n"
        "assert plain_json.loads(plain_json.dumps({'a': [1, 2.5, None]}) + '\\n') == {'a': [1, 2.5, None]}\n"
        "print({'json', 're', 'enum', 'typing'} & set(sys.modules))"
    )
    environ = {"PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)
    assert done.stdout == "set()\n", done.stderr


@pytest.mark.parametrize("text", ["{", '{"a"', '"a', "[1,]", '{"a" 1}', "", "nul", "1 2", '"\\x"', '"\x01"', "\ud800"])
def test_what_is_no_json_is_the_same_error_where_json_was_not_loaded(text: str) -> None:
    code = f"from pilotlight.function import plain_json\nplain_json.loads({text!r})"
    environ = {"PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)
    assert done.stderr.splitlines()[-1] == f"json.decoder.{outcome(json.loads, text)}"


OTHERS = {
    "no such module": "sys.modules['_json'] = None",
    "no such function": "import _json; del _json.make_encoder",
    "other arguments of a scanner": "import _json; _json.make_scanner = lambda: None",
    "other arguments of an encoder": "import _json; _json.make_encoder = lambda context: None",
    "another kind of encoder": "import _json; _json.make_encoder = lambda *a: lambda value: ''",
    "an encoder that says otherwise": "import _json; _json.make_encoder = lambda *a: lambda *b: ['x']",
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_a_python_with_other_functions(change: str) -> None:
    """`json` itself is loaded before: in such a Python it does without them."""
    code = f"""
import json, sys
{change}
from pilotlight.function import plain_json as plain
assert plain.loads is json.loads, plain.loads
value = {{"a": [1, 2.5, None, "\u00e9"]}}
for ascii in (True, False):
    assert plain.dumps(value, ascii=ascii) == json.dumps(value, ensure_ascii=ascii)
assert plain.dumps(value, compact=True) == json.dumps(value, separators=(",", ":"))
assert plain.loads(b"[NaN]", parse_constant=str) == ["NaN"]
assert plain.quote("\u00e9") == json.dumps("\u00e9")
"""
    environ = {"PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr
