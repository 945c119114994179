"""The image that a function's layers are appended to: from a registry, a layout or an archive."""

from collections.abc import Callable
from pathlib import Path

from pilotlight.bundle import archive, image, layout, reference, registry
from pilotlight.bundle.blobs import Blobs
from pilotlight.bundle.image import Image
from pilotlight.bundle.transfers import Access

SCRATCH = "scratch"


def aws(python: str) -> str:
    """AWS's own image of that Python, for both architectures: gallery.ecr.aws/lambda/python."""
    return f"public.ecr.aws/lambda/python:{python}"


def load(name: str, architecture: str, blobs: Blobs, access: Access = registry.DEFAULT) -> Image:
    """The image that `name` says, for Lambda's `architecture`.

    It is a reference, `oci:FOLDER[:TAG]`, `docker-archive:FILE` or `scratch`. Raises `UsageError` for what is no name,
    `ImageError` and its kin for an image that is not there, is damaged or is none that Lambda takes.
    """
    kind, colon, rest = name.partition(":")
    load = LOCAL.get(kind) if colon else None
    if load is not None:
        return load(rest, architecture, blobs)
    if name == SCRATCH:
        return image.scratch(architecture)
    return registry.pull(reference.parse(name), architecture, blobs, access)


def _layout(rest: str, architecture: str, blobs: Blobs) -> Image:
    """A colon may be in the folder's own name."""
    folder, colon, tag = rest.rpartition(":")
    if not colon or Path(rest).is_dir():
        folder, tag = rest, ""
    return layout.read(Path(folder), tag, architecture, blobs)


def _archive(rest: str, architecture: str, blobs: Blobs) -> Image:
    return archive.read(Path(rest), architecture, blobs)


LOCAL: dict[str, Callable[[str, str, Blobs], Image]] = {
    "oci": _layout,
    "docker-archive": _archive,
    "oci-archive": _archive,
}
