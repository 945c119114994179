"""DynamoDB for tests: dynalite, a real store of AWS's API in npm, and a proxy before it at which much goes wrong."""

import contextlib
import http.client
import itertools
import json
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3

from http_servers import Cut, Request, answer, serving

_PROGRAM = Path(__file__).parent / "dynalite" / "node_modules" / "dynalite" / "cli.js"
ENVIRON = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}


@contextlib.contextmanager
def dynalite() -> Iterator[str]:
    """The URL of an empty store."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["node", str(_PROGRAM), "--host", "127.0.0.1", "--port", str(port), "--createTableMs", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Dynalite listening at"), "`make test-system` installs dynalite"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=30)


def make_table(url: str, name: str, key: str) -> None:
    client = boto3.client(
        "dynamodb", "us-east-1", endpoint_url=url, aws_access_key_id="any", aws_secret_access_key="any"
    )
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


FAULTS = ("throttled", "undone", "refused", "cut", "cut after", "cut within", "damaged", "slow", "failing")


class Faults:
    """Answers requests as the store at `url` does, but every other one with the next of `FAULTS`.

    `counts` says how often each has come. A round is odd, so that each fault meets each kind of request.
    """

    def __init__(self, url: str, delay: float) -> None:
        self._host = url.removeprefix("http://")
        self._delay = delay  # seconds, which is longer than the client waits
        self._plan = itertools.cycle((*itertools.chain.from_iterable((fault, "") for fault in FAULTS), ""))
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()

    def __call__(self, request: Request) -> bytes:
        with self._lock:
            fault = next(self._plan)
            self.counts[fault] += 1
        match fault:
            case "throttled":
                return _error(400, "ProvisionedThroughputExceededException")
            case "refused":
                return _error(400, "ThrottlingException")
            case "failing":
                return _error(500, "InternalServerError")
            case "undone":
                return self._do_half(request)
            case "cut":
                return Cut()
        whole = self._forward(request, request.body)
        match fault:
            case "cut after":
                return Cut()
            case "cut within":
                return Cut(whole[:-5])
            case "damaged":
                return whole[:-1] + b"?"
            case "slow":
                time.sleep(self._delay)
        return whole

    def _forward(self, request: Request, body: bytes) -> bytes:
        connection = http.client.HTTPConnection(self._host, timeout=60)
        names = ("content-type", "x-amz-target", "x-amz-date", "authorization")
        connection.request("POST", "/", body, {name: request.headers[name] for name in names})
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return answer(response.status, content, f"x-amz-crc32: {response.headers['x-amz-crc32']}\r\n")

    def _do_half(self, request: Request) -> bytes:
        """Have the store do the first half of a batch, and say that the rest is left to do."""
        asked: dict[str, Any] = json.loads(request.body)
        if "RequestItems" not in asked:
            return self._forward(request, request.body)
        [(table, parts)] = asked["RequestItems"].items()
        reads = isinstance(parts, dict)
        every = parts["Keys"] if reads else parts
        half, rest = every[: len(every) // 2], every[len(every) // 2 :]
        done: dict[str, Any] = {"Responses": {table: []}} if reads else {}
        name = "UnprocessedKeys" if reads else "UnprocessedItems"
        if half:
            body = json.dumps({"RequestItems": {table: {"Keys": half} if reads else half}}).encode()
            done = json.loads(self._forward(request, body).partition(b"\r\n\r\n")[2])
            left = done[name].get(table, {"Keys": []} if reads else [])
            rest = [*(left["Keys"] if reads else left), *rest]
        done[name] = {table: {"Keys": rest} if reads else rest}
        return answer(200, json.dumps(done).encode())


def _error(status: int, kind: str) -> bytes:
    body = {"__type": f"com.amazonaws.dynamodb.v20120810#{kind}", "message": "as the test says"}
    return answer(status, json.dumps(body).encode())


@contextlib.contextmanager
def faulty(url: str, delay: float) -> Iterator[tuple[str, Faults]]:
    """A store whose every other answer is late, broken, or none."""
    faults = Faults(url, delay)
    with serving(faults) as proxy:
        yield f"http://127.0.0.1:{proxy.port}", faults
