"""`pilotlight bench cold` on a service with a model, in real execution environments."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest
from onnx import TensorProto, helper
from test_commands import run, said

from conftest import until, write

PHASES = [
    *("fork", "isolation", "python", "imports", "library", "weights", "tokenizer", "Pillow", "runtime api"),
    *("first run", "handler"),
]

DOUBLE = """
from array import array

from pilotlight import Model, endpoint

model = Model("models/double")
print("loaded")

@endpoint
def handler(number: float) -> dict[str, float]:
    [result] = model.run({"x": array("f", [number])})["y"].tolist()
    return {"number": result}
"""


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """One function, double, whose model gives y = x + x."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "graph", [x], [y])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    files = {"inference/double.py": DOUBLE, "events/double.json": '{"number": 4}', "pilotlight.toml": ""}
    folder = write(tmp_path / "service", files)
    (folder / "models" / "double").mkdir(parents=True)
    (folder / "models" / "double" / "model.onnx").write_bytes(model.SerializeToString())
    return folder


@pytest.mark.parametrize("command", [["bench"], ["bench", "cold"]])
def test_help_shows_examples(command: list[str]) -> None:
    status, out, err = run(*command, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"Usage: pilotlight {' '.join(command)}")
    assert "\n  Examples:\n    pilotlight bench cold\n" in out


def test_phases_as_figures(service: Path) -> None:
    status, out, err = run("bench", "cold", "--runs", "3", "--json", folder=service)
    assert (status, err) == (0, "")
    figures = json.loads(out)
    assert (figures["function"], figures["runs"], figures["dropped"]) == ("double", 3, None)
    phases = figures["phases_ms"]
    assert list(phases) == PHASES
    assert all(spread["min"] <= spread["median"] <= spread["max"] for spread in [*phases.values(), figures["total_ms"]])
    assert all(phases[name]["min"] > 0 for name in PHASES if name not in ("tokenizer", "Pillow"))
    assert phases["tokenizer"] == {"median": 0.0, "min": 0.0, "max": 0.0}
    rounding = 0.001 * (len(PHASES) + 1)
    assert sum(spread["min"] for spread in phases.values()) <= figures["total_ms"]["min"] + rounding
    assert sum(spread["max"] for spread in phases.values()) >= figures["total_ms"]["max"] - rounding
    assert sum(figures["quickest_ms"].values()) == pytest.approx(figures["total_ms"]["min"], abs=0.001)
    assert figures["modules"] > 50
    assert figures["rss_mb"] > figures["pss_mb"] > 5


def test_phases_as_a_table(service: Path) -> None:
    status, out, err = run("bench", "cold", "double", "--runs", "1", "--data", '{"number": 1}', "--dir", service)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "Cold starts of double in ms: 1 x a fresh environment, the page cache warm"
    assert lines[2].split() == ["median", "min", "max"]
    assert [line[2:13].strip() for line in lines[3:15]] == [*PHASES, "total"]
    assert "modules imported" in lines[16]
    assert "(RSS)" in lines[17]


def test_the_page_cache_is_dropped(service: Path) -> None:
    command = ["bench", "cold", "double", "--runs", "1", "--drop-cache", "--dir", service]
    status, out, err = run(*command)
    assert (status, err) == (0, "")
    assert out.splitlines()[0].endswith("the page cache without its files")
    assert " files dropped; what others have mapped stays" in out
    dropped = json.loads(run(*command, "--json")[1])["dropped"]
    assert dropped["files"] > 50
    assert dropped["before"] >= dropped["after"]


def test_a_refusal_is_an_error_and_not_a_time(service: Path) -> None:
    event = {"version": "2.0", "requestContext": {"http": {"method": "POST", "path": "/"}}, "body": "{}"}
    (service / "event.json").write_text(json.dumps(event))
    status, out, err = run("bench", "cold", "--event", "event.json", folder=service)
    assert (status, out) == (1, "")
    assert "error: double: it answered 400: " in err
    assert "number: missing" in err
    assert err.endswith("hint: give it an event that it can answer, with --event or --data\n")


def test_a_failure_is_an_error_with_the_functions_log(service: Path) -> None:
    status, out, err = run("bench", "cold", "--data", '{"number": "four"}', folder=service)
    assert (status, out) == (1, "")
    assert err.startswith("loaded\n")
    assert "error: double: InputError: number: " in err


def test_a_function_that_cannot_be_loaded(service: Path) -> None:
    (service / "models" / "double" / "model.onnx").write_bytes(b"no model")
    status, out, err = run("bench", "cold", folder=service)
    assert (status, out) == (1, "")
    assert "error: double: ModelError: loading " in err


