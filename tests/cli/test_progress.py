"""How far a run is, as it reads in a file and on a terminal."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pilotlight.cli import progress
from pilotlight.cli.progress import Counted, Lines

RUN = """
import sys, time
from pilotlight.cli.progress import shown
with shown() as told:
    told.step(1, 2, "first")
    told.say("reading what is there")
    for each in told.each("answers", "abc"):
        time.sleep(0.6)
    told.step(2, 2, "second")
    time.sleep(0.6)
    if sys.argv[1:]:
        raise SystemExit(3)
"""


def on_a_terminal(*command: str, cwd: Path | None = None) -> tuple[int, str, str]:
    """The exit code, what a process writes to a terminal as its standard error, and its standard output."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    written = bytearray()
    with subprocess.Popen(command, cwd=cwd, env=environ, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        while part := _read(ours):
            written += part
        assert process.stdout is not None
        answer = process.stdout.read().decode()
    os.close(ours)
    return process.returncode, written.decode(), answer


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so when the other end is closed
        return b""


def stays(written: str) -> list[str]:
    """The lines that are left when each clearing has taken away what stood before it; without colours."""
    lines = [line.rpartition("\r\x1b[K")[2] for line in written.replace("\r\n", "\n").split("\n")]
    return [re.sub(r"\x1b\[\d*m", "", line) for line in lines]


@pytest.mark.parametrize(
    ("counted", "now", "text"),
    [
        (Counted("answers", 0, 1413, 100.0), 100.2, "answers: 0 of 1413 in 0:00"),
        (Counted("answers", 0, 1413, 100.0), 175.0, "answers: 0 of 1413 in 1:15"),
        (Counted("answers", 1, 1413, 100.0), 100.9, "answers: 1 of 1413 in 0:01"),
        (Counted("answers", 214, 1413, 100.0), 135.0, "answers: 214 of 1413 in 0:35, about 3:16 left"),
        (Counted("parts", 1, 121, 0.0), 60.0, "parts: 1 of 121 in 1:00, about 120:00 left"),
    ],
)
def test_what_is_left_is_estimated(counted: Counted, now: float, text: str) -> None:
    assert counted.text(now) == text


def test_lines_are_not_many(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    told = Lines()
    told.step(2, 6, "reference")
    assert list(told.each("answers", "ab")) == ["a", "b"]
    assert capsys.readouterr() == ("", "step 2 of 6: reference\n")
    monkeypatch.setattr(progress, "EVERY", 0.0)
    assert list(told.each("answers", "ab")) == ["a", "b"]
    lines = "  answers: 0 of 2 in 0:00\n  answers: 1 of 2 in 0:00\n"
    assert capsys.readouterr() == ("", lines)


def test_one_line_is_rewritten_on_a_terminal() -> None:
    code, written, _ = on_a_terminal(sys.executable, "-c", RUN)
    assert code == 0, written
    said, first, second, after = stays(written)
    assert (said, after) == ("reading what is there", "")
    assert re.fullmatch(r"step 1 of 2: first, 0:\d\d", first)
    assert re.fullmatch(r"step 2 of 2: second, 0:\d\d", second)
    state = re.compile(r"step 1 of 2: first, 0:\d\d \| answers: 2 of 3 in 0:\d\d, about 0:\d\d left")
    assert any(state.fullmatch(each) for each in re.split(r"\r\x1b\[K|\r\n", written))


def test_an_error_takes_the_line_away() -> None:
    code, written, _ = on_a_terminal(sys.executable, "-c", RUN, "fail")
    assert code == 3
    said, first, after = stays(written)
    assert (said, first[:19], after) == ("reading what is there", "step 1 of 2: first,", "")


def test_nothing_is_rewritten_elsewhere() -> None:
    done = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("", "step 1 of 2: first\nreading what is there\nstep 2 of 2: second\n")


def test_what_else_there_is_to_say_stands_behind_it() -> None:
    counted = Counted("requests", 30, 60, 100.0, lambda: ": 10/s, 0 errors, p99 7.4 ms")
    assert counted.text(103.0) == "requests: 30 of 60 in 0:03, about 0:03 left: 10/s, 0 errors, p99 7.4 ms"
