"""Small images for tests, of real layers."""

import json
import random
from pathlib import Path
from typing import Any

from pilotlight.bundle import image
from pilotlight.bundle.blobs import Blobs, digest_of
from pilotlight.bundle.files import Entry, Part
from pilotlight.bundle.image import Config, Image
from pilotlight.bundle.layers import archive, layer

BASE_ENV = ["PATH=/usr/bin", "LANG=C.UTF-8"]
OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not get smaller."""
    return random.Random(seed).randbytes(size)


def make(blobs: Blobs, code: bytes = b"handler = None\n", model: int = 100_000, base: Image | None = None) -> Image:
    """An image of two parts upon a base."""
    parts = (
        Part("model", (Entry("models/qa/model.onnx", noise(model)),)),
        Part("code", (Entry("inference/qa.py", code),)),
    )
    layers = [layer(part, blobs) for part in parts]
    return image.append(base or image.scratch("x86_64"), layers, Config(cmd=("inference/qa.handler",)))


def tar(**files: bytes) -> bytes:
    """A layer as others make it."""
    return b"".join(archive([Entry(path, data) for path, data in files.items()], "", 0))


def config(*tars: bytes, architecture: str = "amd64", **more: Any) -> bytes:
    diff_ids = [digest_of(each) for each in tars]
    given = {"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}, **more}
    return json.dumps(given).encode()


def descriptor(data: bytes, kind: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data), **more}


def manifest(config: bytes, *layers: bytes, kind: str = f"{OCI}layer.v1.tar+gzip", **more: Any) -> bytes:
    described = [descriptor(each, kind) for each in layers]
    given = {"schemaVersion": 2, "config": descriptor(config, f"{OCI}config.v1+json"), "layers": described, **more}
    return json.dumps(given).encode()


def index(*manifests: tuple[bytes, str, str], **more: Any) -> bytes:
    """Of (manifest, operating system, architecture)."""
    described = [
        descriptor(data, f"{OCI}manifest.v1+json", platform={"os": os, "architecture": architecture})
        for data, os, architecture in manifests
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": f"{OCI}index.v1+json", "manifests": described, **more}).encode()


def recomputed(folder: Path) -> None:
    """Every content of a layout has the digest that is its name."""
    found = list((folder / "blobs" / "sha256").iterdir())
    assert found
    for path in found:
        assert digest_of(path.read_bytes()) == f"sha256:{path.name}"
