"""`pilotlight bench load`: of a function in real execution environments, and of a served URL."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from test_commands import run, said

from conftest import RunningServer, write

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


def test_help_shows_examples() -> None:
    status, out, err = run("bench", "load", "--help")
    assert (status, err) == (0, "")
    assert "\n  Examples:\n    pilotlight bench load kim_cnn --inputs sentences.txt\n" in out


def test_a_function_of_the_folder(service: Path) -> None:
    command = ["bench", "load", "tone", "--inputs", "inputs.txt", "--requests", "20", "--concurrency", "2"]
    status, out, err = run(*command, "--json", "--csv", "out.csv", folder=service)
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert (found["concurrency"], found["inputs"], found["requests"], found["errors"]) == (2, 2, 20, {})
    assert found["qps"] == pytest.approx(20 / found["seconds"])
    assert 0 < found["p50_ms"] <= found["p90_ms"] <= found["p99_ms"] <= found["max_ms"]
    assert found["phases"] == {"t_overall": pytest.approx(0.002), "t_inference": pytest.approx(0.001)}
    with (service / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert (len(rows), list(rows[0])) == (20, ["began_s", "latency_ms", "error", "t_overall", "t_inference"])
    assert max(float(row["latency_ms"]) for row in rows) == pytest.approx(found["max_ms"], abs=0.001)


def test_a_url_as_a_table(service: Path, start_server: Callable[..., RunningServer]) -> None:
    server = start_server(service, "--no-reload")
    (service / "inputs.txt").write_text("a film\nfail\n")
    command = ["bench", "load", "--url", f"{server.url}/tone", "--inputs", "-", "--requests", "10"]
    status, out, err = run(*command, stdin=(service / "inputs.txt").read_bytes())
    assert (status, err) == (0, "")
    lines = [line.split() for line in out.splitlines() if line]
    assert lines[0][:2] == ["10", "requests"]
    assert [line[:2] for line in lines[2:7]] == [[name, "ms"] for name in ("p50", "p90", "p99", "max", "mean")]
    assert lines[1][0] == "qps"
    assert lines[7:] == [["errors", "5"], ["500:", "5"], *(line.split() for line in PHASES)]


PHASES = ("mean of each phase in ms", "t_overall 2.000", "t_inference 1.000")


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either a FUNCTION or --url is what is asked"),
        (["tone", "--url", "http://127.0.0.1"], "either a FUNCTION or --url is what is asked"),
        (["--url", "http://127.0.0.1"], "--url needs --inputs"),
        (["tone", "--requests", "1", "--seconds", "1"], "--requests and --seconds exclude each other"),
        (["tnoe"], "there is no function 'tnoe' in {root}"),
    ],
)
def test_mistakes_are_told_before_anything_starts(service: Path, arguments: list[str], message: str) -> None:
    status, err = said(run("bench", "load", *arguments, folder=service))
    assert (status, err.splitlines()[0]) == (2, f"error: {message.format(root=service.resolve())}")
