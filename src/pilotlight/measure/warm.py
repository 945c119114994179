"""Warm requests, each taken apart into phases: from a client over HTTP to the function's process and back.

The client is a process of its own (`asking`); the server notes when a request has become an invocation and when that is
answered; what the function's process does is in its trace (`function/trace.py`). All processes share one clock.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from time import monotonic_ns
from typing import NamedTuple

from pilotlight.errors import FunctionError
from pilotlight.measure.cold import Span, lengths
from pilotlight.values import Call, Invoke, Result

PHASES = (
    *("front", "invoke", "decode", "tokenize", "picture", "run", "handler", "encode", "respond", "return", "answer"),
)
_INSIDE = ("tokenize", "picture", "run")
_OF_FUNCTION = ("decode", "handler", "encode", "respond")


class Times(NamedTuple):
    """Moments of one request at the client and at the server, in nanoseconds."""

    sent: int
    invoked: int
    returned: int
    received: int


class Warm(NamedTuple):
    """One warm request.

    `phases` are milliseconds that add up to `total`, as the client sees it: `front` until the request is an event that
    is given to the function; `invoke` until its process has it; `decode`; `tokenize`, `picture`, `run` of models, and
    `handler`, its own work; `encode`; `respond`, with its record where there is one; `return` until the server has it;
    `answer` until the client has it.
    """

    phases: dict[str, float]
    total: float


class Noted:
    """An `Invoke` that notes when each invocation began and ended. Raises `FunctionError` for an answer in parts."""

    def __init__(self, invoke: Invoke) -> None:
        self._invoke = invoke
        self.moments: list[tuple[int, int]] = []

    async def __call__(self, call: Call) -> Result:
        began = monotonic_ns()
        result = await self._invoke(call)
        self.moments.append((began, monotonic_ns()))
        if result.stream is not None:
            raise FunctionError("measuring warm requests: the function streams its answers", "measure it by bench load")
        return result


async def ask(url: str, request: bytes, count: int) -> tuple[list[tuple[int, int]], float]:
    """`count` requests one after the other: when each was sent and answered, and the client's processor time.

    Who is cancelled has those that were answered. Raises `FunctionError` when one is not answered well.
    """
    command = [sys.executable, "-m", "pilotlight.measure.asking", url, str(count)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
    )
    told = asyncio.ensure_future(process.communicate(request))
    try:
        out, err = await asyncio.shield(told)
    except asyncio.CancelledError:
        process.send_signal(signal.SIGINT)
        out, err = await told
        if process.returncode:  # it had not begun
            return [], 0.0
    if process.returncode:
        said = err.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise FunctionError(
            said.removeprefix(f"{FunctionError.__module__}.FunctionError: "), "give it an event it can answer"
        )
    noted = json.loads(out)
    return list(zip(noted["sent"], noted["received"], strict=True)), noted["cpu"]


def split(times: Times, spans: Sequence[Span]) -> Warm:
    """The phases of a request whose invocation has those spans."""
    began = min(begin for name, begin, _ in spans if name == "decode")
    ended = max(end for name, _, end in spans if name == "respond")
    named = {name: sum(lengths(list(spans), name)) for name in (*_INSIDE, *_OF_FUNCTION)}
    named["handler"] -= sum(named[name] for name in _INSIDE)
    phases = {
        "front": times.invoked - times.sent,
        "invoke": began - times.invoked,
        **named,
        "return": times.returned - ended,
        "answer": times.received - times.returned,
    }
    return Warm({name: phases[name] / 1e6 for name in PHASES}, (times.received - times.sent) / 1e6)


def outside(times: Times) -> Warm:
    """The phases of a request of which the function's process has told nothing: all of what it did is `function`."""
    phases = {
        "front": times.invoked - times.sent,
        "function": times.returned - times.invoked,
        "answer": times.received - times.returned,
    }
    return Warm({name: each / 1e6 for name, each in phases.items()}, (times.received - times.sent) / 1e6)


def invocations(spans: Sequence[Span]) -> list[list[Span]]:
    """The spans of each invocation, in their order; what was noted before the first of them is left out."""
    decoded = [begin for name, begin, _ in spans if name == "decode"]
    found: list[list[Span]] = [[] for _ in decoded]
    for span in spans:
        if numbers := [number for number, begin in enumerate(decoded) if begin <= span[1]]:
            found[numbers[-1]].append(span)
    return found
