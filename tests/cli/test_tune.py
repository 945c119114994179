"""`pilotlight tune` on this machine: real environments, held to a share of a processor where the kernel lets us."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE
from typing import Any
from urllib.request import Request, urlopen

import click
import pytest
from click.testing import CliRunner
from test_commands import run

from conftest import RunningServer, write
from pilotlight.cli import cli, tune_local
from pilotlight.errors import UsageError
from pilotlight.local import shares
from pilotlight.measure.sweep import Round, Sample, Tried

NOBODY = 65534
TONE = """
from pilotlight import endpoint

@endpoint
def handler(input: str) -> dict[str, int]:
    if input == "fail":
        raise ValueError("no")
    return {"length": len(input)}
"""
LARGE = """
held = []

def handler(event, context):
    held.append(b"x" * (200 << 20))
    return {"held": len(held)}
"""
LARGE_INIT = """
held = b"x" * (200 << 20)

def handler(event, context):
    return {"held": len(held)}
"""
BUSY = """
import time

def handler(event, context):
    until = time.process_time() + 0.02
    while time.process_time() < until:
        pass
    return {}
"""
PLAIN = """
def handler(event, context):
    return {"statusCode": 400, "body": "no"}
"""
TOML = "[functions.tone]\nmemory = 512 # MB\n"
WITHOUT_GROUPS = "measuring by memory: no control group for processor time can be made here"


@pytest.fixture
def service(tmp_path: Path) -> Path:
    sources = {"tone": TONE, "large": LARGE, "large_init": LARGE_INIT, "busy": BUSY, "plain": PLAIN}
    files = {f"inference/{name}.py": text for name, text in sources.items()}
    events = {"events/tone.json": '{"input": "a film"}'}
    return write(tmp_path / "service", {**files, **events, "pilotlight.toml": TOML})


def tuned(service: Path, *arguments: str) -> tuple[int, Any, str] | None:
    """Exit code, the object and stderr. None where there are no groups for processor time, after that was said."""
    status, out, err = run("tune", *arguments, "--json", folder=service)
    if shares.why_not():
        assert (status, WITHOUT_GROUPS in err) == (2, True)
        return None
    return status, json.loads(out), err


def test_help_shows_examples() -> None:
    assert "\n  Examples:\n    pilotlight tune\n" in CliRunner().invoke(cli, ["tune", "--help"]).output


def test_settings_are_measured(service: Path) -> None:
    done = tuned(
        service,
        *("tone", "--memory", "256,128", "--runs", "2", "--requests", "3", "--save", "all.json", "--plot", "all.svg"),
    )
    if done is None:
        return
    status, found, err = done
    assert (status, found["function"], found["target"], found["is_whole"]) == (0, "tone", "on this machine", True)
    assert [(each["memory"], each["runs"], each["requests"]) for each in found["settings"]] == [
        (128, 2, 6),
        (256, 2, 6),
    ]
    for each in found["settings"]:
        assert 0 < each["warm_p50"] <= each["warm_p99"]
        assert 0 < each["init"] < each["cold_p99"]
        assert 0 < each["cold_p50"] <= each["cold_p99"]
        assert each["billed_cold"] >= each["init"]
        assert 5 < each["peak"] < 128
        assert each["dollars"] > 0.20
    [architecture] = found["choices"]
    assert set(found["choices"][architecture]) == {"cheapest", "fastest", "balanced"}
    assert [each["architecture"] for each in found["assumed"]] == [other(architecture)] * 2
    assert found["arm64_break_even"] == pytest.approx(1.25, abs=0.001)
    kept = json.loads((service / "all.json").read_text())["tried"]
    assert [[len(one["warm"]) for one in each["rounds"]] for each in kept] == [[3, 3], [3, 3]]
    assert kept[0]["rounds"][0]["cold"]["init"] > 0
    drawn = (service / "all.svg").read_text()
    assert all(word in drawn for word in ("memory in MB", "cheapest", "fastest", "balanced", "if as fast"))
    assert "--write changes pilotlight.toml like this" in err
    assert (service / "pilotlight.toml").read_text() == TOML


def other(architecture: str) -> str:
    return {"x86_64": "arm64", "arm64": "x86_64"}[architecture]


def test_the_settings_are_written(service: Path) -> None:
    done = tuned(service, "tone", "--memory", "128", "--runs", "1", "--requests", "1", "--write")
    if done is None:
        return
    assert (service / "pilotlight.toml").read_text() == "[functions.tone]\nmemory = 128 # MB\n"
    assert "-memory = 512 # MB\n+memory = 128 # MB\n" in done[2]
    assert done[2].endswith("pilotlight.toml was changed.\n")


def test_settings_behind_a_link_are_written_where_they_are(service: Path) -> None:
    (service / "pilotlight.toml").rename(service / "common.toml")
    (service / "pilotlight.toml").symlink_to("common.toml")
    done = tuned(service, "tone", "--memory", "128", "--runs", "1", "--requests", "1", "--write")
    if done is None:
        return
    assert (service / "pilotlight.toml").is_symlink()
    assert (service / "common.toml").read_text() == "[functions.tone]\nmemory = 128 # MB\n"


def test_settings_that_no_program_changes_are_an_error_of_write_alone(service: Path) -> None:
    (service / "pilotlight.toml").write_text("functions = {tone = {memory = 512}}\n")
    command = ("tone", "--memory", "128", "--runs", "1", "--requests", "1")
    done = tuned(service, *command)
    if done is None:
        return
    assert done[0] == 0
    form = "pilotlight.toml: functions.tone is written in a form that is not changed by a program"
    assert done[2].endswith(f"{form}: write it there by hand: memory = 128\n")
    status, out, _ = run("tune", *command, "--write", folder=service)
    assert (status, " balanced " in out) == (2, True)


def test_settings_that_may_only_be_read_are_refused_before_anything_is_measured(
    service: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (service / "pilotlight.toml").chmod(0o444)
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: allowed(path, mode) and Path(path).name != "pilotlight.toml")
    reason = f"writing {service / 'pilotlight.toml'}: it may only be read"
    assert refused(service, "tone", "--write") == reason


def test_a_processor_is_shared_by_memory(service: Path) -> None:
    """It uses 20 ms of a processor, of which a quarter is 442 MB's. Others on the machine can only make it slower."""
    done = tuned(service, "busy", "--memory", "442", "--runs", "2", "--requests", "3")
    if done is None:
        return
    [found] = done[1]["settings"]
    assert found["warm_p50"] > 40
    assert found["billed"] > 40


