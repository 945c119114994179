"""`bench load --remote` as its users call it: boto3 asks a running server in Lambda's place."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import moto_aws
import pytest
from moto_aws import Aws, forwarding

from conftest import RunningServer, write
from http_servers import Request, answer, serving
from pilotlight.measure import run_file

HANDLER = """
    def handler(event, context):
        if event.get("fail"):
            raise ValueError("no luck")
        return {"asked": event}
"""


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with moto_aws.running() as aws:
        yield aws


@pytest.fixture
def service(tmp_path: Path) -> Path:
    return write(
        tmp_path / "service", {"inference/qa.py": HANDLER, "events/qa.json": '{"a": 1}', "pilotlight.toml": ""}
    )


def live(aws: Aws, port: int) -> Aws:
    """Whose Lambda listens there."""
    return Aws({**aws.environ, "AWS_ENDPOINT_URL_LAMBDA": f"http://127.0.0.1:{port}"})


def test_a_deployed_function_is_measured(
    aws: Aws, service: Path, start_server: Callable[..., RunningServer], tmp_path: Path
) -> None:
    port = int(start_server(service, "--no-reload", "--isolation", "none").url.rpartition(":")[2])
    write(service, {"pilotlight.toml": "[defaults]\nmemory = 512\n"})  # what is deployed counts
    with serving(forwarding(port)) as server:
        command = ("bench", "load", "qa", "--remote", "--requests", "20", "--concurrency", "2", "--warm-up", "0")
        code, out, err = live(aws, server.port).run(*command, "--save", "run.json", "--json", cwd=service)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["target"], found["memory"], found["requests"]) == ("service--qa in eu-west-1", 1769, 20)
    assert (found["errors"], found["cold"] >= 1, found["init_ms"] > 0) == ({}, True, True)
    kept = run_file.read(service / "run.json")
    assert (kept.told, len(kept.durations), len(kept.inits)) == (20, 20, found["cold"])
    assert {request.headers.get("x-amz-log-type") for request in server.requests[1:]} == {"Tail"}
    assert all(
        duration < latency for duration, latency in zip(sorted(kept.durations), sorted(kept.latencies), strict=True)
    )


def test_a_function_that_is_not_deployed_is_said_before_anything_is_sent(
    aws: Aws, service: Path, start_server: Callable[..., RunningServer]
) -> None:
    port = int(start_server(service, "--no-reload", "--isolation", "none").url.rpartition(":")[2])
    write(service, {"inference/later.py": HANDLER})
    with serving(forwarding(port)) as server:
        code, out, err = live(aws, server.port).run("bench", "load", "later", "--remote", cwd=service)
    assert (code, out) == (1, "")
    assert err == (
        "error: invoking service--later: Function not found: "
        "arn:aws:lambda:us-east-1:000000000000:function:service--later\n"
        "hint: `pilotlight status` shows what is deployed, in which region and stage\n"
    )
    assert [request.method for request in server.requests] == ["GET"]


def test_who_may_invoke_need_not_be_allowed_to_look(aws: Aws, service: Path) -> None:
    """What the function is set to is not known then. Throttled requests are errors like others."""
    calls = iter(range(1000))

    def lambda_(request: Request) -> bytes:
        if request.method == "GET":
            return answer(403, b'{"Message": "no"}', "x-amzn-errortype: AccessDeniedException\r\n")
        if next(calls) % 2:
            return answer(429, b'{"Type": "User", "message": "Rate Exceeded."}',
                          "x-amzn-errortype: TooManyRequestsException\r\n")  # fmt: skip
        return answer(200, b"{}")

    with serving(lambda_) as server:
        command = ("bench", "load", "qa", "--remote", "--requests", "6", "--warm-up", "0", "--json")
        code, out, err = live(aws, server.port).run(*command, cwd=service)
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert (found["memory"], found["architecture"], found["errors"], found["cold"]) == (0, "", {"Throttled": 3}, None)


def test_ctrl_c_before_anything_was_measured(aws: Aws, service: Path) -> None:
    waits, ends = threading.Event(), threading.Event()

    def lambda_(request: Request) -> bytes:
        if request.method == "GET":
            return answer(200, b'{"MemorySize": 1024}')
        waits.set()
        ends.wait(100)
        return answer(200, b"{}")

    with serving(lambda_) as server:
        with live(aws, server.port).start(
            "bench", "load", "qa", "--remote", "--save", "run.json", cwd=service
        ) as process:
            assert waits.wait(60)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        ends.set()
    assert (process.returncode, out, err) == (130, "", "Interrupted: nothing was measured yet.\n")
    assert not (service / "run.json").exists()


def test_ctrl_c_does_not_wait_for_calls_that_are_under_way(aws: Aws, service: Path) -> None:
    calls, waits, ends = iter(range(1000)), threading.Event(), threading.Event()

    def lambda_(request: Request) -> bytes:
        if request.method == "GET":
            return answer(200, b'{"MemorySize": 1024, "Architectures": ["arm64"]}')
        if next(calls) == 4:
            waits.set()
            ends.wait(100)
        return answer(200, b"{}")

    with serving(lambda_) as server:
        command = ("bench", "load", "qa", "--remote", "--seconds", "300", "--warm-up", "0", "--save", "run.json")
        with live(aws, server.port).start(*command, cwd=service) as process:
            assert waits.wait(60)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        ends.set()
    assert process.returncode == 130
    assert out.startswith("4 requests in ")
    assert err.endswith("Interrupted: these are the requests that were answered before.\n")
    kept = run_file.read(service / "run.json")
    assert (kept.requests, kept.memory, kept.architecture) == (4, 1024, "arm64")
