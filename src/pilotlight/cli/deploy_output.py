"""What deploying, destroying and `status` show."""

from collections.abc import Iterable, Mapping, Sequence
from time import sleep
from typing import TYPE_CHECKING, Any

import click

from pilotlight.cli import output
from pilotlight.errors import UsageError
from pilotlight.project import Function

if TYPE_CHECKING:
    from pilotlight.deploy.changes import Change
    from pilotlight.deploy.destroy import Plan, Resource
    from pilotlight.deploy.live import Answer, Request
    from pilotlight.deploy.prune import Stale
    from pilotlight.deploy.session import Session
    from pilotlight.deploy.stack import Prepared, Talk
    from pilotlight.deploy.unit import Deployment
    from pilotlight.deploy.watch import Event, State

_COLOURS = {"add": "green", "take over": "green", "change": "yellow", "remove": "yellow"}
_LONGEST = 60  # characters of properties in a table
_UNKNOWN = (
    "not known without an account: what is there already, and so what would be added, changed or replaced; whether "
    "names are free; quotas"
)


def said(text: str, as_json: bool) -> None:
    """A sentence: for people on stderr."""
    if as_json:
        output.record(kind="note", text=text)
    else:
        output.note(text)


def ask(question: str) -> bool:
    """Raises `UsageError` where nobody answers."""
    try:
        return click.confirm(question, err=True)
    except click.Abort as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise
        raise UsageError(f"{question} nobody is there to answer", "--yes answers for you") from None


def talk(yes: bool, as_json: bool) -> "Talk":
    """How the steps speak to whoever runs them."""
    from pilotlight.deploy.stack import Talk

    def agreed(question: str) -> bool:
        if yes:
            said(f"{question} yes", as_json)
        return yes or ask(question)

    return Talk(lambda text: said(text, as_json), lambda found: event(found, as_json), agreed, sleep)


def event(found: "Event", as_json: bool) -> None:
    """A line as CloudFormation goes on."""
    if as_json:
        fields = {"status": found.status, "reason": found.reason, "type": found.kind}
        output.record(kind="event", resource=found.logical_id, **fields)
        return
    failed = found.failed or "ROLLBACK" in found.status
    colour = "red" if failed else "green" if found.status.endswith("_COMPLETE") else None
    reason = f"  {found.reason}" if found.reason and failed else ""
    click.echo(f"  {click.style(f'{found.status:<28}', fg=colour)} {found.logical_id} ({found.kind}){reason}", err=True)


def account(session: "Session", as_json: bool) -> None:
    said(f"account {session.account}, region {session.region}", as_json)


def template(deployment: "Deployment", made: Mapping[str, Any], as_json: bool) -> None:
    """Of a dry run: what there would be, what it costs while nobody asks, and what cannot be known."""
    from pilotlight.deploy import names, network

    name, cost = names.stack(deployment.project.name, deployment.stage), network.monthly(deployment)
    resources = {logical_id: each["Type"] for logical_id, each in made["Resources"].items()}
    if as_json:
        packages = [
            unit.artifact._asdict() | {"environment": [*unit.artifact.environment]} for unit in deployment.units
        ]
        output.record(
            kind="dry run", stack=name, packages=packages, resources=resources, monthly=cost, unknown=_UNKNOWN
        )
        return
    output.line(f"stack {name}: {len(resources)} resources")
    for logical_id, kind in resources.items():
        output.line(f"  {kind:<44} {logical_id}")
    if cost:
        output.line(click.style(f"  the network costs about ${cost:.2f} a month before any traffic", fg="yellow"))
    output.line(f"  {_UNKNOWN}")
    output.line("nothing was sent: `pilotlight deploy` sends it, shows what would change, and asks")


def changes(prepared: "Prepared", as_json: bool) -> None:
    """The change set as a table, what hurts first and in red."""
    if as_json:
        made = [change._asdict() for change in prepared.changes]
        output.record(kind="changes", stack=prepared.name, creates=prepared.creates, changes=made)
        return
    new = " (new)" if prepared.creates else ""
    output.line(f"{prepared.name}{new}: {len(prepared.changes)} changes")
    for change in prepared.changes:
        output.line(_row(change))


def _row(change: "Change") -> str:
    word = click.style(f"{change.action:<9}", fg="red" if change.harm else _COLOURS.get(change.action))
    properties = ", ".join(change.properties)
    if len(properties) > _LONGEST:
        properties = f"{properties[: _LONGEST - 3]}..."
    text = f"  {word} {change.logical_id:<32} {change.kind:<34} {properties}".rstrip()
    note = click.style(change.note, fg="red", bold=True) if change.harm else change.note
    return f"{text}  {note}" if note else text


