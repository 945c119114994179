"""`pilotlight invoke`: one invocation in a real execution environment, without a server."""

import asyncio
import json
import sys
import time
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from pilotlight import project
from pilotlight.cli import output
from pilotlight.errors import FunctionError, NotFound, ProjectError, UsageError
from pilotlight.local.pool import Pool
from pilotlight.local.server import machine_memory
from pilotlight.project import Function, Project
from pilotlight.values import Call, Result


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
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
    )
)
@click.argument("name", shell_complete=_complete)
@click.option("--event", type=click.Path(dir_okay=False, allow_dash=True), help="A file with the event; - is stdin.")
@click.option("--data", metavar="JSON", help="The event itself.")
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("."), help="The service's folder."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: payload, error, times in seconds.")
def invoke(name: str, event: str | None, data: str | None, folder: Path, as_json: bool) -> int:
    """Invoke the function NAME once, in a fresh execution environment on this machine.

    Without --event and --data the event is events/NAME.json, else {}. The answer goes to stdout, what the function
    writes to stderr. The exit code is 1 when the function failed.
    """
    service = project.load(folder)
    function = _find(service, name)
    payload = _payload(service, name, event, data)
    began = time.perf_counter()
    result = asyncio.run(_run(function, payload))
    _print(result, time.perf_counter() - began, as_json)
    if result.error:
        output.error(f"{name}: {_reason(result)}")
    return 1 if result.error else 0


def _find(service: Project, name: str) -> Function:
    function = next((each for each in service.functions if name in (each.name, each.key)), None)
    if function is None:
        known = ", ".join(each.name for each in service.functions)
        raise NotFound(f"there is no function {name!r} in {service.root}", f"it has {known}")
    if function.defect:
        raise FunctionError(function.defect, function.hint)
    return function


def _payload(service: Project, name: str, event: str | None, data: str | None) -> bytes:
    if event is not None and data is not None:
        raise click.UsageError("--event and --data exclude each other")
    saved = service.root / "events" / f"{name}.json"
    if data is not None:
        text, source = data.encode(), "--data"
    elif event == "-":
        text, source = sys.stdin.buffer.read(), "stdin"
    elif event is not None or saved.exists():
        path = Path(event) if event is not None else saved
        text, source = _read(path), str(path)
    else:
        return b"{}"
    try:
        json.loads(text)
    except ValueError as error:
        raise UsageError(f"reading the event from {source}: it is not JSON: {error}") from None
    return text


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"reading the event from {path}: {error.strerror}") from None


async def _run(function: Function, payload: bytes) -> Result:
    pool = Pool(lambda key, line: output.note(line), machine_memory())
    pool.deploy([function])
    try:
        return await pool(Call(function.key, payload))
    finally:
        await pool.close()


def _print(result: Result, seconds: float, as_json: bool) -> None:
    text = result.payload.decode("utf-8", "replace")
    if not as_json:
        output.line(text)
        return
    try:
        payload = json.loads(text)
    except ValueError:
        payload = text
    output.record(payload=payload, error=result.error, request_id=result.request_id, seconds=round(seconds, 6))


def _reason(result: Result) -> str:
    try:
        error = json.loads(result.payload)
        return f"{error['errorType']}: {error['errorMessage']}"
    except (ValueError, KeyError, TypeError):
        return result.error