@pytest.mark.parametrize("name", [pytest.param("large", marks=pytest.mark.system), "large_init"])
def test_a_setting_that_is_too_small_is_a_result(service: Path, name: str) -> None:
    done = tuned(service, name, "--memory", "128,512", "--runs", "1", "--requests", "1")
    if done is None:
        return
    status, found, _ = done
    assert status == 0
    assert [(each["memory"], each["reason"]) for each in found["settings"]] == [(128, "out of memory"), (512, "")]
    assert {each["memory"] for each in next(iter(found["choices"].values())).values()} == {512}


def test_a_function_that_fails(service: Path) -> None:
    for arguments, reason in (
        (("tone", "--data", '{"input": "fail"}'), "at 128 MB it failed: ValueError: no"),
        (("plain",), "at 128 MB it failed: an answer that is none: 400: no"),
    ):
        done = tuned(service, *arguments, "--runs", "1")
        if done is None:
            return
        assert (done[0], done[1]["error"]) == (1, reason)


@pytest.mark.system  # it waits for the first line of progress, which comes after some seconds
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_shows_what_was_measured(service: Path, number: signal.Signals) -> None:
    if shares.why_not():
        return
    command = [sys.executable, "-m", "pilotlight", "tune", "busy", "--memory", "442,885", "--runs", "1000"]
    with subprocess.Popen([*command, "--write"], cwd=service, stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stderr is not None
        counted = next(line for line in process.stderr if " of 2000 in " in line)
        assert counted.startswith("  environments: ")
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "  balanced " in out
    assert err.endswith("Interrupted: these are the rounds that were whole before.\n")
    assert (service / "pilotlight.toml").read_text() == TOML


@pytest.mark.parametrize("rounds", [[], [Round(Sample(30, 20, 40, 20), (Sample(2, 1, 1),))]])
def test_an_interrupt_before_anything_was_measured_keeps_the_file_of_before(
    service: Path, rounds: list[Round], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def interrupted(function: object, payload: bytes, tried: list[Tried], *_: object) -> bool:
        tried[0].rounds += rounds
        return False

    monkeypatch.setattr(tune_local, "run", interrupted)
    monkeypatch.setattr(tune_local, "possible", lambda memories: (memories, []))
    (service / "all.json").write_text("before")
    command = ["tune", "tone", "--dir", str(service), "--save", str(service / "all.json")]
    assert cli.main(command, "pilotlight", standalone_mode=False) == 130
    assert ((service / "all.json").read_text() == "before") == (not rounds)
    said = "these are the rounds that were whole before" if rounds else "no round was whole before"
    assert capsys.readouterr().err.endswith(f"Interrupted: {said}.\n")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--memory", "64"), "'64' is not from 128 to 10240 MB"),
        (("--memory", "10241"), "'10241' is not from 128 to 10240 MB"),
        (("--memory", "512,"), "'' is not from 128 to 10240 MB"),
        (("--memory", "512,128,512"), "512 is there twice"),
        (("--clean",), "--clean is for deployed functions: give --remote as well"),
        (("--stage", "beta"), "--stage is for a deployed service: give --remote as well"),
        (("--save", "none/all.json"), "writing none/all.json: there is no folder none"),
        (("--plot", "memory.pdf"), "plotting to memory.pdf: it is neither PNG nor SVG"),
        (("--weight", "2"), "2.0 is not in the range 0<=x<=1"),
    ],
)
def test_mistakes(service: Path, arguments: tuple[str, ...], reason: str) -> None:
    assert reason in refused(service, "tone", *arguments)


