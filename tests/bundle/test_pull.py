"""Images out of a registry: which one is behind a name, what is checked, what is refused."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import images
import pytest
from memory_registry import MemoryRegistry

from http_servers import Cut, Request, answer, serving
from pilotlight.bundle import registry
from pilotlight.bundle.blobs import Blobs, digest_of
from pilotlight.bundle.reference import Reference
from pilotlight.bundle.transfers import Access
from pilotlight.errors import ImageError, ImageNotFound, RegistryUnreachable

OCI, DOCKER = images.OCI, images.DOCKER
TAR = images.tar(**{"etc/os-release": images.noise(100_000)})
LAYER = gzip.compress(TAR, mtime=0)
CONFIG = images.config(TAR)
MANIFEST = images.manifest(CONFIG, LAYER)
ACCESS = Access(keys=lambda registry: None, sleep=lambda seconds: None)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "cache")


@pytest.fixture
def store() -> MemoryRegistry:
    store = MemoryRegistry()
    for content in (CONFIG, LAYER):
        store.put("base", content)
    return store


@pytest.fixture
def at(store: MemoryRegistry) -> Iterator[Reference]:
    with serving(store) as server:
        yield Reference(f"127.0.0.1:{server.port}", "base", "1")


def test_a_name_gives_an_image_whose_layers_stay_where_they_are(
    store: MemoryRegistry, at: Reference, blobs: Blobs
) -> None:
    digest = store.put("base", MANIFEST, f"{OCI}manifest.v1+json", "1")
    found = registry.pull(at, "x86_64", blobs, ACCESS)
    assert found.name == f"{at}@{digest}"
    assert found.config == CONFIG
    [layer] = found.layers
    assert (layer.diff_id, layer.digest, layer.size) == (digest_of(TAR), digest_of(LAYER), len(LAYER))
    assert (layer.origin, layer.unpacked, layer.path.exists()) == (at, 0, False)
    [fetched] = registry.fetch(found, blobs, ACCESS).layers
    assert fetched == layer._replace(unpacked=len(TAR))
    assert fetched.path.read_bytes() == LAYER


def test_a_layer_is_fetched_once(store: MemoryRegistry, at: Reference, blobs: Blobs) -> None:
    store.put("base", MANIFEST, f"{OCI}manifest.v1+json", "1")
    registry.fetch(registry.pull(at, "x86_64", blobs, ACCESS), blobs, ACCESS)
    store.requests.clear()
    registry.fetch(registry.pull(at, "x86_64", blobs, ACCESS), blobs, ACCESS)
    assert [request.target for request in store.requests] == ["/v2/base/manifests/1"]


@pytest.mark.parametrize(("architecture", "name"), [("x86_64", "amd64"), ("arm64", "arm64")])
def test_of_an_index_the_architecture_is_taken(
    store: MemoryRegistry, at: Reference, blobs: Blobs, architecture: str, name: str
) -> None:
    made = {}
    for each in ("amd64", "arm64"):
        config = images.config(TAR, architecture=each)
        made[each] = images.manifest(config, LAYER)
        store.put("base", config)
        store.put("base", made[each], f"{OCI}manifest.v1+json")
    attestation = images.manifest(images.config(TAR, architecture="unknown"), LAYER)
    listed = images.index(
        (attestation, "unknown", "unknown"), (made["amd64"], "linux", "amd64"), (made["arm64"], "linux", "arm64")
    )
    store.put("base", listed, f"{OCI}index.v1+json", "1")
    found = registry.pull(at, architecture, blobs, ACCESS)
    assert json.loads(found.config)["architecture"] == name
    assert found.name == f"{at}@{digest_of(made[name])}"


def test_docker_s_own_documents_are_read(store: MemoryRegistry, at: Reference, blobs: Blobs) -> None:
    kind = f"{DOCKER}distribution.manifest.v2+json"
    made = images.manifest(CONFIG, LAYER, kind=f"{DOCKER}image.rootfs.diff.tar.gzip", mediaType=kind)
    store.put("base", made, kind)
    listed = images.index((made, "linux", "amd64"), mediaType=f"{DOCKER}distribution.manifest.list.v2+json")
    store.put("base", listed, f"{DOCKER}distribution.manifest.list.v2+json", "1")
    assert registry.pull(at, "x86_64", blobs, ACCESS).layers[0].digest == digest_of(LAYER)


def test_a_layer_that_is_no_gzip_becomes_one(store: MemoryRegistry, at: Reference, blobs: Blobs) -> None:
    store.put("base", TAR)
    store.put("base", images.manifest(CONFIG, TAR, kind=f"{OCI}layer.v1.tar"), f"{OCI}manifest.v1+json", "1")
    [layer] = registry.pull(at, "x86_64", blobs, ACCESS).layers
    assert gzip.decompress(layer.path.read_bytes()) == TAR
    assert (layer.diff_id, layer.unpacked, layer.origin) == (digest_of(TAR), len(TAR), None)


SCHEMA_1 = json.dumps({"schemaVersion": 1, "name": "base", "tag": "1", "fsLayers": [], "history": []}).encode()
ZSTD = images.manifest(CONFIG, LAYER, kind=f"{OCI}layer.v1.tar+zstd")
FOREIGN = images.manifest(CONFIG, LAYER, kind=f"{OCI}layer.nondistributable.v1.tar+gzip")
WINDOWS = images.index((MANIFEST, "windows", "amd64"), (MANIFEST, "linux", "s390x"))
TWO_LAYERS = images.manifest(CONFIG, LAYER, LAYER)
WRONG = images.config(TAR, architecture="arm64")
NO_DIGEST = json.dumps({"schemaVersion": 2, "config": {"digest": "sha256:../../x", "size": 1}, "layers": []}).encode()
NESTED = images.index((images.index(), "linux", "amd64"))


@pytest.mark.parametrize(
    ("content", "kind", "reason", "hint"),
    [
        (
            SCHEMA_1,
            f"{DOCKER}distribution.manifest.v1+prettyjws",
            "its manifest is of schema 1",
            "skopeo copy --format",
        ),
        (
            ZSTD,
            f"{OCI}manifest.v1+json",
            "is compressed with zstd, and Lambda takes gzip",
            "--dest-compress-format gzip",
        ),
        (FOREIGN, f"{OCI}manifest.v1+json", f"is of the kind '{OCI}layer.nondistributable.v1.tar+gzip'", "made again"),
        (
            WINDOWS,
            f"{OCI}index.v1+json",
            "it has linux/s390x, windows/amd64, and no linux/amd64",
            "a base image for x86_64",
        ),
        (images.index(), f"{OCI}index.v1+json", "it has no platforms, and no linux/amd64", "a base image for x86_64"),
        (NESTED, f"{OCI}index.v1+json", "its index has an index", "by its digest"),
        (TWO_LAYERS, f"{OCI}manifest.v1+json", "its manifest has 2 layers, its configuration 1", "made again"),
        (images.manifest(WRONG, LAYER), f"{OCI}manifest.v1+json", "it is for linux/arm64, not linux/amd64", "x86_64"),
        (NO_DIGEST, f"{OCI}manifest.v1+json", "its manifest is damaged: ", ""),
        (b"<html>", "text/html", "its document is damaged: ", ""),
        (b'{"schemaVersion": 2}', f"{OCI}manifest.v1+json", "its manifest is damaged: ", ""),
        (b"\xff", f"{OCI}manifest.v1+json", "is damaged: ", ""),
    ],
)
def test_images_that_are_none_for_lambda(
    store: MemoryRegistry, at: Reference, blobs: Blobs, content: bytes, kind: str, reason: str, hint: str
) -> None:
    store.put("base", WRONG)
    store.put("base", images.index(), f"{OCI}index.v1+json")
    store.put("base", content, kind, "1")
    with pytest.raises(ImageError) as refused:
        registry.pull(at, "x86_64", blobs, ACCESS)
    assert str(refused.value).startswith(f"pulling {at}: ")
    assert reason in str(refused.value)
    assert hint in refused.value.hint


def test_a_name_that_is_not_there(at: Reference, blobs: Blobs) -> None:
    with pytest.raises(ImageNotFound) as missing:
        registry.pull(at, "x86_64", blobs, ACCESS)
    assert str(missing.value) == f"pulling {at}: {at.registry} answered 404: MANIFEST_UNKNOWN as the test says"


def test_a_digest_is_held_to(store: MemoryRegistry, at: Reference, blobs: Blobs) -> None:
    digest = store.put("base", MANIFEST, f"{OCI}manifest.v1+json")
    exact = at._replace(tag="", digest=digest)
    assert registry.pull(exact, "x86_64", blobs, ACCESS).name == str(exact)
    store.manifests["base", digest] = (f"{OCI}manifest.v1+json", MANIFEST + b" ")
    with pytest.raises(ImageError, match=f"its digest is {digest_of(MANIFEST + b' ')}, not {digest}"):
        registry.pull(exact, "x86_64", blobs, ACCESS)


def test_a_layer_that_is_not_what_it_says_is_not_kept(store: MemoryRegistry, at: Reference, blobs: Blobs) -> None:
    store.put("base", MANIFEST, f"{OCI}manifest.v1+json", "1")
    damaged = LAYER[:-1] + b"?"
    store.blobs["base", digest_of(LAYER)] = damaged
    found = registry.pull(at, "x86_64", blobs, ACCESS)
    with pytest.raises(ImageError) as refused:
        registry.fetch(found, blobs, ACCESS)
    expected = digest_of(LAYER)
    assert str(refused.value) == f"pulling {expected}: its digest is {digest_of(damaged)}, not {expected}"
    assert [path.name for path in blobs.folder.rglob("*") if path.is_file()] == [digest_of(CONFIG)[7:]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (LAYER + b"more", f"it has more than the {len(LAYER)} bytes"),
        (LAYER[:-1], f"it has {len(LAYER) - 1} bytes, and"),
    ],
)
def test_a_layer_of_another_size_is_refused(
    store: MemoryRegistry, at: Reference, blobs: Blobs, content: bytes, reason: str
) -> None:
    store.put("base", MANIFEST, f"{OCI}manifest.v1+json", "1")
    store.blobs["base", digest_of(LAYER)] = content
    with pytest.raises(ImageError, match=reason):
        registry.fetch(registry.pull(at, "x86_64", blobs, ACCESS), blobs, ACCESS)


def test_a_layer_of_other_files_than_its_image_says_is_refused(
    store: MemoryRegistry, at: Reference, blobs: Blobs
) -> None:
    config = images.config(b"other")
    store.put("base", config)
    store.put("base", images.manifest(config, LAYER), f"{OCI}manifest.v1+json", "1")
    with pytest.raises(ImageError, match=f"its digest is {digest_of(TAR)}, not {digest_of(b'other')}"):
        registry.fetch(registry.pull(at, "x86_64", blobs, ACCESS), blobs, ACCESS)


@pytest.mark.parametrize("ignores_ranges", [False, True])
def test_a_download_goes_on_where_it_was_cut(
    store: MemoryRegistry, at: Reference, blobs: Blobs, ignores_ranges: bool
) -> None:
    store.put("base", MANIFEST, f"{OCI}manifest.v1+json", "1")
    found = registry.pull(at, "x86_64", blobs, ACCESS)
    store.ignores_ranges, store.cut_at = ignores_ranges, 40_000
    assert registry.fetch(found, blobs, ACCESS).layers[0].path.read_bytes() == LAYER
    ranges = [request.headers["range"] for request in store.requests if "range" in request.headers]
    assert ranges == [f"bytes={len(LAYER) - 40_000}-{len(LAYER) - 1}"]


def test_contents_may_be_elsewhere_and_credentials_do_not_go_there(
    store: MemoryRegistry, at: Reference, blobs: Blobs
) -> None:
    """ECR and Docker Hub redirect to stores that sign their own URLs, and refuse another Authorization."""
    asked: list[Request] = []

    def other(request: Request) -> bytes:
        asked.append(request)
        return answer(200, LAYER if digest_of(LAYER) in request.target else CONFIG)

    store.put("base", MANIFEST, f"{OCI}manifest.v1+json", "1")
    with serving(other) as server:
        store.elsewhere = f"http://127.0.0.1:{server.port}/signed"
        found = registry.fetch(registry.pull(at, "x86_64", blobs, ACCESS), blobs, ACCESS)
    assert found.layers[0].path.read_bytes() == LAYER
    assert len(asked) == 2
    assert all("authorization" not in request.headers for request in asked)


def loop(request: Request) -> bytes:
    return answer(307, b"", f"Location: {request.target}\r\n")


def cut(request: Request) -> bytes:
    return Cut(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (loop, "redirects again and again"),
        (cut, "cannot be reached: the connection broke off"),
        (lambda request: Cut(b"SSH-2.0-OpenSSH_9.2\r\n"), "cannot be reached: the connection broke off"),
        (lambda request: answer(503, b"down for maintenance"), "answered 503"),
    ],
)
def test_a_registry_that_is_none(answers: Callable[[Request], bytes], reason: str, blobs: Blobs) -> None:
    with serving(answers) as server, pytest.raises(RegistryUnreachable) as failed:
        registry.pull(Reference(f"127.0.0.1:{server.port}", "base", "1"), "x86_64", blobs, ACCESS)
    assert reason in str(failed.value)


def test_a_registry_without_tls_is_not_asked(blobs: Blobs) -> None:
    """Only this machine's own are, and those that are named: here TLS is spoken to one that knows none."""
    with serving(lambda request: answer(404, b"")) as server:
        named = Reference(f"127.0.0.1:{server.port}", "base", "1")
        assert named.is_loopback
        session = ACCESS.session(Reference("registry.test", "base", "1"), [])
        assert session.url("manifests/1") == "https://registry.test/v2/base/manifests/1"
        plain = ACCESS._replace(plain=frozenset({"registry.test"})).session(Reference("registry.test", "a", "1"), [])
        assert plain.url("manifests/1") == "http://registry.test/v2/a/manifests/1"
        assert server.requests == []
