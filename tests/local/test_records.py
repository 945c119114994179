"""Records of real environments behind a real server: none is lost, whatever ends or fails."""

import contextlib
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from conftest import RunningServer, write
from pilotlight.function.table import Item, connect_uri
from pilotlight.local.records import Spool, open_spool, spools

Start = Callable[..., RunningServer]

SERVICE = {
    "pilotlight.toml": """
        name = "service"
        [defaults]
        records = true
        [records]
        redact = ["context"]
        [functions.ric]
        runtime = "awslambdaric"
        [functions.several]
        environment_concurrency = 2
        [functions.snap]
        snapstart = true
        [functions.silent]
        records = false
        """,
    "inference/typed.py": """
        from pilotlight import endpoint

        @endpoint
        def handler(question: str, context: str = "") -> dict[str, str]:
            if question == "fail":
                raise RuntimeError(f"nothing is known of {context}")
            return {"answer": question.upper(), "context": context}
        """,
    "inference/told.py": """
        from pilotlight import endpoint

        @endpoint
        def handler(count: int):
            for number in range(count):
                yield f"{number} "
            if count == 3:
                raise RuntimeError("broke off")
        """,
    "inference/ric.py": """
        def handler(event, context):
            if event.get("fail"):
                raise ValueError("no")
            return {"got": event.get("body") or event}
        """,
    **{
        f"inference/{name}.py": "def handler(event, context):\n    return {'got': event.get('body') or event}\n"
        for name in ("several", "snap", "silent")
    },
}


def records(root: Path, count: int) -> list[Item]:
    """The records of the service, the oldest first, when there are so many."""
    end = time.monotonic() + 60
    table = connect_uri(f"sqlite://{root}/.pilotlight/tables.sqlite?table=records&key=primary_key&expires=expires")
    try:
        while True:
            found = sorted(table.scan(), key=lambda item: str(item["createdAt"]))
            if len(found) >= count or time.monotonic() > end:
                assert len(found) == count
                return found
            time.sleep(0.05)
    finally:
        table.close()


def command(*arguments: object) -> str:
    line = [sys.executable, "-m", "pilotlight", "records", *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def stable(item: Item) -> Item:
    """Without what differs each time."""
    return {name: value for name, value in item.items() if name not in ("createdAt", "latency_ms", "primary_key")}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path / "service", SERVICE)


def post(server: RunningServer, path: str, text: str) -> int:
    return httpx.post(server.url + path, content=text, headers={"content-type": "application/json"}).status_code


def invoke(server: RunningServer, name: str, text: str) -> httpx.Response:
    return httpx.post(f"{server.url}/2015-03-31/functions/{name}/invocations", content=text.encode(), timeout=30)


def test_every_invocation_has_a_record(root: Path, start_server: Start) -> None:
    server = start_server(root, "--no-reload")
    assert post(server, "/typed", '{"question": "how?", "context": "the harbour library"}') == 200
    assert stable(records(root, 1)[-1]) == {
        "function": "service--typed",
        "route": "POST /typed",
        "status": 200,
        "cold": True,
        "input": '{"question": "how?", "context": "[redacted]"}',
        "output": '{"answer": "HOW?", "context": "[redacted]"}',
    }
    assert post(server, "/typed", '{"question": "fail", "context": "the harbour library"}') == 500
    failed = records(root, 2)[-1]
    assert stable(failed) == {
        "function": "service--typed",
        "route": "POST /typed",
        "status": 500,
        "cold": False,
        "error": "RuntimeError: nothing is known of [redacted]",
        "input": '{"question": "fail", "context": "[redacted]"}',
        "output": json.dumps({"message": "Internal Server Error", "requestId": failed["primary_key"]}),
    }
    assert post(server, "/told", '{"count": 2}') == 200
    assert stable(records(root, 3)[-1]) == {
        "function": "service--told",
        "route": "POST /told",
        "status": 200,
        "cold": True,
        "input": '{"count": 2}',
        "output": "0 1 ",
    }
    with pytest.raises(httpx.RemoteProtocolError):
        post(server, "/told", '{"count": 3}')
    assert stable(records(root, 4)[-1]) == {
        "function": "service--told",
        "route": "POST /told",
        "status": 200,
        "cold": False,
        "error": "RuntimeError: broke off",
        "input": '{"count": 3}',
        "output": "0 1 2 ",
    }


