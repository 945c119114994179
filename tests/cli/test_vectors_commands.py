"""`pilotlight vectors` as it is typed: lists of words, conversions, uploads that are broken off and go on."""

import json
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from test_commands import run, said

from conftest import write
from pilotlight.function.table import Table, connect_uri
from pilotlight.function.vectors import Vectors

TEXT = "3 2\nfilm 0.5 -1.25\nplot 1 2\n. 0 0.125\n"
BROKEN = "film 0.5 -1.25\nplot 1\nfilm 1 1\nnew york 1 2\n. 0 0.125\n"
LINES = [
    "line 2: 'plot' has 1 numbers instead of 2",
    "line 3: 'film' was there before, in line 1",
    "line 4: 'new york' has a space in it",
]


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """A service with the table vectors."""
    files = {
        "pilotlight.toml": '[tables.vectors]\nkey = "word"\n',
        "inference/echo.py": "def handler(event, context):\n    return event\n",
        "vectors.txt": TEXT,
        "broken.txt": BROKEN,
        "a.toks": "a film with\na plot\n",
    }
    return write(tmp_path / "service", files)


@pytest.fixture
def table(service: Path) -> Iterator[Table]:
    with closing(
        connect_uri(f"sqlite://{service.resolve()}/.pilotlight/tables.sqlite?table=vectors&key=word")
    ) as opened:
        yield opened


