"""Processor time by memory, and how much of it there is."""

from math import inf
from pathlib import Path

import pytest

from pilotlight.local.shares import allowed, processors, share


def test_a_share_is_by_memory() -> None:
    assert [round(share(memory), 3) for memory in (128, 1769, 3538, 10240)] == [0.072, 1.0, 2.0, 5.789]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, inf),
        ({"cpu.cfs_quota_us": "50000\n", "cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, inf),
        ({}, inf),
    ],
)
def test_a_container_may_be_held_to_fewer_processors(files: dict[str, str], expected: float, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert allowed(tmp_path) == expected


def test_there_is_one_that_runs_this() -> None:
    assert processors() > 0
