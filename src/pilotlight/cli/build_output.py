"""What `pilotlight build` shows of a package."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import click

from pilotlight import limits
from pilotlight.artifacts import Artifact
from pilotlight.bundle.build import Choice, Package, Plan, megabytes, reasons, why
from pilotlight.bundle.check import Finding
from pilotlight.cli import output

_COLOURS = {"passed": "green", "failed": "red", "not run": "yellow", "noted": "yellow"}
_LEFT_OUT = 100_000  # bytes below which a reason is not worth a line


def plan(plan: Plan, checkpoints: Mapping[str, str], as_json: bool) -> None:
    """What would go in, and why; `checkpoints` would be optimised before, each for its task."""
    models = [model.place for model in plan.models]
    fetched = [uri for uri in plan.function.fetches if uri not in checkpoints]
    if as_json:
        output.record(
            function=plan.function.name,
            target=str(plan.target),
            requirements=[*plan.needs.lines],
            libraries=[need._asdict() for need in plan.needs.ours],
            models=models,
            packed=dict(plan.packed),
            to_optimise=dict(checkpoints),
            fetched=fetched,
            modules=[*plan.trace.files],
        )
        return
    output.line(f"{plan.function.name} for {plan.target}")
    _lines("requirements.txt", plan.needs.lines)
    _lines("libraries", why(plan.needs.ours))
    _lines("models", models)
    _lines("to be optimised, packed", (f"{uri} for {task}" for uri, task in checkpoints.items()))
    _lines("fetched at start", fetched)
    _lines("modules that it reaches", plan.trace.files)


def _lines(title: str, lines: Iterable[str]) -> None:
    for number, line in enumerate(lines):
        output.line(f"  {title if number == 0 else '':<24}  {line}")


class Written(NamedTuple):
    """The package as it is deployed, the folder of a Dockerfile, the bill of materials; None or "" for what is not."""

    artifact: Artifact | None = None
    dockerfile: str = ""
    bill: str = ""

    @property
    def places(self) -> list[str]:
        artifact = f"{self.artifact.location}  {self.artifact.digest}" if self.artifact else ""
        return [place for place in (artifact, self.dockerfile, self.bill) if place]


def record(package: Package, choice: Choice, findings: Sequence[Finding], written: Written) -> None:
    """One object: what is in the package, what was found, where it is."""
    output.record(
        function=package.plan.function.name,
        target=str(package.plan.target),
        package=choice.kind,
        reason=choice.reason,
        unpacked=package.size,
        contents=[row._asdict() for row in package.rows],
        packed=dict(package.plan.packed),
        fetched=[*package.plan.function.fetches],
        left_out=reasons(package),
        checks=[finding._asdict() for finding in findings],
        artifact=written.artifact._asdict() if written.artifact else None,
        dockerfile=written.dockerfile,
        bill=written.bill,
    )


def table(
    package: Package,
    choice: Choice,
    findings: Sequence[Finding],
    written: Written,
    *,
    in_full: bool,
) -> None:
    """For people: what takes the space, what was left out, what was found."""
    output.line(f"{package.plan.function.name}: {choice.kind} for {package.plan.target}: {choice.reason}")
    for row in package.rows:
        output.line(f"  {row.part:<13} {row.what:<40} {megabytes(row.size):>8} MB")
    for uri, place in package.plan.packed.items():
        output.line(f"  {'optimised':<13} {uri} is {place}")
    for uri in package.plan.function.fetches:
        output.line(f"  {'model':<13} {uri:<40} fetched at start")
    output.line(f"  {'':<13} {'unpacked':<40} {megabytes(package.size):>8} MB")
    if artifact := written.artifact:
        output.line(f"  {'':<13} {_uploaded(artifact):<40} {megabytes(artifact.size):>8} MB")
    for reason, size in reasons(package).items():
        if size >= _LEFT_OUT:
            output.line(f"  {'left out':<13} {megabytes(size)} MB: {reason}")
    _notes(package)
    _findings(findings, in_full)
    for place in written.places:
        output.line(f"  {place}")


def _uploaded(artifact: Artifact) -> str:
    if artifact.kind == "zip" and artifact.size > limits.ZIP_UPLOAD:
        return "zipped, to be uploaded by S3"
    return "zipped" if artifact.kind == "zip" else "in the registry, with its base"


def _notes(package: Package) -> None:
    target = package.plan.target
    if package.interpreter is None:
        output.line(f"  {'not compiled':<13} there is no {target.runtime} here: modules compile at every cold start")
    if package.libraries.symbols is None:
        output.line(f"  {'not stripped':<13} no tool here strips {target.machine}: apt-get install binutils-multiarch")


def _findings(findings: Sequence[Finding], in_full: bool) -> None:
    passed = [finding.name for finding in findings if finding.status == "passed"]
    if passed and not in_full:
        output.line(f"  {'checked':<13} {', '.join(passed)}")
    for finding in findings if in_full else _together([each for each in findings if each.status != "passed"]):
        lines = finding.lines or ("",)
        status = click.style(f"{finding.status:<13}", fg=_COLOURS[finding.status])
        for number, line in enumerate(lines):
            output.line(f"  {status if number == 0 else ' ' * 13} {finding.name if number == 0 else '':<15} {line}")


def _together(findings: Iterable[Finding]) -> list[Finding]:
    """What was not run for one reason is one finding, such as all that wants the target's interpreter."""
    found: dict[tuple[object, ...], list[Finding]] = {}
    for each in findings:
        key = (each.status, each.lines) if each.status == "not run" else (each,)
        found.setdefault(key, []).append(each)
    several = {key: ", ".join(each.name for each in some) + ":" for key, some in found.items() if len(some) > 1}
    return [some[0]._replace(name=several.get(key, some[0].name)) for key, some in found.items()]
