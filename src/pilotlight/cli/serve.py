"""`pilotlight serve`: services as HTTP APIs on this machine."""

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import uvloop

import pilotlight
from pilotlight import project
from pilotlight.cli import models, output
from pilotlight.cli.place import local_records_table
from pilotlight.cli.records_page import RecordsPages
from pilotlight.errors import ProjectError
from pilotlight.events import Request, Response
from pilotlight.local import pages, server, shares
from pilotlight.local.describe import Description
from pilotlight.local.host import LEVELS
from pilotlight.local.isolation import Level
from pilotlight.local.keys import Made
from pilotlight.measure import cost
from pilotlight.project import Function, Project
from pilotlight.usage import Usage

_LONGEST_BODY = 1_000  # characters of a body that are shown
_NOTES = (
    "Durations are this machine's.",
    "Init phases that failed are not in it, nor storage of packages and logs, transfer, networks and alarms.",
)
_ISOLATED = {
    "namespace": "Isolated: functions see a read-only file system, and a /tmp of their own that goes with them.",
    "landlock": "Isolated: functions see your files, and can write only below a $TMPDIR of their own (not in /tmp).",
    "none": "Not isolated: functions run as you do, with your files and network.",
}


@click.command(
    epilog=output.examples(
        "pilotlight serve",
        "pilotlight serve examples/*/ --port 0",
        "pilotlight serve my-service --fork-server",
        "pilotlight serve my-service --host 0.0.0.0 --no-reload",
    )
)
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option(
    "--memory",
    type=click.IntRange(1),
    metavar="MB",
    help="Memory of all environments together, by their settings.  [default: 4/5 of the machine's]",
)
@click.option("--reload/--no-reload", default=True, show_default=True, help="Start over when a file changes.")
@click.option(
    "--isolation",
    type=click.Choice(LEVELS),
    help="namespace: read-only but for a /tmp of its own; landlock: writes only in a temporary folder of its own.  "
    "[default: the strongest that the kernel offers]",
)
@click.option(
    "--fork-server",
    is_flag=True,
    help="Run each function's init phase once and fork its environments from that, as with SnapStart.",
)
@click.option(
    "--cpu-share", is_flag=True, help="Hold each environment to the processor time that its memory gives it on Lambda."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line instead of text.")
def serve(
    folders: tuple[Path, ...],
    host: str,
    port: int,
    memory: int | None,
    reload: bool,
    isolation: Level | None,
    fork_server: bool,
    cpu_share: bool,
    as_json: bool,
) -> None:
    """Serve the services in FOLDERS (default: here) as HTTP APIs, one gateway on one port.

    A function's environments start when requests come, scale out with them and stop when idle, as on AWS Lambda. The
    same port serves the Invoke API for boto3 and `aws lambda invoke --endpoint-url`, and at / a page to try functions.
    """
    options = server.Options(
        folders or (Path("."),), host, port, memory or 0, reload, isolation, fork_server, cpu_share
    )
    log = output.Log()
    projects = models.prepare(server.load(options.folders))
    if cpu_share:
        _tell_shares([function for each in projects for function in each.functions])
    records = RecordsPages(records_tables(projects, host))
    try:
        reporter = _json_reporter(log) if as_json else _text_reporter(log)
        uvloop.run(server.serve(projects, options, reporter, billed, models.prepare, records.pages()))
    finally:
        records.close()
        log.flush()
    if not as_json:
        output.line("Stopped.")


def _tell_shares(functions: Sequence[Function]) -> None:
    """Where processor time is not what was asked for."""
    if reason := shares.why_not():
        output.note(f"Processor time is not held: {reason}. To have it: {shares.HINT}.")
        return
    for function in functions:
        wanted, there = shares.share(function.memory), shares.processors()
        if wanted > there:
            output.note(f"{_short(function.key)} would have {wanted:.1f} processors on Lambda, and has {there:g} here.")


def billed(usages: Sequence[Usage]) -> Mapping[str, object]:
    """What the page Cost shows."""
    bill = cost.bill(usages)
    return {
        "region": cost.REGION,
        "items": [item._asdict() for item in bill.items],
        "total": bill.total,
        "per_million": [each._asdict() for each in bill.per_million],
        "notes": [*bill.notes, *_NOTES],
    }


def records_tables(projects: Sequence[Project], host: str) -> dict[str, str]:
    """The tables of records that the page shows, those of services that record first; none where others than this
    machine could ask for them."""
    ordered = sorted(projects, key=lambda each: not any(function.records for function in each.functions))
    return {each.name: local_records_table(each) for each in ordered} if pages.is_loopback(host) else {}


def _text_reporter(log: output.Log) -> server.Reporter:
    return server.Reporter(
        listening=_listening,
        function_log=lambda key, line: log.line(f"{_short(key)} | {line}"),
        request=lambda request, response, seconds: _told(log, request, response, seconds),
        described=_described,
        reloaded=lambda services: log.line(f"Reloaded {', '.join(services)}."),
        refused=_refused,
        keys=_keys,
    )


def _told(log: output.Log, request: Request, response: Response, seconds: float) -> None:
    """Not of what the server's own page asks for by itself, every few seconds."""
    if not request.path.startswith(pages.PREFIX) or response.status >= 500:
        log.line(_request(request, response, seconds))


def _short(key: str) -> str:
    return key.replace("--", "/")


def _listening(url: str, functions: Sequence[Function], isolation: Level) -> None:
    count = f"{len(functions)} function{'s' if len(functions) != 1 else ''}"
    output.line(f"Pilotlight {pilotlight.__version__} serves {count} at {url} (Ctrl-C stops)\n")
    rows = [(str(route).partition(" "), function) for function in functions for route in function.served]
    width = max((len(parts[2]) for parts, _ in rows), default=0)
    for (method, _, path), function in rows:
        output.line(f"  {method:7} {url}{path:{width}}  {_short(function.key)}")
    output.line(f"\n  Try them in a browser: {url}/")
    example = curl(url, functions)
    if example:
        output.line(f"  Or here:\n\n  {example}")
    output.line(f"\n  {_ISOLATED[isolation]}")
    output.line(unchecked(functions))


def unchecked(functions: Sequence[Function]) -> str:
    """What AWS asks of callers and this machine does not; "" for nothing."""
    kinds = {"iam": "the signatures", "jwt": "the tokens"}
    names = {auth: [_short(each.key) for each in functions if each.auth == auth] for auth in kinds}
    asked = [f"{kinds[auth]} for {', '.join(each)}" for auth, each in names.items() if each]
    return f"  Not checked here, where anyone may call: {'; '.join(asked)}.\n" if asked else ""


def curl(url: str, functions: Sequence[Function]) -> str:
    """A command that calls a function that has a saved event, one with a model if there is one; "" when none has."""
    for function in sorted(functions, key=lambda function: not function.named_models):
        event = project.saved_event(function)
        posts = [route.path for route in function.served if route.method in ("POST", "ANY") and "{" not in route.path]
        if event is not None and posts and _is_installed(function) and not function.api_key:
            body = json.dumps(event, ensure_ascii=False)
            if len(body) > _LONGEST_BODY:  # a picture, perhaps
                body = f"@{_from_here(function.event_file)}"
            return f"curl -s {url}{posts[0]} -H 'content-type: application/json' -d {shlex.quote(body)}"
    return ""


def _from_here(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _is_installed(function: Function) -> bool:
    return not function.defect and function.is_installed


def _request(request: Request, response: Response, seconds: float) -> str:
    color = {2: "green", 4: "yellow", 5: "red"}.get(response.status // 100)
    status = click.style(str(response.status), fg=color)
    return f"{time.strftime('%H:%M:%S')} {request.method} {request.path} {status} {seconds * 1000:.1f} ms"


def _keys(made: Sequence[Made]) -> None:
    for key in made:
        output.line(f"  API key {key.name}, for the header x-api-key: {key.value or f'that of {key.variable}'}")


def _described(function: Function, description: Description) -> None:
    if description.error:
        output.explain(f"{_short(function.key)}: {description.error}", description.hint)


def _refused(error: ProjectError) -> None:
    output.explain(f"not reloaded: {error}", error.hint)


def _json_reporter(log: output.Log) -> server.Reporter:
    return server.Reporter(
        listening=lambda url, functions, isolation: log.record(
            event="listening",
            url=url,
            isolation=isolation,
            functions=[{"key": each.key, "routes": [str(route) for route in each.served]} for each in functions],
        ),
        function_log=lambda key, line: log.record(event="log", function=key, line=line),
        request=lambda request, response, seconds: log.record(
            event="request",
            method=request.method,
            path=request.path,
            status=response.status,
            seconds=round(seconds, 6),
            request_id=request.request_id,
        ),
        described=lambda function, description: log.record(
            event="described", function=function.key, error=description.error, hint=description.hint
        ),
        reloaded=lambda services: log.record(event="reloaded", services=list(services)),
        refused=lambda error: log.record(event="refused", error=str(error), hint=error.hint),
        keys=lambda made: log.record(event="keys", keys=[key._asdict() for key in made]),
    )
