"""`pilotlight bench warm`: where the time of a warm request goes."""

import asyncio
import contextlib
import json
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import click
import msgspec
import uvloop

from pilotlight import events, project
from pilotlight.cli import models, output
from pilotlight.cli.interrupts import broken_off
from pilotlight.cli.invoke import complete, find, read_event
from pilotlight.errors import FunctionError, UsageError
from pilotlight.events import Request
from pilotlight.function import trace
from pilotlight.local.gateway import Gateway
from pilotlight.local.http_protocol import App, Protocol
from pilotlight.local.keys import KeyRing
from pilotlight.local.pool import Pool
from pilotlight.local.server import listen, machine_memory, routes
from pilotlight.measure import cold, warm
from pilotlight.measure.warm import Noted, Times, Warm
from pilotlight.project import Function, Project

_BEFORE = 20
"""Requests before those that count, the cold start among them."""


class _Measured(NamedTuple):
    """The requests, and milliseconds of processor time that one took at the client, the server and the function; of one
    that was broken off the function says nothing."""

    requests: Sequence[Warm]
    cpu: dict[str, float]
    is_whole: bool = True


@click.command(
    name="warm",
    epilog=output.examples(
        "pilotlight bench warm",
        "pilotlight bench warm kim_cnn --dir examples/sentences --requests 500",
        'pilotlight bench warm kim_cnn --data \'{"input": "a gripping film"}\' --json',
    ),
)
@click.argument("name", metavar="[FUNCTION]", required=False, shell_complete=complete)
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("."), help="The service's folder."
)
@click.option("--event", type=click.Path(dir_okay=False, allow_dash=True), help="A file with the event; - is stdin.")
@click.option("--data", metavar="JSON", help="The event itself.")
@click.option("--requests", type=click.IntRange(1), default=200, show_default=True, help="How many count.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: all figures, in milliseconds.")
def warm_command(
    name: str | None, folder: Path, event: str | None, data: str | None, requests: int, as_json: bool
) -> int:
    """Measure warm requests to FUNCTION, which may be left out where there is only one.

    A client of its own sends requests over HTTP to a server as `serve` runs it, one after the other; 20 go first and
    are not counted. An event that is no HTTP request is the body of a POST to the function's route.

    The phases are `front`, until the request is the function's event; `invoke`, until its process has it; `decode`;
    `tokenize`, `picture`, `run` of models, and `handler`, its own work; `encode`; `respond`, with its record; `return`,
    until the server has the answer; `answer`, until the client has it. Ctrl-C ends it, and shows the requests until
    then; of those the phases between `invoke` and `return` are one, `function`.
    """
    service = project.load(folder)
    function = models.ready(chosen(service, name))
    measured = uvloop.run(_measure(service, function, read_event(function, event, data), requests))
    found = len(measured.requests)
    if found and as_json:
        output.record(function=function.name, requests=found, is_whole=measured.is_whole, **_figures(measured))
    elif found:
        _show(function, measured)
    if measured.is_whole:
        return 0
    return broken_off("these are the requests before" if found else "nothing was measured yet")


def chosen(service: Project, name: str | None) -> Function:
    """The function to be measured. Raises `UsageError` where that is not clear, or it cannot be traced."""
    if name is None and len(service.functions) > 1:
        known = ", ".join(each.name for each in service.functions)
        raise UsageError(f"{service.root} has several functions", f"name one of {known}")
    function = find(service, name if name is not None else service.functions[0].name)
    if function.runtime != "pilotlight":
        reason = f"it runs under {function.runtime}, which does not say how far it is"
        raise UsageError(f"measuring {function.name}: {reason}", 'set runtime = "pilotlight" for it')
    return function


