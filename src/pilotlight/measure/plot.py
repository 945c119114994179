"""Plots, as PNG or SVG by the name of their file. matplotlib is imported when one is drawn."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pilotlight.errors import UsageError
from pilotlight.measure import drafts

FORMATS = (".png", ".svg")
COLOURS = ("#1f6feb", "#d4711c", "#2da44e", "#8250df", "#cf222e", "#57606a")

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "pilotlight",  # else two plots of the same figures differ
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#eaeef2",
    "legend.frameon": False,
}


def check(path: Path) -> None:
    """To be called before what is plotted is measured. Raises `UsageError` where it could not be written then."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"plotting to {path}: it is neither PNG nor SVG", f"write {path.with_suffix('.svg')}")
    if find_spec("matplotlib") is None:
        raise UsageError(f"plotting to {path}: matplotlib is missing", "pip install 'pilotlight[plot]'")
    drafts.check(path)


@contextmanager
def figure(path: Path, rows: int = 1, columns: int = 1) -> Iterator[Any]:
    """The axes to draw on, as `matplotlib.pyplot.subplots` gives them; the file is there, whole, at the end of the
    block. Raises `UsageError`."""
    check(path)
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        drawn = Figure(figsize=(4.2 * columns + 2, 2.9 * rows + 0.6), layout="constrained")
        FigureCanvasAgg(drawn)
        yield drawn.subplots(rows, columns)
        _save(drawn, path)


def _save(drawn: Any, path: Path) -> None:
    with drafts.draft(path) as file:
        drawn.savefig(file, dpi=150, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
