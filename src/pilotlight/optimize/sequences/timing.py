"""A finished model, timed: a text translated in fresh processes, the tokenizer included."""

from __future__ import annotations

import json
import subprocess
import sys
import time as clock
from math import ceil
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from pilotlight.artifacts import Timing
from pilotlight.errors import ModelError

if TYPE_CHECKING:
    from pilotlight.optimize.progress import Progress

CHILD = "from pilotlight.optimize.sequences.timing import main; main()"
WARM, SECONDS = 20, 3.0
"""Runs after the first in one process, and how long they may take together."""


def time(model: Path, text: str, beams: int, runs: int, progress: Progress) -> Timing:
    """Medians over `runs` fresh processes, after one that only warms the page cache."""
    from pilotlight.optimize import report  # which the child does not need

    request = json.dumps({"model": str(model), "text": text, "beams": beams})
    found = [_run(request) for _ in progress.each("fresh processes", range(runs + 1))][1:]
    warm = sorted(each for one in found for each in one["warm_ms"])
    return Timing(
        cold_ms=median(one["cold_ms"] for one in found),
        p50_ms=median(warm),
        p95_ms=warm[ceil(0.95 * len(warm)) - 1],
        bytes=report.size(model),
        pss_mb=median(one["pss_mb"] for one in found),
    )


def _run(request: str) -> dict[str, Any]:
    began = clock.monotonic()
    done = subprocess.run([sys.executable, "-c", CHILD], input=request, capture_output=True, text=True, check=False)
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise ModelError(f"timing the model: its process ended: {last}") from None
    return {**answer, "cold_ms": (answer["at"] - began) * 1000}


def main() -> None:
    """In the process that is timed: load, translate, say when, translate again."""
    from pilotlight.function.translate import Translator

    asked = json.loads(sys.stdin.read())
    translator = Translator(asked["model"])
    translator.translate([asked["text"]], beam=asked["beams"])
    at, warm = clock.monotonic(), list[float]()
    while len(warm) < WARM and clock.monotonic() - at < SECONDS:
        began = clock.perf_counter()
        translator.translate([asked["text"]], beam=asked["beams"])
        warm.append((clock.perf_counter() - began) * 1000)
    sys.stdout.write(json.dumps({"at": at, "warm_ms": warm, "pss_mb": _pss()}))


def _pss() -> float:
    """Of this process, in MB; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("Pss:")), 0.0)
