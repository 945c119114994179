"""Images in one file: what `docker load`, `podman load` and skopeo take, and `docker save` makes.

Such a tar has `manifest.json`, a list of images with the names of their files, as in github.com/moby/moby
image/tarexport. What is written here has an OCI layout as well, as Docker itself writes it since version 25, so that
`oci-archive:` takes the same file.
"""

import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from pilotlight.bundle import layers, layout, manifest
from pilotlight.bundle.blobs import AT_ONCE, Blobs, digest_of
from pilotlight.bundle.files import Entry
from pilotlight.bundle.image import Image, encode
from pilotlight.bundle.layers import Layer
from pilotlight.bundle.manifest import Descriptor, Place
from pilotlight.bundle.reference import Reference
from pilotlight.errors import ImageError, UsageError

_MANIFEST = "manifest.json"
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"  # RFC 8878


def write(image: Image, path: Path, name: Reference) -> None:
    """Write the image, whose layers are all there, under that name. Raises `UsageError` when it cannot be written.

    The file is the same for the same image and name, and is whole or not there.
    """
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as room:
            part = Path(room) / path.name
            with part.open("wb") as file:
                file.writelines(layers.archive(_entries(image, name), "", layers.epoch()))
            part.replace(path)
    except OSError as error:
        raise UsageError(f"writing the image to {path}: {error.strerror or error}", "name another file") from None


def _entries(image: Image, name: Reference) -> Iterator[Entry]:
    tag = name.tag or "latest"
    whole = f"{name.registry}/{name.repository}:{tag}"
    named = {
        "Config": _inside(digest_of(image.config)),
        "RepoTags": [whole],
        "Layers": [_inside(layer.digest) for layer in image.layers],
    }
    yield Entry(_MANIFEST, encode([named]))
    yield Entry("index.json", layout.index(image, tag, whole))
    yield Entry("oci-layout", layout.VERSION)
    for document in (image.config, image.manifest):
        yield Entry(_inside(digest_of(document)), document)
    for layer in image.layers:
        yield Entry(_inside(layer.digest), layer.path)


def _inside(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def read(path: Path, architecture: str, blobs: Blobs) -> Image:
    """The only image of the file, for Lambda's `architecture`. Its layers get into `blobs`. Raises `ImageError`."""
    place = Place(f"reading the image {path}", f"docker-archive:{path}")
    blobs.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=blobs.folder, prefix=".archive-") as room:
        folder = Path(room)
        _unpack(path, folder, place)
        if not (folder / _MANIFEST).is_file():
            return layout.read(folder, "", architecture, blobs)
        return _docker(folder, architecture, blobs, place)


def _unpack(path: Path, folder: Path, place: Place) -> None:
    """Its files, and what links in it lead to. Nothing gets out of the folder."""
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                content = None if member.isdir() else tar.extractfile(member)
                target = folder / _name(member.name, place)
                if content is not None:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("wb") as file:
                        shutil.copyfileobj(content, file, AT_ONCE)
    except (OSError, tarfile.TarError, KeyError) as error:  # KeyError: a link to nothing
        raise ImageError(f"{place.what}: {error}", "name a file that docker save or podman save wrote") from None


def _name(name: str, place: Place) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ImageError(f"{place.what}: its file {name} is outside of it", "save the image again")
    return path


def _docker(folder: Path, architecture: str, blobs: Blobs, place: Place) -> Image:
    named = _named(folder, place)
    config = _file(folder, named["Config"], place).read_bytes()
    paths = [_file(folder, each, place) for each in named["Layers"]]
    diff_ids = manifest.about(config, len(paths), architecture, place).rootfs.diff_ids
    return Image(config, tuple(_layer(*each, blobs, place) for each in zip(paths, diff_ids, strict=True)))


def _named(folder: Path, place: Place) -> dict[str, Any]:
    try:
        [named] = json.loads((folder / _MANIFEST).read_bytes())
        _, _ = str(named["Config"]), [str(each) for each in named["Layers"]]
    except (ValueError, TypeError, KeyError):
        hint = "save one image alone: docker save NAME"
        raise ImageError(f"{place.what}: it has not one image", hint) from None
    return dict(named)


def _file(folder: Path, name: str, place: Place) -> Path:
    path = folder / _name(name, place)
    if not path.is_file():
        raise ImageError(f"{place.what}: its file {name} is missing", "save the image again")
    return path


def _layer(path: Path, diff_id: str, blobs: Blobs, place: Place) -> Layer:
    """Docker's archives do not say how a layer is compressed."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic == _ZSTD_MAGIC:
        kind = "application/vnd.oci.image.layer.v1.tar+zstd"
        manifest.form(Descriptor(diff_id, path.stat().st_size, kind), place)
    return layout.taken(path, "", diff_id, magic[:2] == _GZIP_MAGIC, blobs, place)
