"""What a run of `bench load` has found, kept in a file: to be compared with another, or to be simulated with."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from pilotlight.errors import UsageError
from pilotlight.measure.drafts import draft

FORMAT = "pilotlight-run-1"
SAMPLES = 10_000
"""As many of a kind are kept at most, drawn at random where there were more, in their order."""
PARTS = 20
"""Of the time of a run: enough to see how much the throughput varies, and each long enough to be nearly independent of
the one before (Schmeiser, Batch size effects in the analysis of simulation output, 1982: from 10 to 30)."""

_HINT = "name a file that `pilotlight bench load --save` wrote"


_Count = Annotated[int, Meta(ge=0)]
_Ms = Annotated[float, Meta(ge=0)]


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Times in milliseconds.

    `latencies` are those of good answers as the client saw them, in the order in which they came, and `histogram` all
    of them in HdrHistogram's V2 encoding, in microseconds. `durations` and `inits` are what the function itself took,
    without the way to it: the Duration and the Init Duration (or with SnapStart the Restore Duration) of its REPORT
    lines; empty where nobody told. `memory` in MB and `architecture` are the function's, 0 and "" where unknown. `cold`
    of the `requests` began with an init phase, as the function told of `told` of them. `began` is ISO 8601. `each` is
    how many good answers came in each of `PARTS` equal parts of the time. `sent` is a digest of what the requests
    carried. `late`, `held` and `busy` are those of `load.Summary`: whether the client was the limit.
    """

    target: str
    began: str
    machine: str
    requests: _Count
    seconds: Annotated[float, Meta(gt=0)]
    errors: dict[str, _Count]
    latencies: Sequence[_Ms]
    histogram: str = ""
    durations: Sequence[_Ms] = ()
    inits: Sequence[_Ms] = ()
    cold: _Count = 0
    told: _Count = 0
    memory: int = 0
    architecture: str = ""
    concurrency: int = 0
    rate: float = 0.0
    phases: dict[str, float] = {}
    each: Sequence[_Count] = ()
    sent: str = ""
    late: float = 0.0
    held: float = 0.0
    busy: float = 0.0
    format: str = FORMAT


def write(path: Path, run: Saved) -> None:
    """Raises `UsageError` where the file cannot be written; what was there stays then."""
    with draft(path) as file:
        file.write_text(json.dumps(msgspec.to_builtins(run), indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Saved:
    """Raises `UsageError` for what is no such file."""
    try:
        run = msgspec.json.decode(path.read_bytes(), type=Saved)
    except OSError as error:
        raise UsageError(f"reading {path}: {error.strerror}", _HINT) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"reading {path}: it is no run: {error}", _HINT) from None
    if run.format != FORMAT:
        raise UsageError(f"reading {path}: its format is {run.format}, not {FORMAT}", _HINT)
    if sum(run.errors.values()) > run.requests or (run.told and run.cold > run.told) or len(run.each) not in (0, PARTS):
        raise UsageError(f"reading {path}: its figures contradict one another", _HINT)
    return run