def outputs(found: Mapping[str, str], as_json: bool) -> None:
    """URLs, names and keys, as the stack gives them."""
    if as_json:
        output.record(kind="outputs", **{"outputs": dict(found)})
        return
    for key, value in sorted(found.items()):
        output.line(f"  {key:<28} {value}")


def curl(function: Function, asked: "Request", as_json: bool) -> None:
    """How to ask; who may is named, as no secret is."""
    extra = {
        "iam": " --aws-sigv4 'aws:amz:REGION:SERVICE' --user KEY:SECRET",
        "jwt": " -H 'authorization: Bearer TOKEN'",
    }
    command = asked.curl() + extra.get(function.auth, "") + (" -H 'x-api-key: KEY'" if function.api_key else "")
    if as_json:
        output.record(kind="curl", function=function.name, curl=command)
    else:
        output.line(f"  {command}")


def test(function: Function, answer: "Answer", as_json: bool) -> None:
    """What a saved event was answered with."""
    if as_json:
        output.record(kind="test", function=function.name, **answer._asdict())
        return
    status = click.style("failed", fg="red") if answer.error else click.style("passed", fg="green")
    error = f"{answer.error}: " if answer.error else ""
    output.line(
        f"  {status} {function.event_file.name} by {answer.how} in {answer.seconds:.2f} s: {error}{answer.text}"
    )


def stale(found: Sequence["Stale"], removed: bool, as_json: bool) -> None:
    versions = ", ".join(f"{each.function} {each.version}" for each in found)
    after = "deleted" if removed else "no alias leads there: --prune deletes them"
    said(f"versions {versions}: {after}", as_json)


def plan(found: "Plan", keeps_records: bool, as_json: bool) -> None:
    """What would be destroyed, data that would be lost first and in red, and what stays."""
    if as_json:
        fields = {
            "bucket": found.bucket,
            "objects": found.objects,
            "repository": found.repository,
            "images": found.images,
        }
        lost, kept = ([each.physical_id for each in some] for some in (found.lost, found.kept))
        output.record(kind="plan", stack=found.name, status=found.state.status, lost=lost, kept=kept, **fields)
        return
    output.line(f"{found.name}: {found.state.status or 'there is no stack'}, {len(found.resources)} resources")
    for each in sorted(found.resources, key=lambda each: not (each.holds and not each.kept)):
        output.line(_fate(each))
    if found.shared:
        output.line(f"  stays     packages in {found.bucket}: {found.shared}")
        return
    if found.objects:
        goes = " and the bucket" if found.bucket_goes else ""
        output.line(f"  goes      {found.objects} objects in {found.bucket}{goes}")
    elif found.bucket_goes:
        output.line(f"  goes      the bucket {found.bucket}, which is empty")
    if found.repository:
        output.line(f"  goes      the repository {found.repository} with {found.images} images")
    if not keeps_records and any(each.logical_id == "RecordsTable" for each in found.lost):
        output.line("  --keep-records keeps the table of records")


def _fate(each: "Resource") -> str:
    is_lost = bool(each.holds) and not each.kept
    word = click.style(f"{'stays' if each.kept else 'goes':<9}", fg="red" if is_lost else None)
    note = click.style(f"  its {each.holds} are lost", fg="red", bold=True) if is_lost else ""
    return f"  {word} {each.logical_id:<32} {each.kind:<34} {each.physical_id}{note}"


def left(found: Iterable[str], as_json: bool) -> None:
    """What is still there, as AWS says."""
    lines = list(found)
    if as_json:
        output.record(kind="left", left=lines)
        return
    output.line("nothing is left" if not lines else "left:")
    for line in lines:
        output.line(f"  {line}")


def status(
    name: str, state: "State", functions: Sequence[Mapping[str, str]], failures: Sequence[str], as_json: bool
) -> None:
    """A stack, its functions and, where it is not in order, why."""
    if as_json:
        fields = {"status": state.status, "changed": state.changed, "outputs": dict(state.outputs)}
        output.record(kind="status", stack=name, functions=[*functions], failures=[*failures], **fields)
        return
    good = state.status.endswith("_COMPLETE") and "ROLLBACK" not in state.status
    colour = "green" if good else "yellow" if state.in_progress else "red"
    output.line(f"{name}: {click.style(state.status, fg=colour)}, {state.changed}")
    for each in functions:
        output.line("  " + "  ".join(f"{value}" for value in each.values()))
    outputs(state.outputs, as_json=False)
    for line in failures:
        output.line(click.style(f"  {line}", fg="red"))
