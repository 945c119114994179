"""Checks of a package that was built: what another part has read of it."""

from collections.abc import Sequence
from typing import NamedTuple

from pilotlight.deploy.doctor.finding import Finding, Problem, finding, unchecked

_BUILD = "run `pilotlight build` first"
_AGAIN = "run `pilotlight build` again: it resolves the libraries for Lambda's architecture and C library"
_BUILDX = "run `pilotlight build`; or docker buildx build --provenance=false --sbom=false --platform linux/{arch}"


class Shared(NamedTuple):
    """A shared object that does not fit, and why."""

    path: str
    reason: str


class Package(NamedTuple):
    """What was read of a function's package. `objects` is how many shared objects were looked at.

    `architecture` is what the package is for, "" where only its files say so; `manifests` is why Lambda refuses the
    image's documents. `unread` has the reason for what was not looked at, by the name of the check.
    """

    location: str
    kind: str
    architecture: str
    objects: int
    machines: Sequence[Shared]
    versions: Sequence[Shared]
    manifests: Sequence[str]
    unread: dict[str, str]


def checks(function: str, package: Package | str, architecture: str) -> list[Finding]:
    """`package` as text is why there is none; `architecture` is what the settings ask for."""
    names = ("architecture", "glibc", "manifest type")
    if isinstance(package, str):
        return [unchecked(name, function, package, _BUILD) for name in names]
    found = (_architecture(function, package, architecture), _glibc(function, package), _manifest(function, package))
    return [
        unchecked(name, function, package.unread[name]) if each.status == "ok" and name in package.unread else each
        for name, each in zip(names, found, strict=True)
    ]


def _architecture(function: str, package: Package, wanted: str) -> Finding:
    problems = [Problem(f"{path}: {reason}", _AGAIN) for path, reason in package.machines]
    if package.architecture and package.architecture != wanted:
        seen = f"the package is for {package.architecture}, and [build] says {wanted}"
        problems.insert(0, Problem(seen, _AGAIN))
    return finding("architecture", function, f"{wanted}, with {package.objects} shared objects", problems)


def _glibc(function: str, package: Package) -> Finding:
    problems = [Problem(f"{path}: {reason}", _AGAIN) for path, reason in package.versions]
    return finding("glibc", function, f"{package.objects} shared objects, for Amazon Linux 2023", problems)


def _manifest(function: str, package: Package) -> Finding:
    if package.kind == "zip":
        return finding("manifest type", function, "a zip has none", ())
    arch = "arm64" if package.architecture == "arm64" else "amd64"
    problems = [Problem(each, _BUILDX.format(arch=arch)) for each in package.manifests]
    return finding("manifest type", function, "one image, with layers in gzip", problems)
