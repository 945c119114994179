"""Packages with one defect each: zips of real shared objects, images in layouts and in a registry."""

import json
import platform
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import images
import pytest
import shared_objects
from images import OCI
from memory_registry import MemoryRegistry

from conftest import write
from http_servers import serving
from pilotlight import project
from pilotlight.artifacts import Artifact
from pilotlight.bundle import layout
from pilotlight.bundle.blobs import Blobs, digest_of
from pilotlight.cli import doctor_steps
from pilotlight.deploy.doctor.finding import Finding

HERE = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
OTHER = {"arm64": "x86_64", "x86_64": "arm64"}[HERE]
HANDLER = "def handler(event, context):\n    return {}\n"
AGAIN = "run `pilotlight build` again: it resolves the libraries for Lambda's architecture and C library"

Check = Callable[..., dict[str, Finding]]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """`check(image="...")` -> the findings on the package of the function qa, built for this machine's processors."""
    folder = write(
        tmp_path / "service",
        {"inference/qa.py": HANDLER, "pilotlight.toml": f'[build]\narchitecture = "{HERE}"\n'},
    )

    def run(image: str = "") -> dict[str, Finding]:
        service = project.load(folder)
        found = doctor_steps.offline(service, service.functions, tmp_path / "packages", image, "")
        return {each.check: each for each in found if each.check in ("architecture", "glibc", "manifest type")}

    return run


def put_zip(folder: Path, files: Mapping[str, bytes]) -> None:
    """What `pilotlight build` leaves: a zip, and what is said of it."""
    folder.mkdir()
    with zipfile.ZipFile(folder / "qa.zip", "w") as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    put_artifact(folder, "zip", folder / "qa.zip")


def put_artifact(folder: Path, kind: str, location: Path, architecture: str = HERE) -> None:
    artifact = Artifact(
        "service", "qa", kind, str(location), "", 0, 0, "python3.13", architecture, "inference/qa.handler", {}  # type: ignore[arg-type]
    )  # fmt: skip
    (folder / "qa.json").write_text(json.dumps(artifact._asdict()))


def statuses(found: Mapping[str, Finding]) -> dict[str, str]:
    return {name: each.status for name, each in found.items()}


def test_a_package_that_fits(check: Check, tmp_path: Path) -> None:
    put_zip(tmp_path / "packages", {"msgspec/_core.so": shared_objects.real(), "inference/qa.py": HANDLER.encode()})
    assert check() == {
        "architecture": Finding("architecture", "qa", "ok", f"{HERE}, with 1 shared objects"),
        "glibc": Finding("glibc", "qa", "ok", "1 shared objects, for Amazon Linux 2023"),
        "manifest type": Finding("manifest type", "qa", "ok", "a zip has none"),
    }


def test_a_library_for_another_architecture(check: Check, tmp_path: Path) -> None:
    put_zip(tmp_path / "packages", {"a.so": shared_objects.real(), "b.so": shared_objects.for_other_machine()})
    found = check()
    machines = {"x86_64": "x86_64", "arm64": "aarch64"}
    seen = f"b.so: it is for {machines[OTHER]}, not for {machines[HERE]}"
    assert found["architecture"] == Finding("architecture", "qa", "failed", seen, AGAIN)
    assert statuses(found) == {"architecture": "failed", "glibc": "ok", "manifest type": "ok"}


def test_a_package_for_another_architecture_than_the_settings_say(check: Check, tmp_path: Path) -> None:
    put_zip(tmp_path / "packages", {})
    put_artifact(tmp_path / "packages", "zip", tmp_path / "packages" / "qa.zip", OTHER)
    seen = f"the package is for {OTHER}, and [build] says {HERE}"
    assert check()["architecture"] == Finding("architecture", "qa", "failed", seen, AGAIN)


def test_a_library_that_needs_a_newer_glibc(check: Check, tmp_path: Path) -> None:
    put_zip(tmp_path / "packages", {"new.so": shared_objects.for_newer_library()})
    found = check()
    seen = "new.so: it needs GLIBC_2.99, and Amazon Linux 2023 has GLIBC_2.34"
    assert found["glibc"] == Finding("glibc", "qa", "failed", seen, AGAIN)
    assert statuses(found) == {"architecture": "ok", "glibc": "failed", "manifest type": "ok"}


def test_nothing_was_built(check: Check, tmp_path: Path) -> None:
    for each in check().values():
        assert (each.status, each.remedy) == ("not checked", "run `pilotlight build` first")
        assert each.seen.startswith("there is no package of qa in ")


def test_a_zip_that_is_none(check: Check, tmp_path: Path) -> None:
    put_zip(tmp_path / "packages", {})
    (tmp_path / "packages" / "qa.zip").write_bytes(b"cut off")
    assert check()["glibc"].seen == f"reading {tmp_path / 'packages' / 'qa.zip'}: File is not a zip file"


def test_what_is_said_of_a_package_is_damaged(check: Check, tmp_path: Path) -> None:
    put_zip(tmp_path / "packages", {})
    (tmp_path / "packages" / "qa.json").write_text('{"kind": "zip"}')
    assert statuses(check()) == dict.fromkeys(("architecture", "glibc", "manifest type"), "not checked")


def put_layout(folder: Path, *tars: bytes, architecture: str = "amd64") -> None:
    """An image for Lambda as another tool makes it."""
    config = images.config(*tars, architecture=architecture)
    manifest = images.manifest(config, *tars, kind=f"{OCI}layer.v1.tar")
    put(folder, config, manifest, *tars, named=images.descriptor(manifest, f"{OCI}manifest.v1+json"))


