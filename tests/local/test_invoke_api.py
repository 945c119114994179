"""The Invoke API as its users call it: boto3 and the AWS CLI against a running server."""

import base64
import json
import os
import platform
import re
import signal
import subprocess
import sys
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
    def handler(event, context):
        if "fail" in event:
            raise RuntimeError(event["fail"])
        print("called with", sorted(event))
        if "number" in event:
            print(event["number"], context.aws_request_id, context.client_context)
        return {"event": event, "custom": context.client_context and context.client_context.custom}
"""

TRACE = r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


TOML = """
    [functions.absent]
    model = "models/absent"
    install = "make absent"

    [functions.busy]
    concurrency = 1
    memory = 512
    timeout = 30
    environment = { GREETING = "hello" }

    [functions.stuck]
    concurrency = 1
    timeout = 900
"""


@pytest.fixture
def server(tmp_path: Path, start_server: Callable[..., RunningServer]) -> RunningServer:
    busy = "import time\n\ndef handler(event, context):\n    time.sleep(1.5)\n"
    stuck = "import time\n\ndef handler(event, context):\n    time.sleep(900)\n"
    sources = {"echo": FUNCTION, "absent": FUNCTION, "busy": busy, "stuck": stuck}
    files = {f"inference/{name}.py": source for name, source in sources.items()}
    return start_server(write(tmp_path / "service", {"pilotlight.toml": TOML, **files}))


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
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-type"] == "application/json"
    assert re.fullmatch(TRACE, headers["x-amzn-trace-id"])
    log = base64.b64decode(answer["LogResult"]).decode()
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert log.startswith(f"START RequestId: {request_id} Version: $LATEST\ncalled with ['text']\nEND RequestId: ")
    assert f"REPORT RequestId: {request_id}\tDuration: " in log


@pytest.mark.parametrize(
    "name",
    [
        "echo",
        "service--echo",
        "echo:$LATEST",
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


def test_boto3_starts_an_asynchronous_invocation(client: Any, server: RunningServer) -> None:
    """Without a log and without the client context, which are for synchronous ones."""
    context = base64.b64encode(b'{"custom": {"a": "b"}}').decode()
    answer = client.invoke(
        FunctionName="echo", InvocationType="Event", Payload=b'{"number": 7}', ClientContext=context, LogType="Tail"
    )
    assert (answer["StatusCode"], answer["Payload"].read(), "LogResult" in answer) == (202, b"", False)
    assert re.fullmatch(TRACE, answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-trace-id"])
    server.wait_for("log", function="service--echo", line=f"7 {answer['ResponseMetadata']['RequestId']} None")


def test_the_server_names_the_events_that_are_lost_with_it(client: Any, server: RunningServer) -> None:
    answer = client.invoke(FunctionName="echo", InvocationType="Event", Payload=b'{"fail": "no luck"}')
    event = f"RequestId: {answer['ResponseMetadata']['RequestId']} Asynchronous event:"
    server.wait_for("log", line=f"[WARN] {event} attempt 1: the function failed; the next one in 60 s")
    server.process.send_signal(signal.SIGINT)
    lost = f"[ERROR] {event} lost after 1 attempt: the server has stopped"
    assert server.wait_for("log", line=lost)["function"] == "service--echo"


def test_boto3_makes_a_dry_run(client: Any) -> None:
    assert client.invoke(FunctionName="echo", InvocationType="DryRun")["StatusCode"] == 204


NOBODY = (
    404,
    "ResourceNotFoundException",
    "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody",
)
NOT_JSON = (
    400,
    "InvalidRequestContentException",
    "Could not parse request body into json: Could not parse payload into json: ",
)
NO_CONTEXT = (400, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object.")
TOO_LARGE = (
    413,
    "RequestEntityTooLargeException",
    "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"FunctionName": "nobody"}, NOBODY),
        ({"FunctionName": "nobody", "InvocationType": "Event"}, NOBODY),
        ({"FunctionName": "nobody", "InvocationType": "DryRun"}, NOBODY),
        ({"FunctionName": "arn:aws:lambda:us-east-1:000000000000:function:nobody"}, NOBODY),
        ({"FunctionName": "nobody:$LATEST"}, (*NOBODY[:2], f"{NOBODY[2]}:$LATEST")),
        ({"FunctionName": "echo", "Qualifier": "7"}, (*NOBODY[:2], NOBODY[2].replace("nobody", "echo:7"))),
        ({"FunctionName": "echo:live"}, (*NOBODY[:2], NOBODY[2].replace("nobody", "echo:live"))),
        (
            {"FunctionName": "echo:1", "Qualifier": "2"},
            (
                400,
                "InvalidParameterValueException",
                "The derived qualifier from the function name does not match the specified qualifier.",
            ),
        ),
        (
            {"FunctionName": "echo", "InvocationType": "Later"},
            (
                400,
                "InvalidParameterValueException",
                "Value Later at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: "
                "[RequestResponse, Event, DryRun]",
            ),
        ),
        (
            {"FunctionName": "echo", "LogType": "All"},
            (
                400,
                "InvalidParameterValueException",
                "Value All at 'logType' failed to satisfy constraint: Member must satisfy enum value set: [None, Tail]",
            ),
        ),
        ({"FunctionName": "echo", "Payload": b"{"}, NOT_JSON),
        ({"FunctionName": "echo", "Payload": b" "}, NOT_JSON),
        ({"FunctionName": "echo", "Payload": b'"\xff"'}, NOT_JSON),
        ({"FunctionName": "echo", "Payload": b"[" * 200_000}, NOT_JSON),
        ({"FunctionName": "echo", "Payload": b"{", "InvocationType": "Event"}, NOT_JSON),
        ({"FunctionName": "echo", "Payload": b"{", "InvocationType": "DryRun"}, NOT_JSON),
        ({"FunctionName": "echo", "ClientContext": base64.b64encode(b"{}\r\nX: y").decode()}, NO_CONTEXT),
        ({"FunctionName": "echo", "ClientContext": base64.b64encode(b"[1]").decode()}, NO_CONTEXT),
        (
            {"FunctionName": "echo", "ClientContext": base64.b64encode(b'{"a": "%s"}' % (b"x" * 2_700)).decode()},
            (400, "InvalidRequestContentException", "Client context must not be longer than 3583 bytes."),
        ),
        ({"FunctionName": "echo", "Payload": b" " * 6_291_457}, TOO_LARGE),
        ({"FunctionName": "echo", "Payload": b" " * 6_291_457, "InvocationType": "Event"}, TOO_LARGE),
        (
            {"FunctionName": "echo", "Payload": b" " * 1_048_577, "InvocationType": "Event"},
            (
                413,
                "RequestEntityTooLargeException",
                "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
            ),
        ),
        (
            {"FunctionName": "absent"},
            (500, "ServiceException", "the model of absent is not installed; install it with: make absent"),
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
    said = response["Error"]["Message"]
    assert said.startswith(message) if expected is NOT_JSON else said == message


def test_takes_what_is_as_large_as_lambda_allows(client: Any) -> None:
    text = b'{"text": "%s"}'
    answer = client.invoke(FunctionName="busy", Payload=text % (b"x" * (6_291_456 - len(text) + 2)))
    assert (answer["StatusCode"], answer["Payload"].read()) == (200, b"null")
    payload = b'{"text": "%s"}' % (b"x" * (1_048_576 - len(text) + 2))
    assert client.invoke(FunctionName="busy", Payload=payload, InvocationType="Event")["StatusCode"] == 202


NOT_FOUND = "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody"


@pytest.mark.parametrize(
    ("path", "headers", "body", "expected"),
    [
        ("nobody", {}, b"{}", {"Type": "User", "Message": NOT_FOUND}),
        ("echo", {"x-amz-client-context": "?"}, b"{}", {"Type": None, "message": NO_CONTEXT[2]}),
        ("echo", {}, b"x" * 6_291_457, {"Message": TOO_LARGE[2]}),
    ],
)
def test_the_bodies_of_errors_have_the_members_that_lambda_gives_them(
    server: RunningServer, path: str, headers: dict[str, str], body: bytes, expected: dict[str, str | None]
) -> None:
    url = f"{server.url}/2015-03-31/functions/{path}/invocations"
    assert httpx.post(url, headers=headers, content=body, timeout=60).json() == expected


def test_boto3_is_throttled_over_the_concurrency(client: Any) -> None:
    assert client.invoke(FunctionName="stuck", InvocationType="Event")["StatusCode"] == 202
    with pytest.raises(client.exceptions.TooManyRequestsException) as caught:
        client.invoke(FunctionName="stuck")
    assert caught.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert caught.value.response["Error"]["Message"] == "Rate Exceeded."


def test_boto3_is_refused_when_no_more_events_can_wait(client: Any, server: RunningServer) -> None:
    """256 MiB wait."""
    payload = b'"%s"' % (b"x" * (2**20 - 2))
    for _ in range(256):
        client.invoke(FunctionName="stuck", InvocationType="Event", Payload=payload)
    with pytest.raises(client.exceptions.TooManyRequestsException) as caught:
        client.invoke(FunctionName="stuck", InvocationType="Event", Payload=payload)
    assert (caught.value.response["Reason"], caught.value.response["Error"]["Message"]) == (
        "CallerRateLimitExceeded",
        "Rate exceeded",
    )
    assert client.invoke(FunctionName="echo")["StatusCode"] == 200


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


def test_boto3_reads_the_settings_of_functions(client: Any) -> None:
    expected = {
        "FunctionName": "service--busy",
        "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:service--busy",
        "Handler": "inference/busy.handler",
        "Timeout": 30,
        "MemorySize": 512,
        "EphemeralStorage": {"Size": 512},
        "Environment": {"Variables": {"GREETING": "hello"}},
        "Architectures": ["arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"],
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "PackageType": "Zip",
        "Version": "$LATEST",
        "State": "Active",
    }
    answer = client.get_function_configuration(FunctionName="busy")
    del answer["ResponseMetadata"]
    assert answer == expected
    functions = client.list_functions()["Functions"]
    names = ["service--absent", "service--busy", "service--echo", "service--stuck"]
    assert [each["FunctionName"] for each in functions] == names
    assert functions[1] == expected


def test_a_function_that_cannot_run_has_failed(tmp_path: Path, start_server: Callable[..., RunningServer]) -> None:
    server = start_server(write(tmp_path / "service", {"inference/wrong.py": "def handler(:\n"}))
    functions = httpx.get(f"{server.url}/2015-03-31/functions/", timeout=60).json()["Functions"]
    assert [each["State"] for each in functions] == ["Failed"]
    assert "wrong.py" in functions[0]["StateReason"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/2015-03-31/functions/echo"),
        ("DELETE", "/2015-03-31/functions/echo"),
        ("GET", "/2015-03-31/functions/echo/invocations"),
        ("POST", "/2015-03-31/functions/echo/response-streaming-invocations"),
        ("POST", "/2021-11-15/functions/echo/invocations"),
        ("POST", "/2015-03-31/functionsecho/invocations"),
    ],
)
def test_other_operations_are_refused_by_name(server: RunningServer, method: str, path: str) -> None:
    answer = httpx.request(method, server.url + path, timeout=60)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (404, "UnknownOperationException")
    text = "of the Lambda API, only Invoke, ListFunctions and GetFunctionConfiguration are served on this machine"
    assert answer.json() == {"Message": text}
