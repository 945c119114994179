"""What runs a function's package in a container: Pilotlight's loop, which streams, or AWS's client."""

import asyncio
import json
import zipfile
from pathlib import Path

import pytest
from containers import Podman, unpack
from runtime_listener import listening
from stand_in import TASK
from system_parts import BASE
from workshops import Workshop, checks

from conftest import write
from pilotlight import fronts
from pilotlight.bundle import reference, registry
from pilotlight.bundle.blobs import Blobs
from pilotlight.bundle.image import encode
from pilotlight.events import Request

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

_GATE = "/mnt/gate/open"
_LETTERS = f"""
    import os
    import time
    from collections.abc import Iterator

    from pilotlight import endpoint

    @endpoint
    def handler(word: str) -> Iterator[str]:
        for letter in word:
            yield letter
        for _ in range(6000):
            if os.path.exists("{_GATE}"):
                break
            time.sleep(0.01)
        yield "!"
"""
_PLAIN = """
    import sys

    def handler(event, context):
        return {"word": event["word"], "client": "awslambdaric" in sys.modules}
"""
_ANSWER = {"word": "grün", "client": True}
_EVENT = json.dumps({"word": "grün"}).encode()
_REQUEST = Request("POST", "/", "", (("content-type", "application/json"),), b'{"word": "sail"}')


@pytest.fixture(scope="module")
def letters(workshop: Workshop) -> Path:
    """A service whose function streams its answer: the letters of a word, and, when a gate is open, an end."""
    return workshop.settle(write(workshop.folder / "letters", {"inference/letters.py": _LETTERS}))


@pytest.fixture(scope="module")
def plain(workshop: Workshop, bare: str) -> Path:
    """A service with a plain handler, which AWS's client runs, upon a base that is not AWS's; the package has it."""
    events = {"events/ask.json": _EVENT.decode()}
    files = {"inference/ask.py": _PLAIN, "requirements.txt": "awslambdaric\n", **events}
    service = write(workshop.folder / "plain", files)
    return workshop._replace(base=bare).settle(service, '[functions.ask]\nruntime = "awslambdaric"\n')


def test_an_image_streams_while_the_function_runs(
    workshop: Workshop, letters: Path, podman: Podman, tmp_path: Path
) -> None:
    told = workshop.build(letters, "letters", "--package", "image", "--out", str(tmp_path))
    name = podman("pull", "--quiet", f"oci:{told['artifact']['location']}")
    asyncio.run(_stream(podman, tmp_path, name))


def test_a_zip_streams_while_the_function_runs(
    workshop: Workshop, letters: Path, podman: Podman, tmp_path: Path
) -> None:
    artifact = workshop.build(letters, "letters", "--package", "zip", "--out", str(tmp_path))["artifact"]
    with zipfile.ZipFile(artifact["location"]) as file:
        unpack(file, tmp_path / "task")
    variables = (f"--env={name}={value}" for name, value in artifact["environment"].items())
    options = (f"--volume={tmp_path / 'task'}:{TASK}:ro", *variables)
    asyncio.run(_stream(podman, tmp_path, BASE, artifact["handler"], options=options))


async def _stream(podman: Podman, folder: Path, image: str, *command: str, options: tuple[str, ...] = ()) -> None:
    """The gate is opened when all that comes before it is here: nothing was kept back until the end."""
    gate = folder / "gate"
    gate.mkdir()
    async with listening() as lambda_:
        here = ("--network=host", f"--env=AWS_LAMBDA_RUNTIME_API={lambda_.address}", f"--volume={gate}:/mnt/gate:ro")
        with podman.container(image, *command, options=(*here, *options)) as container:
            answer = await lambda_.stream(json.dumps(fronts.to_url(_REQUEST)).encode())
            assert answer.head.status == 200
            read = b""
            while read != b"sail":
                read += await asyncio.wait_for(anext(answer.chunks), 120)
            (gate / "open").touch()
            assert [chunk async for chunk in answer.chunks] == [b"!"], container.log()
            assert (await lambda_.whole()).error == ""


@pytest.fixture(scope="module")
def bare(workshop: Workshop) -> str:
    """The stand-in as other bases are: it starts nothing, and no runtime is in the place of AWS's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONFIG", str(workshop.folder))
        blobs, name = Blobs(workshop.folder / "blobs"), f"{workshop.registry.address}/bare:1"
        base = registry.pull(reference.parse(workshop.base), workshop.architecture, blobs)
        config = json.loads(base.config)
        del config["config"]["Entrypoint"]
        registry.push(base._replace(config=encode(config)), reference.parse(name), blobs)
    return name


def test_an_image_upon_a_base_that_starts_nothing_starts_aws_s_client(
    workshop: Workshop, plain: Path, podman: Podman, tmp_path: Path
) -> None:
    told = workshop.build(plain, "ask", "--package", "image", "--out", str(tmp_path))
    assert checks(told) == {"passed"}
    name = podman("pull", "--quiet", f"oci:{told['artifact']['location']}")
    with podman.emulated(name) as container:
        assert json.loads(container.invoke(_EVENT).text) == _ANSWER


def test_a_dockerfile_upon_such_a_base_starts_it_too(
    workshop: Workshop, plain: Path, podman: Podman, tmp_path: Path
) -> None:
    workshop.build(plain, "ask", "--dockerfile", str(tmp_path / "docker"))
    access = ("--tls-verify=false", "--authfile", workshop.registry.settings)
    podman("build", "--quiet", *access, "--tag", "localhost/from-dockerfile", tmp_path / "docker")
    with podman.emulated("localhost/from-dockerfile") as container:
        assert json.loads(container.invoke(_EVENT).text) == _ANSWER
