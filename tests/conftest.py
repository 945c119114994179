"""What many tests need: a service written to a folder, and a server that runs as its users run it."""

import json
import os
import queue
import signal
import struct
import subprocess
import sys
import textwrap
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest

from pilotlight import project
from pilotlight.project import Project

pytest_plugins = ["system_parts", "aws_sessions", "browsers", "builds"]

MakeService = Callable[..., Project]

hypothesis.settings.register_profile("shared machine", deadline=None)  # a deadline would measure the neighbours
hypothesis.settings.load_profile("shared machine")

for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    # a shell that starts the tests in the background, or nohup, has it ignored, and so would all that the tests start
    if signal.getsignal(number) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
        signal.signal(number, usual)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where CI=true, what was selected has to run: a skipped test has failed."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where CI=true: {report.longrepr}"
    return report


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Write files, given by their paths below `root`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return root


def until(is_true: Callable[[], object], seconds: float = 100) -> None:
    """Wait for it."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def png(width: int, height: int) -> bytes:
    """A black picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(3 * width) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.fixture
def make_service(tmp_path: Path) -> MakeService:
    """`make_service({"inference/echo.py": "..."}, toml="...", name="service")` -> a loaded Project."""

    def make(files: Mapping[str, str], toml: str = "", name: str = "service") -> Project:
        return project.load(write(tmp_path / name, {"pilotlight.toml": toml, **files}))

    return make


class RunningServer:
    """`pilotlight serve ... --json --port 0` as a process; `lines` are the objects that were waited for so far.

    What it writes is read at once, asked for or not: else it would stand still when the pipe is full, which holds 4 KiB
    where the user has many of them.
    """

    def __init__(self, arguments: list[str], environ: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "pilotlight", "serve", *arguments, "--json", "--port", "0"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environ}
        )
        self.lines: list[dict[str, object]] = []
        self._coming: queue.SimpleQueue[str | None] = queue.SimpleQueue()  # None is their end
        self._errors: list[str] = []
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read, self._read_errors)]
        for reader in self._readers:
            reader.start()
        self.url = str(self.wait_for("listening")["url"])

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for text in output:
                self._coming.put(text)
        self._coming.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as errors:
            self._errors.extend(errors)

    def wait_for(self, event: str, **fields: object) -> dict[str, object]:
        """The next line of that kind with those fields; fails when the server ends before it."""
        for text in iter(self._coming.get, None):
            line = json.loads(text)
            self.lines.append(line)
            if line.get("event") == event and fields.items() <= line.items():
                return line
        raise AssertionError(f"the server ended without {event}: {self.end()[1]}")

    def end(self) -> tuple[int, str]:
        """Its status and what it wrote to stderr, when it has ended."""
        status = self.process.wait(60)
        for reader in self._readers:
            reader.join(60)
        return status, "".join(self._errors)

    def stop(self, number: int = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.end()[0]


@pytest.fixture
def start_server() -> Iterator[Callable[..., RunningServer]]:
    """`start_server(folder, ..., "--option")` -> a RunningServer, stopped after the test."""
    servers: list[RunningServer] = []

    def start(*arguments: object, **environ: str) -> RunningServer:
        server = RunningServer([str(argument) for argument in arguments], environ)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()
