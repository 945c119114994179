"""Images from registries and into them, by the OCI distribution specification 1.1, without a daemon.

What is in a repository already is not sent again, what another one of the same registry has is mounted from there, and
layers of a base image are fetched only when they have to be sent.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from pilotlight.bundle import manifest
from pilotlight.bundle.blobs import Blobs, digest_of, mismatch, pieces
from pilotlight.bundle.downloads import download
from pilotlight.bundle.http import Request
from pilotlight.bundle.image import Image
from pilotlight.bundle.layers import Layer, compress, unpacked
from pilotlight.bundle.manifest import MANIFEST, Descriptor, Index, Manifest, Place
from pilotlight.bundle.reference import Reference
from pilotlight.bundle.session import Session
from pilotlight.bundle.transfers import Access, Progress, Tally, each, silent
from pilotlight.bundle.uploads import Content, upload
from pilotlight.errors import ImageError

DEFAULT = Access()


class Pushed(NamedTuple):
    """An image in a registry: its reference with the digest, and how many bytes of it were sent, or there before."""

    reference: Reference
    sent: int
    mounted: int
    there: int


def pull(reference: Reference, architecture: str, blobs: Blobs, access: Access = DEFAULT) -> Image:
    """The image for Lambda's `architecture` that is behind the name. Its layers stay where they are: see `fetch`.

    Raises `ImageError` and its kin when there is none, or none that Lambda could take.
    """
    place = Place(f"pulling {reference}", f"docker://{reference}")
    with access.session(reference, [_scope(reference, "pull")]) as session:
        digest, found = _document(session, reference.version, place)
        if isinstance(found, Index):
            digest, found = _document(session, manifest.choose(found, architecture, place).digest, place)
        if isinstance(found, Index):
            raise ImageError(f"{place.what}: its index has an index", "name the image in it by its digest")
        config = download(session, found.config.digest, found.config.size, blobs, lambda done: None).read_bytes()
        about = manifest.about(config, len(found.layers), architecture, place)
        layers = _layers(session, found, about.rootfs.diff_ids, blobs, place)
    return Image(config, layers, f"{reference._replace(digest='')}@{digest}")


def _document(session: Session, version: str, place: Place) -> tuple[str, Manifest | Index]:
    """A manifest or an index with its digest."""
    request = Request("GET", session.url(f"manifests/{version}"), {"Accept": manifest.ACCEPTED})
    answer = session.need(request, place.what, 200)
    digest = digest_of(answer.body)
    expected = version if ":" in version else answer.headers.get("Docker-Content-Digest") or digest
    found = manifest.read(answer.body, answer.headers.get("Content-Type", ""), place)
    if digest != expected:
        raise mismatch(place.what, digest, expected)
    return digest, found


def _layers(
    session: Session, found: Manifest, diff_ids: tuple[str, ...], blobs: Blobs, place: Place
) -> tuple[Layer, ...]:
    """Layers that are no gzip are fetched and made gzip at once: their digest is not known before."""
    forms = [manifest.form(each, place) for each in found.layers]
    return tuple(
        _in_registry(session.reference, each, diff_id, blobs)
        if form == "gzip"
        else _made_gzip(session, each, diff_id, blobs)
        for each, diff_id, form in zip(found.layers, diff_ids, forms, strict=True)
    )


def _in_registry(reference: Reference, found: Descriptor, diff_id: str, blobs: Blobs) -> Layer:
    return Layer(diff_id, found.digest, found.size, blobs.path(found.digest), origin=reference)


def _made_gzip(session: Session, found: Descriptor, diff_id: str, blobs: Blobs) -> Layer:
    tar = download(session, found.digest, found.size, blobs, lambda done: None)
    made = compress(pieces(tar), blobs)
    if made.diff_id != diff_id:
        raise mismatch(f"reading the layer {found.digest}", made.diff_id, diff_id)
    return made


def fetch(image: Image, blobs: Blobs, access: Access = DEFAULT, progress: Progress = silent) -> Image:
    """The image with all its layers on this machine, checked against their digests and diff ids."""
    away = {layer.digest: layer for layer in image.layers if not blobs.has(layer.digest, layer.size) and layer.origin}
    tally = Tally("pulling", {digest: layer.size for digest, layer in away.items()}, progress)
    each(away, lambda digest: _fetched(away[digest], blobs, access, tally), tally)
    return image._replace(layers=tuple(unpacked(layer) for layer in image.layers))


def _fetched(layer: Layer, blobs: Blobs, access: Access, tally: Tally) -> Path:
    assert layer.origin is not None
    with access.session(layer.origin, [_scope(layer.origin, "pull")], tally) as session:
        return download(session, layer.digest, layer.size, blobs, tally.of(layer.digest))


def push(
    image: Image, reference: Reference, blobs: Blobs, access: Access = DEFAULT, progress: Progress = silent
) -> Pushed:
    """Have the image behind the name, and each content in its repository before what names it.

    Raises `ImageError` and its kin. What was sent until then is not sent again by the next push.
    """
    if reference.digest and reference.digest != image.digest:
        raise mismatch(f"pushing to {reference}", image.digest, reference.digest)
    contents = {content.digest: content for content in _contents(image, reference, blobs, access)}
    tally = Tally("pushing", {digest: content.size for digest, content in contents.items()}, progress)
    with access.session(reference, _scopes(image, reference), tally) as session:
        how = each(contents, lambda digest: upload(session, contents[digest], tally.of(digest)), tally)
        _name(session, image, reference)
    sizes = {kind: sum(contents[digest].size for digest in how if how[digest] == kind) for kind in set(how.values())}
    there = reference._replace(digest=image.digest)
    return Pushed(there, sizes.get("sent", 0), sizes.get("mounted", 0), sizes.get("there", 0))


def _contents(image: Image, reference: Reference, blobs: Blobs, access: Access) -> Iterable[Content]:
    """Layers first: they take longest."""
    for layer in image.layers:
        mount = layer.origin.repository if _is_beside(layer, reference) and layer.origin else ""
        name = f"the {layer.name}" if layer.name else f"the layer {layer.digest} of the base image"
        yield Content(name, layer.digest, layer.size, _path(layer, blobs, access), mount)
    path = blobs.store([image.config]).path
    yield Content("the configuration", digest_of(image.config), len(image.config), lambda: path)


def _path(layer: Layer, blobs: Blobs, access: Access) -> Callable[[], Path]:
    """The layer's file, fetched from where it is when it has to be sent."""

    def path() -> Path:
        if layer.origin is None or blobs.has(layer.digest, layer.size):
            return layer.path
        return _fetched(layer, blobs, access, Tally("pulling", {layer.digest: layer.size}, silent))

    return path


