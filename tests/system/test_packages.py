"""A service is built, pushed, pulled and run in a container, as a package of each kind, and answers as it does here."""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import pytest
from confined import write_interpreter
from containers import Container, Podman
from stand_in import TASK
from system_parts import BASE, NAME, Registry

import pilotlight
from conftest import RunningServer

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]  # libraries are fetched, and qemu is slow

_EXAMPLE = Path(__file__).parents[2] / "examples" / "question_answering"
_EVENT = (_EXAMPLE / "events" / "qa.json").read_bytes()
_AARCH64 = 183  # e_machine, ELF header
_EMULATOR = "/usr/local/bin/aws-lambda-rie"
_PIECE = 1 << 20


class Workshop(NamedTuple):
    """A copy of the service, and what `pilotlight build` needs beside it; all below one folder, that of containers."""

    folder: Path
    registry: Registry

    def build(self, *arguments: str) -> dict[str, Any]:
        """What `pilotlight build qa --json` tells. Raises AssertionError with what it complained of."""
        command = [sys.executable, "-m", "pilotlight", "build", "qa", "--dir", str(self.folder / "service"), "--json"]
        done = subprocess.run([*command, *arguments], env=self._variables(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def _variables(self) -> Mapping[str, str]:
        own = {"TMPDIR": self.folder / "tmp", "PILOTLIGHT_CACHE": self.folder / "cache"}
        return {**os.environ, **{name: str(path) for name, path in own.items()}, "DOCKER_CONFIG": str(self.folder)}


@pytest.fixture(scope="module")
def workshop(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The question-answering service; its answers are not recorded, as nothing is reached from a container."""
    folder = tmp_path_factory.mktemp("workshop")
    shutil.copytree(_EXAMPLE, folder / "service", ignore=shutil.ignore_patterns(".pilotlight", "train", "textgen"))
    settings = (_EXAMPLE / "pilotlight.toml").read_text(encoding="utf-8").replace("records = true", "records = false")
    settings += f'\n[build]\nbase_image = "{registry.address}/{NAME}"\n'
    (folder / "service" / "pilotlight.toml").write_text(settings, encoding="utf-8")
    (folder / "tmp").mkdir()
    shutil.copy(registry.settings, folder / "config.json")
    return Workshop(folder, registry)


@pytest.fixture(scope="module")
def python(workshop: Workshop, trixie: Path) -> str:
    path = workshop.folder / "bin" / "python3.13"
    write_interpreter(path, trixie, workshop.folder, Path(pilotlight.__file__).parent)
    return str(path)


@pytest.fixture(scope="module")
def pushed(workshop: Workshop, python: str) -> dict[str, Any]:
    address = workshop.registry.address
    return workshop.build("--python", python, "--push", f"{address}/qa:1", "--plain-http", address)


@pytest.fixture(scope="module")
def zipped(workshop: Workshop, python: str) -> dict[str, Any]:
    return workshop.build("--python", python, "--package", "zip", "--out", str(workshop.folder / "zip"))


@pytest.fixture
def answer_here(workshop: Workshop, start_server: Callable[..., RunningServer]) -> dict[str, Any]:
    """What `pilotlight serve` answers."""
    server = start_server(workshop.folder / "service")
    request = Request(f"{server.url}/qa", _EVENT, {"content-type": "application/json"})
    with urlopen(request, timeout=60) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def test_every_check_of_the_image_has_passed(pushed: dict[str, Any]) -> None:
    assert _checks(pushed) == {"passed"}
    assert pushed["artifact"]["kind"] == "image"


def test_every_digest_of_the_pushed_image_is_that_of_its_content(
    pushed: dict[str, Any], workshop: Workshop, tmp_path: Path
) -> None:
    _pull(workshop, tmp_path)
    blobs = tmp_path / "image" / "blobs" / "sha256"
    assert all(_digest(path) == path.name for path in blobs.iterdir())
    [listed] = json.loads((tmp_path / "image" / "index.json").read_bytes())["manifests"]
    assert listed["digest"] == pushed["artifact"]["digest"]
    manifest = _blob(blobs, listed)
    layers = [blobs / each["digest"].removeprefix("sha256:") for each in manifest["layers"]]
    assert [path.stat().st_size for path in layers] == [each["size"] for each in manifest["layers"]]
    assert _blob(blobs, manifest["config"])["rootfs"]["diff_ids"] == [f"sha256:{_tar_digest(path)}" for path in layers]


def test_umoci_unpacks_the_pushed_image(pushed: dict[str, Any], workshop: Workshop, tmp_path: Path) -> None:
    _pull(workshop, tmp_path)
    _run("umoci", "unpack", "--image", f"{tmp_path}/image:1", str(tmp_path / "bundle"))
    task = tmp_path / "bundle" / "rootfs" / "var" / "task"
    for name in ("inference/qa.py", "models/qa/model.onnx"):
        assert (task / name).read_bytes() == (_EXAMPLE / name).read_bytes()
    files = [path for path in task.rglob("*") if path.is_file()]
    assert {(path.stat().st_uid, path.stat().st_mode & 0o7777) for path in files} <= {(0, 0o644), (0, 0o755)}
    shutil.rmtree(tmp_path / "bundle")


def test_the_pulled_image_answers_as_serve_does(
    pushed: dict[str, Any], workshop: Workshop, podman: Podman, answer_here: dict[str, Any]
) -> None:
    name = f"{workshop.registry.address}/qa@{pushed['artifact']['digest']}"
    podman("pull", "--quiet", "--tls-verify=false", "--authfile", workshop.registry.settings, name)
    settings = json.loads(podman("inspect", name))[0]["Config"]
    command = (*settings["Entrypoint"], *settings["Cmd"])
    with podman.container(name, *command, options=(f"--entrypoint={_EMULATOR}",), memory=256) as container:
        _compare(container, answer_here)


def test_the_unpacked_zip_answers_as_serve_does(
    zipped: dict[str, Any], podman: Podman, answer_here: dict[str, Any], tmp_path: Path
) -> None:
    assert _checks(zipped) == {"passed"}
    artifact = zipped["artifact"]
    with zipfile.ZipFile(artifact["location"]) as file:
        _unpack(file, tmp_path / "task")
    variables = tuple(f"--env={name}={value}" for name, value in artifact["environment"].items())
    options = (f"--volume={tmp_path / 'task'}:{TASK}:ro", *variables)
    with podman.container(BASE, artifact["handler"], options=options, memory=256) as container:
        _compare(container, answer_here)


def test_a_package_for_arm64_answers_under_qemu(workshop: Workshop, trixie_arm64: Path) -> None:
    python = workshop.folder / "bin-arm64" / "python3.13"
    write_interpreter(python, trixie_arm64, workshop.folder, Path(pilotlight.__file__).parent)
    target = ("--target", "3.13-arm64", "--package", "zip", "--out", str(workshop.folder / "arm64"))
    told = workshop.build("--python", str(python), *target)
    assert _checks(told) == {"passed"}
    with zipfile.ZipFile(told["artifact"]["location"]) as file:
        heads = [file.read(name)[:20] for name in file.namelist() if ".so" in Path(name).suffixes]
    assert heads
    assert {int.from_bytes(head[18:20], "little") for head in heads} == {_AARCH64}


def _checks(told: Mapping[str, Any]) -> set[str]:
    """What all checks found; a check that was not made is no "passed"."""
    return {check["status"] for check in told["checks"]}


def _compare(container: Container, expected: Mapping[str, Any]) -> None:
    """Cold and warm, the container's answer is the expected one; the score as far as another processor's may differ."""
    for _ in range(2):
        answer = json.loads(container.invoke(_EVENT).text)
        assert answer == {**expected, "score": pytest.approx(expected["score"], rel=1e-4)}, container.log()


def _pull(workshop: Workshop, folder: Path) -> None:
    source = f"docker://{workshop.registry.address}/qa:1"
    access = ("--src-tls-verify=false", "--src-authfile", str(workshop.registry.settings))
    _run("skopeo", "copy", "--quiet", *access, source, f"oci:{folder}/image:1")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


def _blob(blobs: Path, described: Mapping[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((blobs / described["digest"].removeprefix("sha256:")).read_bytes())
    return document


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tar_digest(path: Path) -> str:
    digest = hashlib.sha256()
    with gzip.open(path) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _unpack(file: zipfile.ZipFile, folder: Path) -> None:
    """With the modes that the zip has, as Lambda does."""
    for entry in file.infolist():
        path = Path(file.extract(entry, folder))
        path.chmod(entry.external_attr >> 16 & 0o777 if not entry.is_dir() else 0o755)
