"""The index of a table of records: its real process over a real file."""

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotlight.errors import TableError
from pilotlight.function.table import Item, connect_uri
from pilotlight.measure import records_look
from pilotlight.measure.records_index import Index
from pilotlight.measure.records_look import Bar, Look, Place
from pilotlight.measure.records_rows import Progress, Row, milliseconds, row
from small_records import DAY, FIRST, HOSTILE, make, record, uri

LAST = FIRST + 2 * DAY


def settled(index: Index, runs: int = 1) -> Progress:
    """When so many runs have ended."""
    end = time.monotonic() + 120
    while (found := index.ask(records_look.progress)).runs < runs or found.is_busy:
        assert time.monotonic() < end, found
        time.sleep(0.02)
    return found


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    made = Index(uri(tmp_path))
    yield made
    made.close()


@pytest.fixture
def full(tmp_path: Path, index: Index) -> Index:
    make(tmp_path)
    index.update()
    assert settled(index) == Progress(801, 801, 0, 1, 0, "", "")
    return index


def keys(index: Index, look: Look, limit: int = 1000, after: Place | None = None) -> list[str]:
    return index.ask(lambda file: records_look.page(file, look, limit, after)).keys


def test_pages_are_the_newest_first_and_end(full: Index) -> None:
    first = full.ask(lambda file: records_look.page(file, Look(), 3))
    assert first.keys == ["hostile", "r799", "r798"]
    assert keys(full, Look(), 2, first.next) == ["r797", "r796"]
    last = full.ask(lambda file: records_look.page(file, Look(), 801))
    assert (len(set(last.keys)), last.next) == (801, None)


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        (Look(contains="ROOM 79!"), ["r079"]),
        (Look(contains="no mood", cold=True), ["r400", "r000"]),
        (Look(contains="100%"), []),
        (Look(contains="_oom 79!"), []),
        (Look(contains=HOSTILE), ["hostile"]),
        (Look(failed=True, until=FIRST + DAY // 2), ["r160", "r080", "r000"]),
        (Look(since=FIRST + 2 * DAY - 432_000), ["hostile", "r799", "r798"]),
        (Look(name="bad", until=FIRST + DAY // 8), ["r040", "r030", "r020", "r010", "r000"]),
        (Look(function="mood", until=FIRST + 1), ["r000"]),
        (Look(function="library--mood", until=FIRST + 1), ["r000"]),
        (Look(function="ood"), []),
        (Look(function="%"), []),
    ],
)
def test_looks(full: Index, look: Look, expected: list[str]) -> None:
    assert keys(full, look) == expected


def test_an_overview_counts_everything(full: Index) -> None:
    found = full.ask(lambda file: records_look.overview(file, Look()))
    assert found[:6] == (801, 10, 4, FIRST, LAST, 801)
    assert (found.classes, found.others, found.classless) == ([("bad", 400), ("good", 400)], 0, 1)
    assert sum(span.total for span in found.spans) == sum(bar.size for bar in found.latencies) == 801
    assert sum(bar.size for bar in found.scores) == 800
    assert found.spans[0] == (FIRST, 17, 1, 1, (14.8, 19.6, 19.6), (0.0, 0.4, 0.8), [2, 15])


def test_an_overview_of_a_text(full: Index) -> None:
    found = full.ask(lambda file: records_look.overview(file, Look(contains="no mood")))
    assert (found.total, found.failed, found.sampled) == (10, 10, 10)
    nothing = full.ask(lambda file: records_look.overview(file, Look(contains="nowhere")))
    assert (nothing.total, nothing.classes, nothing.scores) == (0, [], [])


def test_a_sample_stands_for_the_whole(full: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_look, "SAMPLE", 200)
    found = full.ask(lambda file: records_look.overview(file, Look()))
    assert found.total == 801
    assert 150 <= found.sampled <= 250


def test_drift_against_a_reference(full: Index) -> None:
    found = full.ask(lambda file: records_look.drifts(file, Look(since=FIRST + DAY), FIRST, FIRST + DAY))
    assert (found.reference, found.now) == (400, 401)
    verdicts = [each and each.verdict for each in (found.classes, found.scores, found.latencies)]
    assert verdicts == ["shifted far", "stable", "stable"]


def test_what_comes_later_is_read_and_what_expires_goes(tmp_path: Path, full: Index) -> None:
    table = connect_uri(uri(tmp_path))
    gone: Item = {**record(1), "primary_key": "gone", "expires": time.time() - 1}
    table.put([{**record(2), "primary_key": "new"}, {"primary_key": "none"}, gone])
    full.update()
    assert settled(full, 2) == Progress(3, 3, 1, 2, 0, "", "")
    assert keys(full, Look(until=FIRST + 500_000)) == ["new", "r002", "r001", "r000"]
    assert [item["primary_key"] for item in full.get(["new", "nowhere", "r001"])] == ["new", "r001"]


def test_a_table_that_is_not_there_is_empty_until_it_is(tmp_path: Path, index: Index) -> None:
    index.update()
    assert settled(index).total == 0
    assert index.ask(lambda file: records_look.overview(file, Look())).total == 0
    make(tmp_path)
    index.update()
    assert settled(index, 2).done == 801
    assert len(keys(index, Look())) == 801


def test_a_table_that_was_emptied_is_read_anew(tmp_path: Path, full: Index) -> None:
    with sqlite3.connect(tmp_path / ".pilotlight/tables.sqlite") as file:
        file.execute("DELETE FROM records WHERE key NOT IN ('r000', 'r001')")
    file.close()
    full.update()
    settled(full, 2)
    assert keys(full, Look()) == ["r001", "r000"]


def test_a_damaged_file_is_told_of(tmp_path: Path, index: Index) -> None:
    (tmp_path / ".pilotlight").mkdir()
    (tmp_path / ".pilotlight/tables.sqlite").write_bytes(b"no database" * 1000)
    index.update()
    assert settled(index).error == "file is not a database"


def test_nothing_is_left_of_an_index(tmp_path: Path) -> None:
    make(tmp_path)
    index = Index(uri(tmp_path))
    index.update()
    settled(index)
    folder = Path(index._path).parent
    assert folder.is_dir()
    assert folder.stat().st_mode & 0o777 == 0o700
    index.close()
    assert not folder.exists()


def test_a_process_that_was_killed_is_told_of_and_started_again(full: Index) -> None:
    assert full._worker is not None
    os.kill(full._worker.pid, 9)
    full._worker.wait()
    full.update()
    assert settled(full).done == 801
    with pytest.raises(TableError, match="no such column"):
        full.ask(lambda file: file.execute("SELECT nowhere FROM record"))


def test_a_row() -> None:
    assert row({**record(80), "output": "plain"}, 7) == Row(
        *(7, "r080", FIRST + DAY // 5, 716, "library--mood", True, False, None, None, 16.0, None),
        '{"text": "room 80!"}\nplain\nvalueerror: no mood',
    )
    assert row({"primary_key": "a", "createdAt": "yesterday"}) is None
    assert row({"createdAt": "2026-11-01"}) is None
    assert milliseconds("2026-11-01") == milliseconds("2026-11-01T00:00:00.000Z") == FIRST


def test_histograms() -> None:
    assert records_look.histogram([]) == []
    assert records_look.histogram([2.0, 2.0]) == [Bar(2.0, 2.0, 2)]
    tall = records_look.histogram([*range(1000), 1e6])
    assert (len(tall), tall[0].low, tall[-1].high, sum(bar.size for bar in tall)) == (24, 0, 1e6, 1001)
