"""Who answers the cases: each partner runs one case from nothing, and tells what its caller and its log saw.

- `pilotlight`, `awslambdaric`: the two runtime loops in Pilotlight's own environments
- `rie`, `rie-pilotlight`: the same two under AWS's runtime interface emulator, without a container
- `aws`: Lambda itself, in the account that boto3 finds, with the role that PILOTLIGHT_TEST_ROLE names. It runs only
  where it is asked for (`pytest -m aws`), creates one function a case and deletes it.
"""

import asyncio
import base64
import contextlib
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import uvloop
from conformance_cases import Answer, Case

from conftest import write
from emulator import emulator
from pilotlight import project
from pilotlight.errors import PayloadTooLarge
from pilotlight.local.pool import Pool
from pilotlight.project import Function
from pilotlight.values import Call

TRACE_ID = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"
MEMORY = 512


class Seen(NamedTuple):
    """What a partner answered to each event, and the lines of the log."""

    answers: tuple[Answer, ...]
    log: tuple[str, ...]


Partner = Callable[[Case, Path], Seen]


# what differs from run to run

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_FRAME = re.compile(r'  File "(?P<file>[^"]+)"(, line \d+, in (?P<name>.+)| (?P<line>Line \d+))')


def answer(payload: bytes, error: str) -> Answer:
    """A payload as the table has it: ids, times and places made the same, a stack as its files and functions."""
    if len(payload) > 1_000_000:
        return Answer(f"{len(payload)} bytes", error)
    try:
        value = json.loads(payload, parse_constant=str)
    except ValueError:
        return Answer(_neutral(payload.decode("utf-8", "replace")), error)
    if isinstance(value, dict) and "errorType" in value:
        value = {name: _neutral(part) if isinstance(part, str) else part for name, part in value.items()}
        if "stackTrace" in value:
            value["stackTrace"] = _stack(value["stackTrace"])
    return Answer(value, error)


def _neutral(text: str) -> str:
    library = os.path.dirname(os.__file__)
    return _TIME.sub("<time>", _ID.sub("<id>", text.replace(library, "<python>").replace("/var/lang/lib", "<python>")))


def _stack(frames: list[str]) -> list[str]:
    """ "file function" of each frame of the function's own, "elsewhere" for others; what is repeated is named once."""
    places: list[str] = []
    for match in filter(None, map(_FRAME.match, frames)):
        file = Path(match["file"])
        place = f"{file.name} {match['name'] or match['line']}" if file.parent.name == "inference" else "elsewhere"
        if places[-1:] != [place]:
            places.append(place)
    return places


def log(text: str) -> tuple[str, ...]:
    return tuple(_neutral(text).split("\n"))


# Pilotlight's own environments


def _in_pool(case: Case, folder: Path, runtime: str) -> Seen:
    function = _function(case, folder, runtime)
    lines: list[str] = []

    async def main() -> tuple[Answer, ...]:
        pool = Pool(lambda key, line: lines.append(line), MEMORY)  # room for one environment, which takes all events
        pool.deploy([function])
        try:
            return tuple([await _invoke(pool, case, event) for event in case.events])
        finally:
            await pool.close()

    answers = uvloop.run(asyncio.wait_for(main(), 60))
    return Seen(answers, log("\n".join(lines)))


def _function(case: Case, folder: Path, runtime: str) -> Function:
    sound = {"inference/probe.py": "def handler(event, context): ...\n"}
    function = project.load(write(folder, {"pilotlight.toml": "", **sound})).functions[0]
    function.file.write_text(case.source, encoding="utf-8")
    return msgspec.structs.replace(
        function,
        handler=case.handler,
        runtime=runtime,
        memory=MEMORY,
        timeout=case.timeout,
        environment=dict(case.variables),
    )


async def _invoke(pool: Pool, case: Case, event: bytes) -> Answer:
    call = Call("probe", event, trace_id=TRACE_ID, client_context=case.client_context)
    try:
        result = await pool(call)
    except PayloadTooLarge:
        return Answer("RequestEntityTooLarge", "refused")
    return answer(result.payload, result.error)


def pilotlight(case: Case, folder: Path) -> Seen:
    return _in_pool(case, folder, "pilotlight")


def awslambdaric(case: Case, folder: Path) -> Seen:
    return _in_pool(case, folder, "awslambdaric")


# the runtime interface emulator


