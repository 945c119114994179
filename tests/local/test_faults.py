"""A short run of `benchmarks/faults.py`: what must hold under faults holds, the times that it takes aside."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))

import faults  # noqa: E402
from faults_findings import BRIEF  # noqa: E402
from faults_server import Server  # noqa: E402


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all phases; after them it stops as it should and leaves nothing."""
    started = Server(tmp_path_factory.mktemp("faults"))
    try:
        yield started
        ended = asyncio.run(faults.end(started))
        assert ended.broken == []
    finally:
        started.sweep()


@pytest.mark.parametrize(
    "phase",
    [
        *("kills", "floods", "requests", "events", "api", "children", "memory"),
        *(pytest.param(slow, marks=pytest.mark.system) for slow in ("slow", "selves", "idle")),
    ],
)
def test_a_server_holds_under_faults(server: Server, phase: str) -> None:
    (found,) = asyncio.run(faults.run(server, BRIEF, [phase]))
    assert found.broken == []
    assert found.kept