def _is_beside(layer: Layer, reference: Reference) -> bool:
    """Whether another repository of the same registry has the layer."""
    origin = layer.origin
    return origin is not None and origin.registry == reference.registry and origin.repository != reference.repository


def _scopes(image: Image, reference: Reference) -> Iterable[str]:
    yield _scope(reference, "pull,push")
    beside = {layer.origin for layer in image.layers if _is_beside(layer, reference) and layer.origin}
    yield from sorted({_scope(origin, "pull") for origin in beside})


def _scope(reference: Reference, actions: str) -> str:
    """As "Token Authentication Scope" has it."""
    return f"repository:{reference.repository}:{actions}"


def _name(session: Session, image: Image, reference: Reference) -> None:
    """Put the manifest, last. A tag that has it already is left alone: in ECR tags can be immutable."""
    doing = f"pushing the manifest of {reference}"
    url = session.url(f"manifests/{reference.tag or image.digest}")
    found = session.ask(Request("HEAD", url, {"Accept": MANIFEST}), doing)
    if found.status == 200 and found.headers.get("Docker-Content-Digest") == image.digest:
        return
    answer = session.need(Request("PUT", url, {"Content-Type": MANIFEST}, image.manifest), doing, 200, 201, 202)
    kept = answer.headers.get("Docker-Content-Digest") or image.digest
    if kept != image.digest:
        raise mismatch(doing, kept, image.digest)
