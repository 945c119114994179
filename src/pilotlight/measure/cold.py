"""Cold starts, each taken apart into phases.

Every run starts an execution environment as `serve` does, sends it one invocation and stops it. What the environment
did in between is in its trace (`function/trace.py`), whose clock all processes of the machine share.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from pilotlight.errors import FunctionError
from pilotlight.function import trace
from pilotlight.measure import memory
from pilotlight.measure.memory import Memory
from pilotlight.values import Call, Invoke

PHASES = ("process", "imports", "library", "weights", "tokenizer", "first run", "rest")
_SPANS = PHASES[2:-1]
_TRACE_SECONDS = 5.0  # for a trace that is written right after the answer

Open = Callable[[Mapping[str, str]], AbstractAsyncContextManager[Invoke]]


class Start(NamedTuple):
    """One cold start.

    `phases` are milliseconds that add up to `total`, spawn to answer: `process` until the first of our code runs,
    `imports` until the handler is there, less what follows; `library` for ONNX Runtime itself, `weights` for sessions,
    `tokenizer`, `first run` for the first run of each session; `rest` is the Runtime API and the handler's own work.
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
            noted = json.loads(await _read(file))
            used, mapped = memory.of(noted["pid"]), memory.files_mapped(noted["pid"])
    files = mapped | {Path(name) for name in noted["files"] if name}
    phases = split(began, answered, noted["marks"], [tuple(each) for each in noted["spans"]])
    return Start(phases, (answered - began) / 1e6, noted["modules"], used, frozenset(files))


async def _read(file: Path) -> bytes:
    deadline = time.monotonic() + _TRACE_SECONDS
    while not file.exists():
        if time.monotonic() > deadline:
            hint = "phases are seen under Pilotlight's own runtime loop only, and while the environment lives"
            raise FunctionError("measuring a cold start: the environment left no trace", hint)
        await asyncio.sleep(0.001)
    return file.read_bytes()


def split(began: int, answered: int, marks: Mapping[str, int], spans: list[tuple[str, int, int]]) -> dict[str, float]:
    """The phases in milliseconds, in the order of `PHASES`; all arguments are nanoseconds of one clock."""
    started, loaded = marks["started"], marks["loaded"]
    noted = {name: sum(end - begin for kind, begin, end in spans if kind == name) for name in _SPANS}
    inside_init = sum(end - begin for _, begin, end in spans if end <= loaded)
    phases = {"process": started - began, "imports": loaded - started - inside_init, **noted}
    phases["rest"] = answered - began - sum(phases.values())
    return {name: phases[name] / 1e6 for name in PHASES}
