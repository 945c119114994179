"""Containers of podman, as much like Lambda's execution environments as it can make them."""

import contextlib
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stand_in import TASK, VARIABLES

_HERE = Path(__file__).parent
EMULATOR = "/usr/local/bin/aws-lambda-rie"
_TMP = "rw,nosuid,nodev,mode=1777,size=512m"
CONFINED = (  # what Lambda lets a function do: docs.aws.amazon.com/lambda/latest/dg/images-create.html
    *("--read-only", "--read-only-tmpfs=false", f"--tmpfs=/tmp:{_TMP}"),
    *("--user", "993:990", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
)


class Answer(NamedTuple):
    """What the emulator in a container answered, and how many seconds that took."""

    seconds: float
    text: str


class Podman:
    """Podman with images and containers of its own, below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environ = _settings(folder)

    def __call__(self, *arguments: object) -> str:
        """Run a command of podman's; what it wrote. Raises RuntimeError with what it complained of."""
        done = self.run(*arguments)
        if done.returncode:
            raise RuntimeError(f"podman {arguments[0]} ended with status {done.returncode}: {done.stderr}")
        return done.stdout.strip()

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = ["podman", *map(str, arguments)]
        # Where podman is run, its monitor leaves a file named "oom" for a container that was ended for its memory.
        return subprocess.run(command, cwd=self.folder, env=self._environ, capture_output=True, text=True, timeout=600)

    def import_root(self, root: Path, name: str) -> None:
        """An image of one layer, with what AWS's base image for Python says of itself."""
        tar = ["tar", "--create", "--directory", str(root), "--one-file-system", "."]
        settings = (*(f"ENV {name}={value}" for name, value in VARIABLES.items()), f"WORKDIR {TASK}")
        changes = (*settings, 'ENTRYPOINT ["/lambda-entrypoint.sh"]')
        command = ["podman", "import", "--quiet", *(f"--change={change}" for change in changes), "-", name]
        with subprocess.Popen(tar, stdout=subprocess.PIPE) as source:
            subprocess.run(command, env=self._environ, stdin=source.stdout, check=True, timeout=600)
        assert source.returncode == 0

    @contextlib.contextmanager
    def container(
        self, image: str, *command: str, options: tuple[str, ...] = (), memory: int = 512
    ) -> "Iterator[Container]":
        """A running container that is held to `memory` MiB; gone at the end, whatever has become of it."""
        limits = (f"--memory={memory}m", f"--memory-swap={memory}m")
        name = self("run", "--detach", *CONFINED, *limits, *options, image, *command)
        try:
            yield Container(self, name)
        finally:
            self("rm", "--force", "--time", 0, name)

    def emulated(
        self, image: str, *, options: tuple[str, ...] = (), memory: int = 512
    ) -> "contextlib.AbstractContextManager[Container]":
        """A container whose own command is run by the emulator, which takes invocations from outside."""
        settings = json.loads(self("inspect", image))[0]["Config"]
        command = (*(settings["Entrypoint"] or ()), *settings["Cmd"])
        return self.container(image, *command, options=(f"--entrypoint={EMULATOR}", *options), memory=memory)

    def close(self) -> None:
        """Stop and remove every container."""
        self("rm", "--all", "--force", "--time", 0)


class Container(NamedTuple):
    podman: Podman
    name: str

    def invoke(self, event: bytes, port: int = 8080) -> Answer:
        """Send an event to the emulator within, by the container's own network."""
        state = self._state()
        if not state["Running"]:
            raise RuntimeError(f"the container has ended with status {state['ExitCode']}: {self.log()}")
        command = ["nsenter", f"--net=/proc/{state['Pid']}/ns/net", sys.executable, str(_HERE / "post.py"), str(port)]
        done = subprocess.run(command, input=event, capture_output=True, timeout=120)
        if done.returncode:
            raise RuntimeError(f"{done.stderr.decode()} {self.log()}")
        return Answer(*json.loads(done.stdout))

    def wait(self) -> int:
        """Its exit status, when it has ended. `podman wait` would take 20 s, as podman's state is in no usual place."""
        while (state := self._state())["Running"]:
            time.sleep(0.05)
        return int(state["ExitCode"])

    def command_lines(self) -> bytes:
        """Of all its processes, whose words end with zero bytes."""
        return self.podman.run("exec", self.name, "sh", "-c", "cat /proc/[0-9]*/cmdline").stdout.encode()

    def _state(self) -> Mapping[str, Any]:
        [found] = json.loads(self.podman("inspect", self.name))
        state: Mapping[str, Any] = found["State"]
        return state

    def log(self) -> str:
        done = self.podman.run("logs", self.name)
        return done.stdout + done.stderr


def unpack(file: zipfile.ZipFile, folder: Path) -> None:
    """With the modes that the zip has, as Lambda does."""
    for entry in file.infolist():
        path = Path(file.extract(entry, folder))
        path.chmod(entry.external_attr >> 16 & 0o777 if not entry.is_dir() else 0o755)


def _settings(folder: Path) -> Mapping[str, str]:
    """Variables that point podman at the settings here, filled in for `folder`."""
    for name in ("copies", "settings"):
        (folder / name).mkdir(parents=True)
    values = {"folder": str(folder), "driver": _driver(folder)}
    variables = {"containers.conf": "CONTAINERS_CONF", "storage.conf": "CONTAINERS_STORAGE_CONF"}
    for name in variables:
        text = (_HERE / name).read_text(encoding="utf-8").format_map(values)
        (folder / "settings" / name).write_text(text, encoding="utf-8")
    paths = {variable: str(folder / "settings" / name) for name, variable in variables.items()}
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder), **paths}


def _driver(folder: Path) -> str:
    """Overlay, or copies where the file system of `folder` is such an overlay itself, as within many containers."""
    for name in ("low", "over", "work", "all"):
        (folder / "trial" / name).mkdir(parents=True)
    mount = ["mount", "-t", "overlay", "-o", "lowerdir=low,upperdir=over,workdir=work", "overlay", "all"]
    done = subprocess.run(["unshare", "--mount", *mount], cwd=folder / "trial", capture_output=True)
    return "vfs" if done.returncode else "overlay"
