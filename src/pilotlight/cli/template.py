"""`pilotlight template`: what `pilotlight deploy` hands to CloudFormation, as text."""

import contextlib
import json
import sys
from pathlib import Path

import click

from pilotlight import project
from pilotlight.cli import output
from pilotlight.errors import UsageError


@click.command(
    epilog=output.examples(
        "pilotlight template",
        "pilotlight template --stage beta --dir my-service > beta.json",
        "aws cloudformation validate-template --template-body file://beta.json",
    )
)
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("."), help="The service's folder."
)
@click.option("--stage", default="", metavar="NAME", help="The stage that it is for.")
@click.option("--python", default="", metavar="PATH", help="The target's interpreter.  [default: from PATH]")
def template(folder: Path, stage: str, python: str) -> None:
    """Print the service's CloudFormation template.

    It names packages and models by their contents, so they are made first, as by `pilotlight build`, whose output goes
    to stderr. No account is needed: account, region and partition are filled in by CloudFormation. The values of
    `environment` in the settings are part of it.
    """
    service = project.load(folder)
    try:
        from pilotlight.cli import deploy_steps as steps  # other commands need none of what building needs
        from pilotlight.deploy import names
        from pilotlight.deploy import template as templates
    except ModuleNotFoundError as error:
        raise UsageError(f"building: {error.name} is not installed", "pip install 'pilotlight[deploy]'") from None
    names.stack(service.name, stage)
    with contextlib.redirect_stdout(sys.stderr):
        deployment, _ = steps.built(service, stage, python, as_json=False)
    output.line(json.dumps(templates.template(deployment), indent=2))
