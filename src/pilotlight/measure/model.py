"""A bare model, timed: a folder that `pilotlight.Model` loads, in fresh processes without a function around it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from pilotlight.artifacts import Timing
from pilotlight.errors import ModelError

_CHILD = "from pilotlight.measure.timed import main; main()"


class Feed(NamedTuple):
    """An input made up for timing: `dtype` is "int64", "float32" or "uint8", every element is `value`."""

    dtype: str
    shape: tuple[int, ...]
    value: int = 1


def time_model(
    model: Path, feeds: Mapping[str, Feed], runs: int, count: Callable[[int, int], None] = lambda done, total: None
) -> Timing:
    """Time the model folder or .onnx file in `runs` fresh processes, after one that only warms the page cache.

    Each process loads it, runs it once, which is the cold time from its start, then some fifty times more, for two
    seconds at most. `count` is told how many of all these processes have ended, and of how many. Raises `ModelError`
    when the model cannot be loaded or does not take the feeds.
    """
    request = json.dumps({"model": str(model.resolve()), "feeds": feeds})
    timed = []
    for done in range(runs + 1):
        count(done, runs + 1)
        timed.append(_run(request))
    count(runs + 1, runs + 1)
    del timed[0]
    warm = [each for one in timed for each in one["warm_ms"]]
    return Timing(
        cold_ms=median(one["cold_ms"] for one in timed),
        p50_ms=median(warm),
        p95_ms=sorted(warm)[ceil(0.95 * len(warm)) - 1],
        bytes=size(model),
        pss_mb=median(one["pss_mb"] for one in timed),
    )


def _run(request: str) -> dict[str, Any]:
    """What one process measured; it says when it had its first answer, by the clock that it shares with this one."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.monotonic_ns()
    done = subprocess.run(
        [sys.executable, "-c", _CHILD], input=request, capture_output=True, text=True, env=environ, check=False
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise ModelError(f"timing the model: its process ended: {last}", "") from None
    if "error" in answer:
        raise ModelError(answer["error"], answer["hint"])
    return {**answer, "cold_ms": (answer["answered"] - began) / 1e6}


def size(model: Path) -> int:
    """Bytes on the disk: of all files in a model's folder, of an .onnx file with the weights beside it."""
    if model.is_dir():
        return sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
    weights = model.with_name(f"{model.name}.data")
    return model.stat().st_size + (weights.stat().st_size if weights.is_file() else 0)
