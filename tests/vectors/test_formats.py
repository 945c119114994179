"""Files of vectors: every format read and written, what is wrong with them told by its line."""

import gzip
import struct
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.errors import UsageError, VectorError
from pilotlight.vectors import source, target
from pilotlight.vectors.problems import Problem
from pilotlight.vectors.source import FORMATS, Entry, Format, Layout

TEXT = "3 2\nfilm 0.5 -1.25\nnée 1e-05 3\n. 0 -0.1\n"
GLOVE = "film 0.5 -1.25\nnée 1e-05 3\n. 0 -0.1\n"
BINARY = b"3 2\n" + b"".join(
    word.encode() + b" " + struct.pack("<2f", *numbers) + b"\n"
    for word, numbers in {"film": (0.5, -1.25), "née": (1e-5, 3), ".": (0, -0.1)}.items()
)
WORDS = [("film", [0.5, -1.25]), ("née", [1e-5, 3.0]), (".", [0.0, -0.1])]
FILES: dict[Format, bytes] = {"word2vec-text": TEXT.encode(), "word2vec-binary": BINARY, "glove": GLOVE.encode()}

every_format = pytest.mark.parametrize("format", FORMATS)


def read(path: Path, format: Format | None = None, dim: int | None = None) -> tuple[list[Entry], list[Problem]]:
    problems: list[Problem] = []
    return list(source.entries(path, source.survey(path, format, dim), problems.append)), problems


def written(tmp_path: Path, data: str | bytes) -> Path:
    path = tmp_path / "vectors"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@every_format
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_format_is_recognised_and_read(tmp_path: Path, format: Format, pack: object) -> None:
    assert callable(pack)
    path = written(tmp_path, pack(FILES[format]))
    assert source.survey(path) == Layout(format, 2, None if format == "glove" else 3)
    entries, problems = read(path)
    assert problems == []
    assert [(word, vector) for _, word, vector in entries] == [(word, array("f", each)) for word, each in WORDS]
    first = 2 if format == "word2vec-text" else 1
    assert [entry.line for entry in entries] == [first, first + 1, first + 2]


@every_format
@pytest.mark.parametrize("other", FORMATS)
def test_each_format_is_written_from_each(tmp_path: Path, format: Format, other: Format) -> None:
    entries, _ = read(written(tmp_path, FILES[format]))
    assert target.write(tmp_path / "out", other, 2, entries) == 3
    assert (tmp_path / "out").read_bytes() == FILES[other]


def test_binary_without_newlines_as_gensim_writes_it(tmp_path: Path) -> None:
    entries, problems = read(written(tmp_path, b"2 1\na " + struct.pack("<f", 1) + b"b " + struct.pack("<f", 2)))
    assert [(word, vector[0]) for _, word, vector in entries] == [("a", 1.0), ("b", 2.0)]
    assert problems == []


words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(
    lambda word: [word.encode()] == word.encode().split()
)
singles = st.floats(width=32, allow_nan=False, allow_infinity=False)
tables = st.integers(1, 6).flatmap(
    lambda dim: st.dictionaries(words, st.lists(singles, min_size=dim, max_size=dim), min_size=1, max_size=8)
)


@every_format
@given(vectors=tables)
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, format: Format, vectors: dict[str, list[float]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "vectors"
    given = [Entry(0, word, array("f", numbers)) for word, numbers in vectors.items()]
    dim = len(given[0].vector)
    target.write(path, format, dim, given)
    entries, problems = read(path, format)
    assert [(entry.word, entry.vector) for entry in entries] == [(entry.word, entry.vector) for entry in given]
    assert problems == []


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-3e38, max_value=3e38), min_size=1, max_size=9),
    st.data(),
)
def test_numbers_are_read_as_python_reads_them(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float], data: st.DataObject
) -> None:
    forms = st.sampled_from([repr, "{:.6f}".format, "{:+.9e}".format, "{:.3g}".format, "{:E}".format])
    texts = [data.draw(forms)(number) for number in numbers]
    path = tmp_path_factory.getbasetemp() / "vectors"
    path.write_text(f"word {' '.join(texts)}\n")
    [entry], problems = read(path, "glove")
    assert entry.vector == array("f", map(float, texts))
    assert problems == []


@pytest.mark.parametrize(
    ("line", "kind", "text"),
    [
        (b"bad 1", "wrong dimension", "'bad' has 1 numbers instead of 2"),
        (b"bad", "wrong dimension", "'bad' has 0 numbers instead of 2"),
        (b"bad 1 2 3", "wrong dimension", "'bad' has 3 numbers instead of 2"),
        (b"bad 1 x", "not a number", "'bad' has b'x' among its numbers"),
        (b"bad 1,2", "not a number", "'bad' has b'1,2' among its numbers"),
        (b"bad 1_0 2", "not a number", "'bad' has b'1_0' among its numbers"),
        (b"bad 1 nan", "not finite", "'bad' has a number that is infinite, too large or NaN"),
        (b"bad inf 1", "not finite", "'bad' has a number that is infinite, too large or NaN"),
        (b"bad 1e39 1", "not finite", "'bad' has a number that is infinite, too large or NaN"),
        (b"new york 1 2", "space in a word", "'new york' has a space in it"),
        (b". . . 1 2", "space in a word", "'. . .' has a space in it"),
        (b"film 1 2", "duplicate word", "'film' was there before, in line 1"),
        (b" 1 2", "no word", "no word stands before b'1'"),
        (b"b\xe4d 1 2", "not UTF-8", "b'b\\xe4d' is not UTF-8"),
        (b"b" * 2049 + b" 1 2", "word too long", f"b'{'b' * 58}... has 2049 bytes, and a table allows 2048"),
        (b"bad " + b"1" * (1 << 20) + b" 1", "line too long", "it has more than 1048576 bytes"),
        (b"bad" + b" 1" * (1 << 20), "line too long", "it has more than 1048576 bytes"),
    ],
)
def test_a_line_that_cannot_be_used(tmp_path: Path, line: bytes, kind: str, text: str) -> None:
    entries, problems = read(written(tmp_path, b"film 0.5 1\n" + line + b"\nplot 2 3\n"))
    assert [(entry.line, entry.word, entry.vector.tolist()) for entry in entries] == [
        (1, "film", [0.5, 1.0]),
        (3, "plot", [2.0, 3.0]),
    ]
    assert problems == [Problem(2, kind, text)]


