"""Word vectors from a table: what is read, what is asked for, what an unknown word gets."""

import hashlib
import struct
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.errors import VectorError
from pilotlight.function.items import Item
from pilotlight.function.table import Table, connect_uri
from pilotlight.function.vectors import TYPES, Vectors, from_item, to_item, unknown

FILM = [0.5, -0.25, 0.125]
PLOT = [1.0, 2.0, -3.0]


class Asked:
    """A table that notes which keys it is asked for, one list for each call."""

    def __init__(self, table: Table) -> None:
        self.key = table.key
        self.calls: list[list[str]] = []
        self._table = table

    def get(self, keys: Iterable[str]) -> dict[str, Item]:
        self.calls.append(list(keys))
        return self._table.get(self.calls[-1])

    def put(self, items: Iterable[Item]) -> None:
        self._table.put(items)

    def delete(self, keys: Iterable[str]) -> None:
        self._table.delete(keys)

    def scan(self) -> Iterator[Item]:
        return self._table.scan()

    def close(self) -> None:
        self._table.close()


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Asked]:
    opened = connect_uri(f"sqlite://{tmp_path}/tables.sqlite?table=vectors&key=word")
    opened.put([to_item("film", FILM, "f2", "word"), to_item("plot", PLOT, "f4", "word")])
    yield Asked(opened)
    opened.close()


def test_vectors_come_in_the_order_of_the_words(table: Asked) -> None:
    assert Vectors(table, 3).look_up(["plot", "film", "plot"]) == array("f", [*PLOT, *FILM, *PLOT])
    assert Vectors(table, 3).look_up([]) == array("f")


def test_a_word_is_asked_for_once_be_it_known_or_not(table: Asked) -> None:
    vectors = Vectors(table, 3)
    first = vectors.look_up(["film", "dull", "film"])
    assert vectors.look_up(["dull", "film", "plot"]) == first[3:6] + first[:3] + array("f", PLOT)
    assert vectors.look_up(["film", "plot", "dull"])
    assert table.calls == [["film", "dull"], ["plot"]]


def test_an_unknown_word_has_the_same_vector_everywhere(table: Asked) -> None:
    assert Vectors(table, 3).look_up(["dull"]) == unknown("dull", 3)
    # the rule in the words of its docstring
    stream = b"".join(hashlib.sha256("déjà".encode() + bytes([0, 0, 0, block])).digest() for block in range(3))
    numbers = [int.from_bytes(stream[4 * place : 4 * place + 4], "big") for place in range(20)]
    assert unknown("déjà", 20) == array("f", [number / 2**32 * 0.5 - 0.25 for number in numbers])
    assert [round(number, 6) for number in unknown("dull", 3)] == [0.188637, -0.032203, -0.146558]


def test_unknown_vectors_are_uniform() -> None:
    numbers = sorted(unknown("dull", 100_000))
    assert -0.25 <= numbers[0] < -0.2499
    assert 0.2499 < numbers[-1] < 0.25
    assert all(abs(number - (place / 100_000 * 0.5 - 0.25)) < 0.005 for place, number in enumerate(numbers))


def test_what_no_table_can_hold_is_unknown_and_spoils_nothing(table: Asked) -> None:
    odd = ["", "\ud83d", "x" * 2049, "ж" * 1025]
    found = Vectors(table, 3).look_up([*odd, "film"])
    assert found == sum((unknown(word, 3) for word in odd), array("f")) + array("f", FILM)
    assert table.calls == [["film"]]
    assert len({tuple(unknown(word, 3)) for word in odd}) == len(odd)


def test_lists_of_numbers_are_read_too(table: Asked) -> None:
    table.put([{"word": "old", "vector": [1, -0.5, 2.25]}])
    assert Vectors(table, 3).look_up(["old", "film"]) == array("f", [1, -0.5, 2.25, *FILM])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"type": "f2", "vector": b"1234"}, "the vector of 'bad' has 2 numbers instead of 3"),
        ({"vector": [1, 2, 3, 4]}, "the vector of 'bad' has 4 numbers instead of 3"),
        ({"type": "f4", "vector": b"12345"}, "the item of 'bad' holds no vector: type 'f4', vector: bytes of 5"),
        ({"vector": b"123456"}, "the item of 'bad' holds no vector: type None, vector: bytes of 6"),
        ({"type": "f8", "vector": b"12345678"}, "the item of 'bad' holds no vector: type 'f8', vector: bytes of 8"),
        ({"vector": [1, 2, "3"]}, "the item of 'bad' holds no vector: type None, vector: list of 3"),
        ({"vector": [1, 2, True]}, "the item of 'bad' holds no vector: type None, vector: list of 3"),
        ({"vector": None}, "the item of 'bad' holds no vector: type None, vector: NoneType"),
        ({"numbers": [1, 2]}, "the item of 'bad' holds no vector: type None, attributes word, numbers"),
    ],
)
def test_an_item_that_is_no_vector_of_that_size_is_an_error(table: Asked, fields: Item, message: str) -> None:
    table.put([{"word": "bad", **fields}])
    with pytest.raises(VectorError) as error:
        Vectors(table, 3).look_up(["film", "bad"])
    assert str(error.value) == message
    assert error.value.hint


@pytest.mark.parametrize(("dim", "memory"), [(0, 1), (3, -1)])
def test_sizes_that_cannot_be(table: Asked, dim: int, memory: int) -> None:
    with pytest.raises(VectorError, match=r"`dim` has to be 1 or more, and `memory` 0 or more"):
        Vectors(table, dim, memory=memory)


def test_what_was_not_asked_for_the_longest_goes_first(table: Asked) -> None:
    vectors = Vectors(table, 3, memory=700)  # two words
    for words in (["a"], ["b"], ["a"], ["c"], ["a"], ["b"]):
        vectors.look_up(words)
    assert table.calls == [["a"], ["b"], ["c"], ["b"]]


def test_more_words_than_memory_holds(table: Asked) -> None:
    words = [str(number) for number in range(5000)]
    found = Vectors(table, 3, memory=0).look_up([*words, *words])
    assert found == sum((unknown(word, 3) for word in words), array("f")) * 2
    assert len(table.calls) == 1


halves = st.lists(st.floats(width=16, allow_nan=False), min_size=1, max_size=20)
singles = st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=20)


@given(halves, st.sampled_from(sorted(TYPES)))
def test_half_floats_survive_both_forms(numbers: list[float], kind: str) -> None:
    item = to_item("word", numbers, kind, "word")
    assert item["type"] == kind
    assert from_item("word", item) == array("f", numbers)


@given(singles)
def test_single_floats_survive(numbers: list[float]) -> None:
    item = to_item("word", numbers, "f4", "id")
    assert item == {"id": "word", "type": "f4", "vector": struct.pack(f"<{len(numbers)}f", *numbers)}
    assert from_item("word", item) == array("f", numbers)


def test_what_is_too_large_for_a_half_float() -> None:
    assert to_item("word", [65504.0], "f2", "word")["vector"] == b"\xff\x7b"
    with pytest.raises(OverflowError):
        to_item("word", [65520.0], "f2", "word")
