"""Measured figures in pages, as the pages of results have them: a link to such a page, whose title names the place.

    [26.8 ms](benchmarks/results/cold_start.md "Pilotlight's loop, an @endpoint; median ms")

The last part of the title is a column; each other one is how a cell of the row begins. Of several rows the first
counts. The number in the link's text becomes that of the cell. `make docs` does it; a test fails where they differ.
"""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINK = re.compile(r'\[([^\]\n]*)\]\([./]*(benchmarks/results/\w+\.md) "([^"]+)"\)')
_NUMBER = re.compile(r"\d[\d.,]*(?<=\d)")


def pages() -> dict[Path, str]:
    """Every page that names figures, with those of the results. Decisions keep what was measured at their time."""
    folders = ("README.md", "docs/*.md", "docs/how-to/*.md", "examples/*/README.md")
    return {path: filled(path) for pattern in folders for path in sorted(ROOT.glob(pattern))}


def filled(path: Path) -> str:
    """Raises LookupError for a figure that its page of results does not have."""
    return LINK.sub(lambda link: _filled(link, path), path.read_text(encoding="utf-8"))


def _filled(link: re.Match[str], path: Path) -> str:
    shown, page, place = link.groups()
    value = figure((ROOT / page).read_text(encoding="utf-8"), place.split("; "))
    if value is None:
        raise LookupError(f"{path.relative_to(ROOT)}: {page} has no figure at {place!r}")
    return link[0].replace(f"[{shown}]", f"[{_NUMBER.sub(value, shown, count=1)}]", 1)


def figure(page: str, place: list[str]) -> str | None:
    *row, column = place
    for columns, cells in _rows(page):
        if column in columns and all(any(cell.startswith(part) for cell in cells) for part in row):
            found = _NUMBER.search(cells[columns.index(column)])
            return found and found[0]
    return None


def _rows(page: str) -> Iterator[tuple[list[str], list[str]]]:
    """Each row of each table, after its columns."""
    columns: list[str] = []
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.replace("*", "").replace("`", "").strip("|").split("|")]
        if not line.startswith("|"):
            columns = []
        elif not columns:
            columns = cells
        elif not line.startswith("|---"):
            yield columns, cells
