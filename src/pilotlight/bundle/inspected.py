"""A package that is there, looked into: shared objects that do not fit, what Lambda refuses of an image's documents.

What makes an image is not asked: `manifest` refuses what it cannot take, here every reason is wanted.
docs.aws.amazon.com/lambda/latest/dg/images-create.html: one image, no index.
"""

import json
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from pilotlight.bundle import elf, manifest
from pilotlight.bundle.blobs import Blobs
from pilotlight.bundle.http import Request
from pilotlight.bundle.manifest import Descriptor, Index, Place
from pilotlight.bundle.reference import Reference
from pilotlight.bundle.target import Target
from pilotlight.bundle.transfers import Access
from pilotlight.errors import ImageError

_OURS = ("var/task/", "opt/")  # of an image: the rest is its base's
_READ = (*manifest.GZIPS, *manifest.TARS)
_UNKNOWN = "unknown"  # the architecture that BuildKit gives attestations

Read = Callable[[str], bytes]  # a digest, or the version that was asked for -> the document


class Objects(NamedTuple):
    """How many were looked at, and those of another architecture, or that need a newer C library, with the reason."""

    found: int
    machines: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]


class Documents(NamedTuple):
    """Why Lambda refuses an image, and its architecture in Lambda's word, "" where that was not found."""

    problems: tuple[str, ...]
    architecture: str
    layers: tuple[Descriptor, ...] = ()


def of_zip(path: Path, target: Target) -> Objects:
    """Raises `ImageError` when it is no zip."""
    try:
        with zipfile.ZipFile(path) as opened:
            named = [name for name in opened.namelist() if elf.is_named(name)]
            return _judge(((name, _kept(opened.open(name))) for name in named), target, versions=True)
    except (OSError, zipfile.BadZipFile) as error:
        raise ImageError(f"reading {path}: {error}", "build it again") from None


def of_layers(folder: Path, layers: tuple[Descriptor, ...], target: Target) -> Objects:
    """Of a layout's image, what is not its base's. It has a C library of its own, so versions are not judged."""
    blobs = Blobs(folder / "blobs")
    try:
        return _judge(_objects(blobs, layers), target, versions=False)
    except (OSError, tarfile.TarError) as error:
        raise ImageError(f"reading the layers of {folder}: {error}", "build it again") from None


def _objects(blobs: Blobs, layers: tuple[Descriptor, ...]) -> Iterator[tuple[str, elf.Object | str]]:
    for layer in (each for each in layers if each.media_type in _READ):
        with tarfile.open(blobs.path(layer.digest)) as opened:
            for member in opened:
                file = opened.extractfile(member) if member.isfile() and member.name.startswith(_OURS) else None
                if file is not None and elf.is_named(member.name):
                    yield member.name, _kept(file)


def _kept(file: IO[bytes]) -> elf.Object | str:
    with file, tempfile.NamedTemporaryFile() as copy:
        while piece := file.read(1 << 20):
            copy.write(piece)
        copy.flush()
        return elf.read(Path(copy.name))


def _judge(found: Iterator[tuple[str, elf.Object | str]], target: Target, *, versions: bool) -> Objects:
    read = dict(found)
    own = frozenset(path.rpartition("/")[2] for path in read)
    machines: list[tuple[str, str]] = []
    newer: list[tuple[str, str]] = []
    for path, each in read.items():
        is_other = isinstance(each, str) or each.machine != target.machine
        for reason in elf.problems(each, target, own):
            (machines if is_other else newer).append((path, reason))
    return Objects(len(read), tuple(machines), tuple(newer) if versions else ())


def of_layout(folder: Path) -> Documents:
    """The documents of the image in an OCI layout. Raises `ImageError` when it has none that can be read."""
    blobs, place = Blobs(folder / "blobs"), Place(f"reading the image {folder}", f"oci:{folder}")

    def read(digest: str) -> bytes:
        path = blobs.path(digest) if digest else folder / "index.json"
        try:
            return path.read_bytes()
        except OSError as error:
            raise ImageError(f"{place.what}: {path.name}: {error.strerror}", "build it again") from None

    named = manifest.decode(read(""), Index, place).manifests
    if len(named) != 1:
        return Documents((f"the layout has {len(named)} images, and Lambda takes one",), "")
    return _documents(read, named[0].digest, named[0].media_type, place)


def of_registry(reference: Reference, access: Access) -> Documents:
    """The documents behind that name, without a layer. Raises `ImageError` and its kin."""
    place = Place(f"reading {reference}", str(reference))
    with access.session(reference, [f"repository:{reference.repository}:pull"]) as session:

        def read(version: str) -> bytes:
            kind = "manifests" if version == reference.version else "blobs"
            request = Request("GET", session.url(f"{kind}/{version}"), {"Accept": manifest.ACCEPTED})
            return session.need(request, place.what, 200).body

        return _documents(read, reference.version, "", place)


def _documents(read: Read, version: str, media_type: str, place: Place) -> Documents:
    found = manifest.read(read(version), media_type, place)
    if isinstance(found, Index):
        return Documents((_index(found),), "")
    about = json.loads(read(found.config.digest))
    problems = [*_layer_problems(found.layers), *_config_problems(found.config, about)]
    return Documents(tuple(problems), _word(str(about.get("architecture", ""))), found.layers)


def _index(found: Index) -> str:
    platforms = [str(each.platform) for each in found.manifests if each.platform]
    attested = " with attestations (provenance or SBOM)" if any(_UNKNOWN in each for each in platforms) else ""
    return f"it is an index of {len(found.manifests)} manifests{attested}, and Lambda takes one image"


def _layer_problems(layers: tuple[Descriptor, ...]) -> Iterator[str]:
    for layer in layers:
        if layer.media_type not in _READ:
            yield f"its layer {layer.digest[:19]} is {layer.media_type or 'of no kind'}, and Lambda takes tar and gzip"


def _config_problems(config: Descriptor, about: Any) -> Iterator[str]:
    if "config" not in config.media_type and "container.image" not in config.media_type:
        yield f"its configuration is {config.media_type}: this is no image"
    if about.get("os") not in ("linux", None):
        yield f"it is for {about['os']}"


def _word(architecture: str) -> str:
    """Lambda's word for that of images."""
    words = {found: word for word, found in manifest.ARCHITECTURES.items()}
    return words.get(architecture, architecture)
