"""`tuples.NamedTuple` is what `typing.NamedTuple` is, in all that is used of it."""

from __future__ import annotations

import abc
import copy
import inspect
import os
import pickle
import subprocess
import sys
import typing
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from pilotlight import tuples


class Ours(tuples.NamedTuple):
    """A doc."""

    a: int
    b: str = "x"
    c: tuple[int, ...] = ()

    def doubled(self) -> int:
        return self.a * 2


class Theirs(typing.NamedTuple):
    """A doc."""

    a: int
    b: str = "x"
    c: tuple[int, ...] = ()

    def doubled(self) -> int:
        return self.a * 2


Make = Callable[[Any], Any]
WAYS: list[Make] = [
    lambda kind: kind(1),
    lambda kind: kind(1, "y"),
    lambda kind: kind(1, "y", (2,)),
    lambda kind: kind(a=1),
    lambda kind: kind(1, c=(3,)),
    lambda kind: kind(c=(3,), b="z", a=0),
    lambda kind: kind._make([1, "y", ()]),
    lambda kind: kind(1)._replace(c=(4,), a=2),
    lambda kind: copy.deepcopy(kind(1)),
    lambda kind: pickle.loads(pickle.dumps(kind(1, "p"))),
]


@pytest.mark.parametrize("make", WAYS, ids=range(len(WAYS)))
def test_made_alike(make: Make) -> None:
    ours, theirs = make(Ours), make(Theirs)
    assert type(ours) is Ours
    assert ours == theirs
    assert hash(ours) == hash(theirs)
    assert (ours.a, ours.b, ours.c, ours.doubled()) == (theirs.a, theirs.b, theirs.c, theirs.doubled())
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
    assert ours._asdict() == theirs._asdict()


@pytest.mark.parametrize(
    "make",
    [
        lambda kind: kind(),
        lambda kind: kind(b="y"),
        lambda kind: kind(1, "y", (), 4),
        lambda kind: kind(1, a=2),
        lambda kind: kind(1, d=2),
        lambda kind: kind._make([]),
        lambda kind: kind._make([1]),
        lambda kind: kind._make([1, "y", (), 4]),
    ],
)
def test_refused_alike(make: Make) -> None:
    for kind in (Ours, Theirs):
        with pytest.raises(TypeError):
            make(kind)


def test_replacing_what_is_not_there() -> None:
    with pytest.raises(ValueError, match="Ours has no field 'd'"):
        Ours(1)._replace(d=2)  # type: ignore[call-arg]


def test_fields() -> None:
    assert Ours._fields == Theirs._fields == ("a", "b", "c")
    assert Ours._field_defaults == Theirs._field_defaults == {"b": "x", "c": ()}
    assert Ours.__doc__ == "A doc."
    with pytest.raises(AttributeError):
        Ours(1).a = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Ours(1).d = 2  # type: ignore[attr-defined]


def test_a_signature() -> None:
    assert str(inspect.signature(Ours)) == "(a: 'int', b: 'str' = 'x', c: 'tuple[int, ...]' = ())"
    assert list(inspect.signature(Ours).parameters.values())[1].default == "x"
    assert inspect.getdoc(Ours.a) == inspect.getdoc(Theirs.a) == "Alias for field number 0"
    assert typing.get_type_hints(Ours) == typing.get_type_hints(Theirs)


class Derived(Ours, abc.ABC):
    more: int = 0

    def __init__(self, *_: Any, **__: Any) -> None:
        self.note = "kept"


def test_what_is_derived_is_an_ordinary_class() -> None:
    made = Derived(1, c=(2,))
    assert (made, made.note, made.more, Derived._fields) == ((1, "x", (2,)), "kept", 0, ("a", "b", "c"))
    assert pickle.loads(pickle.dumps(made)).note == "kept"
    assert type(made._replace(b="z")) is Derived
    assert list(inspect.signature(Derived).parameters) == ["_", "__"]
    assert type(Ours) is type(Theirs) is type


def test_msgspec_sees_what_typing_makes() -> None:
    assert msgspec.json.encode(Ours(1)) == msgspec.json.encode(Theirs(1)) == b'[1,"x",[]]'
    assert msgspec.convert([1, "y"], Ours) == Ours(1, "y")
    assert msgspec.json.schema(Ours)["$defs"]["Ours"] == msgspec.json.schema(Theirs)["$defs"]["Theirs"] | {
        "title": "Ours"
    }


def test_patterns() -> None:
    match Ours(1, "y"):
        case Ours(1, b):
            assert b == "y"
        case _:
            pytest.fail("no match")


def test_a_default_before_none() -> None:
    code = (
        "from __future__ import annotations\nfrom pilotlight.tuples import NamedTuple\n"
        "class Odd(NamedTuple):\n    a: int = 1\n    b: int\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PATH": os.environ["PATH"]}
    )
    assert "Odd: a field without a default follows one with a default" in done.stderr


def test_a_python_without_the_c_function_of_fields() -> None:
    code = (
        "import sys; import _collections; del _collections._tuplegetter\n"
        "from pilotlight import Response\n"
        "print(Response(201).status, isinstance(Response.status, property))"
    )
    environ = {"PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)
    assert done.stdout == "201 True\n", done.stderr