def test_under_awslambdaric_every_invocation_has_a_record_too(root: Path, start_server: Start) -> None:
    server = start_server(root, "--no-reload")
    assert post(server, "/ric", '{"a": 1}') == 200
    assert stable(records(root, 1)[-1]) == {
        "function": "service--ric",
        "route": "POST /ric",
        "status": 200,
        "cold": True,
        "input": '{"a": 1}',
        "output": '{"got": "{\\"a\\": 1}"}',
    }
    assert invoke(server, "ric", '{"fail": true}').json()["errorType"] == "ValueError"
    assert stable(records(root, 2)[-1]) == {
        "function": "service--ric",
        "cold": False,
        "error": "ValueError: no",
        "input": '{"fail": true}',
    }


def test_every_kind_of_environment_records(root: Path, start_server: Start) -> None:
    server = start_server(root, "--no-reload")
    for name in ("silent", "several", "snap"):
        assert invoke(server, name, '{"a": 1}').json() == {"got": {"a": 1}}
    found = records(root, 2)
    assert {str(item["function"]): item["output"] for item in found} == {
        "service--several": '{"got": {"a": 1}}',
        "service--snap": '{"got": {"a": 1}}',
    }


def test_a_long_record_comes_whole(root: Path, start_server: Start) -> None:
    server = start_server(root, "--no-reload")
    text = '{"a": "' + "é" * 3_000 + '"}'
    assert invoke(server, "several", text).status_code == 200
    assert records(root, 1)[0]["input"] == text


