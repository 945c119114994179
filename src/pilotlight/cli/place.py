"""Which deployment a command means: the options --stage, --region and --profile, and the account behind them."""

import os
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from pilotlight.errors import ProjectError, UsageError
from pilotlight.project import Project

if TYPE_CHECKING:
    from pilotlight.deploy.session import Session


class Place(NamedTuple):
    """ "" is none, and what the settings or the shell say."""

    stage: str = ""
    region: str = ""
    profile: str = ""

    def session(self, service: Project) -> "Session":
        """The account. Raises `ProjectError` for a stage that is none, `UsageError` and `DeployError`."""
        from pilotlight.deploy import names, session  # boto3 is in the extra `deploy`

        names.stack(service.name, self.stage)  # what is wrong in the command is said before AWS is asked
        return session.open(self.profile, self.region or service.deploy.region)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives the command a `place`, in place of the three."""

    @click.option("--stage", default="", metavar="NAME", help="The stage of the deployment.")
    @click.option("--region", default="", metavar="REGION", help="The region.  [default: the settings', the shell's]")
    @click.option("--profile", default="", metavar="NAME", help="A profile of ~/.aws/config, with its credentials.")
    @wraps(command)
    def wrapped(*arguments: Any, stage: str, region: str, profile: str, **named: Any) -> Any:
        return command(*arguments, place=Place(stage, region, profile), **named)

    return wrapped


def refuse_without(remote: bool, place: Place) -> None:
    """The three are of deployed services alone."""
    if not remote and any(place):
        given = next(name for name, value in zip(Place._fields, place, strict=True) if value)
        raise click.UsageError(f"--{given} is for a deployed service: give --remote as well")


def records_table(service: Project, place: Place) -> str:
    """The URI of the deployed table of records, by the stack's own word. From here on this process signs with the
    place's credentials, as a function would with its role's. Raises `UsageError` where there is none."""
    from pilotlight.deploy import names, watch
    from pilotlight.function.table import Address
    from pilotlight.values import RECORD_EXPIRES, RECORD_KEY

    stack = names.stack(service.name, place.stage)
    session = place.session(service)
    state = watch.state(session, stack)
    if not state.status:
        hint = "`pilotlight deploy` makes it; --stage and --region say where else to look"
        raise UsageError(f"there is no stack {stack!r} in {session.region}", hint)
    name = state.outputs.get("RecordsTableName")
    if name is None:
        raise ProjectError(
            f"the stack {stack!r} has no table of records", "set records = true for a function, and deploy"
        )
    os.environ.update(session.variables())
    return str(Address("dynamodb", name, RECORD_KEY, expires=RECORD_EXPIRES))


def local_records_table(service: Project) -> str:
    """The URI of the table of records on this machine; of the one that was, where nothing is recorded any more."""
    from pilotlight.local.tables import address
    from pilotlight.settings import Table
    from pilotlight.values import RECORD_EXPIRES, RECORD_KEY, RECORDS

    usual = Table(RECORD_KEY, expires=RECORD_EXPIRES, table=f"{service.name}-{RECORDS}")
    return str(address(service.root, RECORDS, service.tables.get(RECORDS, usual)))
