"""A real `pilotlight serve`, watched from outside: its processes, its memory, and what it leaves behind."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import machine

SERVICE = Path(__file__).parent / "faults_functions"
_ESTABLISHED, _CLOSE_WAIT = "01", "08"  # in /proc/net/tcp
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


class Sample(NamedTuple):
    """The server process at `seconds` after the start; memory in MB, `processes` those that it has below it."""

    seconds: float
    rss: float
    pss: float
    descriptors: int
    threads: int
    processes: int


class Server:
    """`pilotlight serve` on a copy of the service in a folder of its own, sampled once a second.

    Whatever belongs to it is found by its descent, or by that folder's name in its variables.
    """

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch.resolve()
        self.samples: list[Sample] = []
        self.marks: list[tuple[float, float, str]] = []  # when a phase began and ended
        self._began = time.monotonic()
        self._cgroups: set[str] = set()
        self._temporary = self.scratch / "tmp"
        self._temporary.mkdir(parents=True)
        shutil.copytree(SERVICE, self.scratch / "faults", ignore=shutil.ignore_patterns("__pycache__"))
        self._errors = (self.scratch / "stderr").open("wb")
        self._process = self._spawn()
        self.host, self.port = self._listening()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._drain, self._sample_always)]
        for thread in self._threads:
            thread.start()

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "pilotlight", "serve", str(self.scratch / "faults")]
        environ = {**machine.environ(), "TMPDIR": str(self._temporary)}
        return subprocess.Popen(
            [*command, "--port", "0", "--no-reload", "--json"],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environ,
            bufsize=0,
        )

    def _listening(self) -> tuple[str, int]:
        assert self._process.stdout is not None
        first = b""
        while not first.endswith(b"\n"):
            byte = self._process.stdout.read(1)
            if not byte:
                self._process.wait()
                raise RuntimeError(f"the server did not start: {self.errors()}")
            first += byte
        host, _, port = json.loads(first)["url"].rpartition("/")[2].partition(":")
        return host, int(port)

    def _drain(self) -> None:
        """The log, of which a flood makes gigabytes, goes nowhere without being copied."""
        assert self._process.stdout is not None
        with open(os.devnull, "wb") as nowhere:
            while os.splice(self._process.stdout.fileno(), nowhere.fileno(), 1 << 20):
                pass

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def now(self) -> float:
        """Seconds since the server was started."""
        return time.monotonic() - self._began

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def errors(self) -> str:
        """What it has written to stderr."""
        return (self.scratch / "stderr").read_text(encoding="utf-8", errors="replace")

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = self.now
        try:
            yield
        finally:
            self.marks.append((began, self.now, name))

    # what belongs to it

    def processes(self) -> set[int]:
        """All that live and are its own, itself not counted."""
        living = _parents()
        found = {pid for pid in living if _descends(pid, self.pid, living)}
        mark = os.fsencode(self.scratch)
        found |= {pid for pid in living if pid not in found and mark in _read(pid, "environ")}
        return found - {self.pid, os.getpid()}

    def environments(self) -> list[int]:
        """The processes in which functions run, with what these have started."""
        return sorted(pid for pid in self.processes() if b"AWS_LAMBDA_RUNTIME_API=" in _read(pid, "environ"))

    def connections(self) -> int:
        """How many clients' connections it has open, or half closed."""
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        mine = f":{self.port:04X}"
        return sum(row[1].endswith(mine) and row[3] in (_ESTABLISHED, _CLOSE_WAIT) for row in rows)

    def sample(self) -> Sample:
        processes = self.processes()
        for pid in processes:
            self._cgroups |= set(_read(pid, "cgroup").decode().splitlines())
        rss = int((_read(self.pid, "statm") or b"0 0").split()[1]) * _PAGE_MB
        rollup = _field(_read(self.pid, "smaps_rollup"), b"Pss:")
        threads = _field(_read(self.pid, "status"), b"Threads:")
        try:
            descriptors = len(os.listdir(f"/proc/{self.pid}/fd"))
        except OSError:
            descriptors = 0
        return Sample(self.now, rss, rollup / 1024, descriptors, threads, len(processes))

    def _sample_always(self) -> None:
        while not self._stopped.wait(1.0):
            self.samples.append(self.sample())

    # the end

    def stop(self, seconds: float = 20) -> tuple[int | None, float]:
        """SIGTERM. Its exit status (None when it had to be killed) and how long that took."""
        self._stopped.set()
        began = time.monotonic()
        if self.is_alive:
            self._process.send_signal(signal.SIGTERM)
        try:
            status: int | None = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            status = None
        took = time.monotonic() - began
        return status, took

    def leftovers(self) -> list[str]:
        """What is still there although the server has ended; processes are ended here."""
        left = [f"process {pid}: {_read(pid, 'cmdline')[:80]!r}" for pid in self.processes()]
        self.sweep()
        left += [f"temporary {path.name}" for path in self._temporary.iterdir()]
        left += [f"mount {line}" for line in Path("/proc/self/mountinfo").read_text().splitlines() if self._names(line)]
        left += [f"cgroup {path}" for path in self._own_cgroups() if path.exists()]
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection((self.host, self.port), timeout=2).close()
            left.append(f"port {self.port}")
        return left

    def _names(self, line: str) -> bool:
        return str(self.scratch) in line

    def _own_cgroups(self) -> set[Path]:
        """Those that its processes were in and this process is not."""
        mine = set(Path("/proc/self/cgroup").read_text().splitlines())
        own = set()
        for line in self._cgroups - mine:
            _, controllers, path = line.split(":", 2)
            if path == "/":
                continue
            names = [controllers.removeprefix("name=")] if controllers else ["", "unified"]
            own |= {Path("/sys/fs/cgroup", name, path.lstrip("/")) for name in names}
        return own

    def sweep(self) -> None:
        """End whatever is left of it, so that a failed run leaves nothing either."""
        for pid in [*self.processes(), *([self.pid] if self.is_alive else [])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._stopped.set()
        self._process.wait()
        for thread in self._threads:
            thread.join()
        self._errors.close()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _parents() -> dict[int, int]:
    """The parent of every process that is no zombie."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            _, _, rest = _read(int(name), "stat").rpartition(b") ")
            fields = rest.split()
            if fields and fields[0] != b"Z":
                found[int(name)] = int(fields[1])
    return found


def _descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        pid = parents[pid]
        if pid == ancestor:
            return True
    return False


def _read(pid: int, name: str) -> bytes:
    """A file of /proc; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _field(text: bytes, name: bytes) -> int:
    for line in text.splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0
