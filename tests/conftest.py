"""What many tests need: a service written to a folder, and a server that runs as its users run it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest

from pilotlight import project
from pilotlight.project import Project

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


@pytest.fixture
def make_service(tmp_path: Path) -> MakeService:
    """`make_service({"inference/echo.py": "..."}, toml="...", name="service")` -> a loaded Project."""

    def make(files: Mapping[str, str], toml: str = "", name: str = "service") -> Project:
        return project.load(write(tmp_path / name, {"pilotlight.toml": toml, **files}))

    return make


class RunningServer:
    """`pilotlight serve ... --json --port 0` as a process; `lines` are the objects that were waited for so far.

    It prints into a file: a pipe that nobody reads would be full after some hundred requests, and hold it up.
    """

    def __init__(self, arguments: list[str], environ: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "pilotlight", "serve", *arguments, "--json", "--port", "0"]
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115  # closed with this object
        weakref.finalize(self, self._printed.close)
        self.process = subprocess.Popen(
            command, stdout=self._printed, stderr=subprocess.PIPE, text=True, env={**os.environ, **environ}
        )
        self._unread = b""
        self._offset = 0
        self.lines: list[dict[str, object]] = []
        self.url = str(self.wait_for("listening")["url"])

    def wait_for(self, event: str, **fields: object) -> dict[str, object]:
        """The next line of that kind with those fields; fails when the server ends before it."""
        for text in self._lines():
            line = json.loads(text)
            self.lines.append(line)
            if line.get("event") == event and fields.items() <= line.items():
                return line
        assert self.process.stderr is not None
        raise AssertionError(f"the server ended without {event}: {self.process.stderr.read()}")

    def _lines(self) -> Iterator[bytes]:
        """Whole lines as they come, to the end of the process."""
        while True:
            has_ended = self.process.poll() is not None
            self._read()
            while b"\n" in self._unread:
                line, _, self._unread = self._unread.partition(b"\n")
                yield line
            if has_ended:
                return
            else:
                time.sleep(0.005)

    def _read(self) -> None:
        while new := os.pread(self._printed.fileno(), 1 << 20, self._offset):
            self._offset += len(new)
            self._unread += new

    def stop(self, number: int = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.communicate(timeout=30)
        return self.process.returncode


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
