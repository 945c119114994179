"""Deployments for tests: projects with packages that nobody has built, since a template needs none."""

import textwrap
from pathlib import Path
from typing import Any

from pilotlight import project
from pilotlight.artifacts import Artifact
from pilotlight.deploy.unit import Deployment, Unit
from pilotlight.function.cache import VARIABLE as CACHE
from pilotlight.function.model import VARIABLE as MODEL
from pilotlight.project import Function, Project

ROOT = Path(__file__).parents[2]
DIGEST = "sha256:" + "0123456789abcdef" * 4
HANDLER = "def handler(event, context):\n    return event\n"


def service(folder: Path, toml: str = "", **sources: str) -> Project:
    """A project of that text; each keyword is a function and the text of its file."""
    (folder / "inference").mkdir(parents=True)
    for name, text in (sources or {"qa": HANDLER}).items():
        (folder / "inference" / f"{name}.py").write_text(text)
    (folder / "pilotlight.toml").write_text(textwrap.dedent(toml))
    return project.load(folder)


def artifact(function: Function, kind: str = "zip", **fields: Any) -> Artifact:
    """As `pilotlight build` gives it, but for where it is."""
    models = {f"{MODEL}{'_' if name else ''}{name.upper()}": each for name, each in function.named_models.items()}
    cache = {CACHE: function.cache.folder} if function.uris and function.cache.folder else {}
    made = Artifact(
        service=function.service,
        function=function.name,
        kind="image" if kind == "image" else "zip",
        location="",
        digest=DIGEST,
        size=1,
        unpacked=1,
        runtime="python3.13",
        architecture="x86_64",
        handler=function.handler,
        environment={**models, **cache, **function.environment},
    )
    return made._replace(**fields)


def deployment(service: Project, kind: str = "zip", stage: str = "", **models: str) -> Deployment:
    """All functions of a project, packed as `kind`."""
    units = tuple(Unit(each, artifact(each, kind), models) for each in service.functions)
    return Deployment(service, units, stage, "1.2.3")
