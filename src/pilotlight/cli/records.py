"""`pilotlight records`: what functions were asked and what they answered."""

import contextlib
import json
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from pilotlight import project
from pilotlight.cli import output
from pilotlight.cli.place import Place, local_records_table, options, records_table, refuse_without
from pilotlight.cli.record_filters import Filter, moment, newest, read
from pilotlight.cli.record_formats import HEAD, csv_line, json_line
from pilotlight.errors import UsageError
from pilotlight.function import items
from pilotlight.function.table import Item, Table, connect_uri
from pilotlight.local.records import Spool, spools
from pilotlight.measure.answer_class import is_error
from pilotlight.project import Project
from pilotlight.settings import FILE
from pilotlight.settings_file import nearest
from pilotlight.values import RECORD_KEY, RECORDS

_PAUSE = 1.0  # seconds between two looks for new records
_BATCH = 500
_LAST = 20

Folder = click.Path(file_okay=False, path_type=Path)
_table_option = click.option(
    "--table",
    "uri",
    metavar="URI",
    help="Another table than that of the settings, such as dynamodb://NAME?key=primary_key.",
)
_remote_option = click.option("--remote", is_flag=True, help="The table of the deployed service.")


class _Group(click.Group):
    """A group that takes what is none of its commands for the arguments of `list`."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in context.help_option_names):
            args = ["list", *args]
        return super().parse_args(context, args)


@click.group(
    cls=_Group,
    epilog=output.examples(
        "pilotlight records",
        "pilotlight records my-service --since 2h --errors",
        "pilotlight records list --help",
        "pilotlight records recover --help",
    ),
)
def records() -> None:
    """Show what functions with `records = true` were asked and what they answered.

    Without one of the commands below it is `list`, whose arguments and options it takes.
    """


@records.command(
    name="list",
    epilog=output.examples(
        "pilotlight records",
        "pilotlight records my-service --function qa --since 2h --errors",
        "pilotlight records --contains harbour --follow",
        "pilotlight records --format jsonl --limit 0 > records.jsonl",
        "pilotlight records --remote --stage beta --since 1d",
        "pilotlight records --ui --remote --stage beta",
        "pilotlight records --table 'dynamodb://my-service-records?key=primary_key' --since 1d --format csv",
    ),
)
@click.argument("folder", metavar="[DIR]", type=Folder, default=Path("."))
@click.option("--function", default="", metavar="NAME", help="Those of one function only.")
@click.option("--since", default="", metavar="TIME", help="From then on: 15m, 2h or 3d ago, or 2026-11-28T08:30 (UTC).")
@click.option("--until", default="", metavar="TIME", help="Before then.")
@click.option("--contains", default="", metavar="TEXT", help="With this in input, output or error, in whatever case.")
@click.option("--errors", is_flag=True, help="Those that failed, or were answered with 400 or more.")
@click.option("--cold", is_flag=True, help="The first ones of their environments.")
@click.option("--limit", type=click.IntRange(0), default=_LAST, show_default=True, help="The newest so many; 0 is all.")
@click.option("--follow", "-f", is_flag=True, help="Go on with those that come, the newest last. Ctrl-C ends it.")
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "jsonl"]), default="table", show_default=True,
    help="A table for people, or all fields: as CSV, or one JSON object a line.",
)  # fmt: skip
@click.option("--ui", is_flag=True, help="Serve a page with charts, search and drift on 127.0.0.1, and print its URL.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of the page.  [default: a free one]")
@_table_option
@_remote_option
@options
def list_command(
    folder: Path,
    function: str,
    since: str,
    until: str,
    contains: str,
    errors: bool,
    cold: bool,
    limit: int,
    follow: bool,
    form: str,
    ui: bool,
    port: int,
    uri: str | None,
    remote: bool,
    place: Place,
) -> None:
    """List the records of the service in DIR (default: here), the newest first.

    The whole table is read, whatever is asked for: in DynamoDB every look, with --follow one a second, costs what its
    size costs. What was redacted or cut when it was recorded is not to be had.
    """
    uri = _uri(folder, uri, remote, place)
    table, service = _open(folder, uri)
    now = datetime.now(UTC)
    wanted = Filter(function, since and moment(since, now), until and moment(until, now), contains, errors, cold)
    if service is not None:
        _check_function(service, function)
    if ui:
        table.close()
        return _show_page(service, uri or local_records_table(project.load(folder)), port, wanted)
    try:
        seen: set[str] = set()
        found = newest(_noted(filter(wanted.admits, table.scan()), seen), limit)
        _show(found, form, follow)
        if follow:
            _follow(table, wanted, form, seen)
        elif not found:
            _say_nothing(service)
    finally:
        table.close()


def _show_page(service: Project | None, uri: str, port: int, wanted: Filter) -> None:
    from pilotlight.cli import records_ui

    name = service.name if service is not None else RECORDS
    records_ui.show(uri, name, port, wanted)


def _uri(folder: Path, uri: str | None, remote: bool, where: Place) -> str | None:
    """The URI of the table that is asked for; None for that of the settings."""
    refuse_without(remote, where)
    if remote and uri is not None:
        raise click.UsageError("--remote and --table exclude each other")
    return records_table(project.load(folder), where) if remote else uri


def _open(folder: Path, uri: str | None) -> tuple[Table, Project | None]:
    """The table of records, and the service in that folder, which a table that is named can do without.

    It is found too where nothing is recorded any more.
    """
    if uri is not None:
        return connect_uri(uri), project.load(folder) if (folder / FILE).exists() else None
    service = project.load(folder)
    return connect_uri(local_records_table(service)), service


def _check_function(service: Project, name: str) -> None:
    known = [each.name for each in service.functions]
    if name and name not in (*known, *(each.key for each in service.functions)):
        guess = nearest(name, known)
        hint = f"did you mean {guess!r}?" if guess else f"it has {', '.join(known)}"
        raise UsageError(f"there is no function {name!r} in {service.root}", hint)


def _say_nothing(service: Project | None) -> None:
    if service is not None and not any(each.records for each in service.functions):
        output.note("No records: none is made unless pilotlight.toml says records = true for a function.")
    else:
        output.note("No records.")


def _show(found: Sequence[Item], form: str, follow: bool) -> None:
    """Show records, the newest first or, where others will come below them, last."""
    if form == "csv":
        output.line(HEAD)
    elif form == "table" and (found or follow):
        output.line(click.style(_TITLES, bold=True))
    _print(found[::-1] if follow else found, form)


def _follow(table: Table, wanted: Filter, form: str, seen: set[str]) -> None:
    """Show what comes, until Ctrl-C."""
    while True:
        time.sleep(_PAUSE)
        new = [each for each in filter(wanted.admits, table.scan()) if each[RECORD_KEY] not in seen]
        _print(newest(_noted(new, seen), 0)[::-1], form)


def _noted(records: Iterable[Item], seen: set[str]) -> Iterator[Item]:
    for record in records:
        seen.add(str(record[RECORD_KEY]))
        yield record


def _print(found: Iterable[Item], form: str) -> None:
    for record in found:
        match form:
            case "csv":
                output.line(csv_line(record))
            case "jsonl":
                output.line(json_line(record))
            case _:
                output.line(_row(record))


_WIDTHS = (19, 18, 6, 9, 4)
_TITLES = (
    " ".join(
        f"{name:{width}}"
        for name, width in zip(("TIME (UTC)", "FUNCTION", "STATUS", "MS", "COLD"), _WIDTHS, strict=True)
    )
    + " INPUT -> OUTPUT"
)


def _row(record: Item) -> str:
    latency = record.get("latency_ms")
    columns = (
        str(record.get("createdAt", ""))[:19].replace("T", " "),
        _shortened(str(record.get("function", "")).rpartition("--")[2], _WIDTHS[1]),
        str(record.get("status", "error" if record.get("error") else "ok")),
        f"{latency:9.1f}" if isinstance(latency, int | float) else "",
        "cold" if record.get("cold") else "",
    )
    left = " ".join(f"{text:{width}}" for text, width in zip(columns, _WIDTHS, strict=True))
    said = str(record.get("error") or record.get("output", ""))
    room = max(20, shutil.get_terminal_size((120, 24)).columns - len(left) - 1)
    asked = _shortened(" ".join(str(record.get("input", "")).split()), room // 2 - 2)
    text = _shortened(f"{asked} -> {' '.join(said.split())}", room)
    return f"{click.style(left, fg='red') if is_error(record) else left} {text}"


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


@records.command(
    epilog=output.examples(
        "pilotlight records recover my-service",
        "pilotlight records recover --log serve.log --dry-run",
        "pilotlight logs qa --since 1d --json | pilotlight records recover --log - --remote",
        "aws logs tail /aws/lambda/my-service--qa --since 1d | pilotlight records recover --log - "
        "--table 'dynamodb://my-service-records?key=primary_key'",
    ),
)
@click.argument("folder", metavar="[DIR]", type=Folder, default=Path("."))
@click.option(
    "--log",
    "logs",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="A log to look in, in place of the service's own files; - is stdin. May be given several times.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be stored, and store nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: stored, present, broken.")
@_table_option
@_remote_option
@options
def recover(
    folder: Path, logs: tuple[str, ...], dry_run: bool, as_json: bool, uri: str | None, remote: bool, place: Place
) -> None:
    """Store the records that a store did not take when they were made.

    They are in the log: on this machine in .pilotlight/records.log of the service in DIR (default: here), from which
    `serve` stores them too when it starts again; on AWS in CloudWatch. A log may be as it was written, as `aws logs
    tail` prints it, or JSON, as `aws logs filter-log-events` and exports have it. What is in the table already stays as
    it is, so that to recover twice is to recover once.
    """
    table, service = _open(folder, _uri(folder, uri, remote, place))
    counts = {"stored": 0, "present": 0, "broken": 0}
    try:
        for name in logs:
            with click.open_file(name, encoding="utf-8", errors="replace") as lines:
                _recover(table, lines, dry_run, counts)
        for path in () if logs else spools((service or project.load(folder)).root):
            _recover_spool(table, path, dry_run, counts)
    finally:
        table.close()
    if as_json:
        output.record(**counts)
    else:
        _tell(counts, dry_run)


def _recover_spool(table: Table, path: Path, dry_run: bool, counts: dict[str, int]) -> None:
    try:
        spool = Spool(path)
    except BlockingIOError:
        output.note(f"{path}: `pilotlight serve` has it, and stores what is in it.")
        return
    with contextlib.closing(spool):
        with path.open(encoding="utf-8", errors="replace") as lines:
            _recover(table, lines, dry_run, counts)
        if not dry_run:
            spool.replace([])


def _recover(table: Table, lines: Iterable[str], dry_run: bool, counts: dict[str, int]) -> None:
    reader = read(lines)
    counts["broken"] += reader.broken
    waiting = list(reader.records.items())
    for begin in range(0, len(waiting), _BATCH):
        batch = dict(waiting[begin : begin + _BATCH])
        there = table.get(batch)
        missing = [items.decode(json.loads(text)) for key, text in batch.items() if key not in there]
        if not dry_run:
            table.put(missing)
        counts["stored"] += len(missing)
        counts["present"] += len(there)


def _tell(counts: dict[str, int], dry_run: bool) -> None:
    count = counts["stored"]
    what = f"{count} record{'s' if count != 1 else ''}"
    output.line(f"Would store {what}." if dry_run else f"Stored {what}.")
    if counts["present"]:
        output.line(f"{counts['present']} more were there already.")
    if counts["broken"]:
        output.explain(f"{counts['broken']} more are in the log in part only", "give all of the log, in its order")
