"""Plots: what is written, and what is refused before anything is measured."""

from pathlib import Path

import pytest

from pilotlight.errors import UsageError
from pilotlight.measure import plot


@pytest.mark.parametrize(("name", "beginning"), [("a.png", b"\x89PNG\r\n"), ("a.svg", b"<?xml"), ("a.SVG", b"<?xml")])
def test_a_plot_is_written_whole(tmp_path: Path, name: str, beginning: bytes) -> None:
    with plot.figure(tmp_path / name) as axes:
        axes.plot([1, 2], [3, 4])
        assert list(tmp_path.iterdir()) == []
    assert (tmp_path / name).read_bytes().startswith(beginning)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_same_figures_are_the_same_file(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        with plot.figure(tmp_path / name, rows=2) as (above, below):
            above.plot([1, 2], [3, 4], label="a")
            below.hist([1, 1, 2])
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_nothing_is_left_of_a_plot_that_failed(tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text("the one before")
    with pytest.raises(ValueError, match="no figures"), plot.figure(tmp_path / "a.svg"):
        raise ValueError("no figures")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["the one before"]


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("a.gif", "plotting to a.gif: it is neither PNG nor SVG", "write a.svg"),
        ("plot", "plotting to plot: it is neither PNG nor SVG", "write plot.svg"),
        ("no/a.svg", "writing no/a.svg: there is no folder no", "name a file in a folder that may be written"),
    ],
)
def test_other_files_are_refused(name: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        plot.check(Path(name))
    assert (str(caught.value), caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        ((930, 1_650), ["1,000", "1,200", "1,400", "1,600"]),
        ((18, 170), ["20", "50", "100"]),
        ((0.2, 70), ["1", "10", "0.5", "50"]),
        ((3, 40_000), ["10", "100", "1,000", "10,000"]),
    ],
)
def test_a_logarithmic_axis_has_numbers_to_read_it_by(
    tmp_path: Path, values: tuple[float, float], numbers: list[str]
) -> None:
    with plot.figure(tmp_path / "a.svg") as axes:
        axes.plot([1, 2], values)
        plot.logarithmic(axes)
    text = (tmp_path / "a.svg").read_text()
    assert all(f">{number}</text>" in text for number in numbers)