def put(folder: Path, *contents: bytes, named: dict[str, object]) -> None:
    blobs = Blobs(folder / "blobs")
    for content in contents:
        blobs.path(digest_of(content)).parent.mkdir(parents=True, exist_ok=True)
        blobs.path(digest_of(content)).write_bytes(content)
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))


GOARCH = {"x86_64": "amd64", "arm64": "arm64"}


def test_an_image_that_pilotlight_has_written(check: Check, tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    layout.write(images.make(Blobs(tmp_path / "cache")), tmp_path / "packages" / "qa.oci")
    put_artifact(tmp_path / "packages", "image", tmp_path / "packages" / "qa.oci")
    found = check()
    assert found["manifest type"] == Finding("manifest type", "qa", "ok", "one image, with layers in gzip")
    assert (found["glibc"].status, found["glibc"].seen) == ("not checked", "an image has a C library of its own")
    assert found["architecture"].status == ("ok" if HERE == "x86_64" else "failed")


def test_a_library_for_another_architecture_in_an_image(check: Check, tmp_path: Path) -> None:
    """What is its base's is its base's: the same file below /usr is no defect."""
    other = shared_objects.for_other_machine()
    put_layout(
        tmp_path / "image",
        images.tar(**{"usr/lib64/base.so": other}),
        images.tar(**{"var/task/b.so": other}),
        architecture=GOARCH[HERE],
    )
    found = check(f"oci:{tmp_path / 'image'}")["architecture"]
    assert (found.status, found.remedy) == ("failed", AGAIN)
    assert found.seen.startswith("var/task/b.so: it is for ")


def test_an_image_for_another_architecture(check: Check, tmp_path: Path) -> None:
    put_layout(tmp_path / "image", images.tar(file=b""), architecture=GOARCH[OTHER])
    found = check(f"oci:{tmp_path / 'image'}")["architecture"]
    assert (found.status, found.seen) == ("failed", f"the package is for {OTHER}, and [build] says {HERE}")


INDEX = "it is an index of 2 manifests with attestations (provenance or SBOM), and Lambda takes one image"
BUILDX = "run `pilotlight build`; or docker buildx build --provenance=false --sbom=false --platform linux/{arch}"


def index() -> tuple[bytes, tuple[bytes, ...]]:
    """What `docker buildx build` makes unless it is told otherwise."""
    config, layer = images.config(b"tar"), b"tar"
    manifest = images.manifest(config, layer, kind=f"{OCI}layer.v1.tar")
    return images.index((manifest, "linux", "amd64"), (manifest, "unknown", "unknown")), (config, manifest, layer)


def test_an_image_with_attestations(check: Check, tmp_path: Path) -> None:
    made, contents = index()
    put(tmp_path / "image", made, *contents, named=images.descriptor(made, f"{OCI}index.v1+json"))
    found = check(f"oci:{tmp_path / 'image'}")["manifest type"]
    assert found == Finding("manifest type", "qa", "failed", INDEX, BUILDX.format(arch="amd64"))


def test_an_image_with_attestations_in_a_registry(check: Check) -> None:
    made, contents = index()
    store = MemoryRegistry()
    for content in contents:
        store.put("qa", content)
    store.put("qa", made, f"{OCI}index.v1+json", "v7")
    with serving(store) as server:
        found = check(f"127.0.0.1:{server.port}/qa:v7")
    assert (found["manifest type"].status, found["manifest type"].seen) == ("failed", INDEX)


def test_an_image_in_a_registry(check: Check) -> None:
    config = images.config(b"tar", architecture=GOARCH[HERE])
    manifest = images.manifest(config, b"tar")
    store = MemoryRegistry()
    store.put("qa", config)
    store.put("qa", manifest, f"{OCI}manifest.v1+json", "v7")
    with serving(store) as server:
        found = check(f"127.0.0.1:{server.port}/qa:v7")
    assert statuses(found) == {"architecture": "ok", "glibc": "not checked", "manifest type": "ok"}


def test_an_image_that_the_registry_has_not(check: Check) -> None:
    with serving(MemoryRegistry()) as server:
        found = check(f"127.0.0.1:{server.port}/qa:v7")
    assert statuses(found) == dict.fromkeys(("architecture", "glibc", "manifest type"), "not checked")


def test_layers_in_zstd(check: Check, tmp_path: Path) -> None:
    layer = b"\x28\xb5\x2f\xfd"
    config = images.config(layer)
    manifest = images.manifest(config, layer, kind=f"{OCI}layer.v1.tar+zstd")
    put(tmp_path / "image", config, manifest, layer, named=images.descriptor(manifest, f"{OCI}manifest.v1+json"))
    found = check(f"oci:{tmp_path / 'image'}")["manifest type"]
    assert found.status == "failed"
    kind = "application/vnd.oci.image.layer.v1.tar+zstd"
    assert found.seen == f"its layer {digest_of(layer)[:19]} is {kind}, and Lambda takes tar and gzip"


def test_a_large_event(check: Check, tmp_path: Path) -> None:
    events = tmp_path / "service" / "events"
    events.mkdir()
    (events / "qa.json").write_text(json.dumps({"image": "a" * 6_291_456}))
    service = project.load(tmp_path / "service")
    [found] = [
        each for each in doctor_steps.offline(service, service.functions, tmp_path, "", "") if each.check == "payload"
    ]
    assert found == Finding(
        "payload",
        "qa",
        "failed",
        "events/qa.json: 6,291,469 bytes, and Lambda takes 6,291,456",
        "send what is large to S3 and its URL to the function: [inputs] buckets",
    )
