"""`pilotlight build` as its users run it, with small wheels in place of an index."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import wheels

PLAIN = "def handler(event, context):\n    return {'word': event['word']}\n"
TYPED = """
import lamp
from pilotlight import endpoint

@endpoint
def handler(word: str) -> str:
    return lamp.NAME + word
"""


class Run(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.splitlines()]


Build = Callable[..., Run]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """`build("--json", ...)` in the folder `service`, with small wheels as index and no target's Python on PATH."""
    index = tmp_path / "wheels"
    wheels.use(monkeypatch, index)
    for name, version in (("lamp", "1.0"), ("msgspec", "0.22.0"), ("multipart", "2.0.1")):
        wheels.wheel(index, name, version)
    monkeypatch.setenv("PILOTLIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def run(*arguments: str, folder: str = "service") -> Run:
        command = [sys.executable, "-m", "pilotlight", "build", "--dir", str(tmp_path / folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
        return Run(done.returncode, done.stdout, done.stderr)

    return run
