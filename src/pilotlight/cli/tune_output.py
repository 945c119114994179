"""What `pilotlight tune` shows: tables, a plot, what could be written to the settings."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pilotlight import settings_edit
from pilotlight.cli import output
from pilotlight.errors import ProjectError, UsageError
from pilotlight.local import shares
from pilotlight.measure import drafts, plot, tune
from pilotlight.measure.cost import REGION
from pilotlight.measure.sweep import Tried
from pilotlight.measure.tune import Choice, Figures, Pricing
from pilotlight.project import Function, Project
from pilotlight.settings import FILE

_BEHIND = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}

Choices = Mapping[str, Mapping[str, Choice]]
"""By architecture, then by goal."""

_COLUMNS = ("memory", "vCPU", "warm p50", "p99", "cold p50", "p99", "init", "billed", "max used", "$ per million")


class Found(NamedTuple):
    """What was measured where. `assumed` is an architecture whose prices were taken with the other's times."""

    function: Function
    target: str
    tried: Sequence[Tried]
    pricing: Pricing
    weight: float
    assumed: str = ""

    def of(self, architecture: str) -> list[Tried]:
        return [each for each in self.tried if each.architecture == architecture]

    @property
    def architectures(self) -> list[str]:
        return list(dict.fromkeys(each.architecture for each in self.tried))

    def choices(self) -> Choices:
        found = {each: tune.choose(self.of(each), self.pricing, self.weight) for each in self.architectures}
        return {architecture: chosen for architecture, chosen in found.items() if chosen}

    def figures(self) -> list[Figures]:
        return [tune.figures(each, self.pricing) for each in self.tried]

    def if_as_fast(self) -> list[Figures]:
        """Of the architecture that was not measured."""
        if not self.assumed:
            return []
        return [tune.figures(tune.as_if(each, self.assumed), self.pricing) for each in self.tried]


def table(found: Found) -> None:
    output.line(f"{found.function.name} {found.target}; times in ms, memory in MB\n")
    for architecture in found.architectures:
        several = f"  {architecture}" if len(found.architectures) > 1 or found.assumed else ""
        output.line("".join(f"{name:>{_width(name)}}" for name in _COLUMNS) + several)
        for each in found.figures():
            if each.architecture == architecture:
                output.line(_row(each))
        output.line()
        for choice in found.choices().get(architecture, {}).values():
            output.line(_chosen(choice, found, architecture))
        output.line()
    _tell_prices(found)


def _width(name: str) -> int:
    return max(9, len(name) + 2)


def _row(each: Figures) -> str:
    begin = [f"{each.memory}", f"{shares.share(each.memory):.2f}"]
    if each.reason:
        return "".join(f"{text:>{_width(name)}}" for text, name in zip(begin, _COLUMNS, strict=False)) + (
            f"   not possible: {each.reason}" if each.reason != tune.UNMEASURED else f"   {each.reason}"
        )
    values = (each.warm_p50, each.warm_p99, each.cold_p50, each.cold_p99, each.init, each.billed)
    texts = [*begin, *(f"{value:.1f}" for value in values), f"{each.peak:.0f}", f"{each.dollars:.2f}"]
    return "".join(f"{text:>{_width(name)}}" for text, name in zip(texts, _COLUMNS, strict=True))


def _chosen(choice: Choice, found: Found, architecture: str) -> str:
    figures = next(
        each for each in found.figures() if (each.memory, each.architecture) == (choice.memory, architecture)
    )
    alike = f"  (not told apart: {', '.join(map(str, choice.alike))})" if choice.alike else ""
    memory = f"{choice.memory} MB"
    return f"  {choice.goal:9} {memory:>8}  {figures.time:9.1f} ms on average  ${figures.dollars:.2f} a million{alike}"


def _tell_prices(found: Found) -> None:
    pricing = found.pricing
    output.note(
        f"Dollars are of a million requests and their durations in {REGION}, {pricing.cold:.1%} of them cold starts; "
        "without front ends, logs and free tier."
    )
    chosen = found.choices().get(found.architectures[0], {}).get("balanced")
    for each in found.if_as_fast():
        if chosen and each.memory == chosen.memory:
            output.note(
                f"{found.assumed}, if it is as fast (not measured): ${each.dollars:.2f} a million at {each.memory} MB."
            )
    if len(found.architectures) > 1 or found.assumed:
        output.note(f"arm64 costs less as long as it takes less than {tune.break_even():.2f} times as long as x86_64.")


