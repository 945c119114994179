"""`vocabulary`: the dict and the index give the same; an index that does not fit is never used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models

from pilotlight.errors import ModelError
from pilotlight.function import vocabulary
from pilotlight.function.vocabulary import Indexed, Listed, split
from pilotlight.function.wordpiece import WordPiece
from pilotlight.optimize.wordpiece import index, write_index

if TYPE_CHECKING:
    from pilotlight.function.vocabulary import Vocabulary

PIECES = ["[UNK]", "the", "cafe", "##s", "Café", "", "東", "##京", "e\u0301", "😀", "a\u2028b", "x" * 5000, "the", "##"]
SHIPPED = Path(__file__).parents[2] / "examples" / "question_answering" / "models" / "qa" / "vocab.txt"
HINT = "make the model folder again"


def file_of(pieces: Sequence[str]) -> bytes:
    return "".join(f"{piece}\n" for piece in pieces).encode()


def listed(content: bytes) -> Vocabulary:
    return Listed(split(content))


def indexed(content: bytes) -> Vocabulary:
    return Indexed(content, index(content))


CONTENT = file_of(PIECES)
INDEX = index(CONTENT)
either = pytest.mark.parametrize("make", [listed, indexed])


@either
def test_every_piece_has_its_number(make: Callable[[bytes], Vocabulary]) -> None:
    made = make(CONTENT)
    assert [made.piece(number) for number in range(len(made))] == PIECES
    assert [made.get(piece) for piece in PIECES] == [0, 12, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]  # the last counts
    assert made.longest == 5000


@either
@pytest.mark.parametrize(
    "piece",
    [
        *("th", "thee", "The", "the ", " the", "the\n", "the\ncafe", "\n", "s", "##the", "#", "###", "Cafe"),
        *("Cafe\u0301", "é", "京", "\ud83d\ude00", "\ud800", "\0", "\ufeff", "x" * 4999, "x" * 5001, "y" * 1_000_000),
    ],
)
def test_what_is_near_is_none(make: Callable[[bytes], Vocabulary], piece: str) -> None:
    assert make(CONTENT).get(piece) is None


@either
def test_the_shipped_vocabulary(make: Callable[[bytes], Vocabulary]) -> None:
    content = SHIPPED.read_bytes()
    pieces, made = content.decode().splitlines(), make(content)
    assert (len(made), made.longest) == (30522, 18)
    for number, piece in enumerate(pieces):
        assert made.get(piece) == number
        assert made.piece(number) == piece
        assert made.get(f"{piece}\u200b") is None


@given(st.lists(st.text("ab#é").map(str.rstrip), min_size=1, max_size=40), st.lists(st.text("ab#é\n")))
def test_both_give_the_same(pieces: list[str], asked: list[str]) -> None:
    one, other = (make(file_of(pieces)) for make in (listed, indexed))
    for piece in [*pieces, *asked]:
        assert one.get(piece) == other.get(piece)
    assert [one.piece(number) for number in range(len(one))] == [other.piece(number) for number in range(len(other))]
    assert (len(one), one.longest) == (len(other), other.longest)


@pytest.mark.parametrize(
    "content",
    [b"", b"[UNK]", b"[UNK]\r\n", b"the \n", b"\xef\xbb\xbfthe\n", "the\u3000\n".encode(), b"\xff\n"],
)
def test_what_has_no_index(content: bytes, tmp_path: Path) -> None:
    """Pieces that are not the bytes between line ends."""
    file = tmp_path / "vocab.txt"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"indexing .*vocab\.txt: "):
        write_index(file)
    assert [each.name for each in tmp_path.iterdir()] == ["vocab.txt"]


def test_the_committed_index_is_that_of_its_vocabulary() -> None:
    assert SHIPPED.with_name("vocab.txt.index").read_bytes() == index(SHIPPED.read_bytes())


def folder(tmp_path: Path, content: bytes = CONTENT, made: bytes | None = INDEX) -> str:
    file = tmp_path / "vocab.txt"
    file.write_bytes(content)
    if made is not None:
        file.with_name("vocab.txt.index").write_bytes(made)
    return str(file)


def test_the_index_is_used_where_it_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(vocabulary.load(folder(tmp_path)), Indexed)
    assert capsys.readouterr().err == ""


def test_without_an_index(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(vocabulary.load(folder(tmp_path, made=None)), Listed)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("content", "made", "reason"),
    [
        (CONTENT, b"", "it is cut"),
        (CONTENT, INDEX[:32], "it is damaged"),
        (CONTENT, INDEX[:-4], "it is damaged"),
        (CONTENT, INDEX[:-1], "it is cut"),
        (CONTENT, INDEX + b"\0\0\0\0", "it is damaged"),
        (CONTENT, CONTENT[:400], "it is no index of version 1"),
        (CONTENT, INDEX[:4] + b"\2\0\0\0" + INDEX[8:], "it is no index of version 1"),
        (CONTENT.replace(b"cafe", b"caff"), INDEX, "it was made of another vocabulary"),
        (CONTENT + b"more\n", INDEX, "it was made of another vocabulary"),
        (CONTENT[:-3], INDEX, "it was made of another vocabulary"),
    ],
)
def test_an_index_that_does_not_fit_is_told_and_not_used(
    content: bytes, made: bytes, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder(tmp_path, content, made)
    loaded = vocabulary.load(file)
    assert isinstance(loaded, Listed)
    assert [loaded.piece(number) for number in range(len(loaded))] == split(content)
    assert capsys.readouterr().err == f"loading {file}.index: {reason}: not used, the start takes longer; {HINT}\n"


def test_an_index_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder(tmp_path, made=None)
    Path(f"{file}.index").mkdir()
    assert isinstance(vocabulary.load(file), Listed)
    assert "Is a directory" in capsys.readouterr().err


flips = st.tuples(st.integers(0, len(INDEX) - 1), st.integers(1, 255))


@given(st.lists(flips, min_size=1, max_size=8), st.integers(0, len(INDEX)))
def test_any_damage_is_found(changed: list[tuple[int, int]], end: int) -> None:
    damaged = bytearray(INDEX)
    for at, bits in changed:
        damaged[at] ^= bits
    for made in (bytes(damaged), bytes(damaged[:end])):
        if made != INDEX:
            with pytest.raises(ValueError, match=r"it is (cut|damaged|no index)|another vocabulary"):
                Indexed(CONTENT, made)


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_any_change_of_the_vocabulary_is_found(at: int, bits: int) -> None:
    changed = bytearray(CONTENT)
    changed[at] ^= bits
    with pytest.raises(ValueError, match="it was made of another vocabulary"):
        Indexed(bytes(changed), INDEX)


@given(st.binary(max_size=200))
def test_any_bytes_are_no_index(made: bytes) -> None:
    with pytest.raises(ValueError, match="it is"):
        Indexed(CONTENT, made)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[UNK]\nthe\n", ["[UNK]", "the"]),
        (b"[UNK]\nthe", ["[UNK]", "the"]),
        (b"[UNK]\r\nthe\r\n", ["[UNK]", "the"]),
        (b"[UNK] \nthe\t\n", ["[UNK]", "the"]),
        (b"[UNK]\n\nthe\n\n", ["[UNK]", "", "the", ""]),
        ("[UNK]\na\u2028b\n".encode(), ["[UNK]", "a\u2028b"]),
    ],
)
def test_a_file_is_read_as_by_the_library(content: bytes, expected: list[str], tmp_path: Path) -> None:
    file = folder(tmp_path, content, None)
    assert split(content) == expected
    assert models.WordPiece.read_file(file) == {piece: number for number, piece in enumerate(expected)}


def test_a_byte_order_mark_is_no_part_of_the_first_piece() -> None:
    """The library has it in the piece, which then no text has."""
    assert split("\ufeff[UNK]\nthe\n".encode()) == ["[UNK]", "the"]


@either
def test_of_equal_pieces_the_last_counts(make: Callable[[bytes], Vocabulary], tmp_path: Path) -> None:
    content = b"[UNK]\nthe\nthe\n"
    assert models.WordPiece.read_file(folder(tmp_path, content, None))["the"] == 2
    twice = WordPiece(make(content))
    assert twice.encode("the").ids == [2]
    assert twice.decode([1, 2]) == "the the"


def test_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such file"):
        vocabulary.load(str(tmp_path / "none.txt"))
    with pytest.raises(ModelError, match="invalid start byte"):
        vocabulary.load(folder(tmp_path, b"[UNK]\n\xff\xfe", None))
    with pytest.raises(ModelError, match="Is a directory"):
        vocabulary.load(str(tmp_path))
