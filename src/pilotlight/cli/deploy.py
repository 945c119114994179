"""`pilotlight deploy`: a service becomes a stack on AWS, its packages with it, by one command that can be run again."""

from pathlib import Path

import click

from pilotlight import project
from pilotlight.cli import output
from pilotlight.cli.place import Place, options
from pilotlight.errors import UsageError


@click.command(
    epilog=output.examples(
        "pilotlight deploy --dry-run",
        "pilotlight deploy",
        "pilotlight deploy --stage beta --region eu-west-1 --profile work",
        "pilotlight deploy --yes --json",
        "pilotlight deploy --yes --allow-replace",
    )
)
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("."), help="The service's folder."
)
@options
@click.option("--dry-run", is_flag=True, help="Build, and show what would be deployed; no account is needed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--allow-replace",
    is_flag=True,
    help="With --yes: also where data is lost, or clients have to be told of another URL.",
)
@click.option("--no-tests", is_flag=True, help="Send no saved test events to what was deployed.")
@click.option("--prune", is_flag=True, help="Delete versions of functions that no alias leads to.")
@click.option("--python", default="", metavar="PATH", help="The target's interpreter.  [default: from PATH]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, after those of `build --json`.")
def deploy(
    folder: Path,
    place: Place,
    dry_run: bool,
    yes: bool,
    allow_replace: bool,
    no_tests: bool,
    prune: bool,
    python: str,
    as_json: bool,
) -> int:
    """Bring the service to AWS, or what changed of it.

    Packages are built as by `pilotlight build`. Those that are not there yet go into a bucket for all services and a
    repository for this one. What would change on AWS is shown as a table, with data that would be lost and URLs that
    would change in red, and asked about. Then CloudFormation does it, with its events as they come, and the saved
    test events are sent to what is live. When it was broken off anywhere, the same command does the rest. The exit
    code is 1 when the stack could not be changed, a test event failed, or the answer was no.
    """
    if allow_replace and not yes:
        raise click.UsageError("--allow-replace is for --yes: without it you are asked")
    service = project.load(folder)
    try:
        from pilotlight.cli import deploy_steps as steps  # other commands need none of what building needs
    except ModuleNotFoundError as error:
        raise UsageError(f"deploying: {error.name} is not installed", "pip install 'pilotlight[deploy]'") from None
    wanted = steps.Options(place, yes, allow_replace, not no_tests, prune, python, as_json)
    return steps.dry_run(service, wanted) if dry_run else steps.deploy(service, wanted)
