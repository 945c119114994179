"""What an image is made of: literal documents."""

import json
from pathlib import Path
from typing import Any

import images
import pytest

from pilotlight import limits
from pilotlight.bundle import image
from pilotlight.bundle.blobs import digest_of
from pilotlight.bundle.image import Config, Image
from pilotlight.bundle.layers import Layer
from pilotlight.errors import ImageError, UsageError

ONE, TWO, THREE = (f"sha256:{digit * 64}" for digit in "123")
BASE_CONFIG: dict[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2026-01-02T03:04:05.678Z",
    "container_config": {"Hostname": "builder"},
    "docker_version": "20.10",
    "config": {
        "Hostname": "builder",
        "Env": ["PATH=/var/lang/bin:/usr/bin", "LANG=en_US.UTF-8", "EMPTY="],
        "Entrypoint": ["/lambda-entrypoint.sh"],
        "Cmd": ["/bin/bash"],
        "WorkingDir": "/var/task",
        "Labels": {"made.by": "others"},
        "OnBuild": ["RUN true"],
    },
    "rootfs": {"type": "layers", "diff_ids": [ONE]},
    "history": [{"created": "2026-01-02T03:04:05.678Z", "created_by": "ADD x"}, {"empty_layer": True}],
}
BELOW = Layer(ONE, TWO, 100, Path("base"), 1_000)
BASE = Image(json.dumps(BASE_CONFIG).encode(), (BELOW,), f"public.ecr.aws/lambda/python:3.13@{THREE}")
CODE = Layer(TWO, THREE, 10, Path("code"), 50, "code")


def test_layers_are_appended_and_the_rest_stays() -> None:
    config = Config(("inference/qa.handler",), (), {"LANG": "C.UTF-8", "A": "b=c"}, "", "", "x86_64")
    made = image.append(BASE, [CODE], config)
    assert made.layers == (BELOW, CODE)
    assert json.loads(made.config) == {
        "architecture": "amd64",
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Env": ["PATH=/var/lang/bin:/usr/bin", "LANG=C.UTF-8", "EMPTY=", "A=b=c"],
            "Entrypoint": ["/lambda-entrypoint.sh"],
            "Cmd": ["inference/qa.handler"],
            "WorkingDir": "/var/task",
            "Labels": {
                "made.by": "others",
                "org.opencontainers.image.base.name": "public.ecr.aws/lambda/python:3.13",
                "org.opencontainers.image.base.digest": THREE,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [ONE, TWO]},
        "history": [
            {"created": "2026-01-02T03:04:05.678Z", "created_by": "ADD x"},
            {"empty_layer": True},
            {"created": "1970-01-01T00:00:00Z", "created_by": "pilotlight build: code"},
        ],
    }


def test_one_manifest_without_an_index() -> None:
    made = image.append(BASE, [CODE], Config())
    assert json.loads(made.manifest) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest_of(made.config),
            "size": len(made.config),
        },
        "layers": [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": TWO, "size": 100},
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": THREE, "size": 10},
        ],
    }
    assert made.digest == digest_of(made.manifest)
    assert made.size == len(made.manifest) + len(made.config) + 110
    assert made.unpacked == 1_050


def test_everything_of_a_configuration_can_be_set() -> None:
    given = Config(
        ("qa.handler",), ("/var/lang/bin/python3.13", "-m", "pilotlight"), {"A": ""}, "/srv", "993:990", "arm64"
    )
    assert json.loads(image.append(image.scratch("arm64"), [CODE], given).config)["config"] == {
        "Env": ["A="],
        "Cmd": ["qa.handler"],
        "Entrypoint": ["/var/lang/bin/python3.13", "-m", "pilotlight"],
        "WorkingDir": "/srv",
        "User": "993:990",
    }


def test_a_new_entry_point_does_not_get_the_base_s_command() -> None:
    settings = json.loads(image.append(BASE, [], Config(entrypoint=("/bin/x",))).config)["config"]
    assert settings["Entrypoint"] == ["/bin/x"]
    assert "Cmd" not in settings


def test_the_same_image_has_the_same_digest() -> None:
    """A constant: another Python or machine must not change it."""
    made = image.append(BASE, [CODE], Config(("inference/qa.handler",), (), {"Ä": "ö"}))
    assert made.digest == "sha256:a832932e3c27ab9d0e13b943834850bcd5ad42b9cea5c877a40e474e9831ef6d"


def test_the_time_of_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert json.loads(image.append(BASE, [CODE], Config()).config)["created"] == "2023-11-14T22:13:20Z"


def test_a_base_of_another_architecture_is_refused() -> None:
    with pytest.raises(ImageError) as refused:
        image.append(BASE, [CODE], Config(architecture="arm64"))
    name = f"public.ecr.aws/lambda/python:3.13@{THREE}"
    assert str(refused.value) == f"appending to {name}: it is for amd64, not arm64"
    assert refused.value.hint == "name a base image for arm64"


def test_an_image_over_lambda_s_limit_is_refused() -> None:
    model = CODE._replace(name="model", unpacked=limits.IMAGE - 1_000)
    assert image.append(BASE, [model], Config()).unpacked == limits.IMAGE
    with pytest.raises(ImageError) as refused:
        image.append(BASE, [model, CODE], Config())
    assert str(refused.value) == "the image has 10.7 GB unpacked, and Lambda takes 10.7 GB"
    assert refused.value.hint == "its model takes most, 10.7 GB"


def test_a_base_that_nobody_has_unpacked_counts_at_least_as_its_gzip() -> None:
    base = BASE._replace(layers=(BELOW._replace(unpacked=0, size=limits.IMAGE),))
    with pytest.raises(ImageError, match="Lambda takes") as refused:
        image.append(base, [CODE], Config())
    assert refused.value.hint == "a layer of the base image takes most, 10.7 GB"


def test_more_layers_than_can_be_mounted_are_refused() -> None:
    base = BASE._replace(layers=(BELOW,) * 127)
    with pytest.raises(ImageError, match="the image has 128 layers, and 127 can be mounted"):
        image.append(base, [CODE], Config())


def test_a_time_that_is_none_makes_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "now")
    with pytest.raises(UsageError):
        image.append(BASE, [CODE], Config())


def test_images_of_tests_are_real(tmp_path: Path) -> None:
    from pilotlight.bundle import layout
    from pilotlight.bundle.blobs import Blobs

    made = images.make(Blobs(tmp_path / "cache"))
    layout.write(made, tmp_path / "layout")
    images.recomputed(tmp_path / "layout")
