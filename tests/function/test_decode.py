"""Values as annotations ask for them: JSON strictly, texts as numbers and words, and both as msgspec reads them."""

import datetime
import enum
import uuid
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypedDict, Union

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.errors import FunctionError, InputError
from pilotlight.function.decode import decoder
from pilotlight.function.inputs import File
from pilotlight.function.shapes import shape


class Point(NamedTuple):
    x: float
    label: "str | None" = None


class Struct(msgspec.Struct):
    name: str


@dataclass
class Data:
    size: int


class Typed(TypedDict):
    name: str


class Shade(enum.Enum):
    DARK = "dark"


class Level(msgspec.Struct):
    items: list[Struct]


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (str, "ü", "ü"),
        (int, 10**30, 10**30),
        (float, 3, 3.0),
        (bool, True, True),
        (None, None, None),
        (Any, {"a": [1]}, {"a": [1]}),
        (object, 1, 1),
        (list, [1, "a"], [1, "a"]),
        (list[float], [1, 2.5], [1.0, 2.5]),
        (tuple[int, ...], [1, 2], (1, 2)),
        (dict[str, list[int]], {"a": [1]}, {"a": [1]}),
        (int | None, None, None),
        (Optional[int], 3, 3),  # noqa: UP045
        (Union[float, int, str], 3, 3),  # noqa: UP007
        (list[int] | list[str], ["a"], ["a"]),
        (Literal["a", 1, None], 1, 1),
        (Annotated[int, "how many"], 3, 3),
        (Point, {"x": 1, "more": 2}, Point(1.0)),
        (list[Point], [{"x": 1, "label": "a"}], [Point(1.0, "a")]),
        (File, "aGk=", File(b"hi")),
        (tuple[int, str], [1, "a"], (1, "a")),
        (dict[int, str], {1: "a"}, {1: "a"}),
        (Struct, {"name": "a"}, Struct("a")),
        (list[Struct], [{"name": "a"}], [Struct("a")]),
        (Data, {"size": 1}, Data(1)),
        (Typed, {"name": "a"}, {"name": "a"}),
        (Shade, "dark", Shade.DARK),
        (datetime.date, "2026-11-21", datetime.date(2026, 11, 21)),
        (uuid.UUID, "00000000-0000-0000-0000-000000000001", uuid.UUID(int=1)),
        (bytes, "aGk=", b"hi"),
    ],
)
def test_json(annotation: Any, value: object, expected: object) -> None:
    decoded = decoder(shape(annotation)).json(value, "field")
    assert (decoded, type(decoded)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("annotation", "value", "field", "reason"),
    [
        (str, 3, "f", "expected str, got int"),
        (int, True, "f", "expected int, got bool"),
        (int, 3.0, "f", "expected int, got float"),
        (float, "3", "f", "expected float, got str"),
        (float, True, "f", "expected float, got bool"),
        (float, 10**400, "f", "number out of range"),
        (float, float("inf"), "f", "number out of range"),
        (bool, 1, "f", "expected bool, got int"),
        (None, [], "f", "expected null, got array"),
        (list[int], {}, "f", "expected array, got object"),
        (list[int], [1, "a"], "f[1]", "expected int, got str"),
        (dict[str, list[int]], {"a": [1, None]}, "f.a[1]", "expected int, got null"),
        (int | str, [], "f", "expected int | str, got array"),
        (list[int] | None, [1, "a"], "f[1]", "expected int, got str"),
        (Literal["a", 1], "b", "f", "expected 'a' | 1, got 'b'"),
        (Literal["a", 1], 2, "f", "expected 'a' | 1, got 2"),
        (Literal["a", 1], 10**50, "f", f"expected 'a' | 1, got '1{'0' * 39}…'"),
        (Literal["a", 1], True, "f", "expected 'a' | 1, got bool"),
        (Point, {"label": 3}, "f.x", "missing"),
        (list[Struct], [{"name": "a"}, {"name": 3}], "f[1].name", "expected str, got int"),
        (Level, {"items": [{"name": "a"}, {}]}, "f.items[1].name", "missing"),
        (Annotated[int, msgspec.Meta(ge=1)], 0, "f", "expected int >= 1"),
        (Annotated[list[int], msgspec.Meta(max_length=1)], [1, 2], "f", "expected array of length <= 1"),
        (Shade, "light", "f", "invalid enum value 'light'"),
        (datetime.date, "soon", "f", "invalid RFC3339 encoded date"),
    ],
)
def test_json_refused(annotation: Any, value: object, field: str, reason: str) -> None:
    with pytest.raises(InputError) as raised:
        decoder(shape(annotation)).json(value, "f")
    assert raised.value.problems[0] == (field, reason)


