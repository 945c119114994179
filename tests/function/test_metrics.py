"""What a function tells of each invocation: lines of metrics in its log."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import RunningServer, write
from pilotlight.function.metrics import Lines
from pilotlight.function.runtime import serve_one
from pilotlight.function.runtime_client import Event, RuntimeApi, Stream
from pilotlight.function.told import Invocation, TellingApi

S = 1_000_000_000  # nanoseconds
ENDED = 1_700_000_000 * S + 750_000_000
SEEN = Invocation(
    Event("id-1", b"{}", trace_id="Root=1-5759e988-bd862e3fe1be46a994272793"),
    ENDED - S // 4,
    ENDED,
    b'{"statusCode": 200}',
    is_cold=True,
    init=ENDED - S,
    loaded=ENDED - S + 80_000_000,
)


def test_the_line_of_a_cold_start() -> None:
    assert json.loads(Lines("shop--qa", "sha256:ab").line(SEEN)) == {
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
    line = Lines("qa", "").line(Invocation(Event("id-1", b""), ENDED - S // 4, ENDED, error="ValueError"))
    found = json.loads(line)
    del found["_aws"]
    assert found == {"Function": "qa", "Duration": 250.0, "ColdStart": 0, "Errors": 1, "RequestId": "id-1"}


@given(st.text(), st.text(), st.text(), st.floats(0, 900))
def test_every_metric_that_a_line_names_is_in_it(function: str, model: str, request_id: str, seconds: float) -> None:
    """The specification's rules: one line, each metric a number beside its directive, each dimension a text."""
    event, began = Event(request_id, b""), ENDED - int(seconds * S)
    line = Lines(function, model).line(SEEN._replace(event=event, began=began))
    assert line.count(b"\n") == 1
    found = json.loads(line)
    [directive] = found["_aws"]["CloudWatchMetrics"]
    assert all(isinstance(found[each["Name"]], int | float) for each in directive["Metrics"])
    assert all(isinstance(found[name], str) for name in directive["Dimensions"][0])


class Posted(RuntimeApi):
    """What our loop would have posted."""

    def __init__(self) -> None:
        self.operations: list[str] = []

    def next(self) -> Event:
        return Event("id", b"{}")

    def respond(self, request_id: str, payload: bytes, headers: str = "") -> None:
        self.operations.append("respond")

    def fail(self, request_id: str, error: Mapping[str, object]) -> None:
        self.operations.append("fail")

    def begin_stream(self, request_id: str, head: Mapping[str, object]) -> None:
        self.operations.append("begin")

    def send_chunk(self, chunk: bytes) -> None:
        self.operations.append("chunk")

    def end_stream(self, error: Mapping[str, object] | None = None) -> None:
        self.operations.append("end")

    def flush(self) -> None:
        self.operations.append("flush")


def broken_off() -> Iterator[bytes]:
    yield b"a"
    raise ValueError("no more")


def raising() -> object:
    raise ValueError("no")


@pytest.mark.parametrize(
    ("answer", "errors", "operations"),
    [
        (lambda: {"statusCode": 503, "body": ""}, 1, ["respond", "flush"]),
        (lambda: {"body": "x" * 1000, "statusCode": 503}, 1, ["respond", "flush"]),
        (lambda: {"statusCode": 200, "body": '{"statusCode": 503}'}, 0, ["respond", "flush"]),
        (lambda: {"statusCode": 404}, 0, ["respond", "flush"]),
        (lambda: "text", 0, ["respond", "flush"]),
        (raising, 1, ["fail", "flush"]),
        (lambda: object(), 1, ["fail", "flush"]),  # which is no JSON
        (lambda: Stream({"statusCode": 200}, iter([b"a"])), 0, ["begin", "chunk", "end", "flush"]),
        (lambda: Stream({"statusCode": 200}, broken_off()), 1, ["begin", "chunk", "end", "flush"]),
    ],
)
def test_what_counts_as_an_error(answer: Callable[[], object], errors: int, operations: list[str]) -> None:
    told: list[Invocation] = []
    posted = Posted()
    api = TellingApi(posted, [told.append], init=1, loaded=2)
    for _ in range(2):
        serve_one(api, lambda event, context: answer())
    assert [(each.is_cold, each.init, each.failed) for each in told] == [
        (True, 1, bool(errors)),
        (False, 0, bool(errors)),
    ]
    assert posted.operations == operations * 2  # and who is told is told after that


def test_nothing_is_loaded_where_nobody_is_told() -> None:
    code = """
import sys
from pilotlight.function import runtime
before = set(sys.modules)
from pilotlight.function import told
assert not told.tells({})
first = set(sys.modules) - before
told.tells({"PILOTLIGHT_METRICS": "", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
print("pilotlight.function.told" in before, sorted(set(sys.modules) - before - first))
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False ['pilotlight.function.metrics']\n"


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
