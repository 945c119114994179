"""`pilotlight new`: a service of one's own, started from one of the examples."""

import shlex
import shutil
import tempfile
from pathlib import Path

import click
from click.shell_completion import CompletionItem

import pilotlight
from pilotlight import project
from pilotlight.cli import output
from pilotlight.errors import UsageError
from pilotlight.settings_file import nearest

_PACKED = Path(pilotlight.__file__).parent / "templates"  # in a wheel, where the build puts the examples' code
_CHECKOUT = Path(pilotlight.__file__).parents[2] / "examples"
_LEFT_OUT = shutil.ignore_patterns(
    "__pycache__", ".venv", ".pilotlight", "models", "data", "run", "*.pt"
)  # as hatch_build.py


def templates() -> dict[str, Path]:
    """The templates by name, as they are typed: `question-answering` is `examples/question_answering`."""
    home = _PACKED if _PACKED.is_dir() else _CHECKOUT
    folders = sorted(path.parent for path in home.glob("*/pilotlight.toml"))
    return {folder.name.replace("_", "-"): folder for folder in folders}


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in templates() if name.startswith(incomplete)]


@click.command(epilog=output.examples("pilotlight new minimal hello-service", "pilotlight new sentences"))
@click.argument("template", shell_complete=_complete)
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: the template and the folder.")
def new(template: str, folder: Path | None, as_json: bool) -> None:
    """Make a service in FOLDER from a TEMPLATE; FOLDER is the template's name unless it is given.

    The templates are `minimal` and the examples' code, without their models' weights.
    """
    known = templates()
    source = known.get(template.replace("_", "-"))
    if source is None:
        guess = nearest(template, known)
        hint = f"did you mean {guess!r}? " if guess else ""
        raise UsageError(f"there is no template {template!r}", f"{hint}the templates are {', '.join(known)}")
    target = folder if folder is not None else Path(template)
    _copy(source, target)
    if as_json:
        output.record(template=source.name, folder=str(target))
        return
    output.line(f"Made {target} from the template {template}.")
    for function in project.load(target).functions:
        if not function.is_installed:
            output.line(f"The model of {function.name} is not there; in the new folder, {function.how_to_install}")
    output.line(f"Next: pilotlight serve {shlex.quote(str(target))}")


def _copy(source: Path, target: Path) -> None:
    """Whole or not at all: what was copied beside the target is moved into place."""
    if target.exists() and any(target.iterdir() if target.is_dir() else [target]):
        raise UsageError(f"making {target}: it is there already and not empty", "name a folder that is not there yet")
    place = target.resolve()
    part = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
        shutil.copytree(source, part / "service", ignore=_LEFT_OUT)
        place.mkdir(exist_ok=True)  # it may be the folder that the shell is in, which stays the same folder
        for path in (part / "service").iterdir():
            path.rename(place / path.name)
    except OSError as error:
        raise UsageError(f"making {target}: {error.strerror}", "name another folder") from None
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
