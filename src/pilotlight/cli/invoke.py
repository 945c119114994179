"""`pilotlight invoke`: one invocation in a real execution environment, here without a server, or on AWS."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

from pilotlight import project
from pilotlight.cli import models, output
from pilotlight.cli.place import Place, options, refuse_without
from pilotlight.errors import FunctionError, ProjectError, UsageError
from pilotlight.local.describe import hint_for
from pilotlight.local.host import Host
from pilotlight.local.pool import Pool
from pilotlight.local.server import machine_memory
from pilotlight.local.streams import collected
from pilotlight.project import Function, Project
from pilotlight.settings_file import nearest
from pilotlight.values import Call, Result

Run = Callable[[bytes], Coroutine[None, None, Result]]


def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    try:
        functions = project.load(Path(context.params.get("folder") or ".")).functions
    except ProjectError:
        return []
    return [CompletionItem(function.name) for function in functions if function.name.startswith(incomplete)]


@click.command(
    epilog=output.examples(
        "pilotlight invoke kim_cnn",
        "pilotlight invoke kim_cnn --event events/kim_cnn.json",
        'pilotlight invoke kim_cnn --data \'{"input": "a gripping film"}\' --json',
        'echo \'{"input": "a dull film"}\' | pilotlight invoke kim_cnn --event -',
        "pilotlight invoke kim_cnn --remote --stage beta",
    )
)
@click.argument("name", shell_complete=complete)
@click.option("--event", type=click.Path(dir_okay=False, allow_dash=True), help="A file with the event; - is stdin.")
@click.option("--data", metavar="JSON", help="The event itself.")
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("."), help="The service's folder."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: payload, error, hint, seconds.")
@click.option("--remote", is_flag=True, help="Invoke the deployed function.")
@options
def invoke(
    name: str, event: str | None, data: str | None, folder: Path, as_json: bool, remote: bool, place: Place
) -> int:
    """Invoke the function NAME once, in a fresh execution environment on this machine.

    Without --event and --data the event is events/NAME.json, else {}. The answer goes to stdout, what the function
    writes to stderr. The exit code is 1 when the function failed. With --remote it is the deployed function, by the
    version that its URL has too, and of what it writes the last 4 KB.
    """
    refuse_without(remote, place)
    service = project.load(folder)
    function = find(service, name)
    payload = read_event(function, event, data)
    run = _deployed(service, function, place) if remote else _here(models.ready(function))
    began = time.perf_counter()
    result = asyncio.run(run(payload))
    seconds = time.perf_counter() - began
    message, hint = failure(function, result) if result.error else ("", "")
    if as_json:
        output.record(
            payload=_payload_of(result),
            error=message,
            hint=hint,
            request_id=result.request_id,
            seconds=round(seconds, 6),
        )
    else:
        output.line(result.payload.decode("utf-8", "replace"))
    if message:
        output.explain(message, hint)
    return 1 if message else 0


def find(service: Project, name: str) -> Function:
    """The function of that name. Raises `UsageError`, or `FunctionError` when it cannot run."""
    function = next((each for each in service.functions if name in (each.name, each.key)), None)
    if function is None:
        known = [each.name for each in service.functions]
        guess = nearest(name, known)
        hint = f"did you mean {guess!r}? " if guess else ""
        raise UsageError(f"there is no function {name!r} in {service.root}", f"{hint}it has {', '.join(known)}")
    if function.defect:
        raise FunctionError(function.defect, function.hint)
    return function


def read_event(function: Function, event: str | None, data: str | None) -> bytes:
    """What --data or --event gave, else the saved event, else {}. Raises `UsageError` when that is not JSON."""
    if event is not None and data is not None:
        raise click.UsageError("--event and --data exclude each other")
    if data is not None:
        text, source = os.fsencode(data), "--data"
    elif event == "-":
        text, source = sys.stdin.buffer.read(), "stdin"
    elif event is not None or function.event_file.exists():
        path = Path(event) if event is not None else function.event_file
        text, source = _read(path), str(path)
    else:
        return b"{}"
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = "names and texts are in double quotes, and all of it in single quotes for the shell"
        raise UsageError(f"reading the event from {source}: it is not JSON: {error}", hint) from None
    return text


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        hint = "--data takes the event itself, --event - reads it from stdin"
        raise UsageError(f"reading the event from {path}: {error.strerror}", hint) from None


def _here(function: Function) -> Run:
    async def run(payload: bytes) -> Result:
        pool = Pool(lambda key, line: output.note(line), machine_memory(), host=Host(None))
        pool.deploy([function])
        try:
            return await collected(await pool(Call(function.key, payload)))
        finally:
            await pool.close()

    return run


def _deployed(service: Project, function: Function, place: Place) -> Run:
    from pilotlight.deploy import remote  # boto3 is in the extra `deploy`

    session = place.session(service)

    async def run(payload: bytes) -> Result:
        invoke = remote.connect(session, place.stage)
        try:
            result = await invoke(Call(function.key, payload, tail=True))
        finally:
            invoke.close()
        for line in result.log.decode("utf-8", "replace").splitlines():
            output.note(line)
        return result

    return run


def _payload_of(result: Result) -> object:
    """What the function answered, as text when it is not JSON."""
    text = result.payload.decode("utf-8", "replace")
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return text


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def failure(function: Function, result: Result) -> tuple[str, str]:
    """Sentence and hint for a function that failed; the payload is the runtime's error object."""
    try:
        error = json.loads(result.payload)
        kind, text = str(error["errorType"]), " ".join(str(error["errorMessage"]).split())
    except (ValueError, KeyError, TypeError):
        kind, text = result.error, result.payload.decode("utf-8", "replace")
    return f"{function.name}: {kind}: {text}", hint_for(kind)
