"""What registries and layouts say of images: manifests, indexes and descriptors, read and chosen from.

OCI image specification 1.1 (manifest.md, image-index.md, descriptor.md) and Docker's Image Manifest Version 2,
Schema 2, whose documents have the same fields under other media types.
"""

from typing import Annotated, Literal, NamedTuple, TypeVar

import msgspec

from pilotlight.bundle.reference import DIGEST
from pilotlight.errors import ImageError

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."
MANIFEST = f"{OCI}manifest.v1+json"
CONFIG = f"{OCI}config.v1+json"
GZIP = f"{OCI}layer.v1.tar+gzip"
TAR = f"{OCI}layer.v1.tar"
INDEX = f"{OCI}index.v1+json"
_MANIFESTS = (MANIFEST, f"{DOCKER}distribution.manifest.v2+json")
_INDEXES = (INDEX, f"{DOCKER}distribution.manifest.list.v2+json")
ACCEPTED = ", ".join((*_MANIFESTS, *_INDEXES))
"""What a registry is told that can be read here; one that has nothing of it may still send an older schema."""

GZIPS = (GZIP, f"{DOCKER}image.rootfs.diff.tar.gzip")
TARS = (TAR, f"{DOCKER}image.rootfs.diff.tar")

ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}
"""Lambda's word -> that of images: Go's GOARCH."""

AGAIN = "have it made again by a current tool: skopeo copy --format oci {name} oci:base"
GZIPPED = "write it with gzip: skopeo copy --dest-compress-format gzip {name} oci:base, and name oci:base"

Digest = Annotated[str, msgspec.Meta(pattern=f"^{DIGEST.pattern}$")]
Struct = TypeVar("Struct", bound=msgspec.Struct)


class Platform(msgspec.Struct, frozen=True):
    os: str = ""
    architecture: str = ""
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


class Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    """Content that is elsewhere. Its digest becomes a part of paths and URLs, so it has to be one."""

    digest: Digest
    size: Annotated[int, msgspec.Meta(ge=0)]
    media_type: str = ""
    platform: Platform | None = None
    annotations: dict[str, str] | None = None


class Manifest(msgspec.Struct, frozen=True):
    """One image."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


class Index(msgspec.Struct, frozen=True):
    """Several images under one name."""

    manifests: tuple[Descriptor, ...]


class _Document(msgspec.Struct, rename="camel"):
    schema_version: int = 0
    media_type: str = ""
    manifests: list[msgspec.Raw] | None = None


class Rootfs(msgspec.Struct):
    diff_ids: tuple[Digest, ...] = ()


class About(msgspec.Struct):
    """Of an image's configuration what is looked at; config.md."""

    architecture: str = ""
    os: str = ""
    rootfs: Rootfs = msgspec.field(default_factory=Rootfs)


class Place(NamedTuple):
    """Which document, for messages: "reading the image x"; and the image's name for what is to be done, as skopeo has
    it, with "docker://" or "oci:" before it."""

    what: str
    name: str


def read(data: bytes, media_type: str, place: Place) -> Manifest | Index:
    """The document, by its own media type or by that of the answer that it came in. Raises `ImageError`."""
    kind = decode(data, _Document, place)
    stated = kind.media_type or media_type.partition(";")[0].strip()
    if kind.schema_version == 1:
        raise ImageError(f"{place.what}: its manifest is of schema 1, which no image for Lambda has", _again(place))
    if stated in _INDEXES or (stated not in _MANIFESTS and kind.manifests is not None):
        return decode(data, Index, place)
    return decode(data, Manifest, place)


def _again(place: Place) -> str:
    return AGAIN.format(name=place.name)


def decode(data: bytes, type: type[Struct], place: Place) -> Struct:
    try:
        return msgspec.json.decode(data, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ImageError(f"{place.what}: its {type.__name__.lower().strip('_')} is damaged: {error}") from None


def choose(index: Index, architecture: str, place: Place) -> Descriptor:
    """The image in the index for Linux on Lambda's `architecture`. Raises `ImageError` when there is none.

    What has no platform is taken where it is alone. Attestations, whose platform is unknown, are passed over.
    """
    wanted = ARCHITECTURES[architecture]
    for each in index.manifests:
        match each.platform:
            case Platform(os="linux", architecture=found) if found == wanted:
                return each
            case None if len(index.manifests) == 1:
                return each
    has = sorted({str(each.platform) for each in index.manifests if each.platform} - {"unknown/unknown"})
    reason = f"{place.what}: it has {', '.join(has) or 'no platforms'}, and no linux/{wanted}"
    raise ImageError(reason, f"name a base image for {architecture}, or build for another architecture")


def form(layer: Descriptor, place: Place) -> Literal["gzip", "tar"]:
    """How a layer is compressed. Raises `ImageError` for what Lambda does not take."""
    if layer.media_type in GZIPS:
        return "gzip"
    if layer.media_type in TARS:
        return "tar"
    if "zstd" in layer.media_type:
        reason = f"{place.what}: its layer {layer.digest} is compressed with zstd, and Lambda takes gzip"
        raise ImageError(reason, GZIPPED.format(name=place.name))
    raise ImageError(f"{place.what}: its layer {layer.digest} is of the kind {layer.media_type!r}", _again(place))


def about(config: bytes, layers: int, architecture: str, place: Place) -> About:
    """What the configuration of an image with so many layers says, which has to fit that and Lambda's `architecture`.

    Raises `ImageError`.
    """
    found = decode(config, About, place)
    wanted = ARCHITECTURES[architecture]
    if (found.os, found.architecture) != ("linux", wanted):
        reason = (
            f"{place.what}: it is for {found.os or 'unknown'}/{found.architecture or 'unknown'}, not linux/{wanted}"
        )
        raise ImageError(reason, f"name a base image for {architecture}, or build for another architecture")
    if len(found.rootfs.diff_ids) != layers:
        counts = f"{layers} layers, its configuration {len(found.rootfs.diff_ids)}"
        raise ImageError(f"{place.what}: its manifest has {counts}", _again(place))
    return found
