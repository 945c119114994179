"""`pilotlight tune`: which memory setting of a function is the cheapest, the fastest, and a balance of both."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
import uvloop

from pilotlight import limits, project
from pilotlight.architecture import here
from pilotlight.cli import models, output, progress
from pilotlight.cli import tune_output as shown
from pilotlight.cli.interrupts import broken_off
from pilotlight.cli.invoke import complete, find, read_event
from pilotlight.cli.numbers import Finite
from pilotlight.cli.place import Place, options, refuse_without
from pilotlight.cli.tune_output import Found
from pilotlight.errors import UsageError
from pilotlight.measure import drafts, plot
from pilotlight.measure.sweep import Plan, Tried
from pilotlight.measure.tune import GOALS, Pricing
from pilotlight.project import Function, Project

MEMORIES = (128, 256, 512, 1024, 1769, 3008)
_ARCHITECTURES = ("x86_64", "arm64")


def _memories(context: click.Context, parameter: click.Parameter, value: str) -> list[int]:
    """`128,512,1024`, each once, the least first."""
    words = [word.strip() for word in value.split(",")]
    for word in words:
        if not word.isdecimal() or not limits.MEMORY_MIN <= int(word) <= limits.MEMORY_MAX:
            raise click.BadParameter(f"{word!r} is not from {limits.MEMORY_MIN} to {limits.MEMORY_MAX} MB")
    found = sorted(map(int, words))
    if twice := {each for each in found if found.count(each) > 1}:
        raise click.BadParameter(f"{', '.join(map(str, sorted(twice)))} is there twice")
    return found


class Settings(NamedTuple):
    """What is to be done with what was measured."""

    pricing: Pricing
    weight: float
    goal: str
    write: bool
    save: Path | None
    plot: Path | None
    as_json: bool


@click.command(
    name="tune",
    epilog=output.examples(
        "pilotlight tune",
        "pilotlight tune kim_cnn --memory 256,512,1024 --plot memory.svg",
        "pilotlight tune kim_cnn --choose cheapest --write",
        "pilotlight tune kim_cnn --remote --stage beta --dry-run",
        "pilotlight tune kim_cnn --remote --architecture both --yes --json",
        "pilotlight tune kim_cnn --remote --clean",
    ),
)
@click.argument("name", metavar="[FUNCTION]", required=False, shell_complete=complete)
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("."), help="The service's folder."
)
@click.option("--event", type=click.Path(dir_okay=False, allow_dash=True), help="A file with the event; - is stdin.")
@click.option("--data", metavar="JSON", help="The event itself.")
@click.option(
    "--memory",
    "memories",
    metavar="MB,...",
    default=",".join(map(str, MEMORIES)),
    show_default=True,
    callback=_memories,
    help="The settings to try.",
)
@click.option("--runs", type=click.IntRange(1), default=6, show_default=True, help="Cold starts of each setting.")
@click.option(
    "--requests", type=click.IntRange(1), default=20, show_default=True, help="Warm requests after each, for 2 s."
)
@click.option(
    "--architecture",
    type=click.Choice((*_ARCHITECTURES, "both")),
    help="What to try. By default both here, the other by its price alone, and with --remote the deployed one.",
)
@click.option(
    "--cold-share",
    type=Finite(0, 1),
    default=0.01,
    show_default=True,
    help="The part of requests that are cold starts, which cost is for.",
)
@click.option(
    "--weight",
    type=Finite(0, 1),
    default=0.5,
    show_default=True,
    help="Of cost in the balance: 1 is cost alone, 0 time alone.",
)
@click.option(
    "--choose",
    "goal",
    type=click.Choice(GOALS),
    default="balanced",
    show_default=True,
    help="Whose memory goes into the settings.",
)
@click.option("--write", is_flag=True, help="Change `memory` in pilotlight.toml.")
@click.option(
    "--save", type=click.Path(dir_okay=False, path_type=Path), help="Keep every sample in this file, as JSON."
)
@click.option("--plot", "plotted", type=click.Path(dir_okay=False, path_type=Path), help="Draw it: .png or .svg.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--remote", is_flag=True, help="Measure on AWS, in temporary functions made like the deployed one.")
@options
@click.option("--dry-run", is_flag=True, help="With --remote: show what would be made, and about what it costs.")
@click.option("--yes", is_flag=True, help="With --remote: do not ask.")
@click.option("--clean", is_flag=True, help="With --remote: remove what a run has left that was killed.")
def tune_command(
    name: str | None,
    folder: Path,
    event: str | None,
    data: str | None,
    memories: list[int],
    runs: int,
    requests: int,
    architecture: str | None,
    cold_share: float,
    weight: float,
    goal: str,
    write: bool,
    save: Path | None,
    plotted: Path | None,
    as_json: bool,
    remote: bool,
    place: Place,
    dry_run: bool,
    yes: bool,
    clean: bool,
) -> int:
    """Try FUNCTION in several memory settings; find the cheapest, the fastest, and a balance of both.

    On this machine each setting runs in execution environments that a control group holds to memory/1769 of a
    processor. A setting's time is that of warm requests; its cost is by what Lambda bills, with the init phase of cold
    starts. The balance is the least weight x cost / largest cost + (1 - weight) x time / largest time. Settings that
    the rounds do not tell apart are named, and the smallest is taken. One that is too small ends in "out of memory".

    Only this machine's architecture can be measured here: of the other one the price is shown, for the same times.
    With --remote it is the deployed function's, and `both` measures both.

    Ctrl-C ends it, shows what was measured, and leaves the settings as they are.
    """
    refuse_without(remote, place)
    _check_remote(remote, {"--dry-run": dry_run, "--yes": yes, "--clean": clean})
    service = project.load(folder)
    function = _function(service, name)
    settings = Settings(Pricing(cold_share, function.tmp), weight, goal, write, save, plotted, as_json)
    if save:
        drafts.check(save)
    if plotted:
        plot.check(plotted)
    if write:
        shown.check(service)
    plan = Plan(runs, requests)
    if not remote:
        return _here(service, function, read_event(function, event, data), memories, plan, architecture, settings)
    from pilotlight.cli import tune_remote  # boto3 is in the extra `deploy`

    asked = tune_remote.Options(place, architecture or "", dry_run, yes, as_json)
    if clean:
        return tune_remote.clean(service, function, asked)
    payload = read_event(function, event, data)
    outcome = tune_remote.run(service, function, payload, memories, plan, asked, settings.pricing, weight)
    if outcome.found is None:
        return 0 if dry_run else 1
    return _told(service, outcome.found, outcome.is_whole, settings) or int(bool(outcome.left))


def _check_remote(remote: bool, given: Mapping[str, bool]) -> None:
    for option, value in given.items():
        if value and not remote:
            raise click.UsageError(f"{option} is for deployed functions: give --remote as well")


def _function(service: Project, name: str | None) -> Function:
    if name is None and len(service.functions) > 1:
        known = ", ".join(each.name for each in service.functions)
        raise UsageError(f"{service.root} has several functions", f"name one of {known}")
    return find(service, name if name is not None else service.functions[0].name)


def _here(
    service: Project,
    function: Function,
    payload: bytes,
    memories: list[int],
    plan: Plan,
    architecture: str | None,
    settings: Settings,
) -> int:
    from pilotlight.cli import tune_local

    machine = here()
    if architecture not in (None, "both", machine):
        hint = "--architecture both shows what it costs if it is as fast, and --remote measures it on AWS"
        raise UsageError(f"measuring {architecture}: this machine is {machine}", hint)
    fit, others = tune_local.possible(memories)
    function = models.ready(function)
    tried = [Tried(memory, machine) for memory in fit]
    with progress.shown() as told:
        if others:
            told.say(f"left out, since this machine has no processors for them: {', '.join(map(str, others))} MB")
        is_whole = uvloop.run(tune_local.run(function, payload, tried, plan, told))
    assumed = "" if architecture == machine else next(each for each in _ARCHITECTURES if each != machine)
    found = Found(function, "on this machine", tried, settings.pricing, settings.weight, assumed)
    return _told(service, found, is_whole, settings)


def _told(service: Project, found: Found, is_whole: bool, settings: Settings) -> int:
    """Whatever was asked for of what was measured; the settings stay when it is not all."""
    if settings.as_json:
        output.record(**shown.record(found), is_whole=is_whole)
    else:
        shown.table(found)
    if settings.save and (is_whole or found.choices()):  # else what an earlier run has kept stays
        with drafts.draft(settings.save) as file:
            file.write_bytes(msgspec.json.encode({**shown.record(found), "tried": shown.rounds(found)}))
    if settings.plot and found.choices():
        shown.draw(found, settings.plot)
    if not is_whole:
        return broken_off(
            "these are the rounds that were whole before" if found.choices() else "no round was whole before"
        )
    shown.suggest(found, service, settings.goal, settings.write)
    return 0
