"""Annotations of users' functions, with and without `typing`, and what is done while their modules are imported."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from pilotlight.errors import FunctionError
from pilotlight.function.shapes import shape

if TYPE_CHECKING:
    from decimal import Decimal


class Priced(NamedTuple):
    name: str
    price: "Decimal"


def test_a_field_whose_type_is_for_checkers_alone() -> None:
    with pytest.raises(FunctionError) as raised:
        shape(Priced)
    assert str(raised.value).startswith("reading the annotations of Priced: name 'Decimal' is not defined")
    assert raised.value.hint == "Import or define the type above it, outside `if TYPE_CHECKING`."


PROGRAM = """
import json, sys
from pilotlight import endpoint

@endpoint
def handler(
    a: int | None, b: list[int | str], c: dict[str, list[float]], d: tuple[int, ...], e: object, f: bool = True
) -> object:
    return [a, b, c, d, e, f]

assert {typing}
print(json.dumps(handler({event}, None)))
"""
EVENTS = {
    "good": {"a": None, "b": [1, "x"], "c": {"y": [1]}, "d": [2], "e": {"z": [None]}, "f": False},
    "bad": {"a": "1", "b": [1.5], "c": {"y": ["1"]}, "d": [None], "e": 1, "f": 1},
}


def ran(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PATH": os.environ["PATH"]}
    )
    return done.stdout + "".join(done.stderr.splitlines(keepends=True)[-1:])


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_without_typing_all_is_as_with_it(event: dict[str, object]) -> None:
    without = ran(PROGRAM.format(typing="'typing' not in sys.modules", event=event))
    assert "AssertionError" not in without
    assert without == ran("import typing\n" + PROGRAM.format(typing="'typing' in sys.modules", event=event))


def test_typing_that_comes_late() -> None:
    """It is looked for when an annotation is, not when Pilotlight is imported."""
    code = """
    from pilotlight import endpoint

    def words():
        from typing import Literal, Optional
        return Optional[Literal["a", "b"]]

    @endpoint
    def handler(word: words()) -> object:
        return word

    print(handler({"word": "a"}, None), handler({"word": None}, None))
    handler({"word": "c"}, None)
    """
    said = ran(textwrap.dedent(code))
    assert said == "a None\npilotlight.errors.InputError: word: expected 'a' | 'b', got 'c'\n"


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("handler = print", "before"),
        ("raise ValueError", "before"),
        ("import gc; gc.set_threshold(5, 6, 7); handler = print", "(5, 6, 7)"),
        ("import gc; gc.set_threshold(5, 6, 7); raise ValueError", "(5, 6, 7)"),
        ("import gc; gc.disable(); handler = print", "before"),
    ],
)
def test_the_collector_after_an_import(module: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(module)
    code = f"""
    import contextlib, gc
    from pilotlight.function.runtime import _uncollected
    before = gc.get_threshold()
    with contextlib.suppress(ValueError):
        _uncollected("user.handler", {str(tmp_path)!r})
    print("before" if gc.get_threshold() == before else gc.get_threshold())
    """
    assert ran(textwrap.dedent(code)) == f"{expected}\n"


def test_a_python_whose_collector_has_no_thresholds(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text("handler = print")
    code = f"""
    import gc
    del gc.set_threshold
    from pilotlight.function.runtime import _uncollected
    _uncollected("user.handler", {str(tmp_path)!r})("called")
    """
    assert ran(textwrap.dedent(code)) == "called\n"
