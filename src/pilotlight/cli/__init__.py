"""The command line: the only place that prints, exits, or puts engines together."""

import sys

import click

import pilotlight
from pilotlight.cli import output
from pilotlight.cli.bench import bench
from pilotlight.cli.build import build
from pilotlight.cli.cache import cache
from pilotlight.cli.completion import completion
from pilotlight.cli.cost import cost
from pilotlight.cli.deploy import deploy
from pilotlight.cli.destroy import destroy
from pilotlight.cli.doctor import doctor
from pilotlight.cli.interrupts import INTERRUPTED
from pilotlight.cli.invoke import invoke
from pilotlight.cli.logs import logs
from pilotlight.cli.new import new
from pilotlight.cli.optimize import optimize
from pilotlight.cli.records import records
from pilotlight.cli.serve import serve
from pilotlight.cli.simulate import simulate
from pilotlight.cli.status import status
from pilotlight.cli.template import template
from pilotlight.cli.tune import tune_command
from pilotlight.cli.vectors import vectors
from pilotlight.errors import PilotlightError


@click.group(
    epilog=output.examples(
        "pilotlight new minimal my-service",
        "pilotlight serve my-service",
        'pilotlight invoke hello --data \'{"name": "Ada"}\' --dir my-service',
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(pilotlight.__version__, prog_name="pilotlight")
def cli() -> None:
    """A Python function with a model becomes an HTTP inference API: on this machine as on AWS Lambda."""


for command in (
    *(new, serve, invoke, optimize, cache, build, template, deploy, status, logs, doctor, destroy),
    *(records, vectors, bench, tune_command, simulate, cost, completion),
):
    cli.add_command(command)


def main() -> None:
    """Run the command line; every error that is known ends here as one sentence, a hint and an exit code."""
    try:
        status = cli.main(prog_name="pilotlight", standalone_mode=False)
    except PilotlightError as error:
        output.error(str(error), error.hint)
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        output.error(error.format_message(), _help_of(error))
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


def _help_of(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"`{context.command_path} --help` shows how it is used" if context else ""