@pytest.mark.parametrize("line", ["film\t1\t2", "film 1 2 ", "film  1  2", "film 1 2\r", "film 01 2.", "film +1 2e0"])
def test_white_space_and_numbers_of_all_kinds(tmp_path: Path, line: str) -> None:
    entries, problems = read(written(tmp_path, f"{line}\n\nno\u00a0break 3 4"))
    assert [(entry.word, entry.vector.tolist()) for entry in entries] == [("film", [1, 2]), ("no\u00a0break", [3, 4])]
    assert problems == []


@pytest.mark.parametrize(
    ("data", "kept", "problem"),
    [
        (TEXT.replace("3 2", "4 2").encode(), 3, Problem(1, "wrong count", "it promises 4 vectors, and there are 3")),
        (TEXT.replace("3 2", "2 2").encode(), 3, Problem(1, "wrong count", "it promises 2 vectors, and there are 3")),
        (BINARY.replace(b"3 2", b"2 2", 1), 2, Problem(1, "wrong count", "it promises 2 vectors, and more follows")),
        (BINARY[:-3], 2, Problem(3, "cut off", "the file ends here, and its first line promises 3 vectors")),
        (
            BINARY.replace(b"3 2", b"4 2", 1),
            3,
            Problem(4, "cut off", "the file ends here, and its first line promises 4 vectors"),
        ),
        (BINARY.replace(b"film ", b"f\tlm "), 2, Problem(1, "space in a word", "b'f\\tlm' has a space in it")),
        (BINARY.replace(b"film ", b"f\xfflm "), 2, Problem(1, "not UTF-8", "b'f\\xfflm' is not UTF-8")),
        (BINARY.replace(b"film ", b". "), 2, Problem(3, "duplicate word", "'.' was there before, in vector 1")),
        (BINARY.replace(b"film ", b" "), 2, Problem(1, "no word", "the word is empty")),
        (
            BINARY.replace(b"film ", b"f" * 20_000 + b" "),
            0,
            Problem(1, "damaged", "no space follows within 2048 bytes: from here on the file is damaged"),
        ),
    ],
)
def test_a_file_that_is_not_what_it_says(tmp_path: Path, data: bytes, kept: int, problem: Problem) -> None:
    entries, problems = read(written(tmp_path, data))
    assert (len(entries), problems) == (kept, [problem])


@pytest.mark.parametrize(
    ("data", "format", "dim", "message"),
    [
        (b"", None, None, "it begins with b'', as no file of word vectors does"),
        (b"film\n", None, None, "it begins with b'film\\n', as no file of word vectors does"),
        (b"5 0\n", None, None, "it begins with b'5 0\\n', as no file of word vectors does"),
        (b"5 9999999\n", None, None, "it begins with b'5 9999999\\n', as no file of word vectors does"),
        (GLOVE.encode(), "word2vec-text", None, "its first line is b'film 0.5 -1.25\\n', not two numbers"),
        (TEXT.encode(), None, 3, "its vectors have 2 numbers, not 3"),
        (
            gzip.compress(TEXT.encode() * 99, mtime=0)[:-20],
            None,
            None,
            "Compressed file ended before the end-of-stream marker was reached",
        ),
    ],
)
def test_no_file_of_vectors(tmp_path: Path, data: bytes, format: Format | None, dim: int | None, message: str) -> None:
    path = written(tmp_path, data)
    with pytest.raises(VectorError) as error:
        read(path, format, dim)
    assert str(error.value) == f"reading {path}: {message}"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"reading .*nothing: No such file or directory"):
        source.survey(tmp_path / "nothing")


def test_only_the_words_that_are_wanted_are_read(tmp_path: Path) -> None:
    path, problems = written(tmp_path, "the 1 2\nbroken x y\nfilm 3 4\n"), []
    layout = source.survey(path)
    [entry] = source.entries(path, layout, problems.append, wanted={"film", "plot"})
    assert (entry.line, entry.word, problems) == (3, "film", [])


def test_how_far_reading_is(tmp_path: Path) -> None:
    path = written(tmp_path, "".join(f"word{number} 1\n" for number in range(50_000)))
    told: list[tuple[int, int]] = []
    assert len(list(source.entries(path, source.survey(path), print, read=lambda *at: told.append(at)))) == 50_000
    assert len(told) == 50
    assert told == sorted(told)
    assert {size for _, size in told} == {path.stat().st_size}


def test_a_file_that_cannot_be_written_whole_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("what was there")
    with pytest.raises(OverflowError), target.replaced(tmp_path / "out") as file:
        file.writelines([b"half of it", struct.pack("<e", 1e9)])
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out", "what was there")]
    with (
        pytest.raises(UsageError, match=r"writing .*: No such file or directory"),
        target.replaced(tmp_path / "no" / "out"),
    ):
        pass
