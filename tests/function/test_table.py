"""One suite over every store of tables: what holds for one holds for all."""

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynamodb_stores import ENVIRON, FAULTS, dynalite, faulty, make_table
from pilotlight.errors import ItemError
from pilotlight.function.dynamodb import DynamoTable
from pilotlight.function.dynamodb_client import Patience
from pilotlight.function.table import Address, Table, connect_uri
from table_writers import writing

OpenTable = Callable[..., Table]
PATIENT = Patience(attempts=50, seconds=600, base=0.001, wait=2.0)
NUMBERS = st.integers(-(10**38) + 1, 10**38 - 1) | st.floats(1e-130, 9e125) | st.floats(-9e125, -1e-130) | st.just(0.0)
NAMES = st.text(min_size=1).filter(
    lambda name: name not in ("word", "__proto__")
)  # which dynalite, in JavaScript, loses
VALUES = st.recursive(
    st.text() | NUMBERS | st.booleans() | st.binary() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=10,
)
ITEMS = st.dictionaries(NAMES, VALUES, max_size=5)


@pytest.fixture(scope="session")
def dynamodb() -> Iterator[str]:
    with dynalite() as url:
        yield url


@pytest.fixture(
    params=[
        "SQLite",
        "SQLite by a writer",
        pytest.param("DynamoDB", marks=pytest.mark.system),
        pytest.param("faulty DynamoDB", marks=[pytest.mark.system, pytest.mark.timeout(600)]),
    ]
)
def open_table(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenTable]:
    """`open_table(key="word", expires="")` -> the table of this test, each time another connection to it."""
    file, name = tmp_path / "tables.sqlite", f"words-{uuid.uuid4()}"
    tables: list[Table] = []
    with ExitStack() as ends:
        writer = ends.enter_context(writing(file)) if request.param == "SQLite by a writer" else ""
        if "DynamoDB" in request.param:
            url = request.getfixturevalue("dynamodb")
            make_table(url, name, "word")
            if request.param != "DynamoDB":
                url, _ = ends.enter_context(faulty(url, delay=2.5))
            for variable, value in {**ENVIRON, "AWS_ENDPOINT_URL_DYNAMODB": url}.items():
                monkeypatch.setenv(variable, value)

        def open(expires: str = "") -> Table:
            if "DynamoDB" in request.param:
                table: Table = DynamoTable(Address("dynamodb", name, "word", expires), PATIENT)
            else:
                table = connect_uri(str(Address("sqlite", str(file), "word", expires, name, writer)))
            tables.append(table)
            return table

        yield open
        for each in tables:
            each.close()


@pytest.fixture
def table(open_table: OpenTable) -> Table:
    return open_table()


RED = {
    "word": "red",
    "text": "Zinnober, 朱 \x00 \U0001f534",
    "rank": 7,
    "share": 0.125,
    "tiny": -1.5e-100,
    "whole": 3.0,
    "large": 10**38 - 1,
    "is_warm": True,
    "vector": bytes(range(256)),
    "none": None,
    "path": ["a", 1, [b"\xff", None], {"deep": [False]}],
    "names": {"de": "rot", "fr": "rouge", "more": {}},
    "empty": ["", b"", [], {}],
}


def test_what_was_put_is_got(table: Table) -> None:
    table.put([RED])
    assert table.get(["red"]) == {"red": RED}


def test_whole_numbers_come_back_as_integers(table: Table) -> None:
    table.put([{"word": "red", "numbers": [3.0, -0.0, 1e22, 0.5]}])
    assert [repr(each) for each in table.get(["red"])["red"]["numbers"]] == ["3", "0", f"{10**22}", "0.5"]  # type: ignore[union-attr]


def test_what_is_missing_is_left_out(table: Table) -> None:
    assert table.get(["red"]) == {}
    assert list(table.scan()) == []
    table.put([{"word": "red"}, {"word": "green"}])
    assert table.get(["green", "blue", "green"]) == {"green": {"word": "green"}}


def test_nothing_to_do(table: Table) -> None:
    assert table.get([]) == {}
    table.put([])
    table.delete([])
    assert list(table.scan()) == []


