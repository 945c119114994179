"""Tables in SQLite on this machine: one writer for many processes, and environments that can only read."""

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from conftest import RunningServer, write
from pilotlight.errors import TableError, TableUnreachable
from pilotlight.function.table import Address, Table, connect_uri
from pilotlight.function.table_sqlite import Change, FileWriter
from pilotlight.local.isolation import Level, Plan
from table_writers import writing

NOBODY = 65534
USERS = [os.geteuid(), NOBODY] if os.geteuid() == 0 else [os.geteuid()]
LEVELS: tuple[Level, ...] = ("namespace", "landlock", "none")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="isolation is Linux's")


OpenTable = Callable[..., Table]


@pytest.fixture
def table() -> Iterator[OpenTable]:
    """`table(file, writer="", expires="", name="words")`, closed after the test."""
    opened: list[Table] = []

    def open_table(file: Path, writer: str = "", expires: str = "", name: str = "words") -> Table:
        opened.append(connect_uri(str(Address("sqlite", str(file), "word", expires, name, writer))))
        return opened[-1]

    yield open_table
    for each in opened:
        each.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "service" / ".pilotlight" / "tables.sqlite"


PAINT = """
    from pilotlight import endpoint
    from pilotlight.function.table import connect

    colours = connect("colours")
    at_start = colours.get(["red"])


    @endpoint
    def handler(word: str, rgb: str = "") -> dict[str, object]:
        if rgb:
            colours.put([{"word": word, "rgb": rgb}])
        return {"found": colours.get([word]).get(word), "at_start": at_start}
"""
TOML = """
    name = "art"
    [tables.colours]
    key = "word"
    [functions.paint]
    tables = ["colours"]
"""


@on_linux
@pytest.mark.parametrize("options", [[], ["--fork-server"]], ids=["executed", "forked"])
@pytest.mark.parametrize("level", LEVELS)
def test_functions_read_and_write(
    tmp_path: Path,
    start_server: Callable[..., RunningServer],
    table: OpenTable,
    level: Level,
    options: list[str],
) -> None:
    service = write(tmp_path / "art", {"pilotlight.toml": TOML, "inference/paint.py": PAINT})
    server = start_server(service, "--isolation", level, *options)
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for rgb in ("f00", "e00"):
            answer = client.post("/paint", json={"word": "red", "rgb": rgb})
            assert answer.json() == {"found": {"word": "red", "rgb": rgb}, "at_start": {}}
        assert client.post("/paint", json={"word": "green"}).json() == {"found": None, "at_start": {}}
    assert server.stop() == 0
    assert sorted(path.name for path in (service / ".pilotlight").iterdir()) == ["tables.sqlite"]
    kept = table(service / ".pilotlight" / "tables.sqlite", name="colours")
    assert list(kept.scan()) == [{"word": "red", "rgb": "e00"}]


def test_a_service_without_tables_has_no_file(tmp_path: Path, start_server: Callable[..., RunningServer]) -> None:
    files = {
        "pilotlight.toml": "[tables.colours]\n",
        "inference/echo.py": "def handler(event, context):\n    return 1\n",
    }
    service = write(tmp_path / "art", files)
    server = start_server(service)
    assert httpx.post(f"{server.url}/echo", timeout=60).text == "1"
    assert server.stop() == 0
    assert not (service / ".pilotlight").exists()


def test_what_lambda_says_of_a_function_with_tables(tmp_path: Path, start_server: Callable[..., RunningServer]) -> None:
    toml = f'{TOML}environment = {{ INK = "black" }}\n[tables.shades]\nstore = "dynamodb"\nexpires = "until"\n'
    files = {"pilotlight.toml": toml.replace('["colours"]', '["colours", "shades"]'), "inference/paint.py": PAINT}
    service = write(tmp_path / "art", files)
    server = start_server(service)
    configuration = httpx.get(f"{server.url}/2015-03-31/functions/paint/configuration", timeout=60).json()
    assert configuration["Environment"]["Variables"] == {
        "INK": "black",
        "PILOTLIGHT_TABLE_COLOURS": f"sqlite://{service}/.pilotlight/tables.sqlite?key=word&table=colours",
        "PILOTLIGHT_TABLE_SHADES": "dynamodb://art-shades?key=id&expires=until",
    }


