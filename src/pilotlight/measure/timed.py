"""The process that `model.time_model` starts: what is measured is in it, so it imports next to nothing.

Reads a request from stdin, `{"model": path, "feeds": {name: [dtype, shape, value]}}`; writes one JSON object to stdout.
"""

import json
import sys
from array import array
from math import prod
from time import monotonic_ns
from typing import Any

from pilotlight.errors import ModelError
from pilotlight.function.model import Model
from pilotlight.function.session import shaped

_RUNS, _SECONDS = 50, 2.0
_TYPES = {"int64": "q", "float32": "f", "uint8": "B"}


def main() -> None:
    """Load, run, run again."""
    request = json.loads(sys.stdin.read())
    try:
        answer = timed(request["model"], {name: tensor(*feed) for name, feed in request["feeds"].items()})
    except ModelError as error:
        answer = {"error": str(error), "hint": error.hint}
    sys.stdout.write(json.dumps(answer))


def tensor(dtype: str, shape: list[int], value: float) -> memoryview:
    """A tensor whose elements are all `value`."""
    kind = _TYPES[dtype]
    return shaped(array(kind, [value]) * prod(shape), kind, shape)


def timed(path: str, feeds: dict[str, memoryview]) -> dict[str, Any]:
    """When the first answer was there, the milliseconds of later runs, and the memory at the end."""
    model = Model(path)
    model.run(feeds)
    answered = monotonic_ns()
    warm: list[float] = []
    while len(warm) < _RUNS and (monotonic_ns() - answered) / 1e9 < _SECONDS:
        began = monotonic_ns()
        model.run(feeds)
        warm.append((monotonic_ns() - began) / 1e6)

    from pilotlight.measure import memory

    return {"answered": answered, "warm_ms": warm, "pss_mb": memory.of("self").pss}
