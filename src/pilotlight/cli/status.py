"""`pilotlight status`: what is deployed, and in which state."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pilotlight import project
from pilotlight.cli import deploy_output as shown
from pilotlight.cli import output
from pilotlight.cli.place import Place, options
from pilotlight.project import Project

if TYPE_CHECKING:
    from pilotlight.deploy.session import Session
    from pilotlight.deploy.watch import Event


@click.command(epilog=output.examples("pilotlight status", "pilotlight status --stage beta --json"))
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("."), help="The service's folder."
)
@options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(folder: Path, place: Place, as_json: bool) -> int:
    """Show the deployed stack: its state, its functions with the versions that are live, and its outputs.

    Where its last operation failed, each resource that did, with the reason and a remedy; where it worked, what it
    could not delete. The exit code is 1 when there is no stack, or it is not in order.
    """
    service = project.load(folder)
    from pilotlight.deploy import names, watch

    session, name = place.session(service), names.stack(service.name, place.stage)
    state = watch.state(session, name)
    if not state.status:
        shown.said(f"there is no stack {name} in {session.region}: `pilotlight deploy` makes it", as_json)
        return 1
    in_order = state.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
    lines = _lines(watch.operation(session, state.id), session.options, in_order)
    shown.status(name, state, _functions(session, service, place.stage), lines, as_json)
    return 0 if in_order else 1


def _lines(events: "Sequence[Event]", options: str, in_order: bool) -> list[str]:
    """What failed in the last operation, or what one that worked has left."""
    from pilotlight.deploy import failures, leftovers

    if in_order:
        return leftovers.said(leftovers.of(events, options))
    return [f"{failure}" + (f" ({failure.hint})" if failure.hint else "") for failure in failures.every(events)]


def _functions(session: "Session", service: Project, stage: str) -> list[Mapping[str, str]]:
    """Those of the project that are deployed, and which version is live."""
    from pilotlight.deploy import live, names

    found: list[Mapping[str, str]] = []
    for function in service.functions:
        name = names.function(function, stage)
        version = live.version(session, name)
        found.append({"function": name, **(version or {"version": "not deployed"})})
    return found
