"""Names of images, as `docker pull` takes them: `[registry/]repository[:tag][@digest]`.

The grammar is that of github.com/distribution/reference; the names of repositories and tags are those of the OCI
distribution specification 1.1, "Pulling manifests". Of digests sha256 alone is taken.
"""

import re
from ipaddress import ip_address
from typing import NamedTuple

from pilotlight.errors import UsageError

DOCKER_HUB = "docker.io"
_HUB_HOST = "registry-1.docker.io"  # where the images of docker.io are

_PART = "[a-z0-9]+(?:(?:[.]|_|__|-+)[a-z0-9]+)*"
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:[.]{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{{1,5}})?")
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
DIGEST = re.compile("sha256:[0-9a-f]{64}")
_NAME_MAX = 255  # characters of registry and repository: many clients take no more

_EXAMPLE = "write public.ecr.aws/lambda/python:3.13, or another [registry/]repository[:tag][@sha256:...]"


class Reference(NamedTuple):
    """`registry` is a host with or without a port; one of `tag` and `digest` is set, or both."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"

    @property
    def host(self) -> str:
        """Where the registry listens."""
        return _HUB_HOST if self.registry == DOCKER_HUB else self.registry

    @property
    def version(self) -> str:
        """What a manifest is asked for by. A digest is never moved, a tag may be."""
        return self.digest or self.tag

    @property
    def is_loopback(self) -> bool:
        """Whether the registry is on this machine, where no TLS is asked for, as Docker does not."""
        name = self.registry.rpartition(":")[0] if re.search(r":[0-9]+$", self.registry) else self.registry
        return is_loopback(name.strip("[]"))


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def parse(text: str) -> Reference:
    """The reference that `text` is. No registry is Docker Hub, no tag is `latest`. Raises `UsageError`."""
    name, at, digest = text.partition("@")
    name, tag = _without_tag(name)
    registry, repository = _split(name)
    if "://" in text:
        raise UsageError(f"{text!r} is no image: it begins with a scheme", "leave the scheme out")
    if not _REGISTRY.fullmatch(registry) or not _is_port(registry):
        raise UsageError(f"{text!r} is no image: {registry!r} is no registry", _EXAMPLE)
    if not _REPOSITORY.fullmatch(repository) or len(f"{registry}/{repository}") > _NAME_MAX:
        hint = "repositories have no capital letters" if repository != repository.lower() else _EXAMPLE
        raise UsageError(f"{text!r} is no image: {repository!r} is no repository", hint)
    if tag is not None and not _TAG.fullmatch(tag):
        raise UsageError(f"{text!r} is no image: {tag!r} is no tag", _EXAMPLE)
    if at and not DIGEST.fullmatch(digest):
        raise UsageError(f"{text!r} is no image: {digest!r} is no sha256 digest", _EXAMPLE)
    return Reference(registry, repository, tag or ("" if digest else "latest"), digest)


def _without_tag(name: str) -> tuple[str, str | None]:
    """A colon before a slash is that of a port."""
    head, colon, tag = name.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (name, None)


def _split(name: str) -> tuple[str, str]:
    """Registry and repository: the first part is a registry when it cannot be a part of a repository's name."""
    first, slash, rest = name.partition("/")
    if slash and (set(".:") & set(first) or first == "localhost" or first != first.lower()):
        registry = DOCKER_HUB if first == "index.docker.io" else first
        repository = rest
    else:
        registry, repository = DOCKER_HUB, name
    is_official = registry == DOCKER_HUB and repository and "/" not in repository
    return registry, f"library/{repository}" if is_official else repository


def _is_port(registry: str) -> bool:
    port = registry.rpartition(":")[2]
    return not port.isdecimal() or ":" not in registry or 0 < int(port) < 65_536
