"""`pilotlight bench load`: of a function in real execution environments, and of a served URL."""

import asyncio
import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from math import inf
from pathlib import Path
from subprocess import PIPE

import pytest
from test_commands import Done, run, said

from conftest import RunningServer, until, write
from http_servers import answer, serving
from pilotlight import project
from pilotlight.cli import load_output, main
from pilotlight.cli.invoke import find
from pilotlight.cli.load_inputs import Inputs
from pilotlight.cli.load_output import Files, Measured, Plan
from pilotlight.cli.load_target import Target
from pilotlight.errors import UsageError
from pilotlight.measure import load, run_file
from pilotlight.measure.load import Reply

TONE = """
from pilotlight import endpoint

@endpoint
def handler(input: str) -> dict[str, float]:
    if input == "fail":
        raise ValueError("no")
    return {"length": len(input), "t_overall": 0.002, "t_inference": 0.001}
"""
SAVED = '{"input": "a film"}'


@pytest.fixture
def service(tmp_path: Path) -> Path:
    files = {"inference/tone.py": TONE, "events/tone.json": SAVED, "pilotlight.toml": "", "inputs.txt": "a film\na\n"}
    return write(tmp_path / "service", files)


Ask = Callable[..., Done]


@pytest.fixture
def ask(service: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """`pilotlight bench load ARGUMENTS` in this process, for what is refused: what `run` gives."""
    monkeypatch.chdir(service)

    def asked(*arguments: str) -> Done:
        monkeypatch.setattr("sys.argv", ["pilotlight", "bench", "load", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return asked


def test_help_shows_examples() -> None:
    status, out, err = run("bench", "load", "--help")
    assert (status, err) == (0, "")
    assert "\n  Examples:\n    pilotlight bench load kim_cnn --inputs sentences.txt\n" in out


def test_a_function_of_the_folder(service: Path) -> None:
    command = ["bench", "load", "tone", "--inputs", "inputs.txt", "--requests", "20", "--concurrency", "2"]
    status, out, err = run(*command, "--json", "--csv", "out.csv", folder=service)
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert (found["target"], found["memory"]) == ("service--tone", 1769)
    assert (found["concurrency"], found["inputs"], found["requests"], found["errors"]) == (2, 2, 20, {})
    assert found["qps"] == pytest.approx(20 / found["seconds"])
    assert 0 < found["p50_ms"] <= found["p90_ms"] <= found["p99_ms"] <= found["p999_ms"] <= found["max_ms"]
    assert 0 < found["duration_ms"] < found["max_ms"]
    assert found["phases"] == {"t_overall": pytest.approx(0.002), "t_inference": pytest.approx(0.001)}
    with (service / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert (len(rows), list(rows[0])) == (20, COLUMNS)
    assert max(float(row["latency_ms"]) for row in rows) == pytest.approx(found["max_ms"], abs=0.001)
    assert all(float(row["duration_ms"]) < float(row["latency_ms"]) for row in rows)


COLUMNS = ["began_s", "latency_ms", "error", "duration_ms", "init_ms", "t_overall", "t_inference"]


def shape(text: str) -> str:
    """The text with # for what was measured; on a busy machine a second environment may start."""
    return re.sub(r" +\d+\.\d+|(?<=cold) +\d+", " #", text)


def test_a_function_as_a_table(service: Path) -> None:
    """Without a warm-up the first request starts the one environment."""
    status, out, err = run("bench", "load", "tone", "--requests", "10", "--warm-up", "0", folder=service)
    assert (status, err) == (0, "")
    assert shape(out) == TABLE.lstrip()


TABLE = """
10 requests in # s, 1 at once

  qps #
  p50 ms #
  p90 ms #
  p99 ms #
  p99.9 ms #
  max ms #
  mean ms #
  errors                0
  cold # #% of the requests
  init ms #  in the median
  duration ms #  in the median, by the function's REPORT

  mean of each phase in ms
  t_overall #
  t_inference #
"""


def test_a_url_as_a_table(service: Path, start_server: Callable[..., RunningServer]) -> None:
    server = start_server(service, "--no-reload")
    (service / "inputs.txt").write_text("a film\nfail\n")
    command = ["bench", "load", "--url", f"{server.url}/tone", "--inputs", "-", "--requests", "10"]
    status, out, err = run(*command, stdin=(service / "inputs.txt").read_bytes())
    assert (status, err) == (0, "")
    assert shape(out) == OF_A_URL.lstrip()


OF_A_URL = """
10 requests in # s, 1 at once

  qps #
  p50 ms #
  p90 ms #
  p99 ms #
  p99.9 ms #
  max ms #
  mean ms #
  errors                5
    500: 5
  cold                  -  nobody tells of cold starts over a URL

  mean of each phase in ms
  t_overall #
  t_inference #
"""


def test_requests_at_a_rate_do_not_wait_for_answers(service: Path) -> None:
    """Each takes 0.2 s, so that one connection would send five a second."""
    write(service, {"inference/slow.py": SLOW})
    command = ["bench", "load", "slow", "--inputs", "inputs.txt", "--rate", "50", "--requests", "20", "--json"]
    status, out, err = run(*command, folder=service)
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert (found["requests"], found["errors"]) == (20, {})
    assert found["rate"] == 50
    assert found["p50_ms"] >= 200


SLOW = """
import time
from pilotlight import endpoint

@endpoint
def handler(input: str) -> str:
    time.sleep(0.2)
    return input
"""


def test_requests_at_the_times_of_a_file(service: Path) -> None:
    (service / "trace.csv").write_text("time\n10\n10.1\n10.2\n10.2\n")
    status, out, err = run("bench", "load", "tone", "--trace", "trace.csv", folder=service)
    assert (status, err) == (0, "")
    assert out.startswith("4 requests in 0.")
    assert "each at its time" in out


def test_a_rate_that_cannot_be_reached_is_said(service: Path) -> None:
    """The client's doing, or the function's: both are on this machine."""
    command = ["bench", "load", "tone", "--rate", "100000", "--requests", "2000"]
    status, out, err = run(*command, folder=service)
    assert (status, out.startswith("2000 requests in ")) == (0, True)
    assert (
        "The client was the limit: " in err or "What was asked could not keep up: 1,000 requests were under way" in err
    )


@pytest.mark.parametrize(
    ("trace", "message"),
    [
        ("1\n0.5\n", "reading trace.csv, line 2: the time 0.5 is earlier than the one before"),
        ("time,path\n1,/a\n,/b\n3,/c\n", "reading trace.csv, line 3: the time is missing"),
        ("0\n-1\n", "reading trace.csv, line 2: the time -1 is negative"),
        ("0\nsoon\n", "reading trace.csv, line 2: 'soon' is no time"),
        ("0\nnan\n", "reading trace.csv, line 2: 'nan' is no time"),
        ("time\n", "reading trace.csv: it has no requests"),
    ],
)
def test_a_file_of_times_that_is_not_right(ask: Ask, service: Path, trace: str, message: str) -> None:
    (service / "trace.csv").write_text(trace)
    hint = (
        "a line is one request's time, in seconds (not milliseconds) or as 2026-11-28T08:30:00Z, the earliest first; "
        "a header is skipped"
    )
    done = ask("tone", "--trace", "trace.csv", "--save", "run.json")
    assert done == (2, "", f"error: {message}\nhint: {hint}\n")
    assert not (service / "run.json").exists()


@pytest.mark.parametrize(
    "options",
    [("--rate", "5", "--concurrency", "2"), ("--requests", "5", "--seconds", "2"), ("--trace", "-", "--seconds", "2")],
)
def test_options_that_exclude_each_other(ask: Ask, options: tuple[str, ...]) -> None:
    status, out, err = ask("tone", *options)
    assert (status, out) == (2, "")
    assert f"{options[0]} and {options[2]} exclude each other" in err or f"{options[2]} and {options[0]}" in err


def test_ctrl_c_keeps_what_was_measured(service: Path) -> None:
    """All processes get it, as from a terminal: the environments of the function too."""
    write(service, {"inference/slow.py": WAITING})
    command = [sys.executable, "-m", "pilotlight", "bench", "load", "slow", "--inputs", "inputs.txt",
               "--seconds", "300", "--csv", "out.csv", "--save", "run.json", "--plot", "run.svg"]  # fmt: skip
    with subprocess.Popen(command, cwd=service, stdout=PIPE, stderr=PIPE, text=True, start_new_session=True) as process:
        until(lambda: len((service / "asked").read_text()) >= 10 if (service / "asked").exists() else False)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert " requests in " in out
    assert err.endswith("Interrupted: these are the requests that were answered before.\n")
    kept = run_file.read(service / "run.json")
    assert kept.requests == len(kept.latencies) == len((service / "out.csv").read_text().splitlines()) - 1
    assert kept.requests >= 8  # the warm-up does not count, and one was under way
    assert (service / "run.svg").read_text().rstrip().endswith("</svg>")
    assert [path.name for path in service.iterdir() if path.name.startswith(".") and path.is_file()] == []


WAITING = """
import pathlib, time
from pilotlight import endpoint

@endpoint
def handler(input: str) -> str:
    with pathlib.Path(__file__).parents[1].joinpath("asked").open("a") as file:
        file.write(".")
    time.sleep(0.01)
    return input
"""


PLAIN = """
import json

def handler(event, context):
    failed = event["input"] == "fail"
    return {"statusCode": 503 if failed else 200, "body": json.dumps({"t_overall": 0.5})}
"""


def test_responses_for_api_gateway(service: Path) -> None:
    write(service, {"inference/plain.py": PLAIN})
    command = ["bench", "load", "plain", "--inputs", "-", "--requests", "6", "--json"]
    found = json.loads(run(*command, stdin=b"a film\nfail\nfail", folder=service)[1])
    assert (found["errors"], found["phases"]) == ({"503": 4}, {"t_overall": 0.5})


def test_a_time_and_the_saved_event(service: Path) -> None:
    found = json.loads(run("bench", "load", "tone", "--seconds", "0.5", "--json", folder=service)[1])
    assert (found["inputs"], found["errors"], found["requests"] > 0, found["seconds"] >= 0.5) == (1, {}, True, True)


def test_only_refusals_are_an_error_with_the_functions_log(service: Path) -> None:
    status, err = said(run("bench", "load", "tone", "--inputs", "-", stdin=b"fail", folder=service))
    assert status == 1
    assert "[ERROR] ValueError: no" in err
    assert 'error: no request was answered well: ValueError: {"errorMessage": "no"' in err
    status, err = said(run("bench", "load", "tone", "--field", "inptu", "--inputs", "inputs.txt", folder=service))
    assert (status, "did you mean 'input'?" in err) == (1, True)


def test_a_function_that_begins_to_fail_is_still_measured(service: Path) -> None:
    write(service, {"inference/worn.py": WORN})
    command = ["bench", "load", "worn", "--requests", "20", "--save", "run.json", "--plot", "run.png", "--json"]
    status, out, err = run(*command, folder=service)
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert (found["requests"], found["errors"]) == (20, {"RuntimeError": 15})
    kept = run_file.read(service / "run.json")
    assert (kept.errors, len(kept.latencies), len(kept.durations), kept.told) == ({"RuntimeError": 15}, 5, 5, 20)
    assert (service / "run.png").read_bytes().startswith(b"\x89PNG")


WORN = """
asked = 0

def handler(event, context):
    global asked
    asked += 1
    if asked > 6:  # the warm-up is one
        raise RuntimeError("worn out")
    return asked
"""


def test_without_the_library_nothing_is_measured(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hdrh", None)  # as where it is not installed
    hint = "hint: pip install 'pilotlight[measure]'"
    assert ask("tone") == (2, "", f"error: measuring latencies: hdrhistogram is missing\n{hint}\n")


def test_only_refusals_without_a_warm_up_keep_nothing(service: Path) -> None:
    command = ["bench", "load", "tone", "--inputs", "-", "--warm-up", "0", "--requests", "5", "--save", "run.json"]
    status, err = said(run(*command, stdin=b"fail", folder=service))
    assert status == 1
    assert 'error: no request was answered well: ValueError: {"errorMessage": "no"' in err
    assert not (service / "run.json").exists()


def test_a_file_that_cannot_be_written_costs_no_other(tmp_path: Path) -> None:
    async def send(body: bytes) -> Reply:
        return Reply(b"{}")

    measured = asyncio.run(load.run(send, [b"{}"], 1, 2))
    plan = Plan([b"{}"], 1, 2, inf, None)
    files = Files(tmp_path / "run.json", tmp_path / "no" / "out.csv", tmp_path / "run.svg")
    with pytest.raises(UsageError, match=r"out\.csv: there is no folder"):
        load_output.write(Measured(measured, Target("tone", send), ""), load.summary(measured), plan, files)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json", "run.svg"]


def test_saved_events_in_turn(service: Path) -> None:
    """The function's own goes first, others by their names; a file may be named as well."""
    write(service, {"inference/kept.py": KEPT, "events/kept.json": '{"n": 1}', "events/kept/b.json": '{"n": 2}',
                    "events/kept/a.json": '{"n": 3}', "other.json": '{"n": 4}'})  # fmt: skip
    kept = find(project.load(service), "kept")
    for events, all_events, numbers in (
        ([], False, [1]),
        ([], True, [1, 3, 2]),
        (["b"], False, [2]),
        (["b", "kept", str(service / "other.json")], False, [2, 1, 4]),
    ):
        bodies = Inputs(None, (), tuple(events), all_events).for_function(kept)
        assert [json.loads(body)["n"] for body in bodies] == numbers
    command = ["bench", "load", "kept", "--event", "b", "--event", "kept", "--requests", "3", "--warm-up", "0"]
    status, _, err = run(*command, folder=service)
    assert (status, err, (service / "kept.txt").read_text()) == (0, "", "212")


KEPT = """
import pathlib

def handler(event, context):
    with pathlib.Path(__file__).parents[1].joinpath("kept.txt").open("a") as file:
        file.write(str(event["n"]))
"""


def test_events_are_posted_by_their_bodies(service: Path) -> None:
    of_http_api = {"version": "2.0", "requestContext": {"http": {"method": "POST"}}, "body": "YQ==",
                   "isBase64Encoded": True}  # fmt: skip
    write(service, {"v1.json": json.dumps({"httpMethod": "POST", "body": '{"a": 1}'}),
                    "v2.json": json.dumps(of_http_api), "plain.json": '{"input": "b"}',
                    "none.json": json.dumps({"httpMethod": "POST", "body": None}),
                    "get.json": json.dumps({"httpMethod": "GET", "body": None})})  # fmt: skip
    events = [word for name in ("v1", "v2", "plain", "none") for word in ("--event", f"{name}.json")]
    with serving(lambda request: answer(200, b"{}")) as server:
        url = f"http://127.0.0.1:{server.port}/"
        command = ["bench", "load", "--url", url, *events, "--requests", "4", "--warm-up", "0", "--save", "run.json"]
        assert run(*command, folder=service)[0] == 0
        status, err = said(run("bench", "load", "--url", url, "--event", "get.json", folder=service))
    assert [request.body for request in server.requests] == [b'{"a": 1}', b"a", b'{"input": "b"}', b""]
    assert (status, err.splitlines()[0]) == (2, "error: the event in get.json is a GET request")
    kept = run_file.read(service / "run.json")
    assert (kept.target, kept.told, kept.memory, kept.durations) == (url, 0, 0, [])


def test_a_function_without_saved_events(ask: Ask, service: Path) -> None:
    write(service, {"inference/kept.py": KEPT})
    status, out, err = ask("kept", "--events")
    assert (status, out, err.splitlines()[0]) == (
        2,
        "",
        f"error: kept has no saved events in {service.resolve()}/events",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either a FUNCTION or --url is what is asked"),
        (["tone", "--url", "http://127.0.0.1"], "either a FUNCTION or --url is what is asked"),
        (["--url", "http://127.0.0.1"], "--url needs --inputs or --event"),
        (["--url", "http://127.0.0.1", "--events"], "--events are a function's, and --url names none"),
        (["--url", "http://127.0.0.1", "--remote"], "--url and --remote exclude each other"),
        (["tone", "--stage", "beta"], "--stage is for a deployed service: give --remote as well"),
        (["tone", "--event", "tone", "--events"], "--event and --events exclude each other"),
        (["tone", "--event", "toen"], "there is no event 'toen' of tone, and no such file"),
        (["tone", "--rate", "nan"], "Invalid value for '--rate': nan is not a finite number."),
        (["tone", "--rate", "1e6"], "1e+06 a second for 30 s are 30,000,000 requests"),
        (["tone", "--save", "no/run.json"], "writing no/run.json: there is no folder no"),
        (["tone", "--save", "run.json", "--csv", "run.json"], "writing {root}/run.json: two options name it"),
        (["tone", "--csv", "."], "Invalid value for '--csv': File '.' is a directory."),
        (["tone", "--plot", "run.pdf"], "plotting to run.pdf: it is neither PNG nor SVG"),
        (["tone", "--plot", "no/run.svg"], "writing no/run.svg: there is no folder no"),
        (["tone", "--requests", "1", "--seconds", "1"], "--requests and --seconds exclude each other"),
        (["tnoe"], "there is no function 'tnoe' in {root}"),
    ],
)
def test_mistakes_are_told_before_anything_starts(ask: Ask, service: Path, arguments: list[str], message: str) -> None:
    status, out, err = ask(*arguments)
    assert (status, out, err.splitlines()[0]) == (2, "", f"error: {message.format(root=service.resolve())}")
