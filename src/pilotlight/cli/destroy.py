"""`pilotlight destroy`: all that `pilotlight deploy` has made goes, and what stays is said."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pilotlight import project
from pilotlight.cli import deploy_output as shown
from pilotlight.cli import output
from pilotlight.cli.interrupts import Interrupts
from pilotlight.cli.place import Place, options

if TYPE_CHECKING:
    from pilotlight.deploy.destroy import Plan

_PLANNING = "nothing was removed: the same command looks anew"
_REMOVING = "CloudFormation goes on with what was begun: the same command does the rest"


@click.command(
    epilog=output.examples(
        "pilotlight destroy --dry-run",
        "pilotlight destroy --keep-records",
        "pilotlight destroy --stage beta --yes",
        "pilotlight destroy --yes --allow-data-loss",
    )
)
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("."), help="The service's folder."
)
@options
@click.option("--keep-records", is_flag=True, help="Leave the table of records, with all that is in it.")
@click.option("--dry-run", is_flag=True, help="Show what would go and what would stay.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--allow-data-loss", is_flag=True, help="With --yes: also where tables or file systems have data in them."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, each with its kind.")
def destroy(
    folder: Path, place: Place, keep_records: bool, dry_run: bool, yes: bool, allow_data_loss: bool, as_json: bool
) -> int:
    """Remove the deployed service: its stack, its packages and models in the bucket, its images.

    What would go is shown and asked about; data that would be lost needs a yes of its own. Tables with `keep = true`
    stay. So does what other stages of the service use, and the bucket while other services have packages in it. At the
    end AWS is asked what is left, which is listed. Broken off, the same command does the rest. The exit code is 1 when
    something could not be removed, or the answer was no.
    """
    if allow_data_loss and not yes:
        raise click.UsageError("--allow-data-loss is for --yes: without it you are asked")
    service = project.load(folder)
    from pilotlight.deploy import destroy as destroying
    from pilotlight.deploy.stack import Owner

    with Interrupts(_PLANNING, as_json) as interrupts:
        session, owner = place.session(service), Owner(service.name, place.stage)
        shown.account(session, as_json)
        talk = shown.talk(yes, as_json)
        plan = destroying.plan(session, owner, keep_records, talk)
        shown.plan(plan, keep_records, as_json)
        if dry_run or plan.is_empty:
            return 0
        if not _agreed(plan, yes, allow_data_loss, as_json):
            shown.said("nothing was removed", as_json)
            return 1
        interrupts.text = _REMOVING
        shown.left(destroying.destroy(session, owner, plan, talk), as_json)
    return 0


def _agreed(plan: "Plan", yes: bool, allow_data_loss: bool, as_json: bool) -> bool:
    lost = ", ".join(each.physical_id for each in plan.lost)
    if yes:
        if lost and not allow_data_loss:
            shown.said(f"refused: there is data in {lost}: --allow-data-loss allows that", as_json)
        return allow_data_loss or not lost
    if not shown.ask(f"Remove {plan.name}?"):
        return False
    return not lost or shown.ask(f"Really, with the data in {lost}?")