def test_a_file_that_cannot_be_opened(tmp_path: Path, start_server: Callable[..., RunningServer]) -> None:
    service = write(tmp_path / "art", {"pilotlight.toml": TOML, "inference/paint.py": PAINT})
    file = service / ".pilotlight" / "tables.sqlite"
    file.parent.mkdir()
    file.write_text("word,rgb\n" * 1000)
    server = start_server(service)
    described = server.wait_for("described", function="art--paint")
    assert described["error"] == f"writing {file}: file is not a database"
    assert described["hint"] == "move it away, and what it should hold is made anew"
    assert httpx.post(f"{server.url}/paint", json={"word": "red"}, timeout=60).status_code == 500


READ = """
import ctypes, json, os, sqlite3, sys
from pilotlight.errors import TableError
from pilotlight.function.table import connect_uri
from pilotlight.local import isolation

user, plan, uri = json.loads(sys.argv[1])
table = connect_uri(uri)
if user != os.geteuid():
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, as an ordinary user's process is
isolation.enter(isolation.Plan(*plan))
for line in sys.stdin:
    try:
        if line.strip() == "put":
            table.put([{"word": "blue"}])
        print(json.dumps(sorted(each["word"] for each in table.scan())), flush=True)
    except TableError as error:
        print(json.dumps(str(error)), flush=True)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may look into, which one below pytest's is not."""
    made = Path(tempfile.mkdtemp(prefix="pilotlight-test-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@on_linux
@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("level", ["namespace", "landlock"])
def test_another_process_reads_what_it_cannot_write(
    table: OpenTable, open_folder: Path, level: Level, user: int
) -> None:
    file = open_folder / "tables.sqlite"
    writes = table(file)
    writes.put([{"word": "red"}])
    plan = Plan(level, 8, str(open_folder / "own"), (str(open_folder),))
    (open_folder / "own").mkdir()
    (open_folder / "own").chmod(0o777)
    uri = str(Address("sqlite", str(file), "word", table="words"))
    command = [sys.executable, "-c", READ, json.dumps([user, plan, uri])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/") as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None

        def ask(what: str) -> object:
            print(what, file=reader.stdin, flush=True)
            assert reader.stdout is not None
            return json.loads(reader.stdout.readline())

        assert ask("scan") == ["red"]
        for number in range(20):  # also while the log grows and is written back
            writes.put([{"word": f"w{number}", "vector": bytes(300_000)}])
            assert len(ask("scan")) == number + 2  # type: ignore[arg-type]
        assert ask("put") == f"writing {file}: attempt to write a readonly database"
        reader.stdin.close()
        assert reader.wait(60) == 0


def test_many_write_at_once(file: Path, table: OpenTable) -> None:
    with writing(file) as writer:

        def put(name: int) -> None:
            each = table(file, writer)
            for number in range(20):
                each.put([{"word": f"{name}-{number}"}])
                assert each.get([f"{name}-{number}"]).keys() == {f"{name}-{number}"}
            each.close()

        threads = [threading.Thread(target=put, args=(name,)) for name in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(list(table(file).scan())) == 240


def test_processes_that_write_the_file_themselves(file: Path, table: OpenTable) -> None:
    """A tool beside a server, or two tools: both make the file, and each waits for the other."""
    uri = Address("sqlite", str(file), "word", table="words")
    code = (
        "import sys; from pilotlight.function.table import connect_uri; table = connect_uri(sys.argv[1])\n"
        "for number in range(20): table.put([{'word': f'{sys.argv[2]}-{number}'}])"
    )
    tools = [subprocess.Popen([sys.executable, "-c", code, str(uri), str(number)]) for number in range(3)]
    with writing(file) as writer:
        served = table(file, writer)
        for number in range(20):
            served.put([{"word": f"served-{number}"}])
        assert [tool.wait(60) for tool in tools] == [0, 0, 0]
        assert len(list(served.scan())) == 80


def test_what_was_answered_is_there_after_a_kill(file: Path, table: OpenTable) -> None:
    uri = Address("sqlite", str(file), "word", table="words")
    code = (
        "import sys; from pilotlight.function.table import connect_uri; table = connect_uri(sys.argv[1])\n"
        "for number in range(10**6): table.put([{'word': str(number)}]); print(number, flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(uri)], stdout=subprocess.PIPE, text=True) as tool:
        assert tool.stdout is not None
        last = [int(tool.stdout.readline()) for _ in range(30)][-1]
        tool.kill()
    words = {str(each["word"]) for each in table(file).scan()}
    assert words >= {str(number) for number in range(last + 1)}


def test_one_change_that_fails_does_not_take_others_along(file: Path, table: OpenTable) -> None:
    """Changes that come together are tried together first."""
    with writing(file) as writer:
        good, bad = table(file, writer), table(file, writer, name="sqlite_x")
        failures: list[str] = []

        def fail() -> None:
            for _ in range(20):
                with pytest.raises(TableError) as refused:
                    bad.put([{"word": "red"}])
                failures.append(str(refused.value))

        thread = threading.Thread(target=fail)
        thread.start()
        for number in range(20):
            good.put([{"word": f"w{number}"}])
        thread.join()
        assert len(list(good.scan())) == 20
    assert set(failures) == {f"writing {file}: object name reserved for internal use: sqlite_x"}


@pytest.mark.parametrize(
    "message",
    [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\xff\xff\xff\xff", b"\x00\x00", b"\x00\x00\x00\x10short"],
)
def test_what_speaks_otherwise_is_not_heard(file: Path, table: OpenTable, message: bytes) -> None:
    with writing(file) as writer:
        host, port = writer.split(":")
        with socket.create_connection((host, int(port)), 60) as connection:
            connection.sendall(message)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
        table(file, writer).put([{"word": "red"}])


@pytest.mark.parametrize("message", [b"{}", b'["words"]', b'["words", [["red"]], []]', b"[1, [], []]", b"\xff"])
def test_what_is_no_change_is_refused(file: Path, message: bytes) -> None:
    with writing(file) as writer:
        host, port = writer.split(":")
        with socket.create_connection((host, int(port)), 60) as connection, connection.makefile("rb") as reader:
            connection.sendall(len(message).to_bytes(4, "big") + message)
            answer = json.loads(reader.read(int.from_bytes(reader.read(4), "big")))
    assert answer["error"].startswith("writing to a table: this is no change: ")


def test_a_writer_that_has_gone_and_one_that_has_come_again(file: Path, table: OpenTable) -> None:
    with writing(file) as writer:
        each = table(file, writer)
        each.put([{"word": "red"}])
    with pytest.raises(TableUnreachable) as refused:
        each.put([{"word": "green"}])
    assert str(refused.value).startswith(f"writing to the table 'words' by {writer}: ")
    assert refused.value.hint == "is `pilotlight serve`, which started this function, still running?"
    assert each.get(["red"]).keys() == {"red"}


def test_what_has_expired_is_removed(file: Path, table: OpenTable) -> None:
    now = int(time.time())
    each = table(file, expires="until")
    each.put([{"word": "gone", "until": now - 1}, {"word": "here", "until": now + 100_000}, {"word": "for ever"}])
    each.close()
    with writing(file) as writer:
        table(file, writer).put([{"word": "red"}])  # comes after what the writer begins with
        with contextlib.closing(sqlite3.connect(file)) as reader:
            rows = reader.execute("SELECT key FROM words ORDER BY key").fetchall()
    assert rows == [("for ever",), ("here",), ("red",)]


def test_a_file_that_is_no_database(file: Path, table: OpenTable) -> None:
    file.parent.mkdir(parents=True)
    file.write_text("word,rgb\n" * 1000)
    for doing, work in (
        ("reading", table(file).scan().__next__),
        ("writing", lambda: table(file).put([{"word": "red"}])),
    ):
        with pytest.raises(TableError) as refused:
            work()
        assert str(refused.value) == f"{doing} {file}: file is not a database"
        assert refused.value.hint == "move it away, and what it should hold is made anew"


def test_two_tables_in_one_file(file: Path) -> None:
    writer = FileWriter(str(file))
    writer.write_all(
        [Change("a", [("k", "{}", None)]), Change('b"; --', [("k", "{}", 5.0)]), Change("a", delete=["k"])]
    )
    writer.close()
    with contextlib.closing(sqlite3.connect(file)) as reader:
        assert reader.execute("SELECT * FROM a").fetchall() == []
        assert reader.execute('SELECT * FROM "b""; --"').fetchall() == [("k", "{}", 5.0)]