def test_an_invocation_without_a_server_is_recorded(root: Path) -> None:
    line = [sys.executable, "-m", "pilotlight", "invoke", "typed", "--data", '{"question": "how?"}', "--dir", str(root)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.stdout == '{"answer": "HOW?", "context": ""}\n'
    assert "pilotlight.record" not in done.stderr
    assert records(root, 1)[0]["input"] == '{"question": "how?"}'
    assert list(spools(root)) == []


def test_lines_of_records_are_not_in_the_log(root: Path, start_server: Start) -> None:
    write(root, {"inference/ric.py": "def handler(event, context):\n    print('half a line', end='', flush=True)\n"})
    server = start_server(root, "--no-reload")
    invoke(server, "ric", "{}")
    assert server.wait_for("log", function="service--ric")["line"] == "half a line"
    records(root, 1)
    assert server.stop() == 0
    with pytest.raises(AssertionError, match="the server ended"):
        server.wait_for("nothing more")
    assert "pilotlight.record" not in json.dumps(server.lines)


def test_what_only_looks_like_a_record_stops_nothing(root: Path, start_server: Start) -> None:
    printed = (
        'x 1/1 |{"expires":{"N":"abc"}}|',
        "x 1/1 |{|",
        "y 0/2 |a|",
        "y 2/2 |a|",
        'z 1/1 |{"primary_key":{"S":"q"}}|',
    )
    code = "".join(f"    print('pilotlight.record {each}')\n" for each in printed)
    write(root, {"inference/ric.py": f"def handler(event, context):\n{code}    return 1\n"})
    server = start_server(root, "--no-reload")
    for count in (1, 2):
        invoke(server, "ric", "{}")
        assert len(records(root, count)) == count
    assert server.stop() == 0


FORGING = """
    from pilotlight.function.runtime_client import RECORD, RuntimeApi

    send = RuntimeApi.respond

    def respond(self, request_id, payload, headers=""):
        return send(self, request_id, payload, f'{RECORD}: {{"expires":{{"N":"abc"}}}}\\r\\n')

    RuntimeApi.respond = respond

    def handler(event, context):
        return 1
    """


def test_a_forged_record_stops_nothing(root: Path, start_server: Start) -> None:
    write(root, {"inference/forging.py": FORGING})
    server = start_server(root, "--no-reload")
    for count in (1, 2):
        assert invoke(server, "forging", "{}").json() == 1
        invoke(server, "several", "{}")
        records(root, count)
    assert server.stop() == 0


# what ends


DYING = """
    import os, signal, threading

    def handler(event, context):
        threading.Timer(event["after"], os.kill, (os.getpid(), signal.SIGKILL)).start()
        return {"got": event["number"]}
    """


def test_an_environment_that_is_killed_about_its_answer_loses_no_record(root: Path, start_server: Start) -> None:
    write(root, {"inference/dying.py": DYING})
    server = start_server(root, "--no-reload")
    answered = set()
    for number in range(24):
        answer = invoke(server, "dying", json.dumps({"number": number, "after": number % 6 / 2000})).json()
        answered |= {answer["got"]} if "got" in answer else set()
    assert server.stop() == 0
    kept = [each["input"]["number"] for each in records_now(root)]
    assert len(kept) == len(set(kept))
    assert answered <= set(kept)


def records_now(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in command(root, "--limit", "0", "--format", "jsonl").splitlines()]


@contextlib.contextmanager
def busy_table(root: Path) -> Iterator[None]:
    """The table of the service, which another process writes into meanwhile."""
    with contextlib.closing(sqlite3.connect(root / ".pilotlight" / "tables.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_a_server_that_is_killed_loses_no_record(root: Path, start_server: Start) -> None:
    server = start_server(root, "--no-reload")
    assert invoke(server, "several", '{"number": 0}').status_code == 200
    records(root, 1)
    with busy_table(root):
        for number in (1, 2):
            assert invoke(server, "several", json.dumps({"number": number})).status_code == 200
        server.stop(signal.SIGKILL)
    [path] = spools(root)
    would = json.loads(command("recover", root, "--dry-run", "--json"))
    assert would["stored"] == 2
    assert path.exists()
    assert json.loads(command("recover", root, "--json")) == would
    assert not path.exists()
    assert sorted(each["input"]["number"] for each in records_now(root)) == [0, 1, 2]
    assert command("recover", root) == "Stored 0 records.\n"


def test_the_next_server_stores_what_was_left(root: Path, start_server: Start) -> None:
    spool = open_spool(root)
    spool.append(b'pilotlight.record 5d2f 1/1 |{"primary_key":{"S":"5d2f"},"createdAt":{"S":"2026"}}|\n')
    spool.append(b"pilotlight.record 5d30 1/2 |{|\n")
    spool.close()
    start_server(root, "--no-reload")
    assert records(root, 1) == [{"primary_key": "5d2f", "createdAt": "2026"}]


def test_while_a_server_runs_recover_leaves_its_file_to_it(root: Path, start_server: Start) -> None:
    server = start_server(root, "--no-reload")
    assert command("recover", root) == "Stored 0 records.\n"
    with pytest.raises(BlockingIOError):
        Spool(root / ".pilotlight" / "records.log")
    other = open_spool(root)
    assert other.path.name == "records-2.log"
    other.close()
    assert server.stop() == 0
    assert list(spools(root)) == []


# a store that fails


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A store that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as made:
        yield made


@pytest.mark.parametrize("name", ["several", "ric"])
@pytest.mark.parametrize("hangs", [True, False], ids=["hangs", "refuses"])
def test_a_store_that_fails_fails_no_answer(
    root: Path, start_server: Start, listener: socket.socket, name: str, hangs: bool
) -> None:
    toml = (root / "pilotlight.toml").read_text() + '[tables.records]\nstore = "dynamodb"\n'
    (root / "pilotlight.toml").write_text(toml.replace("environment_concurrency = 2", ""))
    port = listener.getsockname()[1]
    if not hangs:
        listener.close()
    variables = {"AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "a"}
    server = start_server(root, "--no-reload", AWS_SECRET_ACCESS_KEY="b", AWS_REGION="eu-west-1", **variables)
    for number in range(2):
        assert invoke(server, name, json.dumps({"number": number})).json() == {"got": {"number": number}}
    warning = server.wait_for("log", function=f"service--{name}")
    while "[WARN] the record of" not in str(warning["line"]):
        warning = server.wait_for("log", function=f"service--{name}")
    assert server.stop() == 0
    [path] = spools(root)
    log = path.read_text()
    assert log.count("pilotlight.record ") == 2
    uri = f"sqlite://{root}/other.sqlite?table=records&key=primary_key"
    assert command("recover", "--table", uri, "--log", path, "--json") == '{"stored": 2, "present": 0, "broken": 0}\n'
    assert command("recover", "--table", uri, "--log", path, "--json") == '{"stored": 0, "present": 2, "broken": 0}\n'
    found = list(connect_uri(uri).scan())
    assert sorted(str(item["input"]) for item in found) == ['{"number": 0}', '{"number": 1}']


def test_a_file_that_cannot_be_written_leaves_records_in_the_log(root: Path, start_server: Start) -> None:
    (root / ".pilotlight").mkdir()
    for number in range(1, 100):
        (root / ".pilotlight" / (f"records-{number}.log" if number > 1 else "records.log")).mkdir()
    server = start_server(root, "--no-reload")
    assert invoke(server, "typed", '{"question": "how?"}').status_code == 200
    line = server.wait_for("log", function="service--typed")
    while "pilotlight.record" not in str(line["line"]):
        line = server.wait_for("log", function="service--typed")
    log = root / "serve.log"
    log.write_text(json.dumps(line) + "\n")
    assert command("recover", root, "--log", log) == "Stored 1 record.\n"
    assert records(root, 1)[0]["input"] == '{"question": "how?"}'
