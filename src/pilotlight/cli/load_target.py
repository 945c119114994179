"""What `bench load` sends its requests to: a function on this machine, a deployed one, or a URL."""

import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple
from urllib.parse import urlsplit

from pilotlight import architecture
from pilotlight.cli import output
from pilotlight.cli.place import Place
from pilotlight.deploy import log_lines
from pilotlight.errors import AwsRefused, FunctionError, PilotlightError
from pilotlight.local.observer import Ended, Nobody
from pilotlight.local.pool import Pool
from pilotlight.local.report import Report
from pilotlight.local.server import machine_memory
from pilotlight.local.streams import collected
from pilotlight.measure.http import Client
from pilotlight.measure.load import AT_ONCE, Reply, Send, Told
from pilotlight.project import Function, Project
from pilotlight.values import Call, Invoke, Result

_REPORT = b"REPORT RequestId: "


class Target(NamedTuple):
    """What is asked by `send`. `memory` in MB and `architecture` are 0 and "" where they are not known."""

    name: str
    send: Send
    memory: int = 0
    architecture: str = ""


Opened = AbstractAsyncContextManager[Target]


@contextlib.asynccontextmanager
async def function(asked: Function) -> AsyncIterator[Target]:
    """In environments of its own, without a gateway; where an error is raised, what they wrote last is shown."""
    lines: deque[str] = deque(maxlen=20)
    reports = _Reports()
    pool = Pool(lambda key, line: lines.append(line), machine_memory(), observer=reports)
    pool.deploy([asked])
    try:
        yield Target(asked.key, _sending(pool, Call(asked.key, b""), reports.told), asked.memory, architecture.here())
    except FunctionError:
        for line in lines:
            output.note(line)
        raise
    finally:
        await pool.close()


@contextlib.asynccontextmanager
async def deployed(service: Project, asked: Function, place: Place) -> AsyncIterator[Target]:
    """By Lambda's Invoke API. That the function is not there, or credentials, is said before anything is sent."""
    from pilotlight.deploy import remote  # boto3 is in the extra `deploy`

    session = place.session(service)
    invoke = remote.connect(session, place.stage, at_once=AT_ONCE)
    try:
        try:
            about = await invoke.about(asked.key)
        except AwsRefused:  # who may invoke may not look
            about = remote.About(0, "")
        name = f"{remote.named(asked.key, place.stage)} in {session.region}"
        yield Target(name, _sending(invoke, Call(asked.key, b"", tail=True), _told), *about)
    finally:
        invoke.close()


@contextlib.asynccontextmanager
async def url(address: str, headers: tuple[str, ...]) -> AsyncIterator[Target]:
    """By POST. Nobody tells of cold starts. Raises `UsageError` for what is no URL."""
    client = Client(address, headers)
    try:
        yield Target(_without_secrets(address), client)
    finally:
        client.close()


def _without_secrets(address: str) -> str:
    """Without a password and a query."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _sending(invoke: Invoke, call: Call, told: Callable[[Result], Told | None]) -> Send:
    async def send(body: bytes) -> Reply:
        try:
            result = await collected(await invoke(call._replace(payload=body)))
        except PilotlightError as error:
            return Reply(str(error).encode(), type(error).__name__)
        return _reply(result)._replace(told=told(result))

    return send


class _Reports(Nobody):
    """What this machine's REPORT lines say, without a log that would be written and read for it."""

    def __init__(self) -> None:
        self._reports: dict[str, Report] = {}

    def watch(self, function: Function) -> "_Reports":
        return self

    def ended(self, ended: Ended) -> None:
        self._reports[ended.report.request_id] = ended.report

    def told(self, result: Result) -> Told | None:
        report = self._reports.pop(result.request_id, None)
        return report and Told(report.seconds * 1000, (report.init.restore or report.init.seconds) * 1000)


def _reply(result: Result) -> Reply:
    """A function answers with a value, or with a response as API Gateway takes it."""
    try:
        answer = json.loads(result.payload)
    except (ValueError, RecursionError):
        answer = None
    fields = answer if isinstance(answer, dict) else {}
    if result.error:
        return Reply(result.payload, str(fields.get("errorType", result.error)))
    status = fields.get("statusCode")
    if not isinstance(status, int):
        return Reply(result.payload)
    return Reply(str(fields.get("body", "")).encode(), str(status) if status >= 300 else "")


def _told(result: Result) -> Told | None:
    """By the REPORT line at the end of the log, which the call has asked for."""
    start = result.log.rfind(_REPORT)
    line = result.log[start:].partition(b"\n")[0] if start >= 0 else b""
    said = log_lines.report(line.decode("utf-8", "replace"))
    return Told(said.duration_ms, said.restore_ms or said.init_ms) if said else None
