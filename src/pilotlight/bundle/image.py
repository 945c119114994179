"""An image: a configuration and layers. Layers are appended to a base; nothing of an image is changed in place.

OCI image specification 1.1: config.md, manifest.md, annotations.md. What is made is what Lambda takes: one manifest, no
index, layers in gzip, no attestations. docs.aws.amazon.com/lambda/latest/dg/images-create.html
"""

import datetime
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pilotlight import limits
from pilotlight.bundle.blobs import digest_of
from pilotlight.bundle.layers import Layer, epoch
from pilotlight.bundle.manifest import ARCHITECTURES, CONFIG, GZIP, MANIFEST
from pilotlight.errors import ImageError

_KEPT = (  # of a base's own settings: what config.md knows. Docker adds others, of the container that it built in
    *("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal"),
)
_BASE = "org.opencontainers.image.base"  # annotations.md


class Config(NamedTuple):
    """How an image is run; what is empty stays as the base has it. `architecture` is Lambda's word, or empty."""

    cmd: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    workdir: str = ""
    user: str = ""
    architecture: str = ""


class Image(NamedTuple):
    """`config` is the configuration as JSON. `name` says where it is from, with the digest there, or is empty. Of an
    image in a folder it is the digest alone, as "@sha256:...": the folder has another name elsewhere."""

    config: bytes
    layers: tuple[Layer, ...]
    name: str = ""

    @property
    def manifest(self) -> bytes:
        """As it is written here, whatever it was where the image is from."""
        return encode(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "digest": digest_of(self.config), "size": len(self.config)},
                "layers": [{"mediaType": GZIP, "digest": each.digest, "size": each.size} for each in self.layers],
            }
        )

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)

    @property
    def size(self) -> int:
        """Bytes in a registry."""
        return len(self.manifest) + len(self.config) + sum(each.size for each in self.layers)

    @property
    def unpacked(self) -> int:
        """Bytes of all tars; of layers that nobody has unpacked yet what they have in gzip, which is less."""
        return sum(each.unpacked or each.size for each in self.layers)


def encode(document: Any) -> bytes:
    """JSON in one form, since its digest is a name."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def scratch(architecture: str) -> Image:
    """The image that has nothing, as a base."""
    return Image(encode({"architecture": ARCHITECTURES[architecture], "os": "linux", "config": {}}), ())


def append(base: Image, layers: Iterable[Layer], config: Config) -> Image:
    """The base with `layers` upon its own. Raises `ImageError` when Lambda cannot take the result."""
    added = tuple(layers)
    given = json.loads(base.config)
    _check_architecture(given, config, base.name)
    made = Image(encode(_config(given, base, added, config)), (*base.layers, *added))
    check_size(made)
    return made


def _check_architecture(given: Mapping[str, Any], config: Config, name: str) -> None:
    wanted = ARCHITECTURES.get(config.architecture, given.get("architecture"))
    if given.get("architecture") != wanted:
        shown = name if name.partition("@")[0] else "the base image"
        reason = f"appending to {shown}: it is for {given.get('architecture')}, not {wanted}"
        raise ImageError(reason, f"name a base image for {config.architecture}")


def check_size(image: Image) -> None:
    """Raises `ImageError` for what Lambda does not take; layers that are not here count with their size in gzip."""
    if image.unpacked > limits.IMAGE:
        largest = max(image.layers, key=lambda each: each.unpacked or each.size)
        reason = f"the image has {image.unpacked / 1e9:.1f} GB unpacked, and Lambda takes {limits.IMAGE / 1e9:.1f} GB"
        what = f"its {largest.name}" if largest.name else "a layer of the base image"
        raise ImageError(reason, f"{what} takes most, {(largest.unpacked or largest.size) / 1e9:.1f} GB")
    if len(image.layers) > limits.IMAGE_LAYERS:
        reason = f"the image has {len(image.layers)} layers, and {limits.IMAGE_LAYERS} can be mounted"
        raise ImageError(reason, "name a base image with fewer")


def _config(given: Mapping[str, Any], base: Image, added: tuple[Layer, ...], config: Config) -> dict[str, Any]:
    created = datetime.datetime.fromtimestamp(epoch(), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    history = [{"created": created, "created_by": f"pilotlight build: {each.name}"} for each in added]
    platform = {key: given[key] for key in ("architecture", "os", "variant") if given.get(key)}
    return {
        **platform,
        "created": created,
        "config": _settings(given.get("config") or {}, base.name, config),
        "rootfs": {"type": "layers", "diff_ids": [each.diff_id for each in (*base.layers, *added)]},
        "history": [*(given.get("history") or ()), *history],
    }


def _settings(given: Mapping[str, Any], name: str, config: Config) -> dict[str, Any]:
    kept = {key: given[key] for key in _KEPT if given.get(key)}
    env = {**dict(line.partition("=")[::2] for line in kept.get("Env", ())), **config.env}
    changed = {
        "Env": [f"{key}={value}" for key, value in env.items()],
        "Cmd": list(config.cmd),
        "Entrypoint": list(config.entrypoint),
        "WorkingDir": config.workdir,
        "User": config.user,
        "Labels": {**kept.get("Labels", {}), **_labels(name)},
    }
    if config.entrypoint and not config.cmd:  # the base's command was for the entry point that it had
        kept.pop("Cmd", None)
    return {**kept, **{key: value for key, value in changed.items() if value}}


def _labels(name: str) -> dict[str, str]:
    """Which image it was made from, for people and for tools that look for newer ones."""
    image, _, digest = name.partition("@")
    labels = {f"{_BASE}.name": image, f"{_BASE}.digest": digest}
    return {label: value for label, value in labels.items() if digest and value}