@pytest.mark.parametrize("command", [[], ["vocab"], ["frequent"], ["convert"], ["upload"], ["get"]])
def test_help_shows_examples(command: list[str]) -> None:
    status, out, err = run("vectors", *command, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(" ".join(["Usage: pilotlight vectors", *command]))
    assert "\n  Examples:\n    pilotlight vectors " in out


# words


def test_a_vocabulary(service: Path) -> None:
    assert run("vectors", "vocab", "a.toks", "-", stdin=b"With a cast", folder=service) == (
        0,
        "a\nfilm\nwith\nplot\nWith\ncast\n",
        "",
    )
    assert run(
        "vectors", "vocab", "a.toks", "-", "--lower", "--min-count", "2", stdin=b"With a cast", folder=service
    ) == (
        0,
        "a\nwith\n",
        "",
    )
    assert run("vectors", "vocab", "a.toks", "--out", "words.txt", folder=service) == (0, "", "")
    assert (service / "words.txt").read_text() == "a\nfilm\nwith\nplot\n"


def test_counts_are_a_table_of_frequencies(service: Path) -> None:
    counts = run("vectors", "vocab", "-", "--counts", stdin=b'a , a " , a', folder=service)
    assert counts == (0, 'word,count\na,3\n",",2\n"""",1\n', "")
    assert run("vectors", "frequent", "-", "--top", "2", stdin=counts[1].encode()) == (0, "a\n,\n", "")


def test_words_that_cannot_be_read(service: Path) -> None:
    (service / "latin.toks").write_bytes(b"one\nf\xfcnf\nsix\n")
    told = "latin.toks, line 2: b'f\\xfcnf\\n' is not UTF-8\n"
    status, err = said(run("vectors", "vocab", "a.toks", "latin.toks", "--out", "words.txt", folder=service))
    assert (status, err) == (
        1,
        f"{told}error: reading latin.toks: 1 line cannot be used, so nothing was written\n"
        "hint: correct them, or leave them out with --skip-broken\n",
    )
    assert not (service / "words.txt").exists()
    assert run("vectors", "vocab", "latin.toks", "--skip-broken", folder=service) == (0, "one\nsix\n", told)


# conversions


def test_there_and_back(service: Path) -> None:
    status, out, err = run(
        "vectors", "convert", "vectors.txt", "vectors.bin", "--to", "word2vec-binary", folder=service
    )
    assert (status, out) == (0, "Wrote vectors.bin: 3 vectors of 2 numbers, 0.0 MB.\n")
    assert err == "step 1 of 1: converting vectors.txt\n"
    binary = b"3 2\nfilm " + struct.pack("<2f", 0.5, -1.25) + b"\nplot " + struct.pack("<2f", 1, 2) + b"\n. "
    assert (service / "vectors.bin").read_bytes() == binary + struct.pack("<2f", 0, 0.125) + b"\n"
    assert run("vectors", "convert", "vectors.bin", "back.txt", "--to", "word2vec-text", folder=service)[0] == 0
    assert (service / "back.txt").read_text() == TEXT
    assert run("vectors", "convert", "back.txt", "glove.txt", "--to", "glove", folder=service)[0] == 0
    assert (service / "glove.txt").read_text() == TEXT.partition("\n")[2]


def test_what_is_there_is_not_overwritten(service: Path) -> None:
    command = ("vectors", "convert", "vectors.txt", "a.toks", "--to", "glove")
    assert said(run(*command, folder=service)) == (
        2,
        "error: writing a.toks: it is there already\nhint: --force replaces it\n",
    )
    assert run(*command, "--force", folder=service)[0] == 0
    assert (service / "a.toks").read_text() == TEXT.partition("\n")[2]


def test_broken_lines_are_told_and_nothing_is_written(service: Path) -> None:
    command = ("vectors", "convert", "broken.txt", "out.txt", "--to", "word2vec-text")
    status, err = said(run(*command, folder=service))
    assert status == 1
    assert err.splitlines() == [
        "step 1 of 1: converting broken.txt",
        *(f"broken.txt, {line}" for line in LINES),
        "error: reading broken.txt: 3 lines cannot be used, so nothing was written",
        "hint: correct them, or leave them out with --skip-broken",
    ]
    assert {path.name for path in service.iterdir() if path.is_file()} == {
        *("a.toks", "broken.txt", "pilotlight.toml", "vectors.txt"),
    }
    assert run(*command, "--skip-broken", folder=service)[0] == 0
    assert (service / "out.txt").read_text() == "2 2\nfilm 0.5 -1.25\n. 0 0.125\n"


def test_many_problems_are_summed_up(service: Path) -> None:
    lines = ["film 1 2", *("film 1 2" for _ in range(15)), *("x" for _ in range(5))]
    (service / "many.txt").write_text("\n".join(lines))
    command = ("vectors", "convert", "many.txt", "out.txt", "--to", "glove")
    told = run(*command, folder=service)[2].splitlines()
    assert told[1:11] == [f"many.txt, line {line}: 'film' was there before, in line 1" for line in range(2, 12)]
    assert told[11] == ("many.txt: 10 more (duplicate word: 5, wrong dimension: 5); --all-problems lists them")
    assert told[12] == "error: reading many.txt: 20 lines cannot be used, so nothing was written"
    told = run(*command, "--all-problems", folder=service)[2].splitlines()
    assert (len(told), told[20]) == (23, "many.txt, line 21: 'x' has 0 numbers instead of 2")


# uploads


def test_vectors_are_uploaded_and_looked_up(service: Path, table: Table) -> None:
    status, out, err = run("vectors", "upload", "vectors.txt", folder=service)
    assert (status, err) == (0, "step 1 of 2: checking vectors.txt\nstep 2 of 2: storing vectors\n")
    uri = f"sqlite://{service.resolve()}/.pilotlight/tables.sqlite?key=word&table=vectors"
    assert out == f"{uri} has 3 vectors of 2 numbers from vectors.txt.\n"
    assert table.get(["film"]) == {"film": {"word": "film", "type": "f2", "vector": struct.pack("<2e", 0.5, -1.25)}}
    assert Vectors(table, 2).look_up(["plot", "."]).tolist() == [1, 2, 0, 0.125]
    assert run("vectors", "get", "film", ".", folder=service) == (
        0,
        "film: 2 numbers of type f2: 0.5, -1.25\n.: 2 numbers of type f2: 0, 0.125\n",
        "",
    )
    assert run("vectors", "get", "dull", "--json", "--table", uri) == (
        1,
        '{"word": "dull", "known": false, "type": null, "vector": []}\n',
        "",
    )


def test_some_words_in_single_floats(service: Path, table: Table) -> None:
    (service / "words.txt").write_text("film\ndull\n.\n")
    command = ("vectors", "upload", "vectors.txt", "--words", "words.txt", "--single")
    status, out, _ = run(*command, "--dry-run", folder=service)
    assert (status, out.splitlines()[:3]) == (
        0,
        [
            "Reads   vectors.txt: word2vec-text, 2 numbers a word",
            "Stores  2 words of the 3 in the list",
            "        8 bytes each, type f4",
        ],
    )
    assert list(table.scan()) == []
    status, out, _ = run(*command, "--json", folder=service)
    assert (status, {**json.loads(out), "table": ""}) == (
        0,
        {"table": "", "vectors": 2, "dim": 2, "type": "f4", "stored": True},
    )
    assert {str(item["word"]): item["vector"] for item in table.scan()} == {
        "film": struct.pack("<2f", 0.5, -1.25),
        ".": struct.pack("<2f", 0, 0.125),
    }


def test_nothing_is_uploaded_of_a_broken_file(service: Path, table: Table) -> None:
    status, err = said(run("vectors", "upload", "broken.txt", folder=service))
    assert (status, err.splitlines()[1:5]) == (
        1,
        [
            *(f"broken.txt, {line}" for line in LINES),
            "error: reading broken.txt: 3 lines cannot be used, so nothing was written",
        ],
    )
    assert list(table.scan()) == []
    assert run("vectors", "upload", "broken.txt", "--skip-broken", folder=service)[0] == 0
    assert {str(item["word"]) for item in table.scan()} == {"film", "."}


def test_what_half_floats_cannot_hold(service: Path, table: Table) -> None:
    (service / "large.txt").write_text("film 70000 1\n")
    status, err = said(run("vectors", "upload", "large.txt", folder=service))
    assert (status, err.splitlines()[1]) == (
        1,
        "large.txt, line 1: 'film' has a number that is too large for a half float",
    )
    assert run("vectors", "upload", "large.txt", "--single", folder=service)[0] == 0
    assert Vectors(table, 2).look_up(["film"]).tolist() == [70000, 1]


@pytest.mark.parametrize(
    ("arguments", "code", "message", "hint"),
    [
        (["--table", "vector"], 2, "{root} has no table 'vector'", "did you mean 'vectors'?"),
        (["--table", "q"], 2, "{root} has no table 'q'", 'write [tables.q] and key = "word" in pilotlight.toml'),
        (["--words", "none.txt"], 1, "reading vectors.txt: it has none of the words", ""),
        (
            ["--from", "word2vec-binary", "--dim", "3"],
            1,
            "reading vectors.txt: its vectors have 2 numbers, not 3",
            "correct --dim",
        ),
    ],
)
def test_mistakes(service: Path, arguments: list[str], code: int, message: str, hint: str) -> None:
    (service / "none.txt").write_text("dull\n")
    status, err = said(run("vectors", "upload", "vectors.txt", *arguments, folder=service))
    told = [line for line in err.splitlines() if not line.startswith("step")]
    assert told == [
        f"error: {message.format(root=service.resolve())}",
        *([f"hint: {hint}"] if hint else []),
    ]
    assert status == code


def refuse(word: str) -> str:
    """SQL that makes the store fail when it gets a word."""
    return (
        f"CREATE TRIGGER refuse BEFORE INSERT ON vectors WHEN NEW.key = '{word}' BEGIN SELECT RAISE(ABORT, 'full'); END"
    )


def numbered(service: Path, count: int) -> Path:
    """A file with the words word0, word1, ..., each with its number."""
    file = service / "numbered.txt"
    file.write_text("".join(f"word{number} {number % 1000}\n" for number in range(count)))
    return file


def test_an_upload_that_failed_goes_on(service: Path, table: Table, tmp_path: Path) -> None:
    numbered(service, 5000)
    command, cache = ("vectors", "upload", "numbered.txt"), {"PILOTLIGHT_CACHE": str(tmp_path / "cache")}
    run("vectors", "upload", "vectors.txt", folder=service)  # makes the table
    with closing(sqlite3.connect(service / ".pilotlight" / "tables.sqlite")) as file:
        file.execute(refuse("word3500"))
        status, err = said(run(*command, folder=service, environ=cache))
        assert (status, err.splitlines()[2:4]) == (
            1,
            [
                "3000 of 5000 vectors are in the table: the same command goes on from there.",
                f"error: writing {service.resolve()}/.pilotlight/tables.sqlite: full",
            ],
        )
        file.execute("DROP TRIGGER refuse")
    table.delete(["word7"])
    assert "Goes on after 3000 words\n" in run(*command, "--dry-run", folder=service, environ=cache)[1]
    status, _, err = run(*command, folder=service, environ=cache)
    assert (status, err.splitlines()) == (
        0,
        ["Going on after 3000 of 5000 vectors; --fresh starts anew.", "step 2 of 2: storing vectors"],
    )
    assert len(list(table.scan())) == 3 + 5000 - 1  # so it was not begun anew
    assert list((tmp_path / "cache" / "uploads").iterdir()) == []
    assert run(*command, folder=service, environ=cache)[0] == 0
    assert "word7" in table.get(["word7"])


def test_an_upload_that_failed_at_once_begins_anew(service: Path, table: Table, tmp_path: Path) -> None:
    cache = {"PILOTLIGHT_CACHE": str(tmp_path / "cache")}
    table.put([{"word": "other"}])
    with closing(sqlite3.connect(service / ".pilotlight" / "tables.sqlite")) as file:
        file.execute(refuse("film"))
        status, err = said(run("vectors", "upload", "vectors.txt", folder=service, environ=cache))
        assert (status, " are in the table" in err) == (1, False)
        file.execute("DROP TRIGGER refuse")
    assert run("vectors", "upload", "vectors.txt", folder=service, environ=cache)[0] == 0
    assert len(list(table.scan())) == 4


@pytest.mark.system  # for its time
def test_an_upload_that_was_killed_goes_on(service: Path, table: Table, tmp_path: Path) -> None:
    numbered(service, 100_000)
    environ, journals = {"PILOTLIGHT_CACHE": str(tmp_path / "cache")}, tmp_path / "cache" / "uploads"
    command = [sys.executable, "-m", "pilotlight", "vectors", "upload", "numbered.txt"]
    with subprocess.Popen(command, cwd=service, stderr=subprocess.DEVNULL, env={"PATH": "", **environ}) as process:
        while not list(journals.glob("*.json")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    [journal] = journals.glob("*.json")
    assert 1000 <= json.loads(journal.read_bytes())[2] <= len(list(table.scan())) < 100_000
    status, _, err = run("vectors", "upload", "numbered.txt", folder=service, environ=environ)
    assert (status, "Going on after " in err) == (0, True)
    assert {str(item["word"]): struct.unpack("<e", bytes(item["vector"]))[0] for item in table.scan()} == {
        f"word{number}": number % 1000 for number in range(100_000)
    }


def test_what_was_broken_off_begins_anew_for_another_file_or_an_empty_table(service: Path, tmp_path: Path) -> None:
    cache = {"PILOTLIGHT_CACHE": str(tmp_path / "cache")}
    command = ("vectors", "upload", "numbered.txt")
    file = numbered(service, 3000)
    store = service / ".pilotlight" / "tables.sqlite"

    def break_off() -> None:
        run("vectors", "upload", "vectors.txt", folder=service)
        with closing(sqlite3.connect(store)) as opened:
            opened.execute(refuse("word2500"))
            assert "2000 of 3000 vectors" in run(*command, folder=service, environ=cache)[2]
            opened.execute("DROP TRIGGER refuse")

    break_off()
    assert "Going on" not in run(*command, "--single", folder=service, environ=cache)[2]
    for path in store.parent.iterdir():
        path.unlink()
    assert "Going on" not in run(*command, folder=service, environ=cache)[2]
    break_off()
    file.write_text(file.read_text() + "more 5\n")
    assert "Going on" not in run(*command, folder=service, environ=cache)[2]
