"""A function asked in each of several memory settings, in rounds: what drifts on a shared machine meets all alike.

A round of a setting is a fresh execution environment: one cold start, then warm requests one after the other.
"""

import json
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

from pilotlight.errors import FunctionError

SECONDS = 2.0
"""Of warm requests in one round, after which no more are sent: a setting that is slow takes no longer than others."""
LEAST = 3
"""Warm requests that a round has all the same, as far as so many were asked for."""

_IMPOSSIBLE = {  # error types that a larger setting may not have, in words
    "Runtime.OutOfMemory": "out of memory",
    "Sandbox.Timedout": "timed out",
}


class Sample(NamedTuple):
    """One invocation. Times in milliseconds: `latency` as the client saw it, `billed` in whole ones, with `init` in a
    cold start; `peak` in MB. `error` is the type of what went wrong, "" for a good one, and `text` says more."""

    latency: float
    duration: float = 0.0
    billed: float = 0.0
    init: float = 0.0
    peak: float = 0.0
    error: str = ""
    text: str = ""


class Round(NamedTuple):
    cold: Sample
    warm: tuple[Sample, ...]


class Tried:
    """One setting, and what was measured of it. `reason`, when not empty, says why it is not possible."""

    def __init__(self, memory: int, architecture: str) -> None:
        self.memory, self.architecture = memory, architecture
        self.rounds: list[Round] = []
        self.reason = ""


class Plan(NamedTuple):
    """`requests` are the warm ones of a round."""

    runs: int
    requests: int
    seconds: float = SECONDS


Ask = Callable[[], Awaitable[Sample]]
Fresh = Callable[[Tried], AbstractAsyncContextManager[Ask]]
"""An environment of that setting in which nothing ran yet."""
Count = Callable[[str, int, int], None]


async def sweep(tried: Sequence[Tried], fresh: Fresh, plan: Plan, count: Count) -> None:
    """Fill `tried`, round by round; who is cancelled has the rounds that were whole.

    Raises `FunctionError` where the function itself fails, or where no setting is possible.
    """
    for number in range(plan.runs):
        for place in range(len(tried)):
            setting = tried[(place + number) % len(tried)]  # none is always the first
            if not setting.reason:
                done = number * len(tried) + place
                count("environments", done, plan.runs * len(tried))
                await _try(setting, fresh, plan)
    count("environments", plan.runs * len(tried), plan.runs * len(tried))
    if all(each.reason for each in tried):
        said = "; ".join(f"{each.memory} MB: {each.reason}" for each in tried)
        raise FunctionError(f"no setting is possible: {said}", "try more memory by --memory, or a longer timeout")


async def _try(setting: Tried, fresh: Fresh, plan: Plan) -> None:
    async with fresh(setting) as ask:
        cold = await ask()
        warm = [] if cold.error else await _warm(ask, plan)
    failed = next((each for each in (cold, *warm) if each.error), None)
    if failed is None:
        setting.rounds.append(Round(cold, tuple(warm)))
    elif failed.error in _IMPOSSIBLE:
        setting.reason = _IMPOSSIBLE[failed.error]
    else:
        text = f"at {setting.memory} MB it failed: {failed.error}: {failed.text}".removesuffix(": ")
        raise FunctionError(text, "give it an event that it can answer, with --event or --data")


async def _warm(ask: Ask, plan: Plan) -> list[Sample]:
    """Until the first that fails, if one does."""
    found: list[Sample] = []
    until = time.perf_counter() + plan.seconds
    while len(found) < plan.requests and (len(found) < LEAST or time.perf_counter() < until):
        found.append(await ask())
        if found[-1].error:
            break
    return found


def refusal(payload: bytes) -> str:
    """What a response to a gateway says whose status is that of an error, "" for all others: its time would say
    nothing."""
    try:
        answer = json.loads(payload)
    except (ValueError, RecursionError):
        return ""
    status = answer.get("statusCode") if isinstance(answer, dict) else None
    return f"{status}: {answer.get('body', '')}" if isinstance(status, int) and status >= 400 else ""
