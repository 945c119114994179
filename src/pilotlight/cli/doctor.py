"""`pilotlight doctor`: each known way in which a deployment of a model goes wrong, looked for."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from pilotlight import project
from pilotlight.cli import output
from pilotlight.cli.build import OUT
from pilotlight.cli.invoke import complete, find
from pilotlight.cli.place import Place, options, refuse_without
from pilotlight.deploy.doctor.finding import Finding
from pilotlight.errors import UsageError

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red", "not checked": "cyan"}


@click.command(
    epilog=output.examples(
        "pilotlight doctor",
        "pilotlight doctor qa --all",
        "pilotlight doctor qa --image registry.example.com/qa:v7",
        "pilotlight doctor --remote --stage beta",
        "pilotlight doctor --json",
    )
)
@click.argument("name", metavar="[FUNCTION]", required=False, shell_complete=complete)
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("."), help="The service's folder."
)
@click.option("--remote", is_flag=True, help="Ask AWS as well: the account, and what is deployed.")
@click.option("--all", "in_full", is_flag=True, help="Show what is right, too.")
@click.option("--image", default="", metavar="IMAGE", help="Look at this image: oci:FOLDER, or one in a registry.")
@click.option(
    "--packages",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Where `pilotlight build` has put packages.  [default: {OUT} in the service's folder]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a check, and one with the counts.")
@options
def doctor(
    name: str | None,
    folder: Path,
    remote: bool,
    in_full: bool,
    image: str,
    packages: Path | None,
    as_json: bool,
    place: Place,
) -> int:
    """Look for what is known to go wrong when FUNCTION, or each function of the service, runs on Lambda.

    Each check is ok, a warning, failed, or not checked, with the reason. The code is read, not run. Without --remote
    nothing is asked of AWS. The hub is asked, once, whether a model is a checkpoint, which a build packs,
    where EFS depends on that. The exit code is 1 when a check failed.
    """
    if image and name is None:
        raise click.UsageError("--image is of one function: name it")
    refuse_without(remote, place)
    service = project.load(folder)
    functions = [find(service, name)] if name else [each for each in service.functions if not each.defect]
    try:
        from pilotlight.cli import doctor_steps as steps  # other commands need none of it, nor the libraries it needs
    except ModuleNotFoundError as error:
        raise UsageError(
            f"looking at packages: {error.name} is not installed", "pip install 'pilotlight[build]'"
        ) from None
    found = steps.offline(service, functions, packages or service.root / OUT, image, place.stage)
    found += steps.defects(service.functions if name is None else ())
    found += steps.remote(service, functions, place) if remote else steps.without_account()
    if as_json:
        _record(found)
    else:
        _show(found, in_full)
    return 1 if any(each.status == "failed" for each in found) else 0


def _record(found: Sequence[Finding]) -> None:
    for each in found:
        output.record(**each._asdict())
    output.record(**_counts(found))


def _counts(found: Iterable[Finding]) -> dict[str, object]:
    statuses = [each.status for each in found]
    return {status.replace(" ", "_"): statuses.count(status) for status in ("failed", "warning", "not checked", "ok")}


def _show(found: Sequence[Finding], in_full: bool) -> None:
    """What is not right, each function's together; what is, as a number."""
    for function in dict.fromkeys(each.function for each in found):
        own = [each for each in found if each.function == function and (in_full or each.status != "ok")]
        if own:
            output.line(click.style(function or "the service and the account", bold=True))
        for each in _together(own):
            _row(each)
    said = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in _counts(found).items() if count)
    output.line(f"{len(found)} checks: {said}")


def _together(found: Iterable[Finding]) -> list[Finding]:
    """Those for which one reason holds as one, with all their names."""
    rows: dict[Finding, list[str]] = {}
    for each in found:
        rows.setdefault(each._replace(check=each.check if each.status != "not checked" else ""), []).append(each.check)
    return [each._replace(check=", ".join(names)) for each, names in rows.items()]


def _row(finding: Finding) -> None:
    status = click.style(f"{finding.status:<11}", fg=_COLOURS[finding.status])
    output.line(f"  {status} {click.style(finding.check, bold=True)}: {finding.seen}")
    if finding.remedy:
        output.line(f"  {'':<11} {click.style(finding.remedy, dim=True)}")
