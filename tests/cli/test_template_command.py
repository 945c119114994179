"""`pilotlight template` on a service: the real build, no account."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import wheels

from conftest import write

PLAIN = "def handler(event, context):\n    return {'word': event['word']}\n"

Template = Callable[..., "CompletedProcess[str]"]


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Template:
    """`template("--stage", ...)` in the folder `service`, with small wheels as index, and nothing that AWS needs."""
    index = tmp_path / "wheels"
    wheels.use(monkeypatch, index)
    for name, version in (("msgspec", "0.22.0"), ("multipart", "2.0.1")):
        wheels.wheel(index, name, version)
    monkeypatch.setenv("PILOTLIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in [each for each in os.environ if each.startswith("AWS_")]:
        monkeypatch.delenv(name)

    def run(*arguments: str) -> "CompletedProcess[str]":
        command = [sys.executable, "-m", "pilotlight", "template", "--dir", str(tmp_path / "service"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))

    return run


def test_the_template_names_what_was_built(template: Template, tmp_path: Path) -> None:
    write(tmp_path / "service", {"inference/ask.py": PLAIN})
    done = template("--stage", "beta")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)  # and nothing else is on stdout
    artifact = json.loads((tmp_path / "service" / ".pilotlight" / "build" / "ask.json").read_text())
    function = made["Resources"]["AskFunction"]["Properties"]
    assert function["FunctionName"] == "service-beta--ask"
    assert function["Code"]["S3Key"] == f"service/zips/{artifact['digest'].removeprefix('sha256:')}.zip"
    assert function["Environment"]["Variables"] == artifact["environment"]
    assert artifact["environment"]["AWS_LAMBDA_EXEC_WRAPPER"] == "/var/task/pilotlight-runtime"
    assert "zipped" in done.stderr  # the table of the build


def test_the_same_service_has_the_same_template(template: Template, tmp_path: Path) -> None:
    write(tmp_path / "service", {"inference/ask.py": PLAIN})
    assert template().stdout == template().stdout != ""


def test_a_stage_that_is_no_name_is_refused_before_anything_is_built(template: Template, tmp_path: Path) -> None:
    write(tmp_path / "service", {"inference/ask.py": PLAIN})
    done = template("--stage", "a/b")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: the stage 'a/b': this is no name for a stage" in done.stderr
    assert not (tmp_path / "service" / ".pilotlight").exists()


def test_what_aws_would_refuse_is_said(template: Template, tmp_path: Path) -> None:
    settings = "[functions.ask]\nenvironment_concurrency = 2\n"
    write(tmp_path / "service", {"inference/ask.py": PLAIN, "pilotlight.toml": settings})
    done = template()
    assert (done.returncode, done.stdout) == (2, "")
    assert "functions.ask.environment_concurrency: only environments of Lambda Managed Instances" in done.stderr