def test_all_fields_of_a_record_are_reported() -> None:
    with pytest.raises(InputError) as raised:
        decoder(shape(Point)).json({"x": "a", "label": 3}, "")
    assert raised.value.problems == (("x", "expected float, got str"), ("label", "expected str | null, got int"))


@pytest.mark.parametrize(
    ("annotation", "texts", "expected"),
    [
        (str, ["a", "b"], "b"),
        (int, ["-3"], -3),
        (float, ["3"], 3.0),
        (float, ["2.5e1"], 25.0),
        (bool, ["TRUE"], True),
        (bool, ["0"], False),
        (int | None, [""], None),
        (int | None, ["null"], None),
        (str | None, ["null"], "null"),
        (int | str, ["3"], 3),
        (int | str, ["x"], "x"),
        (Any, ["3"], "3"),
        (list[int], ["1", "2"], [1, 2]),
        (list[str], ["1"], ["1"]),
        (tuple[bool, ...], ["1", "false"], (True, False)),
        (list[int] | None, ["1"], [1]),
        (dict[str, int], ['{"a": 1}'], {"a": 1}),
        (Point, ['{"x": 1}'], Point(1.0)),
        (Literal["a", 1], ["1"], 1),
        (Struct, ['{"name": "a"}'], Struct("a")),
        (Annotated[int, msgspec.Meta(ge=1)], ["3"], 3),
        (datetime.date, ["2026-11-21"], datetime.date(2026, 11, 21)),
    ],
)
def test_text(annotation: Any, texts: list[str], expected: object) -> None:
    decoded = decoder(shape(annotation)).text(texts, "field")
    assert (decoded, type(decoded)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("annotation", "texts", "reason"),
    [
        (int, ["3.0"], "expected int, got '3.0'"),
        (int, ["1_000"], "expected int, got '1_000'"),
        (int, ["٣"], "expected int, got '٣'"),
        (int, ["9" * 5_000], f"expected int, got '{'9' * 40}…'"),
        (float, ["NaN"], "expected float, got 'NaN'"),
        (float, ["-Infinity"], "number out of range"),
        (float, ["1e400"], "number out of range"),
        (bool, ["yes"], "expected bool, got 'yes'"),
        (int | None, ["x"], "expected int | null, got 'x'"),
        (dict[str, int], ["{"], "expected JSON, got '{'"),
        (dict[str, int], ["[" * 100_000], f"expected JSON, got '{'[' * 40}…'"),
        (Literal["a"], ["b"], "expected 'a', got 'b'"),
    ],
)
def test_text_refused(annotation: Any, texts: list[str], reason: str) -> None:
    with pytest.raises(InputError) as raised:
        decoder(shape(annotation)).text(texts, "f")
    assert raised.value.problems == (("f", reason),)


def test_a_type_that_nothing_can_read() -> None:
    with pytest.raises(FunctionError, match="reading the annotation"):
        decoder(shape(Struct | Level))


PLAIN = st.recursive(
    st.sampled_from([str, int, float, bool, None, Any, int | None, float | int, str | bool, Literal["a", "b", 1]]),
    lambda inner: inner.flatmap(lambda t: st.sampled_from([list[t], dict[str, t], tuple[t, ...]])),  # type: ignore[valid-type]
    max_leaves=3,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")) | st.sampled_from(["a", "b", 1, 1.0]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def outcome(read: Any) -> object:
    try:
        return repr(read())
    except (InputError, msgspec.ValidationError):
        return InputError


@given(PLAIN, VALUES)
def test_plain_types_are_read_as_msgspec_reads_them(annotation: Any, value: object) -> None:
    """Where they differ: half a surrogate pair and an infinite number, which msgspec takes and no client can mean."""
    ours = outcome(lambda: decoder(shape(annotation)).json(value, "f"))
    assert ours == outcome(lambda: msgspec.convert(value, annotation, strict=True))
