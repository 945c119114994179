"""A zip's environment on Lambda, made of nothing but its template and package: Lambda's root, /var/task, its variables.

The Runtime API is the least that the documentation asks for: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from confined import confined, write_interpreter
from containers import unpack
from resolved import ACCOUNT, REGION, resolved
from stand_in import PYTHON, TASK, VARIABLES

import pilotlight
from http_servers import Request, answer, serving

_GIVEN = {  # docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html, "Defined runtime environment variables"
    "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "token",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_LAMBDA_FUNCTION_VERSION": "1",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "AWS_EXECUTION_ENV": f"AWS_Lambda_python{PYTHON}",
}
_WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"
_PATIENCE = 100.0  # seconds for an answer, on a machine that has other things to do


class Deployed(NamedTuple):
    """A service's template and the folder with its packages, as `pilotlight template` has made them."""

    template: Mapping[str, Any]
    packages: Path

    def only(self, kind: str) -> dict[str, Any]:
        """The properties of the one resource of that type."""
        [found] = [each["Properties"] for each in self.template["Resources"].values() if each["Type"] == f"AWS::{kind}"]
        properties: dict[str, Any] = found
        return properties


def deployed(service: Path, folder: Path, root: Path) -> Deployed:
    """What `pilotlight template` prints, and the packages that this names, proven by the root's Python. That sees
    `folder` alone, where libraries are kept."""
    python = folder / "bin" / f"python{PYTHON}"
    write_interpreter(python, root, folder, Path(pilotlight.__file__).parent)
    command = [sys.executable, "-m", "pilotlight", "template", "--dir", str(service), "--python", str(python)]
    environ = {**os.environ, "TMPDIR": str(folder), "PILOTLIGHT_CACHE": str(folder / "cache")}
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Deployed(json.loads(done.stdout), service / ".pilotlight" / "build")


class Environment:
    """One environment of a function, which answers one event after another."""

    def __init__(self, timeout: int, log: Path) -> None:
        self._timeout, self.log = timeout, log
        self._events: queue.SimpleQueue[tuple[str, bytes] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._waits: queue.SimpleQueue[None] = queue.SimpleQueue()

    def __call__(self, request: Request) -> bytes:
        path = request.target.removeprefix("/2018-06-01/runtime")
        if path != "/invocation/next":
            self._answers.put((path, json.loads(request.body)))
            return answer(202, b'{"status":"OK"}')
        self._waits.put(None)
        if (event := self._events.get()) is None:
            raise ConnectionError("Lambda has ended the environment")
        request_id, payload = event
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f:live"
        deadline = round((time.time() + self._timeout) * 1000)
        headers = {"Aws-Request-Id": request_id, "Deadline-Ms": deadline, "Invoked-Function-Arn": arn}
        lines = "".join(f"Lambda-Runtime-{name}: {value}\r\n" for name, value in headers.items())
        return answer(200, payload, f"Content-Type: application/json\r\n{lines}")

    def invoke(self, event: object) -> tuple[str, Any]:
        """Its request id and what was answered."""
        request_id = str(uuid.uuid4())
        self._events.put((request_id, json.dumps(event).encode()))
        path, answered = self._answers.get(timeout=_PATIENCE)
        assert path == f"/invocation/{request_id}/response", (path, answered, self.log.read_text())
        return request_id, answered

    def settle(self, invocations: int) -> None:
        """Wait until the function asks for one event more than it has had: all is done that comes after an answer."""
        for _ in range(invocations + 1):
            self._waits.get(timeout=_PATIENCE)

    def end(self) -> None:
        self._events.put(None)


@contextlib.contextmanager
def environment(root: Path, made: Deployed, name: str, folder: Path, **variables: str) -> Iterator[Environment]:
    """An environment of the function with that logical id; `variables` are what a test has to add."""
    function = made.template["Resources"][f"{name}Function"]["Properties"]
    assert (function["Runtime"], function["PackageType"]) == (f"python{PYTHON}", "Zip")
    task = folder / "task"
    with zipfile.ZipFile(made.packages / f"{Path(function['Handler']).stem}.zip") as file:
        unpack(file, task)
    running = Environment(function["Timeout"], folder / "log")
    own = resolved(made.template, function["Environment"]["Variables"])
    with serving(running) as server, running.log.open("wb") as log:
        environ = {
            **VARIABLES,
            **_GIVEN,
            "_HANDLER": function["Handler"],
            "AWS_LAMBDA_FUNCTION_NAME": function["FunctionName"],
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function["MemorySize"]),
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.port}",
            **own,
            **variables,
        }
        start = (own[_WRAPPER], f"/var/lang/bin/python{PYTHON}", "/var/runtime/bootstrap.py")
        process = subprocess.Popen(confined(root, {TASK: task}, *start), env=environ, stdout=log, stderr=log)
        try:
            yield running
        finally:
            running.end()
            process.terminate()
            process.wait(60)