def refused(service: Path, *arguments: str) -> str:
    """What is said of a command that is not right."""
    with pytest.raises((click.UsageError, UsageError)) as error:
        cli.main(["tune", "--dir", str(service), *arguments], "pilotlight", standalone_mode=False)
    assert error.value.exit_code == 2
    return error.value.format_message() if isinstance(error.value, click.UsageError) else str(error.value)


def test_a_function_has_to_be_named(service: Path) -> None:
    assert "has several functions" in refused(service)


def test_the_other_architecture_is_not_here(service: Path) -> None:
    here = "arm64" if os.uname().machine == "aarch64" else "x86_64"
    reason = refused(service, "tone", "--architecture", other(here))
    assert reason == f"measuring {other(here)}: this machine is {here}"


def test_more_processors_than_there_are(service: Path) -> None:
    if shares.processors() >= 6:
        return
    there = f"measuring by memory: 10240 MB are 5.8 processors, and there are {shares.processors():g} here"
    assert refused(service, "tone", "--memory", "10240") in (WITHOUT_GROUPS, there)


def test_without_the_right_to_make_groups() -> None:
    code = """
import os, sys
from pilotlight.cli import tune_local
from pilotlight.errors import UsageError
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
try:
    print(tune_local.possible([128]))
except UsageError as error:
    print(error, error.hint.split(":")[0], sep="\\n")
"""
    done = subprocess.run([sys.executable, "-c", code, str(NOBODY)], capture_output=True, text=True, check=True)
    if os.geteuid() == 0 or shares.why_not():
        hint = "run as root, or in a systemd scope that may share out processors"
        assert done.stdout == f"{WITHOUT_GROUPS}\n{hint}\n"


def test_serve_says_whether_it_shares(service: Path, start_server: Callable[..., RunningServer]) -> None:
    server = start_server(service, "--no-reload", "--cpu-share")
    with urlopen(Request(f"{server.url}/busy", b"{}", method="POST"), timeout=60) as answer:
        assert answer.status == 200
    server.stop()
    err = server.end()[1]
    assert ("Processor time is not held" in err) == bool(shares.why_not())


@pytest.mark.parametrize("option", ["--weight", "--cold-share"])
def test_a_share_that_is_no_number_is_refused(option: str) -> None:
    result = CliRunner().invoke(cli, ["tune", option, "nan"])
    assert result.exit_code == 2
    assert "nan is not a finite number" in result.output
