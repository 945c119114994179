"""What hypothesis makes, drawn without a test around it, and sent some at a time.

A draw is slow beside a request. So each draw gives a few parts, and what is sent are all their combinations.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import hypothesis
from hypothesis import strategies as st

T = TypeVar("T")
_SEED = 1
_AT_ONCE = 16  # connections
PIPELINED = 6  # requests on one of them before answers are awaited
SIDE = 6  # parts of a kind in each draw


def draw(strategy: st.SearchStrategy[T], count: int, number: int = _SEED) -> list[T]:
    """That many values of a strategy, always the same ones."""
    drawn: list[T] = []

    @hypothesis.seed(number)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
        deadline=None,
    )
    @hypothesis.given(strategy)
    def take(value: T) -> None:
        drawn.append(value)

    take()
    return drawn


async def each(work: Iterable[T], do: Callable[[T], Awaitable[None]]) -> float:
    """Do it for each, some at once; returns how long that took."""
    began = time.monotonic()
    line = iter(work)

    async def worker() -> None:
        for item in line:
            await do(item)

    await asyncio.gather(*(worker() for _ in range(_AT_ONCE)))
    return time.monotonic() - began


def told(counts: Counter[str]) -> str:
    return ", ".join(f"{number} of {how}" for how, number in sorted(counts.items()))
