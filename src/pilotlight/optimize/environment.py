"""An exporter's own Python environment, made from its lock file at first use and kept in the user's cache.

Frameworks are large and their dependencies clash, so none is ever a dependency of Pilotlight: each exporter runs in a
virtual environment of its own. `exporters/NAME.toml` says what it needs and how large that is, `exporters/NAME.txt`
is its lock.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pilotlight.errors import PilotlightError, UsageError
from pilotlight.function import cache
from pilotlight.optimize.progress import Progress

SPECIFICATIONS = Path(__file__).parent / "exporters"
CPU_BUILDS = "https://download.pytorch.org/whl/cpu"  # on Linux the package index's own torch is built for CUDA
ANSWER_WITHIN = 3  # seconds
LINES_KEPT = 12  # of pip's, for the error
BEGUN = ("Collecting", "Ignoring", "Processing")  # what pip says of each requirement
SHOWN = ("Downloading", "Building wheel", "Installing collected packages")


@dataclass(frozen=True)
class Specification:
    """What an environment is made of."""

    name: str
    lock: str  # pip requirements with hashes
    unhashed: str  # one more requirement, whose builds differ by platform under one version; may be empty
    download_mb: int
    installed_mb: int

    @property
    def key(self) -> str:
        """Changes with the lock, the Python version and the platform's libraries."""
        python = f"{sys.implementation.cache_tag} {sys.platform} {os.uname().machine}"
        digest = hashlib.sha256("\0".join((self.lock, self.unhashed, python)).encode()).hexdigest()
        return f"{self.name}-{digest[:16]}"


def python(name: str, progress: Progress) -> Path:
    """The interpreter of the environment `name`, made when it is not there yet.

    Raises UsageError when this Python cannot make virtual environments, PilotlightError with pip's last lines when an
    install fails.
    """
    return make(read(name), home() / "exporters", progress)


def home() -> Path:
    """Where Pilotlight keeps what can be made again."""
    return Path(cache.home())


def read(name: str) -> Specification:
    lock = (SPECIFICATIONS / f"{name}.txt").read_text(encoding="utf-8")
    given = tomllib.loads((SPECIFICATIONS / f"{name}.toml").read_text(encoding="utf-8"))
    return Specification(name, lock, given["unhashed"], given["download_mb"], given["installed_mb"])


def make(wanted: Specification, folder: Path, progress: Progress) -> Path:
    """The interpreter of `folder/KEY`. A folder of that name is whole: it is filled elsewhere and then renamed.

    It is made anew when its interpreter cannot be run, as after an upgrade that removed the Python it was made of.
    """
    done = folder / wanted.key
    interpreter = done / "bin" / "python"
    if not os.access(interpreter, os.X_OK):
        with _locked(folder, wanted, progress):
            if not os.access(interpreter, os.X_OK):
                shutil.rmtree(done, ignore_errors=True)
                _install_anew(wanted, done, progress)
    return interpreter


@contextmanager
def _locked(folder: Path, wanted: Specification, progress: Progress) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / f"{wanted.name}.lock", "w")  # noqa: SIM115  (closed below)
    except OSError as error:
        reason = f"making the environment {wanted.name!r} in {folder}: {error.strerror}"
        raise UsageError(reason, "name a folder that can be written in the variable PILOTLIGHT_CACHE") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say(f"waiting for another process that makes the environment {wanted.name!r}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install_anew(wanted: Specification, done: Path, progress: Progress) -> None:
    unfinished = f".{wanted.name}-"
    for left in done.parent.glob(f"{unfinished}*"):  # of a process that was killed: only the lock's holder is here
        shutil.rmtree(left, ignore_errors=True)
    progress.say(
        f"making the environment {wanted.name!r} in {done}, once: about {wanted.download_mb} MB to download,"
        f" {wanted.installed_mb} MB installed"
    )
    folder = Path(tempfile.mkdtemp(prefix=unfinished, dir=done.parent))
    try:
        _install(wanted, folder, progress)
        folder.chmod(0o755)
        folder.rename(done)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _install(wanted: Specification, folder: Path, progress: Progress) -> None:
    made = subprocess.run([sys.executable, "-m", "venv", str(folder)], capture_output=True, text=True)
    if made.returncode != 0:
        reason = f"making the environment {wanted.name!r}: {_last_lines(made.stdout + made.stderr)}"
        raise UsageError(reason, "Python's venv module is needed: on Debian, apt-get install python3-venv")
    with tempfile.NamedTemporaryFile("w", suffix=".txt", dir=folder) as lock:
        lock.write(wanted.lock)
        lock.flush()
        _pip(wanted, folder, ["--no-deps", "--require-hashes", "-r", lock.name], _packages(wanted.lock), progress)
    if wanted.unhashed:
        _pip(wanted, folder, [*_cpu_builds(progress), wanted.unhashed], 1, progress)


def _pip(wanted: Specification, folder: Path, arguments: list[str], packages: int, progress: Progress) -> None:
    """Install that many `packages`. Pip's own settings, PIP_INDEX_URL, PIP_FIND_LINKS and the like, stay in force."""
    options = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    command = [str(folder / "bin/python"), "-m", "pip", "install", *options, *arguments]
    pip = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    assert pip.stdout is not None
    last: deque[str] = deque(maxlen=LINES_KEPT)
    begun = 0
    try:
        for line in map(str.strip, pip.stdout):
            last.append(line)
            if line.startswith(SHOWN):
                progress.say(f"  {line[:100]}")
            if line.startswith(BEGUN) and begun < packages:
                progress.count("packages", begun, packages)
                begun += 1
        failed = pip.wait() != 0
    finally:
        pip.kill()
        pip.wait()
        pip.stdout.close()
    if failed:
        reason = f"installing the environment {wanted.name!r}: pip failed\n{_last_lines(chr(10).join(last))}"
        raise PilotlightError(reason, "pip needs a package index: see PIP_INDEX_URL, PIP_FIND_LINKS, PIP_CERT")
    progress.count("packages", packages, packages)


def _packages(lock: str) -> int:
    """How many requirements; the lines below each are its hashes."""
    return sum(line[:1].isalnum() for line in lock.splitlines())


def _cpu_builds(progress: Progress) -> list[str]:
    if sys.platform != "linux" or os.environ.get("PIP_NO_INDEX"):
        return []
    try:
        with urllib.request.urlopen(f"{CPU_BUILDS}/torch/", timeout=ANSWER_WITHIN):
            return ["--extra-index-url", CPU_BUILDS]
    except (OSError, ValueError):
        reason = f"{CPU_BUILDS} does not answer"
        progress.say(f"  {reason}: without a CPU build elsewhere, pip takes the CUDA build (gigabytes)")
        return []


def _last_lines(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-LINES_KEPT:])
