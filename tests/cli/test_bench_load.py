"""`pilotlight bench load`: of a function in real execution environments, and of a served URL."""

import csv
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import PIPE

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


def test_requests_at_a_rate_do_not_wait_for_answers(service: Path) -> None:
    """Each takes 0.2 s, so that one connection would send five a second."""
    write(service, {"inference/slow.py": SLOW})
    command = ["bench", "load", "slow", "--inputs", "inputs.txt", "--rate", "50", "--requests", "20", "--json"]
    status, out, err = run(*command, folder=service)
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert (found["requests"], found["errors"]) == (20, {})
    assert found["rate"] == pytest.approx(20 / 0.38)
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


def test_a_file_of_times_that_is_not_right(service: Path) -> None:
    (service / "trace.csv").write_text("1\n0.5\n")
    status, out, err = run("bench", "load", "tone", "--trace", "trace.csv", folder=service)
    assert (status, out) == (2, "")
    assert "reading trace.csv, line 2: the time 0.5 is earlier than the one before" in err


@pytest.mark.parametrize(
    "options",
    [("--rate", "5", "--concurrency", "2"), ("--requests", "5", "--seconds", "2"), ("--trace", "-", "--seconds", "2")],
)
def test_options_that_exclude_each_other(service: Path, options: tuple[str, ...]) -> None:
    status, out, err = run("bench", "load", "tone", *options, folder=service)
    assert (status, out) == (2, "")
    assert f"{options[0]} and {options[2]} exclude each other" in err or f"{options[2]} and {options[0]}" in err


def test_ctrl_c_shows_what_was_measured(tmp_path: Path) -> None:
    asked = threading.Semaphore(0)

    class Server(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            asked.release()
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (tmp_path / "inputs.txt").write_text("a film\n")
        url = f"http://127.0.0.1:{server.server_port}/"
        command = [sys.executable, "-m", "pilotlight", "bench", "load", "--url", url, "--inputs", "inputs.txt",
                   "--seconds", "300", "--csv", "out.csv"]  # fmt: skip
        with subprocess.Popen(command, cwd=tmp_path, stdout=PIPE, stderr=PIPE, text=True) as process:
            for _ in range(10):
                assert asked.acquire(timeout=60)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        server.shutdown()
    assert process.returncode == 130
    assert " requests in " in out
    assert err.endswith("Interrupted: these are the requests that were answered before.\n")
    assert len((tmp_path / "out.csv").read_text().splitlines()) >= 9  # a header; the warm-up does not count


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
