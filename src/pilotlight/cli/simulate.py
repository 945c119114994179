"""`pilotlight simulate`: what Lambda would do with a function's traffic, and what that costs."""

from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import NamedTuple

import click
import msgspec

from pilotlight import limits
from pilotlight.cli import output, progress, sim_inputs, sim_output
from pilotlight.cli.invoke import complete
from pilotlight.cli.sim_options import (
    FunctionOptions,
    Schedule,
    TimesOptions,
    TrafficOptions,
    function_options,
    times_options,
    traffic_options,
)
from pilotlight.cli.sim_times import Timed, platform_init, timed
from pilotlight.errors import UsageError
from pilotlight.measure import drafts, plot
from pilotlight.measure.month import Deployed
from pilotlight.measure.scaling import Scaling, since
from pilotlight.measure.simulate import Lambda, Outcome
from pilotlight.measure.simulate import simulate as run
from pilotlight.measure.traffic import Trace
from pilotlight.optimize.progress import Progress
from pilotlight.project import Function


class _StandingBy(NamedTuple):
    """What the options say of it; None is what the settings do."""

    provisioned: int | None
    most: int | None
    schedule: tuple[tuple[float, int], ...] | None
    snapstart: bool | None


@click.command(
    epilog=output.examples(
        "pilotlight simulate kim_cnn --requests-per-month 1000000",
        "pilotlight simulate kim_cnn --times run.json --trace requests.csv --plot month.svg",
        "pilotlight simulate --run 120ms/400ms --init 900ms --traffic bursts --rate 5 --provisioned 4",
        "pilotlight simulate --run 30ms --init 200ms --traffic published --applications 81 --json",
    )
)
@click.argument("name", metavar="[FUNCTION]", required=False, shell_complete=complete)
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("."), help="The service's folder."
)
@traffic_options
@times_options
@function_options
@click.option("--provisioned", type=click.IntRange(0), help="Environments that are kept ready.")
@click.option("--provisioned-max", "most", type=click.IntRange(0), help="As many at most, so that 70 % are in use.")
@click.option("--provisioned-schedule", "schedule", type=Schedule(), help="By the time of day: 08:00=10,20:00=2.")
@click.option("--snapstart/--no-snapstart", default=None, help="Whether environments are restored from a snapshot.")
@click.option("--free-tier", is_flag=True, help="Take off what AWS does not charge of an account's month.")
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), help="Write what --json prints to this file.")
@click.option("--plot", "picture", type=click.Path(dir_okay=False, path_type=Path), help="Draw it: .png or .svg.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def simulate(
    name: str | None,
    folder: Path,
    asked: TrafficOptions,
    timing: TimesOptions,
    changed: FunctionOptions,
    provisioned: int | None,
    most: int | None,
    schedule: tuple[tuple[float, int], ...] | None,
    snapstart: bool | None,
    free_tier: bool,
    save: Path | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Simulate what Lambda does with the traffic of FUNCTION, and what a month of it costs.

    The configuration is that of pilotlight.toml, which options override; without FUNCTION in a folder that is no
    service the options say all. Its times are those of --times or --run, else FUNCTION is measured here, which is not
    Lambda. Requests come as --traffic or --trace says; a day or a week of them is simulated, and the bill scaled to a
    month of 730 hours. Latencies are from the front on, without the network before it.
    """
    if save:
        drafts.check(save)
    if picture:
        plot.check(picture)
    meant, traffic, deployed = sim_inputs.read(name, folder, asked, changed)
    allowed = sim_inputs.simulated(meant, deployed.front, platform_init(timing), changed)
    steps = since(traffic.trace.begins, schedule) if schedule else None
    deployed, allowed = _standing_by(meant, deployed, allowed, _StandingBy(provisioned, most, steps, snapstart))
    with progress.shown() as told:
        known = timed(meant, deployed.architecture, deployed.memory, timing, told)
        by = _of(known, deployed.architecture)
        outcome = _run(traffic.trace, by, allowed, asked.seed, told)
    _tell(sim_output.Found(deployed, allowed, traffic, by, outcome, free_tier), save, picture, as_json)


def _of(known: Mapping[str, Timed], architecture: str) -> Timed:
    if architecture not in known:
        raise UsageError(f"--times has no run of {architecture}", f"give --architecture {next(iter(known))}")
    return known[architecture]


def _run(trace: Trace, by: Timed, allowed: Lambda, seed: int, told: Progress) -> Outcome:
    times = by.times._replace(init=by.restores) if allowed.snapstart else by.times
    total = len(trace.arrivals)
    return run(
        trace.arrivals, times, allowed, Random(seed), trace.seconds, lambda done: told.count("requests", done, total)
    )


def _standing_by(
    meant: Function | None, deployed: Deployed, allowed: Lambda, given: _StandingBy
) -> tuple[Deployed, Lambda]:
    """With what is kept ready, by options and settings. Raises `UsageError` for what Lambda refuses."""
    least = given.provisioned if given.provisioned is not None else meant.provisioned if meant else 0
    most = given.most if given.most is not None else meant.provisioned_max if meant else 0
    snapstart = deployed.snapstart if given.snapstart is None else given.snapstart
    steps = given.schedule or ()
    highest = max(least, most, *(count for _, count in steps), 0)
    if snapstart and highest:
        hint = "leave one of the two out: --provisioned 0 or --no-snapstart"
        raise UsageError("Lambda keeps environments ready or restores them from snapshots, not both", hint)
    if snapstart and deployed.tmp > limits.TMP_MIN:
        raise UsageError(f"SnapStart does not go with {deployed.tmp} MB of /tmp", f"give --tmp {limits.TMP_MIN}")
    if highest > allowed.concurrency:
        reason = f"{highest} provisioned environments are more than the concurrency of {allowed.concurrency}"
        raise UsageError(reason, "lower them, or give --concurrency")
    if most and not 0 < least <= most and not steps:
        raise UsageError(
            f"--provisioned-max is {most}, and --provisioned, the least, {least}", "give both, least first"
        )
    scaling = Scaling(most, schedule=steps)
    return deployed._replace(snapstart=snapstart), allowed._replace(
        provisioned=least, scaling=scaling, snapstart=snapstart
    )


def _tell(found: sim_output.Found, save: Path | None, picture: Path | None, as_json: bool) -> None:
    record = sim_output.record(found)
    if save:
        with drafts.draft(save) as file:
            file.write_bytes(msgspec.json.format(msgspec.json.encode(record)) + b"\n")
    if picture:
        sim_output.draw(found, picture)
    if as_json:
        output.record(**record)
    else:
        sim_output.show(found)
