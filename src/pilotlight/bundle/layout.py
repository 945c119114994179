"""Images in folders: the OCI image layout, OCI image specification 1.1, image-layout.md.

skopeo, podman, umoci and crane read and write them as `oci:FOLDER:TAG`.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pilotlight.bundle import manifest
from pilotlight.bundle.blobs import Blobs, Received, digest_of, mismatch, pieces
from pilotlight.bundle.image import Image, encode
from pilotlight.bundle.layers import Layer, compress, unpacked
from pilotlight.bundle.manifest import MANIFEST, Descriptor, Index, Manifest, Place
from pilotlight.errors import ImageError, UsageError

_TAG = "org.opencontainers.image.ref.name"
_NAME = "io.containerd.image.name"  # of `docker save`, which podman and containerd read too: else the tag is the name
VERSION = encode({"imageLayoutVersion": "1.0.0"})
_INDEX = "index.json"
_CONTENTS = {_INDEX, "oci-layout", "blobs", "manifest.json", "repositories"}  # the last two are Docker's


def write(image: Image, folder: Path, tag: str = "latest") -> None:
    """Write the image, whose layers are all there, as the only one of the layout `folder`.

    A layout that is there is replaced, anything else is not. Raises `UsageError` then, and `ImageError` when a layer
    was damaged.
    """
    _check_replaceable(folder)
    with _replaced(folder) as new:
        fill(image, new, tag)


def fill(image: Image, folder: Path, tag: str) -> None:
    """What a layout has, into an empty folder."""
    blobs = Blobs(folder / "blobs")
    for layer in image.layers:
        if not blobs.has(layer.digest, layer.size):
            copy(layer, blobs.path(layer.digest))
    for document in (image.config, image.manifest):
        _put(blobs.path(digest_of(document)), document)
    _put(folder / _INDEX, index(image, tag))
    _put(folder / "oci-layout", VERSION)


def index(image: Image, tag: str, name: str = "") -> bytes:
    """The layout's own list, of one image; what loads it takes `name` for its whole name."""
    annotations = {_TAG: tag, **({_NAME: name} if name else {})}
    named = {"mediaType": MANIFEST, "digest": image.digest, "size": len(image.manifest), "annotations": annotations}
    return encode({"schemaVersion": 2, "mediaType": manifest.INDEX, "manifests": [named]})


def copy(layer: Layer, target: Path) -> None:
    """The layer's bytes, checked. A damaged file is removed, so that it is made again."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        received = Received(file)
        for piece in pieces(layer.path):
            received.write(piece)
    if received.digest != layer.digest:
        layer.path.unlink()
        raise mismatch(f"writing {layer.path}, which is removed", received.digest, layer.digest)


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _check_replaceable(folder: Path) -> None:
    if folder.is_dir() and {path.name for path in folder.iterdir()} - _CONTENTS:
        raise UsageError(f"writing the image to {folder}: it has other files", "name a folder that is not there yet")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"writing the image to {folder}: it is a file", "name a folder that is not there yet")


@contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
    """A folder that takes the place of `folder` at the end, or never was."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as room:
            new, old = Path(room) / "new", Path(room) / "old"
            new.mkdir()
            yield new
            if folder.exists():
                os.rename(folder, old)
            os.rename(new, folder)
    except OSError as error:
        raise UsageError(f"writing the image to {folder}: {error.strerror or error}", "name another folder") from None


def read(folder: Path, tag: str, architecture: str, blobs: Blobs) -> Image:
    """The image of that tag, or the only one where it is empty, for Lambda's `architecture`. Its layers get into
    `blobs`, as gzip where they are none. Raises `ImageError`."""
    place = Place(f"reading the image {folder}", f"oci:{folder}{tag and f':{tag}'}")
    store = Blobs(folder / "blobs")
    listed = manifest.decode(_document(folder / _INDEX, place), Index, place)
    named = _named(listed, tag, place)
    found = _found(store, named, place)
    if isinstance(found, Index):
        named = manifest.choose(found, architecture, place)
        found = _found(store, named, place)
    if isinstance(found, Index):
        raise ImageError(f"{place.what}: its index has an index", "write the image itself into a layout")
    config = _content(store, found.config, place)
    about = manifest.about(config, len(found.layers), architecture, place)
    return Image(config, _layers(store, found, about.rootfs.diff_ids, blobs, place), f"@{named.digest}")


def _named(listed: Index, tag: str, place: Place) -> Descriptor:
    """Several without a tag are the platforms of one image."""
    tags = {(each.annotations or {}).get(_TAG, ""): each for each in listed.manifests}
    if tag and tag not in tags:
        has = ", ".join(sorted(tags)) or "none"
        raise ImageError(f"{place.what}: it has no tag {tag!r}", f"it has {has}")
    if tag:
        return tags[tag]
    if len(listed.manifests) != 1:
        raise ImageError(f"{place.what}: it has {len(listed.manifests)} images", "name a tag: oci:FOLDER:TAG")
    return listed.manifests[0]


def _found(store: Blobs, descriptor: Descriptor, place: Place) -> Manifest | Index:
    return manifest.read(_content(store, descriptor, place), descriptor.media_type, place)


def _content(store: Blobs, descriptor: Descriptor, place: Place) -> bytes:
    data = _document(store.path(descriptor.digest), place)
    if digest_of(data) != descriptor.digest:
        raise mismatch(place.what, digest_of(data), descriptor.digest)
    return data


def _document(path: Path, place: Place) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = f"{place.what}: {path.name}: {error.strerror}"
        raise ImageError(reason, "name the folder of an OCI image layout, as skopeo copy ... oci:FOLDER:TAG") from None


def _layers(store: Blobs, found: Manifest, diff_ids: tuple[str, ...], blobs: Blobs, place: Place) -> tuple[Layer, ...]:
    layers = []
    for each, diff_id in zip(found.layers, diff_ids, strict=True):
        is_gzip = manifest.form(each, place) == "gzip"
        layers.append(taken(store.path(each.digest), each.digest, diff_id, is_gzip, blobs, place))
    return tuple(layers)


def taken(path: Path, digest: str, diff_id: str, is_gzip: bool, blobs: Blobs, place: Place) -> Layer:
    """The layer in that file, in `blobs`. Raises `ImageError` when it is not there or not what it should be."""
    try:
        if is_gzip:
            with blobs.receiving(digest, place.what) as received:
                for piece in pieces(path):
                    received.write(piece)
            return unpacked(Layer(diff_id, received.digest, received.size, blobs.path(received.digest)))
        made = compress(pieces(path), blobs)
    except FileNotFoundError:
        raise ImageError(f"{place.what}: its layer {digest or path.name} is missing") from None
    if made.diff_id != diff_id:
        raise mismatch(f"{place.what}: the layer {digest or path.name}", made.diff_id, diff_id)
    return made
