"""Fixtures of tests that need parts of a system: a root, containers, registries. tests/conftest.py registers them."""

import base64
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import stand_in
from confined import write_interpreter
from containers import Podman
from registries import PASSWORD, USER, basic, docker_registry
from workshops import Registry, Workshop

import pilotlight

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
    return stand_in.made(stand_in.NATIVE)


@pytest.fixture(scope="session")
def foreign_trixie(as_root: None) -> Path:
    """The same for the other architecture, whose programs qemu runs."""
    return stand_in.made(stand_in.FOREIGN)


@pytest.fixture(scope="session")
def podman(trixie: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Podman with the stand-in as image `BASE`, and nothing else."""
    folder = tmp_path_factory.mktemp("podman")
    podman = Podman(folder)
    podman.import_root(trixie, BASE)
    yield podman
    podman.close()
    shutil.rmtree(folder)


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


@pytest.fixture(scope="session")
def workshop(registry: Registry, trixie: Path, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Where packages are built upon the stand-in, and proven by its Python."""
    folder = tmp_path_factory.mktemp("workshop")
    (folder / "tmp").mkdir()
    shutil.copy(registry.settings, folder / "config.json")
    python = folder / "bin" / f"python{stand_in.PYTHON}"
    write_interpreter(python, trixie, folder, Path(pilotlight.__file__).parent)
    return Workshop(folder, registry, f"{registry.address}/{NAME}", stand_in.NATIVE, python)


@pytest.fixture(scope="session")
def question_answering(workshop: Workshop) -> Path:
    """The service as it is packed in most tests; it keeps no records, as nothing is reached from a container."""
    return workshop.question_answering("service")
