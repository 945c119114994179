"""What `pilotlight build` does with one function after another."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from pilotlight.artifacts import Artifact
from pilotlight.bundle import archive, base, dockerfile, layout, outputs, registry, sbom, target, zipped
from pilotlight.bundle import build as building
from pilotlight.bundle import check as checking
from pilotlight.bundle.blobs import Blobs
from pilotlight.bundle.build import Choice, Package, Plan
from pilotlight.bundle.check import Finding
from pilotlight.bundle.image import Config, Image, check_size
from pilotlight.bundle.reference import Reference
from pilotlight.bundle.reference import parse as parse_reference
from pilotlight.bundle.target import Target
from pilotlight.bundle.transfers import Access, Progress
from pilotlight.cli import build_output as shown
from pilotlight.cli import models, progress
from pilotlight.cli.build_output import Written
from pilotlight.errors import BuildError, UsageError
from pilotlight.local import process, tables
from pilotlight.optimize.environment import home
from pilotlight.project import Function, Project
from pilotlight.settings import Build


class Options(NamedTuple):
    """What the command line says of every function."""

    out: Path
    package: str
    form: str
    push: str
    plain: frozenset[str]
    dockerfile: Path | None
    python: str
    only_checks: bool
    as_json: bool
    bill: Path | None = None


class Ready(NamedTuple):
    """A package that was looked at, and what Lambda is told of it."""

    package: Package
    choice: Choice
    findings: Sequence[Finding]
    handler: str
    variables: Mapping[str, str]

    @property
    def failed(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.status == "failed"]


def plans(service: Project, functions: Iterable[Function], aimed: str | None) -> list[Plan]:
    """What the packages will be made of; `aimed` is --target."""
    wanted = Target(service.build.python, service.build.architecture)
    wanted = target.parse(aimed, wanted) if aimed is not None else wanted
    return [building.plan(function, wanted) for function in functions]


def show(plan: Plan, as_json: bool) -> None:
    function, checkpoints = models.planned(plan.function)
    shown.plan(_of(function, plan), checkpoints, as_json)


def prepared(plans: Sequence[Plan]) -> list[Plan]:
    """The plans, with checkpoints on the hub optimised: once it is known that all else of all functions is there."""
    return [_of(models.ready(plan.function), plan) for plan in plans]


def _of(function: Function, plan: Plan) -> Plan:
    return plan if function is plan.function else building.plan(function, plan.target)


def build(plan: Plan, settings: Build, options: Options) -> int:
    with progress.shown() as told, _files(plan.function):
        ready = _ready(plan, settings, options, told.say)
        written = _written(ready, settings, options, told.count)
    if options.as_json:
        shown.record(ready.package, ready.choice, ready.findings, written)
    else:
        shown.table(ready.package, ready.choice, ready.findings, written, in_full=options.only_checks)
    if ready.failed and not options.only_checks:
        names = ", ".join(finding.name for finding in ready.failed)
        raise BuildError(
            f"packing {plan.function.name}: {names}: not as it has to be", "nothing was written: see above"
        )
    return 1 if ready.failed else 0


def _written(ready: Ready, settings: Build, options: Options, count: Progress) -> Written:
    if ready.failed:
        return Written()
    if options.only_checks:
        return Written(bill=_write_bill(ready, options, None) if options.bill else "")
    artifact = _write(ready, settings, options, count)
    return Written(artifact, str(options.dockerfile or ""), _write_bill(ready, options, artifact))


@contextlib.contextmanager
def _files(function: Function) -> Iterator[None]:
    """The boundary to the file system: what cannot be read or written is said in a sentence."""
    try:
        yield
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        hint = "name another --out, or another cache in PILOTLIGHT_CACHE"
        raise UsageError(f"packing {function.name}: {place}{error.strerror or error}", hint) from error


def _ready(plan: Plan, settings: Build, options: Options, say: building.Say) -> Ready:
    function = plan.function
    package = building.pack(plan, _without_own(settings, function, options), _cache(), options.python, say)
    asked = "image" if options.push or options.dockerfile else options.package or function.package
    choice = building.choose(package, settings, asked)
    handler, variables = process.handler(function), process.deployed(function, function.cache.folder, plan.packed)
    here = process.deployed(function, process.cache_folder(function), plan.packed)
    say("checking the package")
    findings = checking.run(package, choice, handler, {**here, **tables.variables(function)})
    return Ready(package, choice, findings, handler, variables)


def _without_own(settings: Build, function: Function, options: Options) -> Build:
    """What is written into the project is not packed by the next build, nor is the base image."""
    root = function.root.resolve()
    below = base.place(base.within(settings.base_image, root))
    places = [path.resolve() for path in (options.out, options.dockerfile, options.bill, below) if path]
    own = [f"/{path.relative_to(root).as_posix()}" for path in places if path != root and path.is_relative_to(root)]
    return msgspec.structs.replace(settings, exclude=(*settings.exclude, *own))


def _cache() -> Path:
    return home() / "build"


def _write(ready: Ready, settings: Build, options: Options, count: Progress) -> Artifact | None:
    package, function = ready.package, ready.package.plan.function
    if ready.choice.kind == "zip":
        path = options.out / f"{function.name}.zip"
        return outputs.zip_file(package, ready.handler, ready.variables, path, _cache() / "zips")
    name = base.within(settings.base_image, function.root) or base.aws(package.plan.target.python)
    config = outputs.config(function, package.plan.target.architecture, ready.handler, ready.variables)
    if options.dockerfile:
        _write_dockerfile(ready, name, config, options.dockerfile, options.plain)
        return None
    return _write_image(ready, name, config, options, count)


def _write_dockerfile(ready: Ready, name: str, config: Config, folder: Path, plain: frozenset[str]) -> None:
    """What the base starts is asked for only where that matters: AWS's own start AWS's runtime."""
    package = ready.package
    if base.place(name):
        raise UsageError(f"writing a Dockerfile: {name} is no base that Docker knows", "name one in a registry")
    if name != base.SCRATCH:
        parse_reference(name)  # whatever is none is said here, not by Docker
    if not config.entrypoint and not base.is_aws(name):
        found = base.load(name, package.plan.target.architecture, Blobs(_cache() / "blobs"), Access(plain=plain))
        config = outputs.started(package, found, config)
    dockerfile.write(folder, name, [part for part in package.parts if part.entries], config)


def _write_image(ready: Ready, name: str, config: Config, options: Options, count: Progress) -> Artifact:
    blobs, access = Blobs(_cache() / "blobs"), Access(plain=options.plain)
    made = outputs.make_image(ready.package, name, config, blobs, access)
    if options.push:
        pushed = registry.push(made, parse_reference(options.push), blobs, access, count)
        where = str(pushed.reference)
    else:
        made = registry.fetch(made, blobs, access, count)
        check_size(made)  # again, with the layers of the base unpacked
        where = str(_write_locally(made, ready.package.plan.function, options))
    return outputs.image_artifact(ready.package, made, ready.handler, ready.variables, where)


def _write_locally(made: Image, function: Function, options: Options) -> Path:
    options.out.mkdir(parents=True, exist_ok=True)
    if options.form == "archive":
        path = options.out / f"{function.name}.tar"
        archive.write(made, path, Reference("localhost", _repository(function), "latest"))
        return path
    path = options.out / f"{function.name}.oci"
    layout.write(made, path)
    return path


def _repository(function: Function) -> str:
    """The function's key, in a form that names of images have."""
    return re.sub("_+", "_", function.key.lower()).strip("_")


def _write_bill(ready: Ready, options: Options, artifact: Artifact | None) -> str:
    """The bill of materials, and the artifact for deployments; the path of the first."""
    package, name = ready.package, ready.package.plan.function.name
    digest = zipped.content(package.parts)
    bill = sbom.document(name, digest, package.plan.target, package.libraries.installed, package.parts)
    path = options.bill or options.out / f"{name}.cdx.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(sbom.text(bill), encoding="utf-8")
    if artifact:
        options.out.mkdir(parents=True, exist_ok=True)
        _write_private(options.out / f"{name}.json", msgspec.json.format(msgspec.json.encode(artifact._asdict())))
    return str(path)


def _write_private(path: Path, content: bytes) -> None:
    """The artifact has what `environment` sets, which may be secret."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
