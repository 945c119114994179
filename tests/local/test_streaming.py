"""Streamed answers as their users get them: real servers, real clients. What happens when is settled by files that a
function waits for and the test writes, never by time."""

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import httpx
import pytest

from conftest import RunningServer, until, write

UNISOLATED = ("--isolation", "none")  # the functions below wait for files of the test
Start = Callable[..., RunningServer]

GATED = """
    import os, pathlib, time
    from collections.abc import Iterator
    from pilotlight import Response, endpoint

    def wait(gate):
        while not pathlib.Path(gate).exists():
            time.sleep(0.005)

    @endpoint
    def handler(gate: str, then: str = "two") -> Iterator[Response | str]:
        yield Response(201, (("content-type", "text/event-stream"), ("set-cookie", "a=b"), ("x-pid", str(os.getpid()))))
        yield "ön\\u2603e "
        wait(gate)
        if then == "fail":
            raise ValueError("no more words")
        if then == "exit":
            os._exit(3)
        yield then
        pathlib.Path(gate).unlink()
    """

FILES = {
    "pilotlight.toml": """
        [cors]
        origins = ["https://a.example"]
        [functions.gated]
        concurrency = 2
        route = ["POST /gated", "HEAD /gated"]
        [functions.any]
        route = "ANY /any"
        [functions.alone]
        concurrency = 1
        [functions.brief]
        timeout = 3
        [functions.left]
        concurrency = 1
        [functions.lambdaric]
        runtime = "awslambdaric"
        [functions.joined]
        front = "http"
        [functions.rest]
        front = "rest"
        [functions.refused]
        front = "rest"
        """,
    "inference/rest.py": GATED,
    "inference/refused.py": """
        from pilotlight import endpoint

        @endpoint
        def handler(count: int):
            yield str(count)
        """,
    "inference/gated.py": GATED,
    "inference/other.py": GATED,
    "inference/any.py": GATED,
    "inference/alone.py": GATED,
    "inference/brief.py": GATED,
    "inference/left.py": GATED,
    "inference/early.py": """
        from pilotlight import endpoint

        @endpoint
        def handler():
            raise RuntimeError("the password is swordfish")
            yield
        """,
    "inference/pieces.py": """
        from pilotlight import endpoint

        @endpoint
        async def handler(count: int, size: int = 256):
            for number in range(count):
                yield bytes([number % 256]) * size
        """,
    "inference/lambdaric.py": """
        from pilotlight import endpoint

        @endpoint
        def handler(text: str):
            yield from text
        """,
    "inference/joined.py": """
        from pilotlight import endpoint

        @endpoint
        def handler(text: str):
            yield from text
        """,
    "inference/plain.py": "def handler(event, context):\n    return {'keys': sorted(event)}\n",
    "inference/fails.py": "def handler(event, context):\n    raise ValueError('not at all')\n",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = write(tmp_path_factory.mktemp("streaming") / "service", FILES)
    started = RunningServer([str(folder), "--no-reload", *UNISOLATED], {})
    yield started
    assert started.stop() == 0


@pytest.fixture
def client(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as made:
        yield made


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


# HTTP


def test_chunks_arrive_while_the_function_makes_the_next(client: httpx.Client, gate: Path) -> None:
    headers = {"origin": "https://a.example"}
    with client.stream("POST", "/gated", json={"gate": str(gate), "then": "🔥"}, headers=headers) as response:
        chunks = response.iter_bytes()
        assert next(chunks).decode() == "ön\u2603e "
        gate.touch()
        assert next(chunks).decode() == "🔥"
        assert list(chunks) == []
    assert response.status_code == 201
    expected = {
        "access-control-allow-origin": "https://a.example",
        "content-type": "text/event-stream",
        "set-cookie": "a=b",
        "transfer-encoding": "chunked",
    }
    assert {name: response.headers.get(name) for name in expected} == expected
    assert {"x-amzn-requestid", "x-pid"} <= response.headers.keys()


def test_a_rest_api_streams_too(client: httpx.Client, server: RunningServer, gate: Path) -> None:
    with client.stream("POST", "/rest", json={"gate": str(gate)}) as response:
        chunks = response.iter_text()
        assert next(chunks) == "ön\u2603e "
        gate.touch()
        assert list(chunks) == ["two"]
    assert (response.status_code, response.headers["set-cookie"]) == (201, "a=b")
    assert {"x-amzn-requestid", "x-amz-apigw-id", "x-amzn-trace-id"} <= response.headers.keys()
    gate.touch()
    with client.stream("POST", "/rest", json={"gate": str(gate), "then": "fail"}) as response:
        chunks = response.iter_text()
        assert next(chunks) == "ön\u2603e "
        with pytest.raises(httpx.RemoteProtocolError):
            list(chunks)
    server.wait_for("log", function="service--rest", line="[ERROR] ValueError: no more words")


def test_a_refusal_of_what_streams_behind_a_rest_api(client: httpx.Client) -> None:
    answer = client.post("/refused", json={"count": "many"})
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, ["count"])


def test_two_functions_stream_at_once(client: httpx.Client, tmp_path: Path) -> None:
    gates = [tmp_path / name for name in "ab"]
    with (
        client.stream("POST", "/gated", json={"gate": str(gates[0])}) as first,
        client.stream("POST", "/other", json={"gate": str(gates[1])}) as second,
    ):
        streams = [first.iter_text(), second.iter_text()]
        assert [next(stream) for stream in streams] == ["ön\u2603e "] * 2
        gates[1].touch()
        assert list(streams[1]) == ["two"]
        gates[0].touch()
        assert list(streams[0]) == ["two"]


def test_a_function_that_streams_is_busy(client: httpx.Client, gate: Path) -> None:
    with client.stream("POST", "/alone", json={"gate": str(gate)}) as response:
        chunks = response.iter_text()
        next(chunks)
        assert client.post("/alone", json={"gate": str(gate)}).status_code == 429
        gate.touch()
        assert list(chunks) == ["two"]
    gate.touch()
    assert client.post("/alone", json={"gate": str(gate)}).status_code == 201


@pytest.mark.parametrize(
    ("function", "then", "line"),
    [
        ("gated", "fail", "[ERROR] ValueError: no more words"),
        ("gated", "exit", "Runtime exited with error: exit status 3"),
        ("brief", "", "Task timed out after 3.00 seconds"),
        ("rest", "exit", "Runtime exited with error: exit status 3"),
    ],
)
def test_an_answer_that_breaks_off_ends_the_connection(
    client: httpx.Client, server: RunningServer, gate: Path, function: str, then: str, line: str
) -> None:
    with client.stream("POST", f"/{function}", json={"gate": str(gate), "then": then}) as response:
        chunks = response.iter_text()
        assert next(chunks) == "ön\u2603e "
        if then:
            gate.touch()
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
            next(chunks)
    while line not in str(server.wait_for("log", function=f"service--{function}")["line"]):
        pass
    gate.touch()
    assert client.post(f"/{function}", json={"gate": str(gate)}).text == "ön\u2603e two"


def test_what_goes_wrong_before_the_first_chunk_is_an_ordinary_answer(client: httpx.Client) -> None:
    early = client.post("/early")
    assert (early.status_code, early.json()["message"]) == (500, "Internal Server Error")
    wrong = client.post("/pieces", json={"count": "x"})
    assert (wrong.status_code, wrong.json()["message"]) == (400, "count: expected int, got str")


def test_bytes_and_nothing(client: httpx.Client) -> None:
    pieces = client.post("/pieces", json={"count": 256, "size": 1})
    assert (pieces.headers["content-type"], pieces.content) == ("application/octet-stream", bytes(range(256)))
    nothing = client.post("/pieces", json={"count": 0})
    assert (nothing.status_code, nothing.content) == (200, b"")


@pytest.mark.parametrize("function", ["lambdaric", "joined"])
def test_an_answer_is_whole_where_nothing_streams(client: httpx.Client, function: str) -> None:
    answer = client.post(f"/{function}", json={"text": "wörd"})
    assert (answer.text, answer.headers["content-length"]) == ("wörd", "5")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def connect(server: RunningServer) -> socket.socket:
    url = httpx.URL(server.url)
    return socket.create_connection((url.host, url.port or 80), timeout=60)


def send(connection: socket.socket, method: str, path: str, fields: object) -> None:
    body = json.dumps(fields).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)


