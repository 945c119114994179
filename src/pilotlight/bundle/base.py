"""The image that a function's layers are appended to: from a registry, a layout or an archive."""

import re
from collections.abc import Callable
from pathlib import Path

from pilotlight.bundle import archive, image, layout, reference, registry
from pilotlight.bundle.blobs import Blobs
from pilotlight.bundle.image import Image
from pilotlight.bundle.transfers import Access

SCRATCH = "scratch"
_AWS = re.compile(r"(public\.ecr\.aws/lambda/python|(docker\.io/)?amazon/aws-lambda-python)([:@].*)?")


def aws(python: str) -> str:
    """AWS's own image of that Python, for both architectures: gallery.ecr.aws/lambda/python."""
    return f"public.ecr.aws/lambda/python:{python}"


def is_aws(name: str) -> bool:
    """Whether it is one of AWS's own, which start their runtime with the handler that CMD names."""
    return bool(_AWS.fullmatch(name))


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


def within(name: str, root: Path) -> str:
    """The name as the settings in the folder `root` mean it: paths begin there."""
    kind, colon, rest = name.partition(":")
    return f"{kind}:{root / rest}" if colon and kind in LOCAL else name


def place(name: str) -> Path | None:
    """The folder or file that has the image; None for one in a registry."""
    kind, colon, rest = name.partition(":")
    if not colon or kind not in LOCAL:
        return None
    return _folder(rest)[0] if kind == "oci" else Path(rest)


def _folder(rest: str) -> tuple[Path, str]:
    """Folder and tag. A colon may be in the folder's own name."""
    folder, colon, tag = rest.rpartition(":")
    return (Path(rest), "") if not colon or Path(rest).is_dir() else (Path(folder), tag)


def _layout(rest: str, architecture: str, blobs: Blobs) -> Image:
    folder, tag = _folder(rest)
    return layout.read(folder, tag, architecture, blobs)


def _archive(rest: str, architecture: str, blobs: Blobs) -> Image:
    return archive.read(Path(rest), architecture, blobs)


LOCAL: dict[str, Callable[[str, str, Blobs], Image]] = {
    "oci": _layout,
    "docker-archive": _archive,
    "oci-archive": _archive,
}
