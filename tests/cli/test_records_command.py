"""`pilotlight records`, as it is typed, over a table in SQLite."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from test_commands import run, said

from conftest import write
from pilotlight.cli.record_filters import moment
from pilotlight.errors import UsageError
from pilotlight.function import items, record_lines
from pilotlight.function.table import Item, Table, connect_uri

QA: Item = {
    "primary_key": "5d2f8f0a",
    "createdAt": "2026-11-28T08:06:33.123Z",
    "function": "library--qa",
    "model": "models/qa@1f6c0a2b9d3e",
    "route": "POST /qa",
    "status": 200,
    "latency_ms": 81.25,
    "cold": True,
    "input": '{"question": "How long is the reading room?"}',
    "output": '{"answer": "62 metres long"}',
    "expires": 4102444800,
}
FAILED: Item = {
    "primary_key": "6a11c5e2",
    "createdAt": "2026-11-28T09:00:00.000Z",
    "function": "library--textgen",
    "error": "ValueError: no such temperature",
    "latency_ms": 1.5,
    "cold": False,
    "input": '{"prompt": "I would like", … [cut: 40000 bytes]',
}
REFUSED: Item = {
    "primary_key": "7b20d1f3",
    "createdAt": "2026-11-28T10:30:00.500Z",
    "function": "library--qa",
    "route": "POST /qa",
    "status": 400,
    "error": "InputError: question: missing",
    "latency_ms": 0.4,
    "cold": False,
    "input": "{}",
    "output": '{"message": "question: missing"}',
}
HEAD = "TIME (UTC)          FUNCTION           STATUS MS        COLD INPUT -> OUTPUT\n"
ROWS = {
    "qa": "2026-11-28 08:06:33 qa                 200         81.2 cold "
    '{"question": "How long is … -> {"answer": "62 metres long"}\n',
    "textgen": "2026-11-28 09:00:00 textgen            error        1.5      "
    '{"prompt": "I would like",… -> ValueError: no such tempera…\n',
    "refused": "2026-11-28 10:30:00 qa                 400          0.4      {} -> InputError: question: missing\n",
}


@pytest.fixture(autouse=True)
def a_terminal_of_120_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def table(folder: Path) -> Table:
    return connect_uri(f"sqlite://{folder}/.pilotlight/tables.sqlite?table=records&key=primary_key&expires=expires")


@pytest.fixture
def service(tmp_path: Path) -> Path:
    files = {
        "pilotlight.toml": 'name = "library"\n[defaults]\nrecords = true\n',
        "inference/qa.py": "handler = print\n",
        "inference/textgen.py": "handler = print\n",
    }
    folder = write(tmp_path / "library", files)
    made = table(folder)
    made.put([QA, REFUSED, FAILED])
    made.close()
    return folder


@pytest.mark.parametrize("command", [["records"], ["records", "list"], ["records", "recover"]])
def test_help_shows_examples(command: list[str]) -> None:
    status, out, err = run(*command, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"Usage: pilotlight {' '.join(command)}")
    assert "\n  Examples:\n    pilotlight records" in out


def test_a_table_for_people(service: Path) -> None:
    everything = HEAD + ROWS["refused"] + ROWS["textgen"] + ROWS["qa"]
    assert run("records", folder=service) == (0, everything, "")
    assert run("records", "list", service) == (0, everything, "")
    assert run("records", service, "--limit", "1") == (0, HEAD + ROWS["refused"], "")


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        (["--function", "qa"], ["refused", "qa"]),
        (["--function", "library--textgen"], ["textgen"]),
        (["--errors"], ["refused", "textgen"]),
        (["--cold"], ["qa"]),
        (["--contains", "READING ROOM"], ["qa"]),
        (["--contains", "temperature"], ["textgen"]),
        (["--since", "2026-11-28T09:00"], ["refused", "textgen"]),
        (["--since", "2026-11-28T11:30+02:00", "--until", "2026-11-28T10:30:00.5"], []),
        (["--until", "2026-11-28T09:00"], ["qa"]),
        (["--function", "qa", "--errors", "--limit", "5"], ["refused"]),
    ],
)
def test_filters(service: Path, options: list[str], rows: list[str]) -> None:
    shown = HEAD + "".join(ROWS[name] for name in rows) if rows else ""
    assert run("records", service, *options) == (0, shown, "" if rows else "No records.\n")


def test_json_lines(service: Path) -> None:
    status, out, err = run("records", service, "--format", "jsonl", "--limit", "0")
    assert (status, err) == (0, "")
    assert [json.loads(line) for line in out.splitlines()] == [
        {**REFUSED, "input": {}, "output": {"message": "question: missing"}},
        FAILED,
        {**QA, "input": {"question": "How long is the reading room?"}, "output": {"answer": "62 metres long"}},
    ]
    assert list(json.loads(out.splitlines()[2])) == [
        *("primary_key", "createdAt", "function", "model", "route", "status", "latency_ms", "cold"),
        *("input", "output", "expires"),
    ]


def test_csv(service: Path) -> None:
    assert run("records", service, "--format", "csv", "--limit", "0") == (
        0,
        "primary_key,createdAt,function,model,route,status,error,latency_ms,cold,input,output,expires\n"
        "7b20d1f3,2026-11-28T10:30:00.500Z,library--qa,,POST /qa,400,InputError: question: missing,0.4,false,{},"
        '"{""message"": ""question: missing""}",\n'
        "6a11c5e2,2026-11-28T09:00:00.000Z,library--textgen,,,,ValueError: no such temperature,1.5,false,"
        '"{""prompt"": ""I would like"", … [cut: 40000 bytes]",,\n'
        "5d2f8f0a,2026-11-28T08:06:33.123Z,library--qa,models/qa@1f6c0a2b9d3e,POST /qa,200,,81.25,true,"
        '"{""question"": ""How long is the reading room?""}","{""answer"": ""62 metres long""}",4102444800\n',
        "",
    )


def test_following_shows_what_comes(service: Path) -> None:
    command = [sys.executable, "-u", "-m", "pilotlight", "records", str(service), "-f", "--limit", "1", "--errors"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == HEAD
        assert process.stdout.readline() == ROWS["refused"]
        made = table(service)
        made.put([{**QA, "primary_key": "8"}, {**FAILED, "primary_key": "9"}])
        assert process.stdout.readline() == ROWS["textgen"]
        made.close()
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_no_records(service: Path) -> None:
    write(service, {"pilotlight.toml": "name = 'library'\n"})
    made = table(service)
    made.delete(["5d2f8f0a", "6a11c5e2", "7b20d1f3"])
    made.close()
    note = "No records: none is made unless pilotlight.toml says records = true for a function.\n"
    assert said(run("records", service)) == (0, note)


def test_another_table(service: Path, tmp_path: Path) -> None:
    uri = f"sqlite://{service}/.pilotlight/tables.sqlite?table=records&key=primary_key"
    assert run("records", "--table", uri, "--cold", folder=tmp_path) == (0, HEAD + ROWS["qa"], "")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["--since", "yesterday"],
            (2, "'yesterday' is no time", "write 15m, 2h or 3d for so long ago, 2026-11-28, or 2026-11-28T08:30"),
        ),
        (
            ["--function", "textgne"],
            (2, "there is no function 'textgne' in {folder}", "did you mean 'textgen'?"),
        ),
        (
            ["--table", "redis://x"],
            (
                1,
                "'redis://x' is not the URI of a table",
                "write sqlite:///absolute/file.sqlite?table=NAME&key=KEY or dynamodb://TABLE?key=KEY",
            ),
        ),
    ],
)
def test_mistakes(service: Path, arguments: list[str], error: tuple[int, str, str]) -> None:
    status, message, hint = error
    told = f"error: {message.format(folder=service)}\nhint: {hint}\n"
    assert said(run("records", service, *arguments)) == (status, told)


def test_times() -> None:
    now = datetime(2026, 11, 28, 12, tzinfo=UTC)
    assert moment("90s", now) == "2026-11-28T11:58:30.000Z"
    assert moment("2h", now) == "2026-11-28T10:00:00.000Z"
    assert moment("1w", now) == "2026-11-21T12:00:00.000Z"
    assert moment("2026-11-28", now) == "2026-11-28T00:00:00.000Z"
    assert moment("2026-11-28T01:00+01:00", now) == "2026-11-28T00:00:00.000Z"
    for text in ("", "2x", "-1h", "99999999d"):
        with pytest.raises(UsageError):
            moment(text, now)


# recover


def lines(*records: Item) -> list[str]:
    texts = [(str(each["primary_key"]), items.encode(each, "primary_key")) for each in records]
    return [line.decode().rstrip("\n") for text in texts for line in record_lines.record(*text)]


LONG: Item = {"primary_key": "9c", "createdAt": "2026-11-28T11:00:00.000Z", "input": 'a "quoted" text ' * 500}
NEW = lines({**QA, "primary_key": "8"}, LONG)


def as_written() -> str:
    return "".join(f"{line}\n" for line in NEW)


def as_tail_prints() -> str:
    stream = "2026-11-28T08:06:33.123000+00:00 2026/11/28/[$LATEST]0123456789abcdef"
    return "".join(f"{stream} {line}\n" for line in ["START RequestId: 8 Version: $LATEST", *NEW])


def as_json_lines() -> str:
    return "".join(json.dumps({"timestamp": 1, "message": f"{line}\n"}) + "\n" for line in NEW)


def as_one_document() -> str:
    return json.dumps({"events": [{"message": line, "eventId": "1"} for line in NEW]})


def as_a_document_of_many_lines() -> str:
    return json.dumps({"events": [{"eventId": "1", "message": line} for line in NEW]}, indent=4)


@pytest.mark.parametrize(
    "log", [as_written, as_tail_prints, as_json_lines, as_one_document, as_a_document_of_many_lines]
)
def test_recovering_from_a_log(service: Path, log: object) -> None:
    assert callable(log)
    (service / "log").write_text(log())
    assert run("records", "recover", "--log", "log", "--dry-run", folder=service) == (0, "Would store 2 records.\n", "")
    assert run("records", "recover", "--log", "log", folder=service) == (0, "Stored 2 records.\n", "")
    made = table(service)
    assert made.get(["8", "9c"]) == {"8": {**QA, "primary_key": "8"}, "9c": LONG}
    made.close()
    again = "Stored 0 records.\n2 more were there already.\n"
    assert run("records", "recover", "--log", "log", folder=service) == (0, again, "")


def test_recovering_from_stdin_leaves_out_what_was_stored_and_what_is_there(service: Path) -> None:
    log = [*NEW, *lines({**QA, "output": "changed"}), record_lines.stored("8").decode(), lines(FAILED | LONG)[0]]
    done = run("records", "recover", service, "--log", "-", stdin="\n".join(log).encode())
    assert done == (
        0,
        "Stored 1 record.\n1 more were there already.\n",
        "error: 1 more are in the log in part only\nhint: give all of the log, in its order\n",
    )
    made = table(service)
    assert made.get(["8", "5d2f8f0a"]) == {"5d2f8f0a": QA}
    made.close()


def test_a_log_that_is_not_there(service: Path) -> None:
    status, out, err = run("records", "recover", service, "--log", "none.log")
    assert (status, out) == (2, "")
    assert "File 'none.log' does not exist." in err
