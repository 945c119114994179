"""What `pilotlight doctor` has read for each check: code by imports, packages by what built them, the template."""

import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pilotlight.artifacts import Artifact
from pilotlight.bundle import check, imports, inspected, reference
from pilotlight.bundle.target import Target
from pilotlight.bundle.transfers import Access
from pilotlight.cli import doctor_models
from pilotlight.cli.place import Place
from pilotlight.deploy.doctor import account, code, deployed, project_checks, template_checks
from pilotlight.deploy.doctor.code_checks import Subject
from pilotlight.deploy.doctor.finding import Finding, unchecked
from pilotlight.deploy.doctor.package_checks import Package, Shared
from pilotlight.deploy.doctor.project_checks import Known
from pilotlight.deploy.template import template
from pilotlight.deploy.unit import Deployment, Unit
from pilotlight.errors import BuildError, ImageError, PilotlightError, ProjectError
from pilotlight.local import process, tables
from pilotlight.project import Function, Project

_OWN = "an image has a C library of its own"


def offline(service: Project, functions: Iterable[Function], packages: Path, image: str, stage: str) -> list[Finding]:
    """Every check that needs no account. `image` names one that is looked at in place of a built package."""
    known, wanted = doctor_models.known(service), {each.name for each in functions}
    own = [each.name for each in service.functions if each.name in wanted]
    made = [finding for name in own for finding in _of_function(known, name, packages, image)]
    found = _of_template(known.service, stage)
    for why in [*known.why.values()][:1]:
        found = doctor_models.merged(found, _of_template(known.other, stage), why)
    return made + found


def _of_function(known: doctor_models.Known, name: str, packages: Path, image: str) -> list[Finding]:
    function, other = (next(each for each in of.functions if each.name == name) for of in known[:2])
    try:
        read = _known(known.service, function, packages, image)
        found = project_checks.checks(read)
        if name not in known.why:
            return found
        subject = read.subject._replace(project=known.other, function=other)
        packed = read._replace(subject=subject, variables=_variables(other))
        return doctor_models.merged(found, project_checks.checks(packed), known.why[name])
    except BuildError as error:  # a file beside it is not Python
        return [Finding("code", function.name, "failed", str(error), error.hint)]


def _known(service: Project, function: Function, packages: Path, image: str) -> Known:
    files = imports.trace(service.root, function.file).files
    return Known(
        subject=Subject(service, function, code.read(service.root, files)),
        events=list(_events(function)),
        variables=_variables(function),
        package=_package(function, packages, image, Target(service.build.python, service.build.architecture)),
        architecture=service.build.architecture,
    )


def _variables(function: Function) -> dict[str, str]:
    return {**process.deployed(function, function.cache.folder), **tables.variables(function)}


def _events(function: Function) -> Iterator[Path]:
    for event in check.events(function.event_file):
        yield function.event_file.parent / event.name


def _package(function: Function, packages: Path, image: str, target: Target) -> Package | str:
    """What was read of the package, or why there is none."""
    try:
        if image:
            return _image(image, target)
        about = packages / f"{function.name}.json"
        if not about.exists():
            return f"there is no package of {function.name} in {os.path.relpath(packages)}"
        artifact = Artifact(**json.loads(about.read_bytes()))
        return _image(f"oci:{artifact.location}", target) if artifact.kind == "image" else _zip(artifact, target)
    except (OSError, ValueError, TypeError, ImageError) as error:
        return str(error)


def _zip(artifact: Artifact, target: Target) -> Package:
    found = inspected.of_zip(Path(artifact.location), target)
    return _found(artifact.location, "zip", artifact.architecture, found, (), {})


def _image(name: str, target: Target) -> Package:
    """`oci:FOLDER` or a reference; what `docker load` takes is not looked into."""
    folder = Path(name.removeprefix("oci:"))
    if name.startswith("oci:") and folder.is_dir():
        documents = inspected.of_layout(folder)
        found = inspected.of_layers(folder, documents.layers, target)
        return _found(name, "image", documents.architecture, found, documents.problems, {"glibc": _OWN})
    if name.startswith("oci:") and folder.is_file():
        raise ImageError(f"{folder} is an archive, which is not looked into")
    documents = inspected.of_registry(reference.parse(name.removeprefix("oci:")), Access())
    unread = {"glibc": _OWN}
    return _found(name, "image", documents.architecture, inspected.Objects(0, (), ()), documents.problems, unread)


def _found(
    location: str,
    kind: str,
    architecture: str,
    objects: inspected.Objects,
    problems: tuple[str, ...],
    unread: Mapping[str, str],
) -> Package:
    machines = [Shared(*each) for each in objects.machines]
    versions = [Shared(*each) for each in objects.versions]
    return Package(location, kind, architecture, objects.found, machines, versions, problems, dict(unread))


def _of_template(service: Project, stage: str) -> list[Finding]:
    try:
        made = template_of(service, stage)
    except ProjectError as error:
        failed = Finding("template", "", "failed", str(error), error.hint)
        return [failed, *template_checks.checks("there is no template")]
    count = f"{len(made['Resources'])} resources"
    return [Finding("template", "", "ok", count), *template_checks.checks(made)]


def template_of(service: Project, stage: str) -> Mapping[str, Any]:
    """The template of the service. What code it names makes no difference to its checks. Raises `ProjectError`."""
    units = tuple(Unit(each, _artifact(service, each)) for each in service.functions if not each.defect)
    return template(Deployment(service, units, stage))


def _artifact(service: Project, function: Function) -> Artifact:
    return Artifact(
        service=service.name,
        function=function.name,
        kind="image" if function.package == "image" else "zip",
        location="",
        digest=f"sha256:{'0' * 64}",
        size=0,
        unpacked=0,
        runtime=f"python{service.build.python}",
        architecture=service.build.architecture,
        handler=process.handler(function),
        environment=process.deployed(function, function.cache.folder),
    )


def defects(functions: Iterable[Function]) -> list[Finding]:
    """Functions that cannot run anywhere."""
    return [Finding("function", each.name, "failed", each.defect, each.hint) for each in functions if each.defect]


def without_account() -> list[Finding]:
    """What only AWS can say."""
    names = ("credentials", *account.CHECKS, *deployed.CHECKS)
    return [unchecked(name, "", "AWS was not asked", "`pilotlight doctor --remote` asks") for name in names]


def remote(service: Project, functions: Sequence[Function], place: Place) -> list[Finding]:
    """What AWS says of the account and of each function."""
    try:
        session = place.session(service)
    except PilotlightError as error:
        names = (*account.CHECKS, *deployed.CHECKS)
        failed = Finding("credentials", "", "failed", str(error), error.hint)
        return [failed, *(unchecked(name, "", "AWS does not know who asks") for name in names)]
    each = (deployed.checks(session, function, place.stage, service.build.architecture) for function in functions)
    return [*account.checks(session, functions, place.stage), *itertools.chain.from_iterable(each)]
