"""`pilotlight build`: a function becomes what Lambda runs, a zip or an image, proven on this machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from pilotlight import project
from pilotlight.cli import output
from pilotlight.cli.invoke import complete, find
from pilotlight.errors import UsageError
from pilotlight.project import Function

OUT = Path(".pilotlight") / "build"


@click.command(
    epilog=output.examples(
        "pilotlight build",
        "pilotlight build qa --check --sbom qa.cdx.json",
        "pilotlight build qa --target 3.13-arm64 --dry-run",
        "pilotlight build qa --package image --push 123456789012.dkr.ecr.eu-west-1.amazonaws.com/qa:v7",
        "pilotlight build qa --dockerfile docker/qa",
    )
)
@click.argument("name", metavar="[FUNCTION]", required=False, shell_complete=complete)
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("."), help="The service's folder."
)
@click.option("--check", "only_checks", is_flag=True, help="Show what every check found, and write no package.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Where packages are written.  [default: {OUT} in the service's folder]",
)
@click.option(
    "--target", "aimed", help="Python and architecture, such as 3.13-arm64.  [default: the settings' [build]]"
)
@click.option("--package", type=click.Choice(["auto", "zip", "image"]), help="Instead of the function's setting.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["layout", "archive"]),
    help="Of an image: a folder in OCI's layout, or one file for docker load.  [default: layout]",
)
@click.option("--push", default="", metavar="REFERENCE", help="Push the image there, and write it nowhere else.")
@click.option("--plain-http", multiple=True, metavar="HOST", help="A registry without TLS; may be given again.")
@click.option(
    "--sbom",
    "bill",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the bill of materials there, with --check too.  [default: beside the package]",
)
@click.option(
    "--dockerfile",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write a Dockerfile with all that it copies into this folder, in place of a package.",
)
@click.option("--python", default="", metavar="PATH", help="The target's interpreter.  [default: from PATH]")
@click.option("--dry-run", is_flag=True, help="Say what would go in, and why; resolve, install and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each function.")
def build(
    name: str | None,
    folder: Path,
    only_checks: bool,
    out: Path | None,
    aimed: str | None,
    package: str | None,
    form: str | None,
    push: str,
    plain_http: tuple[str, ...],
    bill: Path | None,
    dockerfile: Path | None,
    python: str,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Make the package of FUNCTION, or of each function of the service, for AWS Lambda.

    Libraries are resolved for the target into locks/, installed without what inference never imports, and packed with
    the runtime, the model and the code, as a zip where that is large enough and as an image otherwise. A checkpoint on
    the hub (hf://) is optimised before, once, and the small model is packed. The package is proven before it is
    written: the function answers its saved event from it, by the target's own Python, in a process that sees nothing
    else. The exit code is 1 when a check failed; nothing is written then.
    """
    service = project.load(folder)
    functions = [find(service, name)] if name else list(service.functions)
    _refuse_together({"--push": push, "--dockerfile": dockerfile, "--format": form}, package)
    _refuse_for_several(functions, {"--push": push, "--dockerfile": dockerfile, "--sbom": bill})
    try:
        from pilotlight.cli import build_steps as steps  # other commands need none of it, nor the libraries it needs
    except ModuleNotFoundError as error:
        raise UsageError(f"building: {error.name} is not installed", "pip install 'pilotlight[build]'") from None
    if out and out.resolve() == service.root.resolve():
        hint = "name a folder for packages alone, such as --out packages"
        raise UsageError(f"writing to {out}: the next build would pack what this one writes there", hint)
    options = steps.Options(
        out=out or service.root / OUT,
        package=package or ("image" if form else ""),
        form=form or "layout",
        push=push,
        plain=frozenset(plain_http),
        dockerfile=dockerfile,
        bill=bill,
        python=python,
        only_checks=only_checks,
        as_json=as_json,
    )
    plans = steps.plans(service, functions, aimed)
    if dry_run:
        for plan in plans:
            steps.show(plan, as_json)
        return 0
    return max(steps.build(plan, service.build, options) for plan in steps.prepared(plans))


def _refuse_together(images: Mapping[str, object], package: str | None) -> None:
    """Of `images`, options that each say what becomes of an image, one can be given, and not for a zip."""
    given = [option for option, value in images.items() if value]
    if len(given) > 1:
        raise click.UsageError(f"{given[0]} and {given[1]} exclude each other")
    if given and package == "zip":
        raise click.UsageError(f"{given[0]} is for images, and --package is zip")


def _refuse_for_several(functions: Sequence[Function], options: Mapping[str, object]) -> None:
    given = [option for option, value in options.items() if value]
    if given and len(functions) > 1:
        names = ", ".join(function.name for function in functions)
        raise click.UsageError(f"{given[0]} is for one function: name one of {names}")