def record(found: Found) -> dict[str, Any]:
    """All of it, for --json and --save; samples are in what is saved alone."""
    choices = {
        architecture: {goal: choice._asdict() for goal, choice in chosen.items()}
        for architecture, chosen in found.choices().items()
    }
    return {
        "function": found.function.name,
        "target": found.target,
        "region": REGION,
        "cold_share": found.pricing.cold,
        "weight": found.weight,
        "settings": [each._asdict() for each in found.figures()],
        "choices": choices,
        "assumed": [each._asdict() for each in found.if_as_fast()],
        "arm64_break_even": tune.break_even(),
    }


def rounds(found: Found) -> list[dict[str, Any]]:
    """Each round of each setting, for --save."""
    return [
        {
            "memory": each.memory,
            "architecture": each.architecture,
            "reason": each.reason,
            "rounds": [
                {"cold": one.cold._asdict(), "warm": [sample._asdict() for sample in one.warm]} for one in each.rounds
            ],
        }
        for each in found.tried
    ]


def draw(found: Found, path: Path) -> None:
    """Time and cost over memory, with what was chosen. Raises `UsageError`."""
    with plot.figure(path, columns=2) as (times, costs):
        for number, architecture in enumerate(found.architectures):
            mine = [each for each in found.figures() if each.architecture == architecture and not each.reason]
            colour = plot.COLOURS[number]
            times.plot(*_line(mine, "time"), "o-", color=colour, label=f"{architecture}, warm")
            times.plot(*_line(mine, "cold_p50"), "o:", color=colour, label=f"{architecture}, cold")
            costs.plot(*_line(mine, "dollars"), "o-", color=colour, label=architecture)
            for choice in found.choices().get(architecture, {}).values():
                _mark(times, costs, mine, choice)
        assumed = [each for each in found.if_as_fast() if not each.reason]
        if assumed:
            costs.plot(
                *_line(assumed, "dollars"), "--", color=plot.COLOURS[1], label=f"{assumed[0].architecture}, if as fast"
            )
        for axes, what in ((times, "ms"), (costs, "$ per million")):
            _label(axes, what, sorted({each.memory for each in found.figures() if not each.reason}))
        plot.logarithmic(times)


def _line(figures: Sequence[Figures], name: str) -> tuple[list[int], list[float]]:
    return [each.memory for each in figures], [getattr(each, name) for each in figures]


def _mark(times: Any, costs: Any, figures: Sequence[Figures], choice: Choice) -> None:
    """On the axis that it was chosen by; the balance is one of both."""
    axes, name = (times, "time") if choice.goal == "fastest" else (costs, "dollars")
    [chosen] = [each for each in figures if each.memory == choice.memory]
    lift = {"cheapest": -14, "fastest": 8, "balanced": 8}[choice.goal]
    place = (choice.memory, getattr(chosen, name))
    axes.annotate(choice.goal, place, textcoords="offset points", xytext=(0, lift), ha="center", bbox=_BEHIND)


def _label(axes: Any, what: str, memories: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(memories, [str(each) for each in memories], rotation=45)
    axes.minorticks_off()
    axes.set_xlabel("memory in MB")
    axes.set_ylabel(what)
    axes.margins(0.12, 0.15)
    axes.legend()


def suggest(found: Found, service: Project, goal: str, write: bool) -> None:
    """Show what `memory` would become for that goal, as a diff of the settings; with `write` it becomes that."""
    chosen = found.choices().get(found.architectures[0], {}).get(goal)
    if chosen is None:
        return
    file = _file(service)
    before = file.read_bytes().decode() if file.exists() else ""
    try:
        after = settings_edit.with_memory(before, found.function.name, chosen.memory)
    except ProjectError as error:
        if write:
            raise
        output.note(f"{error}: {error.hint}")
        return
    if after == before:
        output.note(f"{FILE} says so already: memory = {chosen.memory}")
        return
    for line in settings_edit.diff(before, after):
        output.note(line)
    if write:
        _write(file, after)
    output.note(f"{FILE} was changed." if write else f"--write changes {FILE} like this, for the {goal} setting.")


def check(service: Project) -> None:
    """To be called before what is written to the settings is measured. Raises `UsageError`."""
    file = _file(service)
    drafts.check(file)
    if file.exists() and not os.access(file, os.W_OK):
        raise UsageError(f"writing {file}: it may only be read", "allow it to be written, or leave out --write")


def _file(service: Project) -> Path:
    """Where a link leads that is there instead: the link stays."""
    return (service.root / FILE).resolve()


def _write(file: Path, text: str) -> None:
    with drafts.draft(file) as unfinished:
        unfinished.write_bytes(text.encode())
        if file.exists():
            unfinished.chmod(file.stat().st_mode)