def test_a_connection_is_kept_after_a_stream(server: RunningServer) -> None:
    with connect(server) as connection, connection.makefile("rb") as reader:
        for _ in range(3):
            send(connection, "POST", "/pieces", {"count": 2, "size": 1})
            assert reader.readline() == b"HTTP/1.1 200 OK\r\n"
            assert list(iter(reader.readline, b"\r\n"))[-1] == b"transfer-encoding: chunked\r\n"
            assert reader.read(17) == b"1\r\n\0\r\n1\r\n\1\r\n0\r\n\r\n"


def test_a_client_of_http_1_0_gets_the_whole(server: RunningServer, gate: Path) -> None:
    for then, status, body in (("two", b"201 Created", "ön\u2603e two".encode()), ("fail", b"502 Bad Gateway", b"I")):
        gate.touch()
        with connect(server) as connection, connection.makefile("rb") as reader:
            connection.sendall(f"GET /any?gate={gate}&then={then} HTTP/1.0\r\n\r\n".encode())
            head, _, answer = reader.read().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 " + status)
        assert b"transfer-encoding" not in head
        assert answer.startswith(body)


def test_head_is_answered_at_once_and_the_function_runs_on(server: RunningServer, gate: Path) -> None:
    path = f"/gated?gate={gate}"
    with connect(server) as connection, connection.makefile("rb") as reader:
        send(connection, "HEAD", path, {})
        assert reader.readline() == b"HTTP/1.1 201 Created\r\n"
        assert b"content-type: text/event-stream\r\n" in list(iter(reader.readline, b"\r\n"))
        gate.touch()
        until(lambda: not gate.exists())  # which is the last that the function does
        send(connection, "POST", "/pieces", {"count": 0})
        assert reader.readline() == b"HTTP/1.1 200 OK\r\n"


