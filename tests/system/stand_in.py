"""Roots that stand in for Lambda's base image of Python 3.13: Debian trixie, whose Python is the same CPython.

AWS's own image can be had from its registry alone. What this has of it is what functions and tools rely on: the places
of interpreter, runtime and emulator, the entry point, the variables. Its glibc is 2.41, and that of Amazon Linux 2023
2.34: what runs here may still be too new for Lambda, which `pilotlight build --check` reads from the files.

    python tests/system/stand_in.py

makes the roots, once per machine, as root, by debootstrap from the mirror that apt is set up with. The one for the
other architecture is unpacked without running anything of it; qemu runs what is asked for later.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from emulator import emulator
from pilotlight.optimize.environment import home

PYTHON = "3.13"
SUITE = "trixie"
DEBIAN = {"x86_64": "amd64", "arm64": "arm64"}  # Debian's names of Lambda's architectures
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}  # the kernel's
NATIVE = {"aarch64": "arm64"}.get(os.uname().machine, "x86_64")  # this machine, in Lambda's word
FOREIGN = {"x86_64": "arm64", "arm64": "x86_64"}[NATIVE]
QEMU = Path(f"/usr/bin/qemu-{MACHINES[FOREIGN]}-static")
TASK = "/var/task"
VARIABLES = {  # of AWS's base image for Python, with a locale that every system has
    "LANG": "C.UTF-8",
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
    "LAMBDA_TASK_ROOT": TASK,
    "LD_LIBRARY_PATH": "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
    "TZ": ":/etc/localtime",
}
_HERE = Path(__file__).parent
_PINS = _HERE.parents[1] / "requirements" / "dev.txt"
_RUNTIME = ("awslambdaric", "simplejson", "snapshot-restore-py")  # with what it needs


def made(architecture: str) -> Path:
    """The root file system of an architecture. Raises RuntimeError when there is none yet."""
    folder = _place(architecture)
    if not folder.exists():
        raise RuntimeError(f"no root for {architecture}: `make test-system` makes it")
    return folder


def make(architecture: str) -> None:
    """Make a root where it is missing, while others wait who want the same."""
    folder = _place(architecture)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # there are set-user-ID programs in a root
    with _locked(folder.with_suffix(".lock")):
        if folder.exists():
            return
        print(f"Making a root for {architecture}, once; it takes a minute or two ...", flush=True)
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        _fill(architecture, partial)
        partial.rename(folder)


def _place(architecture: str) -> Path:
    return home() / "tests" / f"{SUITE}-{architecture}-{_recipe()}"


def _recipe() -> str:
    """Short, and another one whenever something else would be made."""
    files = (Path(__file__), _HERE / "entrypoint.sh", _HERE / "bootstrap.sh")
    parts = [*(file.read_bytes() for file in files), _pins().encode(), emulator().read_bytes()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fill(architecture: str, folder: Path) -> None:
    _debootstrap(architecture, folder, *(("--foreign",) if architecture == FOREIGN else ()))
    if architecture == FOREIGN:
        _unpack(folder)
    _furnish(folder, architecture)
    shutil.rmtree(folder / "var/cache/apt/archives")
    shutil.rmtree(folder / "var/lib/apt/lists")


def _debootstrap(architecture: str, folder: Path, *options: str) -> None:
    names = ("--variant=minbase", "--include=python3", f"--arch={DEBIAN[architecture]}", *options)
    command = ["debootstrap", *names, SUITE, str(folder), mirror()]
    _run(["unshare", "--mount", *command])  # what it mounts is gone when it has ended, however it has


def _unpack(folder: Path) -> None:
    """The packages that were fetched, over one another; nothing of them runs."""
    for package in sorted((folder / "var/cache/apt/archives").glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(package), str(folder)])
    shutil.copy(QEMU, folder / QEMU.relative_to("/"))


def mirror() -> str:
    """The address that apt has of Debian's archive. Raises RuntimeError when it has none."""
    filters = ("Created-By: Packages", "Origin: Debian", "Label: Debian", "Component: main")
    found = _run(["apt-get", "indextargets", "--format", "$(REPO_URI)", *filters]).split()
    if not found:
        raise RuntimeError("apt knows no archive of Debian: run apt-get update, on a Debian machine")
    return found[0]


def _furnish(folder: Path, architecture: str) -> None:
    """What Lambda's base image has where Debian has nothing."""
    for name in ("opt", "usr/local/bin", "var/lang/bin", "var/runtime", "var/task"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in ("python3", f"python{PYTHON}"):
        (folder / "var/lang/bin" / name).symlink_to(f"/usr/bin/python{PYTHON}")
    shutil.copy(_HERE / "entrypoint.sh", folder / "lambda-entrypoint.sh")
    shutil.copy(_HERE / "bootstrap.sh", folder / "var/runtime/bootstrap")
    shutil.copy(emulator(architecture), folder / "usr/local/bin/aws-lambda-rie")
    for name in ("lambda-entrypoint.sh", "var/runtime/bootstrap", "usr/local/bin/aws-lambda-rie"):
        (folder / name).chmod(0o755)
    _install_runtime(folder / "var/runtime", architecture)


def _install_runtime(folder: Path, architecture: str) -> None:
    pins = folder / "requirements.txt"
    pins.write_text(_pins(), encoding="utf-8")
    platforms = [f"--platform=manylinux_2_{minor}_{MACHINES[architecture]}" for minor in (34, 28, 17)]
    target = ("--target", str(folder), "--implementation=cp", f"--python-version={PYTHON}", *platforms)
    locked = ("--no-deps", "--require-hashes", "--only-binary=:all:", "--requirement", str(pins))
    _run([sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", *target, *locked])


def _pins() -> str:
    """AWS's runtime client as it is locked for the tests."""
    locked = re.split(r"\n(?=\S)", _PINS.read_text(encoding="utf-8"))
    return "\n".join(each for each in locked if each.partition("==")[0] in _RUNTIME) + "\n"


def _run(command: list[str]) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stdout[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    if os.geteuid() == 0:
        with ThreadPoolExecutor() as both:
            list(both.map(make, DEBIAN))
    else:
        print("No roots are made: that needs root. The tests of packages will be skipped.")
