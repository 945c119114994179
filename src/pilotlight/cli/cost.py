"""`pilotlight cost`: the ways to run a function for its traffic, side by side."""

from pathlib import Path

import click

from pilotlight.cli import cost_output, cost_steps, output, progress, sim_inputs
from pilotlight.cli.cost_steps import Case
from pilotlight.cli.invoke import complete
from pilotlight.cli.numbers import Finite
from pilotlight.cli.sim_options import (
    Duration,
    FunctionOptions,
    TimesOptions,
    TrafficOptions,
    function_options,
    times_options,
    traffic_options,
)
from pilotlight.cli.sim_times import timed
from pilotlight.errors import UsageError
from pilotlight.measure import choices, plot
from pilotlight.measure.choices import Target


@click.command(
    epilog=output.examples(
        "pilotlight cost kim_cnn --requests-per-month 1000000",
        "pilotlight cost kim_cnn --times x86.json --times arm.json --trace requests.csv --p99 250ms",
        "pilotlight cost --run 120ms/400ms --init 900ms --rate 5 --plot break-even.svg",
    )
)
@click.argument("name", metavar="[FUNCTION]", required=False, shell_complete=complete)
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("."), help="The service's folder."
)
@traffic_options
@times_options
@function_options
@click.option(
    "--p99",
    type=Duration(),
    help="In which 99 of 100 requests have to be answered.  [default: twice that of warm ones]",
)
@click.option("--cold", type=Finite(0, 1), default=1.0, help="The most of cold starts, as a share.")
@click.option("--free-tier", is_flag=True, help="Take off what AWS does not charge of an account's month.")
@click.option("--plot", "picture", type=click.Path(dir_okay=False, path_type=Path), help="Draw the break-even.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def cost(
    name: str | None,
    folder: Path,
    asked: TrafficOptions,
    timing: TimesOptions,
    changed: FunctionOptions,
    p99: float | None,
    cold: float,
    free_tier: bool,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Compare what a month of FUNCTION's traffic costs, and how long requests take, by the ways to run it.

    On Lambda: zip or image, started on demand, with SnapStart or with the fewest provisioned environments that hold
    the target, x86_64 or arm64, each front. Beside it what is always on: containers on Fargate, sized by M/M/c, and
    endpoints of SageMaker, with the number of requests a month from which they are cheaper. Traffic, times and
    configuration are those of `pilotlight simulate`. Prices are list prices of us-east-1.
    """
    if picture:
        plot.check(picture)
    meant, traffic, deployed = sim_inputs.read(name, folder, asked, changed)
    if not traffic.trace.arrivals:
        raise UsageError("the traffic has no request: nothing to compare", "give a higher --rate, or more --hours")
    with progress.shown() as told:
        known = timed(meant, deployed.architecture, deployed.memory, timing, told)
        first = known.get(deployed.architecture) or next(iter(known.values()))
        allowed = sim_inputs.simulated(meant, "url", first.platform, changed)
        target = Target(cost_steps.within(first, p99), cold)
        case = Case(deployed, allowed, traffic, known, target, free_tier, asked.seed)
        compared = cost_steps.compare(case, choices.refused(meant, deployed.tmp), told)
    if picture:
        cost_output.draw(case, compared, picture)
    if as_json:
        output.record(**cost_output.record(case, compared))
    else:
        cost_output.show(case, compared)
