"""One request's ids, followed from the client through the event, the log, the metrics and the record to the answer."""

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from conftest import RunningServer, write

SOURCE = """
import logging
from pilotlight import endpoint
from pilotlight.function.inputs import Context

@endpoint
def handler(text: str, context: Context) -> dict[str, object]:
    logging.getLogger().warning("asked %s", text)
    if text == "fail":
        raise ValueError("no")
    return {"lambda": context.aws_request_id}
"""
SETTINGS = """
name = "shop"
[defaults]
records = true
metrics = true
[functions.by_http]
front = "http"
[functions.by_rest]
front = "rest"
[functions.by_url]
front = "url"
"""
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


@pytest.fixture
def server(tmp_path: Path, start_server: Callable[..., RunningServer]) -> RunningServer:
    files = {f"inference/by_{front}.py": SOURCE for front in ("http", "rest", "url")}
    return start_server(write(tmp_path / "shop", {**files, "pilotlight.toml": SETTINGS}), "--no-reload")


def log_of(server: RunningServer, function: str) -> list[str]:
    """The lines of one invocation, with those of the platform."""
    lines: list[str] = []
    while not (any(each.startswith("REPORT ") for each in lines) and any('"_aws"' in each for each in lines)):
        lines.append(str(server.wait_for("log", function=f"shop--{function}")["line"]))
    return lines


def record_of(folder: Path, request_id: str) -> bool:
    """Whether it is stored, which the server does soon after the answer."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        files = list((folder / ".pilotlight").glob("*.sqlite*"))
        for file in (each for each in files if each.suffix in (".sqlite", ".sqlite3")):
            with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
                if request_id in "".join(connection.iterdump()):
                    return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("function", "header"),
    [("by_http", "apigw-requestid"), ("by_rest", "x-amzn-requestid"), ("by_url", "x-amzn-requestid")],
)
def test_an_id_leads_from_the_answer_to_log_metrics_and_record(
    server: RunningServer, tmp_path: Path, function: str, header: str
) -> None:
    answer = httpx.post(f"{server.url}/{function}", json={"text": "a"}, headers={"x-amzn-trace-id": TRACE}, timeout=60)
    own = answer.json()["lambda"]
    lines = log_of(server, function)
    assert any(line.startswith(f"REPORT RequestId: {own}\t") for line in lines)
    assert any(line.startswith("[WARNING]") and own in line and "asked a" in line for line in lines)
    [metrics] = [json.loads(line) for line in lines if line.startswith('{"_aws"')]
    assert (metrics["RequestId"], metrics["TraceId"].split(";")[0]) == (own, TRACE.split(";")[0])
    assert record_of(tmp_path / "shop", own)
    for name in (answer.headers[header], own):
        found: dict[str, Any] = httpx.get(f"{server.url}/_pilotlight/requests/{name}", timeout=60).json()
        assert (found["request_id"], found["function"]) == (own, f"shop--{function}")
        assert any("asked a" in line for line in found["log"])


def test_an_error_tells_the_id_that_the_log_has(server: RunningServer) -> None:
    answer = httpx.post(f"{server.url}/by_url", json={"text": "fail"}, timeout=60)
    assert answer.status_code == 500
    lines = log_of(server, "by_url")
    assert any(line.startswith(f"REPORT RequestId: {answer.json()['requestId']}\t") for line in lines)


def test_the_invoke_api_answers_with_the_id_of_lambda(server: RunningServer) -> None:
    answer = httpx.post(f"{server.url}/2015-03-31/functions/by_http/invocations", json={"text": "a"}, timeout=60)
    assert answer.json() == {"lambda": answer.headers["x-amzn-requestid"]}
    assert any(answer.headers["x-amzn-requestid"] in line for line in log_of(server, "by_http"))
