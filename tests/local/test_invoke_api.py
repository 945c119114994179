"""The Invoke API as its users call it: boto3 and the AWS CLI against a running server."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import httpx
import pytest

from conftest import RunningServer, write

FUNCTION = """
    import pathlib, time

    def handler(event, context):
        if "fail" in event:
            raise RuntimeError(event["fail"])
        if "touch" in event:
            pathlib.Path(event["touch"]).write_text(context.aws_request_id)
        print("called with", sorted(event))
        return {"event": event, "custom": context.client_context and context.client_context.custom}
"""

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def server(tmp_path: Path, start_server: Callable[..., RunningServer]) -> RunningServer:
    toml = '[functions.absent]\nmodel = "models/absent"\ninstall = "make absent"\n[functions.busy]\nconcurrency = 1\n'
    busy = "import time\n\ndef handler(event, context):\n    time.sleep(1.5)\n"
    files = {"inference/echo.py": FUNCTION, "inference/absent.py": FUNCTION, "inference/busy.py": busy}
    return start_server(write(tmp_path / "service", {"pilotlight.toml": toml, **files}))


@pytest.fixture
def client(server: RunningServer) -> Iterator[Any]:
    config = botocore.config.Config(retries={"max_attempts": 1})
    session = boto3.Session("test", "test", region_name="us-east-1")
    made = session.client("lambda", endpoint_url=server.url, config=config)
    yield made
    made.close()


def test_boto3_gets_the_answer(client: Any) -> None:
    context = base64.b64encode(b'{"custom": {"a": "b"}}').decode()
    answer = client.invoke(FunctionName="echo", Payload=b'{"text": "\xc3\xa9"}', LogType="Tail", ClientContext=context)
    assert json.load(answer["Payload"]) == {"event": {"text": "é"}, "custom": {"a": "b"}}
    assert (answer["StatusCode"], answer["ExecutedVersion"], "FunctionError" in answer) == (200, "$LATEST", False)
    log = base64.b64decode(answer["LogResult"]).decode()
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert log.startswith(f"START RequestId: {request_id} Version: $LATEST\ncalled with ['text']\nEND RequestId: ")
    assert f"REPORT RequestId: {request_id}\tDuration: " in log


@pytest.mark.parametrize(
    "name",
    [
        "echo",
        "service--echo",
        "service--echo:$LATEST",
        "000000000000:function:service--echo",
        "arn:aws:lambda:us-east-1:000000000000:function:service--echo",
    ],
)
def test_boto3_names_a_function_in_every_way(client: Any, name: str) -> None:
    answer = client.invoke(FunctionName=name)
    assert json.load(answer["Payload"]) == {"event": {}, "custom": None}


@pytest.mark.parametrize("custom", [{"name": "日本"}, {"lines": "a\r\nLambda-Runtime-Aws-Request-Id: evil\r\n\r\nb"}])
def test_boto3_sends_any_client_context(client: Any, custom: dict[str, str]) -> None:
    context = base64.b64encode(json.dumps({"custom": custom}, ensure_ascii=False, indent=1).encode()).decode()
    assert json.load(client.invoke(FunctionName="echo", ClientContext=context)["Payload"])["custom"] == custom


def test_boto3_learns_of_a_function_error(client: Any) -> None:
    answer = client.invoke(FunctionName="echo", Payload=b'{"fail": "no luck"}')
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    error = json.load(answer["Payload"])
    assert (error["errorType"], error["errorMessage"]) == ("RuntimeError", "no luck")


def test_boto3_starts_an_asynchronous_invocation(client: Any, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    answer = client.invoke(
        FunctionName="echo", InvocationType="Event", Payload=json.dumps({"touch": str(mark)}).encode()
    )
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    deadline = time.monotonic() + 20
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert mark.read_text() == answer["ResponseMetadata"]["RequestId"]


def test_boto3_makes_a_dry_run(client: Any) -> None:
    assert client.invoke(FunctionName="echo", InvocationType="DryRun")["StatusCode"] == 204


NOBODY = (404, "ResourceNotFoundException", "Function not found: nobody")
NOT_JSON = (400, "InvalidRequestContentException", "Could not parse request body into json: ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"FunctionName": "nobody"}, NOBODY),
        ({"FunctionName": "nobody", "InvocationType": "Event"}, NOBODY),
        ({"FunctionName": "nobody", "InvocationType": "DryRun"}, NOBODY),
        ({"FunctionName": "echo", "Qualifier": "7"}, (404, "ResourceNotFoundException", "Function not found: echo:7")),
        ({"FunctionName": "echo", "Payload": b"{"}, NOT_JSON),
        ({"FunctionName": "echo", "Payload": b'"\xff"'}, NOT_JSON),
        ({"FunctionName": "echo", "Payload": b"[" * 200_000}, NOT_JSON),
        (
            {"FunctionName": "echo", "ClientContext": base64.b64encode(b"{}\r\nX: y").decode()},
            (400, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object."),
        ),
        (
            {"FunctionName": "echo", "Payload": b" " * 6_291_557},
            (413, "RequestTooLargeException", "Request must be smaller than 6291556 bytes"),
        ),
        (
            {"FunctionName": "absent"},
            (503, "ServiceException", "the model of absent is not installed; install it with: make absent"),
        ),
    ],
)
def test_boto3_gets_the_errors_of_lambda(
    client: Any, arguments: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client.invoke(**arguments)
    response = caught.value.response
    status, code, message = expected
    assert (response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]) == (status, code)
    assert message in response["Error"]["Message"]


def test_boto3_is_throttled_over_the_concurrency(client: Any, server: RunningServer) -> None:
    url = f"{server.url}/2015-03-31/functions/busy/invocations"
    assert httpx.post(url, headers={"x-amz-invocation-type": "Event"}).status_code == 202
    with pytest.raises(client.exceptions.TooManyRequestsException) as caught:
        client.invoke(FunctionName="busy")
    assert caught.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"


def test_the_aws_cli_gets_the_answer(server: RunningServer, tmp_path: Path) -> None:
    answer = tmp_path / "answer.json"
    command = [
        *(sys.executable, "-m", "awscli", "lambda", "invoke", "--endpoint-url", server.url),
        *("--function-name", "echo", "--payload", '{"a": 1}', str(answer)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **CREDENTIALS}, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"StatusCode": 200, "ExecutedVersion": "$LATEST"}
    assert json.loads(answer.read_text()) == {"event": {"a": 1}, "custom": None}


def test_other_operations_are_refused_by_name(client: Any) -> None:
    with pytest.raises(botocore.exceptions.ClientError, match="only Invoke is served on this machine"):
        client.get_function(FunctionName="echo")
