"""What a function tells of each invocation: lines of metrics in its log."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import RunningServer, write
from pilotlight.function.metrics import Meter, Seen
from pilotlight.function.runtime_client import Stream

SEEN = Seen("id-1", "Root=1-5759e988-bd862e3fe1be46a994272793", 1_700_000_000.75, 0.25, True, 0.08, "", 200)


def test_the_line_of_a_cold_start() -> None:
    assert json.loads(Meter("shop--qa", "sha256:ab").line(SEEN)) == {
        "_aws": {
            "Timestamp": 1_700_000_000_750,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Pilotlight",
                    "Dimensions": [["Function"]],
                    "Metrics": [
                        {"Name": "Duration", "Unit": "Milliseconds"},
                        {"Name": "ColdStart", "Unit": "Count"},
                        {"Name": "Errors", "Unit": "Count"},
                        {"Name": "InitDuration", "Unit": "Milliseconds"},
                    ],
                }
            ],
        },
        "Function": "shop--qa",
        "Duration": 250.0,
        "ColdStart": 1,
        "Errors": 0,
        "RequestId": "id-1",
        "ModelVersion": "sha256:ab",
        "InitDuration": 80.0,
        "TraceId": "Root=1-5759e988-bd862e3fe1be46a994272793",
    }


def test_the_line_of_a_warm_start_that_failed() -> None:
    line = Meter("qa", "").line(SEEN._replace(is_cold=False, init_seconds=0.0, error="ValueError", trace_id=""))
    found = json.loads(line)
    del found["_aws"]
    assert found == {"Function": "qa", "Duration": 250.0, "ColdStart": 0, "Errors": 1, "RequestId": "id-1"}


@given(st.text(), st.text(), st.text(), st.floats(0, 900))
def test_every_metric_that_a_line_names_is_in_it(function: str, model: str, request_id: str, seconds: float) -> None:
    """The specification's rules: one line, each metric a number beside its directive, each dimension a text."""
    line = Meter(function, model).line(SEEN._replace(request_id=request_id, seconds=seconds))
    assert line.count(b"\n") == 1
    found = json.loads(line)
    [directive] = found["_aws"]["CloudWatchMetrics"]
    assert all(isinstance(found[each["Name"]], int | float) for each in directive["Metrics"])
    assert all(isinstance(found[name], str) for name in directive["Dimensions"][0])


def lines_of(meter: Meter, capfd: pytest.CaptureFixture[str], request_id: str) -> tuple[int, int]:
    meter.tell(request_id)
    found = json.loads(capfd.readouterr().err)
    assert found["RequestId"] == request_id
    return found["ColdStart"], found["Errors"]


def test_what_counts_as_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    meter = Meter("qa", "")

    def raising(event: Any, context: Any) -> object:
        raise ValueError("no")

    def broken_off() -> Iterator[bytes]:
        yield b"a"
        raise ValueError("no more")

    assert meter.watch(lambda event, context: {"statusCode": 503})({}, None) == {"statusCode": 503}
    assert lines_of(meter, capfd, "a") == (1, 1)
    assert meter.watch(lambda event, context: {"statusCode": 404})({}, None) == {"statusCode": 404}
    assert lines_of(meter, capfd, "b") == (0, 0)
    with pytest.raises(ValueError, match="no"):
        meter.watch(raising)({}, None)
    assert lines_of(meter, capfd, "c") == (0, 1)
    answer = meter.watch(lambda event, context: Stream({"statusCode": 200}, broken_off()))({}, None)
    assert isinstance(answer, Stream)
    with pytest.raises(ValueError, match="no more"):
        list(answer.chunks)
    assert lines_of(meter, capfd, "d") == (0, 1)
    assert lines_of(meter, capfd, "e") == (0, 1)  # the handler was not called: its event was no JSON


def test_nothing_is_loaded_where_no_metrics_are_asked_for() -> None:
    code = """
import sys
from pilotlight.function import runtime
before = set(sys.modules)
assert runtime.meter_of({}) is None
first = set(sys.modules) - before
runtime.meter_of({"PILOTLIGHT_METRICS": ""})
print(sorted(first), sorted(set(sys.modules) - before))
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[] ['pilotlight.function.metrics']\n"


FILES = {
    "inference/qa.py": """
        from pilotlight import endpoint

        @endpoint
        def handler(text: str) -> str:
            if text == "fail":
                raise ValueError("no")
            return text
    """,
    "inference/plain.py": """
        def handler(event, context):
            return {"statusCode": 200, "body": "plain"}
    """,
    "pilotlight.toml": """
        name = "shop"
        [defaults]
        metrics = true
        [functions.plain]
        runtime = "awslambdaric"
    """,
}


def ask(url: str, body: object) -> int:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as got:
            return int(got.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def told(server: RunningServer, function: str) -> tuple[str, dict[str, Any]]:
    """The id that Lambda's own line tells, and the line of metrics, whichever comes first."""
    request_id, metrics = "", {}
    while not (request_id and metrics):
        line = str(server.wait_for("log", function=function)["line"])
        if line.startswith("REPORT RequestId: "):
            request_id = line.split()[2]
        elif line.startswith('{"_aws"'):
            metrics = json.loads(line)
    return request_id, metrics


def test_the_metrics_of_served_functions(tmp_path: Path, start_server: Callable[..., RunningServer]) -> None:
    server = start_server(write(tmp_path / "shop", FILES), "--no-reload")
    seen = []
    for path, body in (("qa", {"text": "a"}), ("qa", {"text": "b"}), ("qa", {"text": "fail"}), ("plain", {})):
        status = ask(f"{server.url}/{path}", body)
        request_id, line = told(server, f"shop--{path}")
        assert line["RequestId"] == request_id
        seen.append((status, line["ColdStart"], line["Errors"], "InitDuration" in line))
    assert seen[:3] == [(200, 1, 0, True), (200, 0, 0, False), (500, 0, 1, False)]
    assert seen[3][:3] == (200, 1, 0)  # by `awslambdaric`, whose init phase is not ours to measure
