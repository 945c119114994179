"""What a process notes of its own cold start."""

import json
import os
import subprocess
import sys
from pathlib import Path

TRACED = """
from pilotlight.function import trace
with trace.span("weights"):
    pass
with trace.span("weights"):
    pass
trace.mark("loaded")
trace.write()
trace.mark("later")
trace.write()
"""


def run(folder: Path, **environ: str) -> list[str]:
    """The files that the process leaves."""
    environ = {name: value for name, value in os.environ.items() if name != "PILOTLIGHT_TRACE"} | environ
    subprocess.run([sys.executable, "-c", TRACED], cwd=folder, env=environ, check=True)
    return [path.name for path in folder.iterdir()]


def test_what_was_noted_is_written_once(tmp_path: Path) -> None:
    assert run(tmp_path, PILOTLIGHT_TRACE="trace.json") == ["trace.json"]
    noted = json.loads((tmp_path / "trace.json").read_bytes())
    assert list(noted["marks"]) == ["started", "loaded"]
    (first, *one), (second, *two) = noted["spans"]
    assert (first, second) == ("weights", "weights")
    moments = [noted["marks"]["started"], *one, *two, noted["marks"]["loaded"]]
    assert moments == sorted(moments)
    assert noted["modules"] == len(noted["files"]) > 20
    assert any(name and Path(name).stem.startswith("trace") for name in noted["files"])


def test_without_the_variable_nothing_is_written(tmp_path: Path) -> None:
    assert run(tmp_path) == []


def test_times_that_the_launcher_gives(tmp_path: Path) -> None:
    run(tmp_path, PILOTLIGHT_TRACE="trace.json", PILOTLIGHT_TRACE_FORK="3 5")
    marks = json.loads((tmp_path / "trace.json").read_bytes())["marks"]
    assert (marks["forked"], marks["executed"]) == (3, 5)
