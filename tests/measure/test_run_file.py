"""Files of runs, read and written."""

from pathlib import Path

import msgspec
import pytest

from pilotlight.errors import UsageError
from pilotlight.measure import run_file
from pilotlight.measure.run_file import Saved

RUN = Saved(
    target="qa", began="2026-11-29T04:00:00+00:00", machine="two processors", requests=3, seconds=1.5,
    errors={"500": 1}, latencies=[10.5, 250.25], durations=[9.0, 12.0], inits=[180.0], cold=1, memory=1769,
    architecture="x86_64", concurrency=1, phases={"t_run": 0.009},
    each=[1, 1, *[0] * 18], told=3,
)  # fmt: skip


def test_what_is_written_is_read(tmp_path: Path) -> None:
    run_file.write(tmp_path / "a.json", RUN)
    assert run_file.read(tmp_path / "a.json") == RUN
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it is no run: Input data was truncated"),
        ("[]", "it is no run: Expected `object`, got `array`"),
        ('{"target": "qa"}', "it is no run: Object missing required field `began`"),
        ("\xff", "it is no run: "),
    ],
)
def test_what_is_no_run_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "a.json").write_text(content, encoding="latin-1")
    with pytest.raises(UsageError, match=rf"reading .*/a\.json: {reason}"):
        run_file.read(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("seconds", 0, r"it is no run: Expected `float` > 0.0 - at `\$.seconds`"),
        ("latencies", [-1.0], r"it is no run: Expected `float` >= 0.0 - at `\$.latencies\[0\]`"),
        ("errors", {"500": 4}, "its figures contradict one another"),
        ("cold", 4, "its figures contradict one another"),
        ("each", [3], "its figures contradict one another"),
    ],
)
def test_figures_that_cannot_be_are_refused(tmp_path: Path, field: str, value: object, reason: str) -> None:
    run_file.write(tmp_path / "a.json", msgspec.structs.replace(RUN, **{field: value}))
    with pytest.raises(UsageError, match=rf"reading .*/a\.json: {reason}"):
        run_file.read(tmp_path / "a.json")


def test_another_format_is_refused(tmp_path: Path) -> None:
    run_file.write(tmp_path / "a.json", Saved(**{**{n: getattr(RUN, n) for n in RUN.__struct_fields__}, "format": "x"}))
    with pytest.raises(UsageError, match="its format is x, not pilotlight-run-1"):
        run_file.read(tmp_path / "a.json")


def test_where_nothing_can_be_written_nothing_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"writing .*/no/a\.json: there is no folder "):
        run_file.write(tmp_path / "no" / "a.json", RUN)
    with pytest.raises(UsageError, match=r"reading .*/a\.json: No such file or directory"):
        run_file.read(tmp_path / "a.json")