def test_mistakes_are_told_before_anything_starts(service: Path) -> None:
    root = service.resolve()
    write(service, {"inference/echo.py": "def handler(event, context):\n    return event\n"})
    write(service, {"pilotlight.toml": '[functions.echo]\nruntime = "awslambdaric"\n'})
    several = f"error: {root} has several functions\nhint: name one of double, echo\n"
    assert said(run("bench", "cold", folder=service)) == (2, several)
    status, err = said(run("bench", "cold", "echo", folder=service))
    assert (status, err) == (
        2,
        "error: measuring echo: it runs under awslambdaric, which does not say how far it is\n"
        'hint: set runtime = "pilotlight" for it\n',
    )
    status, err = said(run("bench", "cold", "duoble", folder=service))
    assert (status, err.splitlines()[1]) == (2, "hint: did you mean 'double'? it has double, echo")


SLOW = """
import pathlib, time

def handler(event, context):
    with pathlib.Path(__file__).parents[1].joinpath("asked").open("a") as file:
        file.write(".")
    time.sleep(0.05)
    return event
"""


def interrupted(service: Path, after: int, *arguments: str) -> tuple[int, str, str]:
    """What the command says after Ctrl-C, which comes when the function was asked so often."""
    write(service, {"inference/slow.py": SLOW})
    command = [sys.executable, "-m", "pilotlight", *arguments]
    asked = service / "asked"
    with subprocess.Popen(command, cwd=service, stdout=PIPE, stderr=PIPE, text=True, start_new_session=True) as process:
        until(lambda: asked.exists() and len(asked.read_text()) >= after)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_ctrl_c_shows_the_cold_starts_before(service: Path) -> None:
    status, out, err = interrupted(service, 4, "bench", "cold", "slow", "--runs", "100000", "--json")
    assert (status, err) == (130, "Interrupted: these are the cold starts before.\n")
    figures = json.loads(out)
    assert (figures["function"], figures["is_whole"], 2 <= figures["runs"] < 100) == ("slow", False, True)
    assert list(figures["phases_ms"]) == PHASES


WARM = ["front", "invoke", "decode", "tokenize", "picture", "run", "handler", "encode", "respond", "return", "answer"]


def test_phases_of_warm_requests_as_figures(service: Path) -> None:
    status, out, err = run("bench", "warm", "--requests", "3", "--json", folder=service)
    assert (status, err) == (0, "")
    figures = json.loads(out)
    assert (figures["function"], figures["requests"]) == ("double", 3)
    assert list(figures["phases_ms"]) == WARM
    assert all(spread["min"] <= spread["median"] <= spread["max"] for spread in figures["phases_ms"].values())
    assert all(figures["phases_ms"][name]["min"] > 0 for name in WARM if name not in ("tokenize", "picture"))
    assert sum(figures["quickest_ms"].values()) == pytest.approx(figures["total_ms"]["min"], abs=0.001)
    assert list(figures["cpu_ms"]) == ["client", "server", "function"]
    assert all(ms > 0 for ms in figures["cpu_ms"].values())


def test_phases_of_warm_requests_as_a_table(service: Path) -> None:
    command = ["bench", "warm", "double", "--requests", "2", "--data", '{"number": 1}', "--dir", service]
    status, out, err = run(*command)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "Warm requests of double in ms: 2, one after the other"
    assert [line[2:13].strip() for line in lines[3:15]] == [*WARM, "total"]
    assert lines[16].startswith("  processor time of one, the first ones included: client ")


def test_ctrl_c_shows_the_warm_requests_before(service: Path) -> None:
    status, out, err = interrupted(service, 24, "bench", "warm", "slow", "--requests", "100000", "--json")
    assert (status, err) == (130, "Interrupted: these are the requests before.\n")
    figures = json.loads(out)
    assert (figures["function"], figures["is_whole"], 3 <= figures["requests"] < 100) == ("slow", False, True)
    assert list(figures["phases_ms"]) == ["front", "function", "answer"]
    assert figures["phases_ms"]["function"]["min"] > 50
    assert sum(figures["quickest_ms"].values()) == pytest.approx(figures["total_ms"]["min"], abs=0.001)


def test_ctrl_c_before_anything_counts(service: Path) -> None:
    status, out, err = interrupted(service, 1, "bench", "warm", "slow")
    assert (status, err, out) == (130, "Interrupted: nothing was measured yet.\n", "")


def test_a_warm_request_that_is_refused(service: Path) -> None:
    status, out, err = run("bench", "warm", "double", "--data", '{"number": "x"}', "--dir", service)
    assert (status, out) == (1, "")
    assert "\nerror: asking http://127.0.0.1:" in err
    assert "400: " in err
    assert "expected float, got str" in err


def test_a_warm_request_that_fails_shows_what_the_function_wrote(service: Path) -> None:
    write(service, {"inference/failing.py": "def handler(event, context):\n    raise ValueError('no, never')\n"})
    status, out, err = run("bench", "warm", "failing", "--dir", service)
    assert (status, out) == (1, "")
    assert "ValueError: no, never" in err
    assert '500: {"message":"Internal Server Error"}' in err
