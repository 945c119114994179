"""Plots, as PNG or SVG by the name of their file. matplotlib is imported when one is drawn."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from math import ceil, floor, log10
from pathlib import Path
from typing import Any

from pilotlight.errors import UsageError
from pilotlight.measure import drafts

FORMATS = (".png", ".svg")
COLOURS = ("#1f6feb", "#d4711c", "#2da44e", "#8250df", "#cf222e", "#57606a")

_TOLD = 3  # numbers by which an axis is read

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


def logarithmic(axes: Any) -> None:
    """The axis of y, when all is drawn. By itself matplotlib names one power of ten, or none, of values that are near
    each other."""
    from matplotlib.ticker import NullLocator

    axes.set_yscale("log")
    ticks = _ticks(*axes.get_ylim())
    axes.set_yticks(ticks, [f"{value:,.6g}" for value in ticks])
    axes.yaxis.set_minor_locator(NullLocator())


def _ticks(least: float, most: float) -> list[float]:
    """Three at least: powers of ten, else 1, 2 and 5 of each, else as on an axis that is not logarithmic."""
    from matplotlib.ticker import MaxNLocator

    powers = [10.0**power for power in range(floor(log10(least)), ceil(log10(most)) + 1)]
    for steps in ((1,), (1, 2, 5)):
        found = [step * power for power in powers for step in steps if least <= step * power <= most]
        if len(found) >= _TOLD:
            return found
    return [value for value in map(float, MaxNLocator(5).tick_values(least, most)) if least <= value <= most]


def _save(drawn: Any, path: Path) -> None:
    with drafts.draft(path) as file:
        drawn.savefig(file, dpi=150, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
