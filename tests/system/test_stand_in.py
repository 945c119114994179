"""The ground that tests of packages stand on: what is there in place of Lambda's base image, and what it holds to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from confined import confined, write_interpreter
from containers import Podman
from stand_in import FOREIGN, MACHINES, TASK, VARIABLES
from system_parts import BASE, NAME, Registry

import pilotlight
from conftest import write

pytestmark = pytest.mark.system

_HANDLER = """
    import os, sys

    def handler(event, context):
        return {"event": event, "python": sys.version_info[:2], "user": [os.getuid(), os.getgid()]}
"""
_ANSWER = {"event": {"word": "grün"}, "python": [3, 13], "user": [993, 990]}
_EVENT = json.dumps({"word": "grün"}).encode()
_PACKAGE = Path(pilotlight.__file__).parent
_LOOP = ("/usr/local/bin/aws-lambda-rie", "/var/lang/bin/python3.13", "-c")
_RESTRICTIONS = """
    import errno, json, os, socket

    def refused(action):
        try:
            action()
        except OSError as error:
            return errno.errorcode[error.errno]
        return "allowed"

    print(json.dumps({
        "task": refused(lambda: open("/var/task/new", "w")),
        "system": refused(lambda: open("/usr/new", "w")),
        "temporary": refused(lambda: open("/tmp/new", "w")),
        "shared memory": os.path.exists("/dev/shm"),
        "root": refused(lambda: os.setuid(0)),
        "others": sorted(name for name in os.listdir("/proc") if name.isdigit()) == [str(os.getpid())],
    }))
"""


def _task(folder: Path, source: str = _HANDLER) -> Path:
    return write(folder / "task", {"inference/probe.py": source})


def _mounted(*folders: tuple[Path, str]) -> tuple[str, ...]:
    return tuple(f"--volume={folder}:{place}:ro" for folder, place in folders)


def test_awslambdaric_answers_in_the_stand_in(podman: Podman, tmp_path: Path) -> None:
    options = _mounted((_task(tmp_path), TASK))
    with podman.container(BASE, "inference/probe.handler", options=options) as container:
        assert json.loads(container.invoke(_EVENT).text) == _ANSWER


def test_our_loop_answers_in_the_stand_in(podman: Podman, tmp_path: Path) -> None:
    loop = "from pilotlight.function.runtime import main; main()"
    mounts = _mounted((_task(tmp_path), TASK), (_PACKAGE, "/opt/python/pilotlight"))
    variables = ("--env=PYTHONPATH=/opt/python", "--env=_HANDLER=inference/probe.handler", "--entrypoint=")
    with podman.container(BASE, *_LOOP, loop, options=(*mounts, *variables)) as container:
        assert json.loads(container.invoke(_EVENT).text) == _ANSWER


def test_a_script_of_the_function_wraps_the_runtime_as_on_lambda(podman: Podman, tmp_path: Path) -> None:
    task = _task(tmp_path, "import os\n\ndef handler(event, context):\n    return os.environ['WRAPPED']\n")
    (task / "wrap").write_text('#!/bin/sh\nWRAPPED="$*" exec "$@"\n')
    (task / "wrap").chmod(0o755)
    options = (*_mounted((task, TASK)), f"--env=AWS_LAMBDA_EXEC_WRAPPER={TASK}/wrap")
    with podman.container(BASE, "inference/probe.handler", options=options) as container:
        command = "/var/lang/bin/python3.13 -m awslambdaric inference/probe.handler"
        assert json.loads(container.invoke(b"{}").text) == command


def test_a_container_may_do_what_a_function_may(podman: Podman, tmp_path: Path) -> None:
    options = (*_mounted((_task(tmp_path, _RESTRICTIONS), TASK)), "--entrypoint=")
    with podman.container(BASE, "/var/lang/bin/python3.13", "inference/probe.py", options=options) as container:
        assert container.wait() == 0
        assert json.loads(container.log()) == {
            "task": "EROFS",
            "system": "EROFS",
            "temporary": "allowed",
            "shared memory": False,
            "root": "EPERM",
            "others": True,
        }


def test_a_container_ends_when_it_takes_more_memory_than_it_has(podman: Podman) -> None:
    program = ("/var/lang/bin/python3.13", "-c", "bytes(range(256)) * 1_000_000")
    with podman.container(BASE, *program, options=("--entrypoint=",), memory=64) as container:
        assert container.wait() == 137


def test_containers_leave_nothing_behind(podman: Podman) -> None:
    with podman.container(BASE, "sleep", "600", options=("--entrypoint=",)) as container:
        state = json.loads(podman("inspect", container.name))[0]["State"]
        assert os.path.exists(f"/proc/{state['Pid']}")
        assert [line for line in _mounts() if str(podman.folder) in line]
    assert podman("ps", "--all", "--quiet") == ""
    assert not os.path.exists(f"/proc/{state['Pid']}")
    assert not [line for line in _mounts() if str(podman.folder) in line]


def test_a_confined_program_sees_the_root_and_its_folders(trixie: Path, tmp_path: Path) -> None:
    task = _task(tmp_path, _RESTRICTIONS)
    (tmp_path / "secret").write_text("not for functions")
    command = confined(trixie, {TASK: task}, "python3.13", f"{TASK}/inference/probe.py")
    assert json.loads(_output(command)) == {
        "task": "EROFS",
        "system": "EROFS",
        "temporary": "allowed",
        "shared memory": True,
        "root": "EPERM",
        "others": True,
    }
    program = f"import os; print(os.path.exists({str(tmp_path)!r}), os.path.exists({sys.prefix!r}), os.getuid())"
    assert _output(confined(trixie, {TASK: task}, "python3.13", "-c", program)) == "False False 993\n"
    assert not [line for line in _mounts() if str(trixie) in line]


def test_the_root_s_python_may_be_an_interpreter_of_this_machine(trixie: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o700)
    python = tmp_path / "bin" / "python3.13"
    write_interpreter(python, trixie, shared)
    program = "import os, sys; print(sys.version_info[:2], os.getcwd(), sys.stdin.read()); open('made', 'w')"
    done = subprocess.run([python, "-I", "-c", program], cwd=shared, input="said", stdout=subprocess.PIPE, text=True)
    assert (done.returncode, done.stdout) == (0, f"(3, 13) {shared} said\n")
    assert (shared / "made").exists()


def test_a_confined_program_of_another_architecture_is_emulated(foreign_trixie: Path) -> None:
    program = "import platform, sys; print(platform.machine(), sys.version_info[:2])"
    command = confined(foreign_trixie, {}, "/usr/bin/python3.13", "-c", program)
    assert _output(command) == f"{MACHINES[FOREIGN]} (3, 13)\n"


def test_the_stand_in_goes_through_a_registry(podman: Podman, registry: Registry) -> None:
    name = f"{registry.address}/{NAME}"
    podman("pull", "--quiet", "--tls-verify=false", "--authfile", registry.settings, name)
    assert json.loads(podman("inspect", name))[0]["Config"]["Entrypoint"] == ["/lambda-entrypoint.sh"]


def _output(command: list[str]) -> str:
    return subprocess.run(command, env=VARIABLES, check=True, capture_output=True, text=True, timeout=120).stdout


def _mounts() -> list[str]:
    return Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
