"""`make bench`: that its table has every benchmark, what its runner does with good and bad ones, what its pages say."""

import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
RUNNER = ("run.py", "run_processes.py", "run_state.py", "suite.py", "summary.py", "machine.py")

TABLE = """
BENCHMARKS = (
    Benchmark("good", 0.1, "--few", "--many"),
    Benchmark("bad", 0.1),
    Benchmark("untidy", 0.1),
    Benchmark("elsewhere", 0.1, needs=("data",)),
    Benchmark("last", 0.1),
)
"""
GOOD = """
import machine, sys
targets = machine.targets([("at most 3", "2", True), ("at least 9", "7", False)])
machine.write("good", ["# Good", "", *targets], ["click"])
"""
BAD = "raise SystemExit('nothing to measure with')"
UNTIDY = """
import machine, subprocess
subprocess.Popen(["sleep", "600"], start_new_session=True)
machine.write("untidy", ["# Untidy"])
"""
LAST = """
import machine, pathlib, sys, tempfile, time
if not pathlib.Path("free").exists():
    pathlib.Path("waiting").write_text(tempfile.mkdtemp())
    time.sleep(600)
machine.write("last", ["# Last"])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the runner and five benchmarks of its own."""
    (tmp_path / "benchmarks").mkdir()
    for name in RUNNER:
        shutil.copyfile(BENCHMARKS / name, tmp_path / "benchmarks" / name)
    with (tmp_path / "benchmarks" / "suite.py").open("a") as suite:
        suite.write(TABLE)
    for name, text in {"good": GOOD, "bad": BAD, "untidy": UNTIDY, "elsewhere": GOOD, "last": LAST}.items():
        (tmp_path / "benchmarks" / f"{name}.py").write_text(text)
    return tmp_path


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, str(folder / "benchmarks" / "run.py"), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    with start(folder, *arguments) as process:
        printed = process.communicate(timeout=120)[0]
    return process.returncode, printed


def test_a_run_goes_on_after_failures_and_names_them(folder: Path) -> None:
    (folder / "free").touch()
    code, printed = run(folder)
    assert code == 1
    assert re.sub(r"[\d.]+ ?(?=s$)|average .+", "*", printed, flags=re.M).splitlines() == [
        "Load *",
        "[1/5] good, 0 min left",
        "  done, *s",
        "[2/5] bad, 0 min left",
        "  exit status 1; see build/benchmarks/bad.log, *s",
        "[3/5] untidy, 0 min left",
        "  left behind: sleep; see build/benchmarks/untidy.log, *s",
        "[4/5] elsewhere, 0 min left",
        "  not run: it wants data that is not in this repository: --data DIR, see the script's --help",
        "[5/5] last, 0 min left",
        "  done, *s",
        "Summary: benchmarks/results/README.md",
        "failed: bad: exit status 1; see build/benchmarks/bad.log",
        "failed: untidy: left behind: sleep; see build/benchmarks/untidy.log",
        "`make docs` brings the figures into README and docs.",
    ]
    assert (folder / "build/benchmarks/bad.log").read_text() == "nothing to measure with\n"


def test_a_page_says_how_it_was_made_and_the_summary_what_it_reached(folder: Path) -> None:
    (folder / "free").touch()
    assert run(folder, "--only", "good", "elsewhere")[0] == 0
    results = folder / "benchmarks" / "results"
    machine = r"Machine: .+, \d+ CPUs, Linux .+, Python 3\.\d+\.\d+"
    made = rf"{machine}\. Measured on \d{{4}}-\d\d-\d\d at no commit; load average [\d.]+ before\. "
    page = (results / "good.md").read_text()
    assert re.search(rf"^{made}Versions: click [\d.]+\. Command: `python benchmarks/good\.py --many`\.$", page, re.M)
    summary = (results / "README.md").read_text()
    assert "2 targets: 1 met, 1 missed." in summary
    assert "| at least 9 | 7 | **missed** | [good](good.md) |" in summary
    assert re.search(r"^\| \[good\]\(good\.md\) \| Good \| [\d-]+ \| no commit \| [\d.]+ \| .+ \|$", summary, re.M)
    assert "- elsewhere: it wants data that is not in this repository" in summary


def test_ctrl_c_keeps_what_is_done_and_resume_does_the_rest(folder: Path) -> None:
    with start(folder, "--skip", "bad", "untidy") as process:
        while not (waiting := folder / "waiting").exists() or not waiting.read_text():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        printed = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert "Stopped. What is done is kept, and --resume does the rest." in printed
    assert not Path(waiting.read_text()).exists()  # its temporary folder
    page = (folder / "benchmarks" / "results" / "good.md").read_bytes()
    (folder / "free").touch()
    code, printed = run(folder, "--skip", "bad", "untidy", "--resume")
    assert code == 0
    assert "good" not in printed
    assert (folder / "benchmarks" / "results" / "good.md").read_bytes() == page
    assert (folder / "benchmarks" / "results" / "last.md").exists()


def test_a_trial_leaves_the_results_alone(folder: Path) -> None:
    assert run(folder, "--only", "good", "--quick")[0] == 0
    assert "`python benchmarks/good.py --few`" in (folder / "build/benchmarks/quick/good.md").read_text()
    assert not (folder / "benchmarks" / "results").exists()


def test_every_script_with_a_page_is_in_the_table_and_every_row_is_a_script() -> None:
    table = {each.name for each in runpy.run_path(str(BENCHMARKS / "suite.py"))["BENCHMARKS"]}
    calls = re.compile(r"^\s+(?:machine\.)?write\(\s*\"(\w+)\"", re.M)
    pages = {path.stem: set(calls.findall(path.read_text(encoding="utf-8"))) for path in BENCHMARKS.glob("*.py")}
    assert {name for name, written in pages.items() if written} == table
    assert all(written == {name} for name, written in pages.items() if written)


def test_a_figure_is_found_by_row_and_column() -> None:
    figures = runpy.run_path(str(ROOT / "docs" / "figures.py"))
    page = (
        "| | ms | MB |\n|---|---|---|\n| `a`, cold | **1,234.5** | 7 |\n\n"
        "| size | side | ms |\n|---|---|---|\n| a | ours | 3.0 |\n"
    )
    assert figures["figure"](page, ["a, cold", "ms"]) == "1,234.5"
    assert figures["figure"](page, ["a", "ours", "ms"]) == "3.0"
    assert figures["figure"](page, ["a", "theirs", "ms"]) is None
    assert figures["figure"](page, ["a, cold", "GB"]) is None
