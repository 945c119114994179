"""Arrivals: their rates over time, and files of them."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from pilotlight.errors import UsageError
from pilotlight.measure import traffic


def test_a_constant_rate_has_as_many_requests_in_each_minute() -> None:
    arrivals = traffic.constant(50, 600, Random(1))
    assert arrivals == sorted(arrivals)
    assert len(arrivals) == pytest.approx(30_000, rel=0.02)  # whose deviation is 173
    assert {minute: count for minute, count in Counter(int(time // 60) for time in arrivals).items()} == {
        minute: pytest.approx(3_000, rel=0.08) for minute in range(10)
    }


def test_the_gaps_of_a_poisson_process_are_as_long_as_their_deviation() -> None:
    arrivals = traffic.constant(100, 500, Random(2))
    gaps = [later - earlier for earlier, later in pairwise(arrivals)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(0.01, rel=0.02)
    assert (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5 == pytest.approx(mean, rel=0.02)


def test_a_day_has_its_noon_and_its_night() -> None:
    arrivals = traffic.diurnal(2, traffic.DAY, Random(3))
    assert len(arrivals) == pytest.approx(2 * traffic.DAY, rel=0.02)
    hours = Counter(int(time // 3600) for time in arrivals)
    assert hours[12] == pytest.approx(2 * 1.8 * 3600, rel=0.05)
    assert hours[0] == pytest.approx(2 * 0.2 * 3600, rel=0.15)


def test_bursts_come_at_the_end_of_each_interval() -> None:
    arrivals = traffic.bursts(1, 900, Random(4), burst=200, every=300, lasting=10)
    inside = [time for time in arrivals if time % 300 >= 290]
    assert len(inside) == pytest.approx(3 * 10 * 200, rel=0.05)
    assert len(arrivals) - len(inside) == pytest.approx(3 * 290, rel=0.15)


def test_no_rate_is_no_request() -> None:
    assert traffic.constant(0, 60, Random(5)) == []


def test_the_same_seed_is_the_same_traffic() -> None:
    assert traffic.diurnal(1, 600, Random(6)) == traffic.diurnal(1, 600, Random(6))


@pytest.mark.parametrize(
    ("lines", "arrivals"),
    [
        (["0\n", "0.5\n", "0.5\n", "12\n"], [0, 0.5, 0.5, 12]),
        (["time,path\n", "100,/a\n", "101.5,/b\n", "\n"], [0, 1.5]),
        (["2026-11-28T08:30:00Z\n", "2026-11-28T08:30:01.250Z\n", "2026-11-28T09:30:02+01:00\n"], [0, 1.25, 2]),
        (["\ufeff5\r\n", "7\r\n"], [0, 2]),
        (['"5","a\n', '"7",b\n'], [0, 2]),
    ],
)
def test_a_file_of_arrivals(lines: list[str], arrivals: list[float]) -> None:
    assert traffic.read(lines, "trace.csv") == arrivals


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["time\n", "1\n", "x\n"], "reading trace.csv, line 3: 'x' is no time"),
        (["1\n", ",a\n", "2\n"], "reading trace.csv, line 2: the time is missing"),
        (["-1\n"], "reading trace.csv, line 1: the time -1 is negative"),
        (["2\n", "1\n"], "reading trace.csv, line 2: the time 1 is earlier than the one before"),
        (
            ["1796000000000\n"],
            "reading trace.csv, line 1: the time 1796000000000 is too late for seconds, also for those since 1970",
        ),
        (["1\n", "nan\n"], "reading trace.csv, line 2: 'nan' is no time"),
        (
            ["minute,count\n", "0,5\n"],
            "reading trace.csv, line 1: it counts the requests of minutes, without their times",
        ),
        (["1\n", "inf\n"], "reading trace.csv, line 2: 'inf' is no time"),
        ([], "reading trace.csv: it has no requests"),
        (["time\n"], "reading trace.csv: it has no requests"),
        (["1\n", "1" * 200_000], "reading trace.csv, line 2: field larger than field limit (131072)"),
        (["1\n", "x" * 50], f"reading trace.csv, line 2: '{'x' * 40}...' is no time"),
    ],
)
def test_a_file_that_is_not_right(lines: list[str], reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        traffic.read(lines, "trace.csv")
    assert str(caught.value) == reason


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_bytes(b"0\n\xa9\n")
    with (tmp_path / "trace.csv").open(encoding="utf-8") as file, pytest.raises(UsageError) as caught:
        traffic.read(file, "trace.csv")
    assert str(caught.value) == "reading trace.csv: it is no text in UTF-8"


def test_a_file_of_counts_has_so_many_in_each_minute() -> None:
    lines = ["\ufeffminute,count\r\n", '"0","3"\r\n', "2,5\r\n", "9,0\r\n"]
    trace = traffic.read_trace(lines, "counts.csv", Random(1))
    assert Counter(int(time // 60) for time in trace.arrivals) == {0: 3, 2: 5}
    assert trace.arrivals == sorted(trace.arrivals)
    assert trace.seconds == 600
    assert trace.gap_from == max(trace.arrivals)
    assert trace.gap == 600 - trace.gap_from


def test_a_file_of_moments_is_a_trace_with_its_longest_gap() -> None:
    trace = traffic.read_trace(["time,path\n", "10,/a\n", "11,/b\n", "1000,/c\n", "1001,/d\n"], "a.csv", Random(1))
    assert trace == traffic.Trace([0, 1, 990, 991], 991, 989, 1, begins=10)
    assert traffic.traced([]) == traffic.Trace([], 0, 0, 0)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["minute,count\n", "0,1\n", "1,\n"], ", line 3: the minute or the count is missing"),
        (["minute,count\n", "0,1\n", "1\n"], ", line 3: the minute or the count is missing"),
        (["minute,count\n", "0,1,2\n"], ", line 2: it has 3 values"),
        (["minute,count\n", "0,-1\n"], ", line 2: the count -1 is negative"),
        (["minute,count\n", "-2,1\n"], ", line 2: the minute -2 is negative"),
        (["minute,count\n", "0,1.5\n"], ", line 2: '1.5' is no count"),
        (["minute,count\n", "3,1\n", "3,1\n"], ", line 3: the minute 3 is not later than the one before"),
        (["minute,count\n", "3,99000000\n"], ", line 2: with it there are more than 20,000,000 requests"),
        (["minute,count\n", "3,0\n"], ": it has no requests"),
        (["minute,count\n"], ": it has no requests"),
        (["Minute,Requests\n", "0,5\n"], ", line 1: 'minute,requests' is not the header minute,count"),
        (["minute;count\n", "0;5\n"], ", line 1: 'minute;count' is not the header minute,count"),
        (["minute,count\n", f"{'9' * 5000},5\n"], f", line 2: the minute {'9' * 40}... is too large"),
        ([], ": it has no requests"),
        (["time\n", "1\n", "\n", " ,/a\n"], ", line 4: the time is missing"),
    ],
)
def test_a_trace_that_is_not_right(lines: list[str], reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        traffic.read_trace(lines, "trace.csv", Random(1))
    assert str(caught.value) == f"reading trace.csv{reason}"
