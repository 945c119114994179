"""`pilotlight logs`: what deployed functions write, and what Lambda says of each request."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import click

from pilotlight import project
from pilotlight.cli import output
from pilotlight.cli.invoke import complete, find
from pilotlight.cli.place import Place, options
from pilotlight.cli.record_filters import moment
from pilotlight.deploy import logs as reading
from pilotlight.deploy import names
from pilotlight.deploy.log_lines import Report
from pilotlight.deploy.logs import Event, Group
from pilotlight.project import Project

_PAUSE = 2.0  # seconds between two looks; CloudWatch Logs lets an account look five times a second and more
_HIDDEN = ("START", "END")  # REPORT says it all


@click.command(
    epilog=output.examples(
        "pilotlight logs",
        "pilotlight logs qa --follow",
        "pilotlight logs qa --since 2h --filter ERROR",
        "pilotlight logs qa --filter '?WARN ?ERROR' --stage beta",
        "pilotlight logs qa --request 8f5e0d36-3c1e-4b4e-9d5f-2f0a4a6f7b11",
    )
)
@click.argument("name", metavar="[FUNCTION]", required=False, shell_complete=complete)
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("."), help="The service's folder."
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes. Ctrl-C ends it.")
@click.option(
    "--filter", "wanted", default="", metavar="TEXT", help="Lines with this text, or a pattern of CloudWatch."
)
@click.option("--request", "request_id", default="", metavar="ID", help="All that was written during one request.")
@click.option(
    "--since", default="10m", show_default=True, metavar="TIME", help="15m, 2h or 3d ago, or 2026-11-28T08:30 (UTC)."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, each with all that is known.")
@options
def logs(
    name: str | None,
    folder: Path,
    follow: bool,
    wanted: str,
    request_id: str,
    since: str,
    as_json: bool,
    place: Place,
) -> None:
    """Show the logs of the deployed FUNCTION, or of all functions of the service.

    Of each request the last line says how long it took, what is billed, the memory and the cold start. --filter takes
    text as it is written, upper and lower case; what begins with one of { [ " ? - % is a pattern of CloudWatch Logs.
    """
    if request_id and (wanted or follow):
        raise click.UsageError("--request excludes --filter and --follow")
    service = project.load(folder)
    groups = _groups(service, name, place.stage)
    session, begin = place.session(service), _milliseconds(since)
    if request_id:
        _show(reading.request(session, groups, request_id, begin), as_json)
    elif follow:
        _show(reading.follow(session, groups, begin, wanted, lambda: time.sleep(_PAUSE)), as_json)
    elif not _show(reading.read(session, groups, begin, wanted), as_json):
        output.note(f"Nothing since {since}.")


def _groups(service: Project, name: str | None, stage: str) -> list[Group]:
    functions = [find(service, name)] if name else list(service.functions)
    return [Group(each.name, reading.group_of(names.function(each, stage))) for each in functions]


def _milliseconds(since: str) -> int:
    written = datetime.fromisoformat(moment(since, datetime.now(UTC)))
    return int(written.timestamp() * 1000)


def _show(events: Iterable[Event], as_json: bool) -> int:
    """Show them as they come; how many there were."""
    count = 0
    for event in events:
        count += 1
        if as_json:
            _record(event)
        elif event.line.platform not in _HIDDEN:
            output.line(_row(event))
    return count


def _record(event: Event) -> None:
    line, report = event.line, event.line.report
    said = {"report": report._asdict()} if report else {}
    output.record(time=_stamp(line.time), function=event.function, stream=line.stream, message=line.text, **said)


def _stamp(milliseconds: int) -> str:
    when = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def _row(event: Event) -> str:
    report = event.line.report
    if report is None:
        text = event.line.text
        text = click.style(text, dim=True) if event.line.platform else text
    else:
        text = click.style(shown(report), fg="red" if report.status else "green")
    return f"{click.style(_stamp(event.line.time)[:-1].replace('T', ' '), dim=True)} {event.function} {text}"


def shown(report: Report) -> str:
    """A REPORT line for people."""
    parts = [f"{report.duration_ms:.1f} ms", f"{report.billed_ms:.0f} ms billed"]
    parts.append(f"{report.peak_mb:.0f} of {report.memory_mb:.0f} MB")
    parts += [f"cold start, init {report.init_ms:.1f} ms"] if report.init_ms else []
    parts += [f"restored in {report.restore_ms:.1f} ms"] if report.restore_ms else []
    parts += [" ".join(filter(None, (report.status, report.error)))] if report.status else []
    return f"{report.request_id}: {', '.join(parts)}"