def test_a_client_that_goes_away_does_not_stop_the_function(
    client: httpx.Client, server: RunningServer, gate: Path
) -> None:
    with client.stream("POST", "/left", json={"gate": str(gate)}) as response:
        next(response.iter_text())
    gate.touch()
    until(lambda: not gate.exists())
    server.wait_for("request", path="/left", status=201)
    gate.touch()
    again = client.post("/left", json={"gate": str(gate)})
    assert (again.text, again.headers["x-pid"]) == ("ön\u2603e two", response.headers["x-pid"])


def peak_memory(pid: int) -> int:
    """In MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))) // 1024


@pytest.mark.system  # for its time
def test_a_large_stream_takes_little_memory(client: httpx.Client, server: RunningServer) -> None:
    client.post("/pieces", json={"count": 10, "size": 1_000_000})
    before = peak_memory(server.process.pid)
    with client.stream("POST", "/pieces", json={"count": 16, "size": 1_000_000}) as response:
        chunks = response.iter_bytes(1_000_000)
        assert all(chunk == bytes([number]) * 1_000_000 for number, chunk in enumerate(chunks))
    assert response.num_bytes_downloaded == 16_000_000
    with client.stream("POST", "/pieces", json={"count": 100, "size": 1_000_000}) as response:
        next(response.iter_bytes())  # of what nobody reads little is made, until nobody can read it any more
    assert peak_memory(server.process.pid) - before < 8


def test_a_stream_over_lambdas_limit_is_cut(boto: Any, client: httpx.Client, server: RunningServer) -> None:
    # by the Invoke API, which this machine does not hold to 2 MB a second
    payload = http_event(count=30, size=7_000_000)
    size = 0
    for part in boto.invoke_with_response_stream(FunctionName="pieces", Payload=payload)["EventStream"]:
        size += len(part.get("PayloadChunk", {}).get("Payload", b""))
    assert json.loads(part["InvokeComplete"]["ErrorDetails"])["errorType"] == "Function.ResponseSizeTooLarge"
    assert 203_000_000 < size < 211_000_000
    while "Function.ResponseSizeTooLarge" not in str(server.wait_for("log", function="service--pieces")["line"]):
        pass
    assert client.post("/pieces", json={"count": 1, "size": 1}).content == b"\0"


# the life of a server


def test_a_stream_ends_as_it_began_when_the_service_is_loaded_again(tmp_path: Path, start_server: Start) -> None:
    folder = write(tmp_path / "service", {"inference/one.py": GATED})
    started = start_server(folder, *UNISOLATED)
    gates = [tmp_path / name for name in "ab"]
    with httpx.stream("POST", f"{started.url}/one", json={"gate": str(gates[0])}, timeout=60) as response:
        chunks = response.iter_text()
        assert next(chunks) == "ön\u2603e "
        write(folder, {"inference/one.py": GATED.replace("ön", "new")})
        started.wait_for("reloaded")
        gates[1].touch()
        assert httpx.post(f"{started.url}/one", json={"gate": str(gates[1])}, timeout=60).text == "new\u2603e two"
        gates[0].touch()
        assert list(chunks) == ["two"]


def test_a_stream_that_is_nearly_done_ends_before_the_server(tmp_path: Path, start_server: Start) -> None:
    started = start_server(write(tmp_path / "service", {"inference/one.py": GATED}), *UNISOLATED)
    gate = tmp_path / "gate"
    with httpx.stream("POST", f"{started.url}/one", json={"gate": str(gate)}, timeout=60) as response:
        chunks = response.iter_text()
        next(chunks)
        started.process.send_signal(signal.SIGTERM)
        gate.touch()
        assert list(chunks) == ["two"]
    assert started.stop() == 0


def test_a_stream_without_end_is_cut_when_the_server_stops(tmp_path: Path) -> None:
    started = RunningServer([str(write(tmp_path / "service", {"inference/one.py": GATED})), *UNISOLATED], {})
    with httpx.stream("POST", f"{started.url}/one", json={"gate": str(tmp_path / "never")}, timeout=60) as response:
        chunks = response.iter_text()
        next(chunks)
        pid = int(response.headers["x-pid"])
        started.process.send_signal(signal.SIGTERM)
        with pytest.raises(httpx.RemoteProtocolError):
            next(chunks)
    assert started.end() == (0, "")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


# the Invoke API


@pytest.fixture
def boto(server: RunningServer) -> Iterator[Any]:
    config = botocore.config.Config(retries={"max_attempts": 1}, read_timeout=60)
    session = boto3.Session("test", "test", region_name="us-east-1")
    made = session.client("lambda", endpoint_url=server.url, config=config)
    yield made
    made.close()


def http_event(**fields: object) -> bytes:
    event = {"version": "2.0", "requestContext": {"http": {"method": "POST", "path": "/"}}}
    return json.dumps({**event, "headers": {"content-type": "application/json"}, "body": json.dumps(fields)}).encode()


def test_boto3_gets_chunks_while_the_function_makes_the_next(boto: Any, gate: Path) -> None:
    payload = http_event(gate=str(gate))
    answer = boto.invoke_with_response_stream(FunctionName="gated", Payload=payload, LogType="Tail")
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    events = iter(answer["EventStream"])
    prelude, nuls = next(events)["PayloadChunk"]["Payload"][:-8], bytes(8)
    assert json.loads(prelude)["statusCode"] == 201
    assert next(events) == {"PayloadChunk": {"Payload": "ön\u2603e ".encode()}}
    gate.touch()
    assert next(events) == {"PayloadChunk": {"Payload": b"two"}}
    (end,) = events
    assert end["InvokeComplete"].keys() == {"LogResult"}
    gate.touch()
    whole = boto.invoke(FunctionName="gated", Payload=payload)["Payload"].read()
    assert whole.endswith(nuls + "ön\u2603e two".encode())


def test_boto3_learns_how_a_stream_broke_off(boto: Any, gate: Path) -> None:
    gate.touch()
    payload = http_event(gate=str(gate), then="fail")
    *_, chunk, end = boto.invoke_with_response_stream(FunctionName="gated", Payload=payload)["EventStream"]
    assert chunk == {"PayloadChunk": {"Payload": "ön\u2603e ".encode()}}
    assert end["InvokeComplete"]["ErrorCode"] == "Unhandled"
    assert json.loads(end["InvokeComplete"]["ErrorDetails"])["errorMessage"] == "no more words"
    whole = boto.invoke(FunctionName="gated", Payload=payload)
    assert (whole["FunctionError"], json.load(whole["Payload"])["errorMessage"]) == ("Unhandled", "no more words")


def test_boto3_streams_from_functions_that_do_not(boto: Any) -> None:
    answer = boto.invoke_with_response_stream(FunctionName="plain", Payload=b'{"b": 1, "a": 2}')
    assert list(answer["EventStream"]) == [
        {"PayloadChunk": {"Payload": b'{"keys": ["a", "b"]}'}},
        {"InvokeComplete": {}},
    ]
    (end,) = boto.invoke_with_response_stream(FunctionName="fails")["EventStream"]
    assert json.loads(end["InvokeComplete"]["ErrorDetails"])["errorMessage"] == "not at all"


def test_boto3_gets_the_errors_of_lambda_for_streams_too(boto: Any) -> None:
    with pytest.raises(boto.exceptions.ResourceNotFoundException):
        boto.invoke_with_response_stream(FunctionName="nowhere")
    with pytest.raises(boto.exceptions.InvalidRequestContentException):
        boto.invoke_with_response_stream(FunctionName="plain", Payload=b"{")
    dry = boto.invoke_with_response_stream(FunctionName="plain", InvocationType="DryRun")
    assert dry["StatusCode"] == 204
    dry["EventStream"].close()


def test_a_bare_event_is_answered_whole(boto: Any, gate: Path) -> None:
    gate.touch()
    answer = boto.invoke(FunctionName="lambdaric", Payload=b'{"text": "ab"}')
    assert json.load(answer["Payload"]) == "ab"
    answer = boto.invoke(FunctionName="gated", Payload=json.dumps({"gate": str(gate)}).encode())
    assert json.load(answer["Payload"])["body"] == "ön\u2603e two"


def test_a_whole_answer_has_the_limit_of_one(boto: Any) -> None:
    answer = boto.invoke(FunctionName="pieces", Payload=http_event(count=7, size=1_000_000))
    assert json.load(answer["Payload"])["errorType"] == "Function.ResponseSizeTooLarge"
