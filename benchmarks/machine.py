"""What every benchmark needs: the machine in one line, an environment as Lambda has it, a results file.

A page begins with how it was made: machine, date, commit, how busy the machine was, versions, command. All of that is
written here, so that a script gives its figures and no more.
"""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from statistics import median

from pilotlight.measure.machine import describe as describe

ROOT = Path(__file__).parents[1]
RESULTS = Path(os.environ.get("BENCHMARKS_RESULTS") or Path(__file__).parent / "results")
LOAD = "BENCHMARKS_LOAD"  # what `run.py` saw before its first benchmark: later ones see those before them

_LOAD = os.environ.get(LOAD) or f"{os.getloadavg()[0]:.1f}"


def commit() -> str:
    """What is checked out; "changed" where files are not as committed, those that benchmarks write apart."""
    described = _git("describe", "--always")
    if not described:
        return "no commit"
    written = (":!benchmarks/results", ":!README.md", ":!docs", ":!examples/*/README.md")
    return described + (", changed" if _git("status", "--porcelain", "--", ".", *written) else "")


def _git(*arguments: str) -> str:
    """ "" where this is no repository."""
    try:
        return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def environ() -> dict[str, str]:
    """The variables of a measured process. What ships to Lambda is compiled: so is what is measured here."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def row(name: str, seconds: list[float]) -> str:
    """A line of a table: median, least and most in milliseconds."""
    return f"| {name} | {median(seconds) * 1000:.1f} | {min(seconds) * 1000:.1f} | {max(seconds) * 1000:.1f} |"


def targets(rows: Iterable[tuple[str, str, bool]]) -> list[str]:
    """A table of (what was to be reached, what was measured, whether it is met), which `summary.py` reads."""
    verdicts = (f"| {what} | {measured} | {'met' if is_met else '**missed**'} |" for what, measured, is_met in rows)
    return ["| target | measured | |", "|---|---|---|", *verdicts, ""]


def write(name: str, lines: Sequence[str], libraries: Iterable[str] = ()) -> None:
    """Print the lines, how they were made below the first, which is the title, and write all to `results/NAME.md`.

    `libraries` are distributions whose version matters; those that are not installed beside the script are left out.
    One that is elsewhere is given with its version: "name 1.2".
    """
    title, *rest = lines
    text = "\n".join([title, "", made(libraries), *rest]) + "\n"
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


def made(libraries: Iterable[str]) -> str:
    """How a page was made, which `summary.py` reads."""
    found = ", ".join(filter(None, map(_version, libraries)))
    return (
        f"Machine: {describe()}. Measured on {time.strftime('%Y-%m-%d')} at {commit()}; load average {_LOAD} before. "
        f"{f'Versions: {found}. ' if found else ''}Command: `{command()}`."
    )


def _version(library: str) -> str:
    if " " in library:
        return library
    try:
        return f"{library} {metadata.version(library)}"
    except metadata.PackageNotFoundError:
        return ""


def command() -> str:
    """How this script was called; places on this machine are PATH."""
    script, *arguments = sys.argv
    shown = ["PATH" if each.startswith("/") else each for each in arguments]
    return shlex.join(["python", f"benchmarks/{Path(script).name}", *shown])