def test_an_item_is_replaced_as_a_whole(table: Table) -> None:
    table.put([{"word": "red", "rank": 1, "old": True}])
    table.put([{"word": "red", "rank": 2}])
    assert table.get(["red"]) == {"red": {"word": "red", "rank": 2}}


def test_to_put_twice_is_to_put_once(table: Table) -> None:
    for _ in range(2):
        table.put([{"word": "red", "rank": 1}])
    assert list(table.scan()) == [{"word": "red", "rank": 1}]


def test_of_several_with_one_key_the_last_stays(table: Table) -> None:
    table.put({"word": f"w{number % 7}", "number": number} for number in range(100))
    assert sorted(each["number"] for each in table.scan()) == list(range(93, 100))  # type: ignore[type-var]


def test_more_than_one_request_takes(table: Table) -> None:
    items = {f"w{number}": {"word": f"w{number}", "vector": number.to_bytes(4, "big") * 150} for number in range(2500)}
    table.put(iter(items.values()))
    assert table.get([*items, "missing", *items]) == items
    assert {each["word"]: each for each in table.scan()} == items
    table.delete(word for word in items if word != "w1234")
    assert list(table.scan()) == [items["w1234"]]


def test_what_is_deleted_is_gone(table: Table) -> None:
    table.put([{"word": "red"}, {"word": "green"}])
    table.delete(["red", "blue", "red"])
    table.delete(["red"])
    assert list(table.scan()) == [{"word": "green"}]


@pytest.mark.parametrize("key", [" ", "it's", 'a"b', "'; DROP TABLE words; --", "\x00", "é\n", "x" * 2048, "語" * 682])
def test_a_key_is_any_text(table: Table, key: str) -> None:
    table.put([{"word": key}])
    assert table.get([key, "red"]) == {key: {"word": key}}
    table.delete([key])
    assert table.get([key]) == {}


def test_another_connection_sees_it(open_table: OpenTable) -> None:
    first, second = open_table(), open_table()
    assert second.get(["red"]) == {}
    first.put([{"word": "red"}])
    assert second.get(["red"]) == {"red": {"word": "red"}}
    second.delete(["red"])
    assert first.get(["red"]) == {}


def test_a_closed_table_opens_again(table: Table) -> None:
    table.put([{"word": "red"}])
    table.close()
    assert table.get(["red"]) == {"red": {"word": "red"}}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the store may have threads here
