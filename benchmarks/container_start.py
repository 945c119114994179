"""The question-answering service's image in a container: cold start and warm answers, next to `pilotlight serve`.

    python benchmarks/container_start.py [--runs 15]

It needs root and what `.ci/run` installs. The image is built on the tests' stand-in for Lambda's base image (Debian
trixie, CPython 3.13) and runs as on Lambda: read-only, as another user, held to 1769 MB. In the container AWS's runtime
interface emulator starts the runtime when the first event comes, so the first answer of a fresh container is a cold
start, as is the first of a fresh server, whose functions run under this interpreter. Both have the saved event.
"""

import argparse
import contextlib
import http.client
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import machine

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "system")]

import stand_in  # noqa: E402
from confined import write_interpreter  # noqa: E402
from containers import Podman  # noqa: E402

EXAMPLE = ROOT / "examples" / "question_answering"
EVENT = (EXAMPLE / "events" / "qa.json").read_bytes()
EMULATOR = "--entrypoint=/usr/local/bin/aws-lambda-rie"
WARM = 10  # answers after the first


class Times(NamedTuple):
    """Seconds to the first answer, and the least of the next."""

    cold: float
    warm: float


def build(folder: Path, podman: Podman) -> str:
    """The image's id in podman."""
    stand_in.make(stand_in.NATIVE)
    podman.import_root(stand_in.made(stand_in.NATIVE), "localhost/base")
    podman("push", "--quiet", "localhost/base", f"oci:{folder}/base:latest")
    service = folder / "service"
    shutil.copytree(EXAMPLE, service, ignore=shutil.ignore_patterns(".pilotlight", "train", "textgen"))
    settings = (EXAMPLE / "pilotlight.toml").read_text(encoding="utf-8").replace("records = true", "records = false")
    base = f'\n[build]\narchitecture = "{stand_in.NATIVE}"\nbase_image = "oci:{folder}/base:latest"\n'
    (service / "pilotlight.toml").write_text(settings + base, encoding="utf-8")
    python = folder / "python3.13"
    write_interpreter(python, stand_in.made(stand_in.NATIVE), folder, ROOT / "src")
    arguments = [
        "build",
        "qa",
        "--dir",
        str(service),
        "--package",
        "image",
        "--python",
        str(python),
        "--out",
        str(folder),
    ]
    environ = {**machine.environ(), "TMPDIR": str(folder), "PILOTLIGHT_CACHE": str(folder / "cache")}
    subprocess.run([sys.executable, "-m", "pilotlight", *arguments], env=environ, check=True)
    return podman("pull", "--quiet", f"oci:{folder}/qa.oci:latest")


def in_container(podman: Podman, image: str) -> Times:
    settings = json.loads(podman("inspect", image))[0]["Config"]
    command = (*settings["Entrypoint"], *settings["Cmd"])
    with podman.container(image, *command, options=(EMULATOR,), memory=1769) as container:
        times = [container.invoke(EVENT).seconds for _ in range(1 + WARM)]
    return Times(times[0], min(times[1:]))


@contextlib.contextmanager
def served(service: Path) -> Iterator[int]:
    """The port of a server of the service."""
    command = [sys.executable, "-m", "pilotlight", "serve", str(service), "--json", "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=machine.environ()
    )
    assert process.stdout is not None
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    reader = threading.Thread(target=lambda: [lines.put(line) for line in process.stdout or ()], daemon=True)
    reader.start()
    try:
        while (line := json.loads(lines.get(timeout=60)))["event"] != "listening":
            pass
        time.sleep(2)  # the functions' schemas are read meanwhile, in processes of their own
        yield int(line["url"].rpartition(":")[2])
    finally:
        process.terminate()
        process.wait(60)


def here(service: Path) -> Times:
    with served(service) as port:
        times = [post(port) for _ in range(1 + WARM)]
    return Times(times[0], min(times[1:]))


def post(port: int) -> float:
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/qa", EVENT, {"content-type": "application/json"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    if response.status != 200 or "answer" not in answer:
        sys.exit(f"serve answered {response.status}: {answer}")
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=15)
    runs = range(parser.parse_args().runs)
    if os.geteuid() != 0:
        sys.exit("containers need root here")
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        podman = Podman(folder / "podman")
        try:
            image = build(folder, podman)
            pairs = [(in_container(podman, image), here(folder / "service")) for _ in runs]
        finally:
            podman.close()
    report([pair[0] for pair in pairs], [pair[1] for pair in pairs])


def report(container: list[Times], server: list[Times]) -> None:
    machine.write(
        "container_start",
        [
            "# A packaged service in a container",
            "",
            f"{len(container)} of each, in turn, with a warm page cache. The question-answering service's image,",
            "read-only, as another user, through AWS's runtime interface emulator, with CPython 3.13;",
            "`pilotlight serve` with this machine's Python.",
            "",
            "| milliseconds | median | least | most |",
            "|---|---|---|---|",
            machine.row("first answer of a fresh container", [each.cold for each in container]),
            machine.row("first answer of a fresh server", [each.cold for each in server]),
            machine.row("a warm answer in the container", [each.warm for each in container]),
            machine.row("a warm answer of the server", [each.warm for each in server]),
        ],
        ("onnxruntime",),
    )


if __name__ == "__main__":
    main()
