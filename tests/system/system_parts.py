"""Fixtures of tests that need parts of a system: a root, containers, registries. tests/conftest.py registers them."""

import base64
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import stand_in
from containers import Podman
from registries import PASSWORD, USER, basic, docker_registry

NAME = "lambda/python:3.13"
BASE = f"localhost/{NAME}"  # the stand-in's name among podman's images


@pytest.fixture(scope="session")
def as_root() -> None:
    """Roots and containers are made as root alone."""
    if os.geteuid() != 0:
        pytest.skip("debootstrap, mounts and podman's control groups need root")


@pytest.fixture(scope="session")
def trixie(as_root: None) -> Path:
    """A root file system with Lambda's Python, its runtime client and its emulator, for this machine."""
    return stand_in.made("x86_64")


@pytest.fixture(scope="session")
def trixie_arm64(as_root: None) -> Path:
    """The same for arm64, whose programs qemu runs."""
    return stand_in.made("arm64")


@pytest.fixture(scope="session")
def podman(trixie: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Podman with the stand-in as image `BASE`, and nothing else."""
    folder = tmp_path_factory.mktemp("podman")
    podman = Podman(folder)
    podman.import_root(trixie, BASE)
    yield podman
    podman.close()
    shutil.rmtree(folder)


class Registry(NamedTuple):
    """A registry on loopback that knows one user; `settings` is a docker config.json with their password."""

    address: str
    settings: Path


@pytest.fixture(scope="session")
def registry(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that has the stand-in as lambda/python:3.13."""
    folder = tmp_path_factory.mktemp("registry")
    with docker_registry(folder / "served", basic(folder / "users")) as address:
        registry = Registry(address, folder / "config.json")
        known = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        registry.settings.write_text(json.dumps({"auths": {address: {"auth": known}}}), encoding="utf-8")
        podman("push", "--quiet", "--tls-verify=false", "--authfile", registry.settings, BASE, f"{address}/{NAME}")
        yield registry