def test_a_fork_goes_on_with_it(table: Table) -> None:
    """As after a snapshot."""
    table.put([{"word": "red"}])
    assert table.get(["red"]).keys() == {"red"}
    child = os.fork()
    if child == 0:
        try:
            table.put([{"word": "green"}])
            os._exit(0 if table.get(["red", "green"]).keys() == {"red", "green"} else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    table.put([{"word": "blue"}])
    assert table.get(["red", "green", "blue"]).keys() == {"red", "green", "blue"}


def test_what_has_expired_is_gone(open_table: OpenTable) -> None:
    table = open_table(expires="until")
    later, long_ago = int(time.time()) + 100_000, int(time.time()) - 1
    table.put(
        [
            {"word": "gone", "until": long_ago},
            {"word": "gone, with a fraction", "until": long_ago + 0.5},
            {"word": "here", "until": later},
            {"word": "no time", "until": "1000"},
            {"word": "no time either", "until": True},
            {"word": "for ever"},
        ]
    )
    words = {each["word"] for each in table.scan()}
    assert words == {"here", "no time", "no time either", "for ever"}
    assert table.get(["gone", "gone, with a fraction", *words]).keys() == words
    table.put([{"word": "here", "until": long_ago}, {"word": "gone"}])
    assert table.get(["here", "gone"]).keys() == {"gone"}


DEEP: Any = []
for _ in range(40):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({}, "storing an item: it lacks the key 'word'"),
        ({"text": "x"}, "storing an item: it lacks the key 'word'"),
        ({"word": ""}, "the key 'word': expected a text of 1 to 2048 bytes of UTF-8, got ''"),
        ({"word": 7}, "the key 'word': expected a text of 1 to 2048 bytes of UTF-8, got 7"),
        ({"word": "\ud800"}, "the key 'word': expected a text of 1 to 2048 bytes of UTF-8, got '\\ud800'"),
        (
            {"word": "é" * 1025},
            f"the key 'word': expected a text of 1 to 2048 bytes of UTF-8, got '{'é' * 59}...",
        ),
        (
            {"word": "red", "n": float("nan")},
            "n: nan is no number that can be stored: 1e-130 to 1e+126, of either sign",
        ),
        ({"word": "red", "n": [1e126]}, "n: 1e+126 is no number that can be stored: 1e-130 to 1e+126, of either sign"),
        ({"word": "red", "n": 1e-131}, "n: 1e-131 is no number that can be stored: 1e-130 to 1e+126, of either sign"),
        ({"word": "red", "n": -(10**38)}, "n: a whole number has at most 38 digits"),
        ({"word": "red", "n": {"z": 2j}}, "n: z: a value of type complex cannot be stored"),
        ({"word": "red", "n": {1, 2}}, "n: a value of type set cannot be stored"),
        ({"word": "red", "n": "\udfff"}, "n: '\\udfff' is not UTF-8"),
        ({"word": "red", "": 1}, "'' cannot be the name of an attribute: a name is a text and not empty"),
        ({"word": "red", "n": {1: 2}}, "n: 1 cannot be the name of an attribute: a name is a text and not empty"),
        ({"word": "red", "n": DEEP}, "n: it is nested deeper than 32 levels"),
        ({"word": "red", "n": "é" * 205_000}, "it has 410008 bytes, and DynamoDB allows 409600"),
        ({"word": "red", "n": [b"x" * 1000] * 410}, "it has 410421 bytes, and DynamoDB allows 409600"),
    ],
)
def test_an_item_that_no_store_takes(table: Table, item: Any, message: str) -> None:
    with pytest.raises(ItemError) as refused:
        table.put([item])
    prefix = "storing the item 'red': " if item.get("word") == "red" else ""
    assert str(refused.value) == f"{prefix}{message}"
    assert list(table.scan()) == []


def test_the_largest_item(table: Table) -> None:
    largest = {"word": "red", "vector": b"x" * (409_600 - len("word" + "red" + "vector"))}
    table.put([largest])
    assert table.get(["red"]) == {"red": largest}
    with pytest.raises(ItemError, match="it has 409601 bytes, and DynamoDB allows 409600"):
        table.put([{**largest, "vector": largest["vector"] + b"x"}])  # type: ignore[operator]


def test_several_large_items(table: Table) -> None:
    items = {f"w{number}": {"word": f"w{number}", "vector": bytes(300_000)} for number in range(8)}
    table.put(items.values())
    is_all = table.get(items) == items  # more than dynalite answers at once, as DynamoDB's limit is 16 MB
    assert is_all


def test_keys_that_can_be_none(table: Table) -> None:
    for method in (table.get, table.delete):
        with pytest.raises(ItemError, match="expected a text of 1 to 2048 bytes of UTF-8, got None"):
            method(["red", None])  # type: ignore[list-item]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ITEMS)
def test_whatever_is_put_is_got(table: Table, item: dict[str, Any]) -> None:
    table.put([{**item, "word": "red"}])
    assert table.get(["red"]) == {"red": {**item, "word": "red"}}


@pytest.mark.system
@pytest.mark.timeout(600)
def test_every_fault_is_overcome(dynamodb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the suite above says of a faulty store, and that it was one."""
    name = f"words-{uuid.uuid4()}"
    make_table(dynamodb, name, "word")
    items = {f"w{number}": {"word": f"w{number}", "number": number} for number in range(600)}
    with faulty(dynamodb, delay=2.5) as (url, faults):
        for variable, value in {**ENVIRON, "AWS_ENDPOINT_URL_DYNAMODB": url}.items():
            monkeypatch.setenv(variable, value)
        table = DynamoTable(Address("dynamodb", name, "word"), PATIENT)
        table.put(items.values())
        for _ in range(3):
            assert table.get(items) == items
        assert {each["word"]: each for each in table.scan()} == items
        table.close()
    assert {*faults.counts} == {*FAULTS, ""}