async def _measure(service: Project, function: Function, event: bytes, count: int) -> _Measured:
    with TemporaryDirectory(prefix="pilotlight-trace-") as folder:
        file = Path(folder) / "trace.json"
        variables = {trace.VARIABLE: str(file), trace.INVOCATIONS: str(_BEFORE + count)}
        traced = msgspec.structs.replace(
            function, environment={**function.environment, **variables}, snapstart=False, environment_concurrency=1
        )
        async with _served(service, traced) as (address, invoke):
            began = time.process_time()
            asked, client = await warm.ask(address, _request(function, event), _BEFORE + count)
            cpu = {"client": client, "server": time.process_time() - began}
            times = [Times(a[0], *m, a[1]) for a, m in zip(asked, invoke.moments, strict=False)]
            if len(times) < _BEFORE + count:
                return _Measured([warm.outside(each) for each in times][_BEFORE:], _each(cpu, len(times)), False)
            noted = json.loads(await cold.read(file))
    spans = warm.invocations([tuple(each) for each in noted["spans"]])
    cpu["function"] = noted["marks"]["cpu"] / 1e9
    requests = [warm.split(*each) for each in zip(times, spans, strict=True)][_BEFORE:]
    return _Measured(requests, _each(cpu, len(times)))


def _each(seconds: Mapping[str, float], count: int) -> dict[str, float]:
    """Milliseconds of one of so many requests."""
    return {name: each * 1000 / count for name, each in seconds.items()} if count else {}


@contextlib.asynccontextmanager
async def _served(service: Project, function: Function) -> AsyncIterator[tuple[str, Noted]]:
    """The gateway before the function, on a port of its own; where an error is raised, what it wrote last is shown."""
    lines: deque[str] = deque(maxlen=20)
    pool = Pool(lambda key, line: lines.append(line), machine_memory())
    pool.deploy([function])
    invoke = Noted(pool)
    gateway = Gateway(invoke)
    gateway.route(routes([msgspec.structs.replace(service, functions=(function,))], KeyRing(os.environ)))
    app = App(gateway, lambda request: gateway.refuse(request, "too large"), lambda *_: None)
    listener = listen("127.0.0.1", 0)
    connections: set[Protocol] = set()
    server = await asyncio.get_running_loop().create_server(lambda: Protocol(app, connections), sock=listener)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", invoke
    except FunctionError:
        for line in lines:
            output.note(line)
        raise
    finally:
        server.close()
        for connection in list(connections):
            connection.abort()
        await pool.close()


def _request(function: Function, event: bytes) -> bytes:
    """The event as a client sends it."""
    fields = json.loads(event)
    if events.is_http(fields):
        request = events.from_event(fields)
    else:
        route = function.routes[0]
        request = Request(route.method, route.path, headers=(("content-type", "application/json"),), body=event)
    target = f"/{function.stage}{request.path}" if function.stage else request.path
    target += f"?{request.query}" if request.query else ""
    own = ("host", "content-length", "connection")
    lines = [f"{name}: {value}" for name, value in request.headers if name not in own]
    head = [f"{request.method} {target} HTTP/1.1", "host: 127.0.0.1", *lines, f"content-length: {len(request.body)}"]
    return "\r\n".join([*head, "", ""]).encode("latin-1", "replace") + request.body


def _figures(measured: _Measured) -> dict[str, object]:
    requests = measured.requests
    return {
        "phases_ms": {name: _spread([each.phases[name] for each in requests]) for name in requests[0].phases},
        "total_ms": _spread([each.total for each in requests]),
        "quickest_ms": min(requests, key=lambda each: each.total).phases,
        "cpu_ms": measured.cpu,
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": round(median(values), 4), "min": round(min(values), 4), "max": round(max(values), 4)}


def _show(function: Function, measured: _Measured) -> None:
    requests = measured.requests
    output.line(f"Warm requests of {function.name} in ms: {len(requests)}, one after the other\n")
    output.line(f"  {'':11} {'median':>9} {'min':>9} {'max':>9}")
    for phase in requests[0].phases:
        output.line(_row(phase, [each.phases[phase] for each in requests]))
    output.line(_row("total", [each.total for each in requests]))
    shares = ", ".join(f"{name} {ms:.3f}" for name, ms in measured.cpu.items())
    output.line(f"\n  processor time of one, the first ones included: {shares}")


def _row(name: str, values: Sequence[float]) -> str:
    return f"  {name:11} {median(values):9.3f} {min(values):9.3f} {max(values):9.3f}"
