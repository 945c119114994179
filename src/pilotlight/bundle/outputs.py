"""A package as a file or an image, and as the artifact that is deployed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilotlight.artifacts import Artifact
from pilotlight.bundle import base, image, layers, shipped, zipped
from pilotlight.bundle.blobs import Blobs
from pilotlight.bundle.build import Package
from pilotlight.bundle.image import Config, Image
from pilotlight.bundle.target import Target
from pilotlight.bundle.transfers import Access
from pilotlight.errors import BuildError, ImageError
from pilotlight.project import Function

_CLIENT = "awslambdaric"  # AWS's runtime interface client, as distribution and as module


def zip_file(package: Package, handler: str, variables: Mapping[str, str], path: Path, cache: Path) -> Artifact:
    """Write the zip for a managed runtime. Pilotlight's loop is what that starts, by a variable."""
    written = zipped.write(package.parts, path, cache)
    environment = dict(variables)
    if package.plan.function.runtime == "pilotlight":
        environment[shipped.WRAPPER] = f"{shipped.TASK_ROOT}/{shipped.START}"
    return _artifact(package, handler, environment)._replace(
        location=str(path), digest=f"sha256:{written.sha256}", size=written.size, unpacked=written.unzipped
    )


def make_image(package: Package, name: str, config: Config, blobs: Blobs, access: Access) -> Image:
    """The image `name` with a layer for each part. Raises `ImageError` and its kin, and as `started`."""
    found = base.load(name, package.plan.target.architecture, blobs, access)
    config = started(package, found, config)
    added = [layers.layer(part, blobs) for part in package.parts if part.entries]
    return image.append(found, added, config)


def started(package: Package, found: Image, config: Config) -> Config:
    """How an image upon `found` is run. Where the runtime is AWS's and the base starts nothing, as AWS's own does, the
    package's own is started: docs.aws.amazon.com/lambda/latest/dg/python-image.html#python-image-clients.

    Raises `BuildError` when it has none, and `ImageError` for a base of another Python.
    """
    given, function, target = json.loads(found.config).get("config") or {}, package.plan.function, package.plan.target
    _check_python(given, function, target)
    if config.entrypoint or given.get("Entrypoint"):
        return config
    if all(each.name != _CLIENT for each in package.libraries.installed):
        reason = f"packing {function.name}: its base image starts nothing, and the package has no {_CLIENT}"
        raise BuildError(reason, f'name {_CLIENT} in requirements.txt, or set runtime = "pilotlight"')
    return config._replace(entrypoint=(target.runtime, "-m", _CLIENT))


def _check_python(given: Mapping[str, Any], function: Function, target: Target) -> None:
    """Docker's own images of Python say which they have: github.com/docker-library/python."""
    variables = dict(line.partition("=")[::2] for line in given.get("Env") or ())
    has = variables.get("PYTHON_VERSION", target.python)
    if has.split(".")[:2] != target.python.split("."):
        reason = f"packing {function.name}: its base image has Python {has}, and the package is for {target.python}"
        raise ImageError(reason, f"name a base image of Python {target.python}, or set python under [build]")


def config(function: Function, architecture: str, handler: str, variables: Mapping[str, str]) -> Config:
    """How the image is run. What `environment` sets may be secret: Lambda has it from the deployment, not from here."""
    own = {name: value for name, value in variables.items() if name not in function.environment}
    return Config(
        cmd=(handler,),
        entrypoint=(f"{shipped.TASK_ROOT}/{shipped.START}",) if function.runtime == "pilotlight" else (),
        env={"LAMBDA_TASK_ROOT": shipped.TASK_ROOT, **own},
        workdir=shipped.TASK_ROOT,
        architecture=architecture,
    )


def image_artifact(package: Package, made: Image, handler: str, variables: Mapping[str, str], where: str) -> Artifact:
    """The artifact of an image that is at `where`."""
    return _artifact(package, handler, variables)._replace(
        kind="image", location=where, digest=made.digest, size=made.size, unpacked=made.unpacked
    )


def _artifact(package: Package, handler: str, environment: Mapping[str, str]) -> Artifact:
    function, target = package.plan.function, package.plan.target
    return Artifact(
        service=function.service,
        function=function.name,
        kind="zip",
        location="",
        digest="",
        size=0,
        unpacked=0,
        runtime=target.runtime,
        architecture=target.architecture,
        handler=handler,
        environment=dict(environment),
    )
