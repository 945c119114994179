"""Cold starts, each taken apart into phases.

Every run starts an execution environment as `serve` does, sends it one invocation and stops it. What the environment
did in between is in its trace (`function/trace.py`), whose clock all processes of the machine share.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from pilotlight.errors import FunctionError
from pilotlight.function import trace
from pilotlight.measure import memory
from pilotlight.measure.memory import Memory
from pilotlight.values import Call, Invoke

PHASES = (
    *("fork", "isolation", "python", "imports", "library", "weights", "tokenizer", "Pillow", "runtime api"),
    *("first run", "handler"),
)
_SPANS = ("library", "weights", "tokenizer", "Pillow", "first run")
_HANDLER = ("decode", "handler", "encode", "respond")
_TRACE_SECONDS = 5.0  # for a trace that is written right after the answer

Span = tuple[str, int, int]
"""Name, begin and end, in nanoseconds."""
Open = Callable[[Mapping[str, str]], AbstractAsyncContextManager[Invoke]]


class Start(NamedTuple):
    """One cold start.

    `phases` are milliseconds that add up to `total`, spawn to answer: `fork` until there is a process, `isolation`
    until it executes Python, `python` until the first of our code runs, `imports` until the handler is there, less what
    follows; `library` for ONNX Runtime itself, `weights` for sessions, `tokenizer`, `Pillow`; `runtime api` from there
    to the event, and from the answer to who asked; `first run`, that of each session; `handler`, its own work.
    `modules` is how many Python had imported; `files` are those that the environment has mapped or imported.
    """

    phases: Mapping[str, float]
    total: float
    modules: int
    memory: Memory
    files: frozenset[Path]


async def start(open_environment: Open, call: Call) -> Start:
    """One cold start. `open_environment` makes the environment with variables of its own, to be started by its first
    invocation and stopped at the end. Raises what that raises, and `FunctionError` when there is no trace."""
    with TemporaryDirectory(prefix="pilotlight-trace-") as folder:
        file = Path(folder) / "trace.json"
        async with open_environment({trace.VARIABLE: str(file)}) as invoke:
            began = time.monotonic_ns()
            await invoke(call)
            answered = time.monotonic_ns()
            noted = json.loads(await read(file))
            used, mapped = memory.of(noted["pid"]), memory.files_mapped(noted["pid"])
    files = mapped | {Path(name) for name in noted["files"] if name}
    phases = split(began, answered, noted["marks"], [tuple(each) for each in noted["spans"]])
    return Start(phases, (answered - began) / 1e6, noted["modules"], used, frozenset(files))


async def read(file: Path) -> bytes:
    deadline = time.monotonic() + _TRACE_SECONDS
    while not file.exists():
        if time.monotonic() > deadline:
            hint = "phases are seen under Pilotlight's own runtime loop only, and while the environment lives"
            raise FunctionError("measuring a cold start: the environment left no trace", hint)
        await asyncio.sleep(0.001)
    return file.read_bytes()


def split(began: int, answered: int, marks: Mapping[str, int], spans: list[Span]) -> dict[str, float]:
    """The phases in milliseconds, in the order of `PHASES`; all arguments are nanoseconds of one clock."""
    moments = [began, marks["forked"], marks["executed"], marks["started"]]
    named = {name: sum(lengths(spans, name)) for name in (*_SPANS, *_HANDLER)}
    in_init = sum(end - begin for name, begin, end in spans if name in _SPANS and end <= marks["ready"])
    later = sum(named[name] for name in _SPANS) - in_init
    handled = sum(named[name] for name in _HANDLER)
    phases = {
        **dict(zip(PHASES, (end - begin for begin, end in pairwise(moments)), strict=False)),
        "imports": marks["ready"] - marks["started"] - in_init,
        **{name: named[name] for name in _SPANS},
        "runtime api": answered - marks["ready"] - handled,
        "handler": handled - later,
    }
    return {name: phases[name] / 1e6 for name in PHASES}


def lengths(spans: list[Span], name: str) -> list[int]:
    """How long each span of that name took."""
    return [end - begin for kind, begin, end in spans if kind == name]
