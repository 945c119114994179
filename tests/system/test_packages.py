"""A service is built, pushed, pulled and run in a container, as a package of each kind, and answers as it does here."""

import gzip
import hashlib
import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from confined import write_interpreter
from containers import Container, Podman, unpack
from stand_in import FOREIGN, TASK
from system_parts import BASE
from workshops import EXAMPLE, Workshop, checks

import pilotlight
from conftest import RunningServer

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]  # libraries are fetched, and qemu is slow

_EVENT = (EXAMPLE / "events" / "qa.json").read_bytes()
_ELF = {"x86_64": 62, "arm64": 183}  # e_machine in the header
_PIECE = 1 << 20


@pytest.fixture(scope="module")
def pushed(workshop: Workshop, question_answering: Path) -> dict[str, Any]:
    return workshop.build(question_answering, "qa", "--push", f"{workshop.registry.address}/qa:1")


@pytest.fixture(scope="module")
def zipped(workshop: Workshop, question_answering: Path) -> dict[str, Any]:
    return workshop.build(question_answering, "qa", "--package", "zip", "--out", str(workshop.folder / "zip"))


@pytest.fixture
def answer_here(question_answering: Path, start_server: Callable[..., RunningServer]) -> dict[str, Any]:
    """What `pilotlight serve` answers."""
    server = start_server(question_answering)
    request = Request(f"{server.url}/qa", _EVENT, {"content-type": "application/json"})
    with urlopen(request, timeout=60) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def test_every_check_of_the_image_has_passed(pushed: dict[str, Any]) -> None:
    assert checks(pushed) == {"passed"}
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
        assert (task / name).read_bytes() == (EXAMPLE / name).read_bytes()
    files = [path for path in task.rglob("*") if path.is_file()]
    assert {(path.stat().st_uid, path.stat().st_mode & 0o7777) for path in files} <= {(0, 0o644), (0, 0o755)}
    shutil.rmtree(tmp_path / "bundle")


def test_the_pulled_image_answers_as_serve_does(
    pushed: dict[str, Any], workshop: Workshop, podman: Podman, answer_here: dict[str, Any]
) -> None:
    name = f"{workshop.registry.address}/qa@{pushed['artifact']['digest']}"
    podman("pull", "--quiet", "--tls-verify=false", "--authfile", workshop.registry.settings, name)
    with podman.emulated(name, memory=256) as container:
        _compare(container, answer_here)


def test_podman_loads_the_archive_which_answers_as_serve_does(
    pushed: dict[str, Any],
    workshop: Workshop,
    question_answering: Path,
    podman: Podman,
    answer_here: dict[str, Any],
    tmp_path: Path,
) -> None:
    """In place of `docker load`, whose format it reads: no Docker engine runs in the tests."""
    told = workshop.build(question_answering, "qa", "--package", "image", "--format", "archive", "--out", str(tmp_path))
    assert told["artifact"]["digest"] == pushed["artifact"]["digest"]
    loaded = podman("load", "--input", tmp_path / "qa.tar")
    assert loaded == "Loaded image: localhost/service--qa:latest"
    with podman.emulated("localhost/service--qa:latest", memory=256) as container:
        _compare(container, answer_here)


def test_aws_s_client_in_the_image_answers_as_serve_does(
    workshop: Workshop, podman: Podman, answer_here: dict[str, Any], tmp_path: Path
) -> None:
    """The base starts it, by its emulator."""
    service = workshop.question_answering("by-awslambdaric", 'runtime = "awslambdaric"')
    told = workshop.build(service, "qa", "--package", "image", "--out", str(tmp_path))
    assert checks(told) == {"passed"}
    name = podman("pull", "--quiet", f"oci:{told['artifact']['location']}")
    settings = json.loads(podman("inspect", name))[0]["Config"]
    assert (settings["Entrypoint"], settings["Cmd"]) == (["/lambda-entrypoint.sh"], ["inference/qa.handler"])
    with podman.container(name, memory=256) as container:
        _compare(container, answer_here)
        assert b"awslambdaric" in container.command_lines()


def test_the_unpacked_zip_answers_as_serve_does(
    zipped: dict[str, Any], podman: Podman, answer_here: dict[str, Any], tmp_path: Path
) -> None:
    assert checks(zipped) == {"passed"}
    artifact = zipped["artifact"]
    with zipfile.ZipFile(artifact["location"]) as file:
        unpack(file, tmp_path / "task")
    variables = tuple(f"--env={name}={value}" for name, value in artifact["environment"].items())
    options = (f"--volume={tmp_path / 'task'}:{TASK}:ro", *variables)
    with podman.container(BASE, artifact["handler"], options=options, memory=256) as container:
        _compare(container, answer_here)


def test_a_package_for_another_architecture_answers_under_qemu(
    workshop: Workshop, question_answering: Path, foreign_trixie: Path
) -> None:
    python = workshop.folder / "other bin" / "python3.13"
    write_interpreter(python, foreign_trixie, workshop.folder, Path(pilotlight.__file__).parent)
    target = ("--target", f"3.13-{FOREIGN}", "--package", "zip", "--out", str(workshop.folder / "other"))
    told = workshop.build(question_answering, "qa", "--python", str(python), *target)
    assert checks(told) == {"passed"}
    with zipfile.ZipFile(told["artifact"]["location"]) as file:
        heads = [file.read(name)[:20] for name in file.namelist() if ".so" in Path(name).suffixes]
    assert heads
    assert {int.from_bytes(head[18:20], "little") for head in heads} == {_ELF[FOREIGN]}


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
