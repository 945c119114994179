"""`pilotlight optimize` as a process, from an .onnx file to a folder that answers."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pilotlight import Model
from pilotlight.cli.optimize import _command
from pilotlight.function.text import Classifier

sys.path.insert(0, str(Path(__file__).parents[1] / "optimize"))
import small_encoder
from test_progress import on_a_terminal, stays

pytestmark = pytest.mark.timeout(300)
USE = "\n```python\n# Load it\nmodel = load()\n```\n"  # the comment is no heading
STEPS = ["export", "reference", "graph", "int8", "layout", "measure"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """source/model.onnx with its tokenizer, and samples.jsonl."""
    small_encoder.write(tmp_path / "source")
    small_encoder.samples(tmp_path / "samples.jsonl")
    return tmp_path


def command(*arguments: str, source: str = "source/model.onnx") -> list[str]:
    options = ["--task", "text-classification", "--out", "made", "--samples", "samples.jsonl"]
    return [sys.executable, "-m", "pilotlight", "optimize", source, *options, *arguments]


def run(folder: Path, *arguments: str, source: str = "source/model.onnx") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments, source=source), cwd=folder, capture_output=True, text=True, timeout=280)


def a_model(folder: Path) -> None:
    """As far as --force asks for one."""
    folder.mkdir()
    for name in ("model.json", "report.json"):
        (folder / name).write_text('{"format": 1, "task": "text-classification"}')


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name not in ("source", "samples.jsonl"))


def test_a_graph_becomes_a_model_folder(folder: Path) -> None:
    (folder / "source/README.md").write_text(f"---\nlicense: mit\n---\n# Loudness\n\nHow loud a text is.\n{USE}")
    a_model(folder / "made")
    refused = run(folder)
    assert refused.returncode == 2
    assert refused.stderr == "error: writing made: it is there already and not empty\nhint: --force replaces it\n"
    assert left(folder / "made") == ["model.json", "report.json"]

    done = run(folder, "--force", "--json")
    assert done.returncode == 0, done.stderr
    assert left(folder) == ["made"]
    files = ["README.md", "model.json", "model.onnx", "model.onnx.data", "report.json"]
    assert [name for name in left(folder / "made") if not name.startswith(("vocab.txt", "tokenizer.json"))] == files
    report = json.loads(done.stdout)
    assert {name: report[name] for name in ("task", "prefer", "out", "command")} == {
        "task": "text-classification",
        "prefer": "cold",
        "out": "made",
        "command": "pilotlight optimize model.onnx --task text-classification --out made "
        "--samples samples.jsonl --force --json",
    }
    assert report["source"] == {"name": "model", "kind": "onnx", "revision": "", "license": "mit"}
    assert report["fidelity"]["samples"] == {"count": 8, "file": "samples.jsonl"}
    assert report["fidelity"]["final"]["agreement"] >= 0.95
    assert report["fidelity"]["fp32"]["largest"] < 1e-5
    assert len(report["precision"]["int8"]) + len(report["precision"]["fp32"]) == 5
    assert report["after"]["bytes"] < report["before"]["bytes"]
    assert {name: size for name, size in report["files"].items() if name != "report.json"} == {
        path.name: path.stat().st_size for path in (folder / "made").iterdir() if path.name != "report.json"
    }
    saved = json.loads((folder / "made/report.json").read_text())
    assert saved == {name: value for name, value in report.items() if name not in ("out", "files")}

    assert Model(folder / "made").settings["session"]["optimize"] is False
    assert Classifier(folder / "made").classify("word1 word2").label in ("calm", "loud")
    card = (folder / "made/README.md").read_text()
    assert "| licence | mit |" in card
    assert card.endswith(f"## The source's own card\n\n### Loudness\n\nHow loud a text is.\n{USE}")
    assert report["machine"]["processor"] in card


@pytest.mark.system  # for its time
def test_it_says_how_far_it_is(folder: Path) -> None:
    small_encoder.samples(folder / "samples.jsonl", 600)
    code, written, answer = on_a_terminal(*command("--json"), cwd=folder)
    assert code == 0, written
    assert json.loads(answer)["fidelity"]["samples"]["count"] == 600
    kept = "\n".join(stays(written))
    for number, name in enumerate(STEPS, 1):
        assert re.search(rf"^step {number} of 6: {name}, \d+:\d\d$", kept, re.MULTILINE)
    # the line is drawn a few times a second, so that a machine may be through with a count before it is shown
    assert re.search(r"step \d of 6: \w+, \d+:\d\d \| [\w ]+: \d+ of (600|6) in \d+:\d\d", written)


@pytest.mark.system  # for its time
def test_a_run_that_was_killed_goes_on(folder: Path) -> None:
    with subprocess.Popen(command(), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as killed:
        assert killed.stderr is not None
        assert any(line.startswith("step 4 of 6: int8") for line in killed.stderr)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    assert left(folder) == ["made.partial"]
    planned = run(folder, "--dry-run", "--json")
    assert json.loads(planned.stdout)["finished"] == STEPS[:3]
    done = run(folder)
    assert done.returncode == 0, done.stderr
    assert "running the original" not in done.stderr
    assert "timing the finished model" in done.stderr
    assert left(folder) == ["made"]
    assert "Wrote made: " in done.stdout
    assert "agreement" in done.stdout


def test_ctrl_c_says_how_to_go_on(folder: Path) -> None:
    with subprocess.Popen(command(), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as stopped:
        assert stopped.stderr is not None
        assert any(line.startswith("step 3 of 6: graph") for line in stopped.stderr)
        stopped.send_signal(signal.SIGINT)
        said = stopped.stderr.read()
        assert stopped.stdout is not None
        assert stopped.stdout.read() == ""
    assert stopped.returncode == 130
    assert said.rstrip().splitlines()[-1] == (
        f"What is done is in {folder / 'made.partial'}: the same command goes on from there."
    )
    assert left(folder) == ["made.partial"]


@pytest.mark.system  # for its time
def test_a_gate_that_is_not_passed_writes_nothing(folder: Path) -> None:
    a_model(folder / "made")
    vectors = ("--task", "sentence-embedding", "--min-agreement", "1", "--force", "--json")
    failed = run(folder, *vectors, "--precision", "int8")
    assert failed.returncode == 1
    said = json.loads(failed.stdout)
    assert said["error"].startswith("quantising to int8: the agreement is 0.99")
    assert ", at least 1 is asked for; it is least for sample " in said["error"]
    assert said["hint"] == "--precision auto leaves the worst parts in fp32"
    assert left(folder) == ["made", "made.partial"]
    assert left(folder / "made") == ["model.json", "report.json"]

    done = run(folder, *vectors)  # int8 never gives the same, so that all stays in fp32
    assert done.returncode == 0, done.stderr
    assert "running the original" not in done.stderr
    assert "all in int8 does not pass: the agreement is 0.99" in done.stderr
    assert len(json.loads(done.stdout)["precision"]["fp32"]) == 5
    assert "weights in fp32, since no choice of parts in int8 passed." in (folder / "made/README.md").read_text()
    assert left(folder) == ["made"]


@pytest.mark.parametrize(
    ("arguments", "source", "message"),
    [
        ((), "none.onnx", "none.onnx: there is no such file or folder"),
        ((), "samples.jsonl", "samples.jsonl: neither a .pt2 nor an .onnx file"),
        (("--task", "question-answerin"), "source/model.onnx", "unknown task 'question-answerin'"),
        (("--samples", "none.jsonl"), "source/model.onnx", "reading the samples in none.jsonl: "),
        (("--out", "samples.jsonl"), "source/model.onnx", "writing samples.jsonl: it is a file"),
        (("--out", "source", "--force"), "source/model.onnx", "writing source: "),
        (("--out", ".", "--force"), "source/model.onnx", "writing .: "),
        (("--min-agreement", "nan"), "source/model.onnx", "--min-agreement nan: not a number to compare with"),
        (("--max-loss", "inf"), "source/model.onnx", "--max-loss inf: not a number to compare with"),
    ],
)
def test_what_cannot_work_is_said_at_once(folder: Path, arguments: tuple[str, ...], source: str, message: str) -> None:
    failed = run(folder, *arguments, source=source)
    assert failed.returncode == 2
    assert failed.stderr.splitlines()[-2].startswith(f"error: {message}")
    assert left(folder) == []


def test_a_dry_run_writes_nothing(folder: Path) -> None:
    done = run(folder, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"Source    {folder / 'source/model.onnx'} (onnx)",
        "Task      text-classification: scores a text, or a pair of texts, for each label",
        "Samples   8, samples.jsonl",
        "Begins    at the first step",
        "Writes    made",
    ]
    assert left(folder) == []


def test_the_missing_library_is_named(folder: Path) -> None:
    (folder / "hidden").mkdir()
    (folder / "hidden/onnx.py").write_text("raise ImportError('no module', name='onnx')")
    environ = {**os.environ, "PYTHONPATH": str(folder / "hidden")}
    failed = subprocess.run(command(), cwd=folder, capture_output=True, text=True, env=environ, timeout=280)
    assert failed.returncode == 1
    assert failed.stderr.splitlines() == [
        "error: optimising needs the library onnx, which is not installed",
        'hint: pip install "pilotlight[optimize]"',
    ]


@pytest.mark.system  # for its time
def test_a_run_that_was_killed_when_all_was_written_ends(folder: Path) -> None:
    """The folder is in its place, the work folder still there: the next run has only to put it there again."""
    killer = (
        "import os, sys; from pilotlight.optimize import place; from pilotlight.cli import main; put = place.replace\n"
        "place.replace = lambda new, out: (put(new, out), os.kill(os.getpid(), 9))\n"
        "sys.argv[0] = 'pilotlight'; main()"
    )
    killed = [sys.executable, "-c", killer, *command()[3:]]
    assert subprocess.run(killed, cwd=folder, capture_output=True, timeout=280).returncode == -signal.SIGKILL
    assert left(folder) == ["made", "made.partial"]
    done = run(folder, "--force", "--json")
    assert done.returncode == 0, done.stderr
    assert "timing the finished model" not in done.stderr
    assert left(folder) == ["made"]
    assert Classifier(folder / "made").classify("word1 word2").label in ("calm", "loud")


def test_of_paths_the_card_has_only_names(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = ["pilotlight", "optimize", "../a/b", "hf://org/name", "--out=/home/me/x", "--samples", "me/s.jsonl", "~/y"]
    monkeypatch.setattr(sys, "argv", typed)
    assert _command() == "pilotlight optimize b hf://org/name --out=x --samples s.jsonl y"


def test_what_the_disk_refuses_is_said_with_the_folder(folder: Path) -> None:
    limited = ["bash", "-c", 'ulimit -f 8; exec "$@"', "limited", *command()]  # blocks of 1 KB for each file
    failed = subprocess.run(limited, cwd=folder, capture_output=True, text=True, timeout=280)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-2:] == [
        f"error: working in {folder / 'made.partial'}: File too large",
        "hint: what is done is kept there: the same command goes on",
    ]
    assert left(folder) == ["made.partial"]