@contextlib.contextmanager
def emulated(case: Case, folder: Path, command: list[str]) -> Iterator[tuple[str, int]]:
    """The emulator, with `command` as the runtime in `folder`; where it takes invocations. Its log is in rie.log."""
    host = f"127.{os.getpid() >> 16 & 127}.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"  # no other test run has it
    api, runtime_api = _free_ports(host)
    addresses = [
        *("--runtime-interface-emulator-address", f"{host}:{api}"),
        *("--runtime-api-address", f"{host}:{runtime_api}"),
    ]
    with (
        (folder / "rie.log").open("wb") as output,
        subprocess.Popen(
            [str(emulator()), *addresses, *command],
            cwd=folder,
            env=_image_variables(case, folder),
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as process,
    ):
        try:
            _wait_for(process, host, api)
            yield host, api
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _image_variables(case: Case, folder: Path) -> dict[str, str]:
    """Those of AWS's base image for Python, and those of the function's settings."""
    return {
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY),
        "AWS_LAMBDA_FUNCTION_NAME": "probe",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(case.timeout),
        "LAMBDA_TASK_ROOT": str(folder),
        "LANG": "C.UTF-8",
        "PATH": os.environ["PATH"],
        "TZ": ":UTC",
        "_HANDLER": case.handler,
        **case.variables,
    }


def _free_ports(host: str) -> tuple[int, int]:
    with socket.create_server((host, 0)) as one, socket.create_server((host, 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


def _wait_for(process: subprocess.Popen[bytes], host: str, port: int) -> None:
    while process.poll() is None:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection((host, port)):
            return
        time.sleep(0.01)
    raise RuntimeError(f"the emulator ended with status {process.returncode}")


def _under_emulator(case: Case, folder: Path, command: list[str]) -> Seen:
    write(folder, {"inference/probe.py": case.source})
    with emulated(case, folder, command) as (host, port):
        answers = tuple(_post(host, port, case, event) for event in case.events)
    return Seen(answers, log((folder / "rie.log").read_text(encoding="utf-8", errors="replace")))


def _post(host: str, port: int, case: Case, event: bytes) -> Answer:
    context = base64.b64encode(case.client_context.encode()).decode()
    headers = {"X-Amzn-Trace-Id": TRACE_ID, **({"X-Amz-Client-Context": context} if context else {})}
    connection = http.client.HTTPConnection(host, port, timeout=60)
    with contextlib.closing(connection):
        connection.request("POST", "/2015-03-31/functions/function/invocations", event, headers)
        response = connection.getresponse()
        return answer(response.read(), response.getheader("X-Amz-Function-Error", ""))


def rie(case: Case, folder: Path) -> Seen:
    return _under_emulator(case, folder, [sys.executable, "-m", "awslambdaric", case.handler])


def rie_pilotlight(case: Case, folder: Path) -> Seen:
    return _under_emulator(case, folder, [sys.executable, "-c", "from pilotlight.function.runtime import main; main()"])


# Lambda


def aws(case: Case, folder: Path) -> Seen:
    import boto3

    client = boto3.client("lambda")
    name = f"pilotlight-conformance-{uuid.uuid4().hex[:12]}"
    client.create_function(**_creation(case, name))
    try:
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
        results = [_call(client, case, name, event) for event in case.events]
    finally:
        client.delete_function(FunctionName=name)
    return Seen(tuple(seen for seen, _ in results), log("\n".join(tail for _, tail in results)))


def _creation(case: Case, name: str) -> dict[str, Any]:
    """What CreateFunction is asked. Log format and level are settings there, not variables."""
    reserved = {"AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_LEVEL"}
    is_json = case.variables.get("AWS_LAMBDA_LOG_FORMAT") == "JSON"
    return {
        "FunctionName": name,
        "Runtime": f"python3.{sys.version_info.minor}",
        "Role": os.environ["PILOTLIGHT_TEST_ROLE"],
        "Handler": case.handler,
        "Code": {"ZipFile": _archive(case)},
        "Timeout": case.timeout,
        "MemorySize": MEMORY,
        "Environment": {"Variables": {name: text for name, text in case.variables.items() if name not in reserved}},
        "LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "INFO"} if is_json else {"LogFormat": "Text"},
    }


def _archive(case: Case) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        entry = zipfile.ZipInfo("inference/probe.py", (2026, 1, 1, 0, 0, 0))
        entry.external_attr = 0o644 << 16  # Lambda cannot read what is for its owner alone
        files.writestr(entry, case.source)
    return archive.getvalue()


def _call(client: Any, case: Case, name: str, event: bytes) -> tuple[Answer, str]:
    from botocore.exceptions import ClientError

    context = base64.b64encode(case.client_context.encode()).decode()
    extra = {"ClientContext": context} if context else {}
    try:
        response = client.invoke(FunctionName=name, Payload=event, LogType="Tail", **extra)
    except ClientError as error:
        return Answer(error.response["Error"]["Code"], "refused"), ""
    tail = base64.b64decode(response.get("LogResult", "")).decode("utf-8", "replace")
    return answer(response["Payload"].read(), response.get("FunctionError", "")), tail


PARTNERS: dict[str, Partner] = {
    "pilotlight": pilotlight,
    "awslambdaric": awslambdaric,
    "rie": rie,
    "rie-pilotlight": rie_pilotlight,
    "aws": aws,
}
