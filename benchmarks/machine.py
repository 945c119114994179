"""What every benchmark needs: the machine in one line, an environment as Lambda has it, a results file."""

import os
from pathlib import Path
from statistics import median

from pilotlight.measure.machine import describe as describe

RESULTS = Path(__file__).parent / "results"


def environ() -> dict[str, str]:
    """The variables of a measured process. What ships to Lambda is compiled: so is what is measured here."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def row(name: str, seconds: list[float]) -> str:
    """A line of a table: median, least and most in milliseconds."""
    return f"| {name} | {median(seconds) * 1000:.1f} | {min(seconds) * 1000:.1f} | {max(seconds) * 1000:.1f} |"


def write(name: str, lines: list[str]) -> None:
    """Print the lines and write them to `results/NAME.md`."""
    text = "\n".join(lines) + "\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)
