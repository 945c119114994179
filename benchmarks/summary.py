"""`results/README.md`: every target with what was measured, and every page with how it was made, from the pages."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

_MADE = re.compile(r"^Machine: (.+?)\. Measured on ([\d-]+) at (.+?); load average ([\d.]+) before\.", re.M)
_TARGETS = re.compile(r"^\| target \| measured \| \|\n\|---\|---\|---\|\n((?:\|.+\n)*)", re.M)


class Page(NamedTuple):
    """`made` is machine, date, commit and load; none of them on a page of before they were written."""

    name: str
    title: str
    made: tuple[str, ...]
    targets: tuple[tuple[str, str, str], ...]


def page(path: Path) -> Page:
    text = path.read_text(encoding="utf-8")
    made = _MADE.search(text)
    rows = "".join(_TARGETS.findall(text)).splitlines()
    targets = tuple(tuple(cell.strip() for cell in row.strip("|").split("|")) for row in rows)
    title = text.partition("\n")[0].removeprefix("# ")
    return Page(path.stem, title, made.groups() if made else ("",) * 4, targets)  # type: ignore[arg-type]


def pages(folder: Path) -> list[Page]:
    return [page(path) for path in sorted(folder.glob("*.md")) if path.name != "README.md"]


def again(folder: Path) -> str:
    """The summary of the pages as they are now, and of what it says itself that was not run."""
    path = folder / "README.md"
    there = path.read_text(encoding="utf-8") if path.exists() else ""
    return text(folder, dict(re.findall(r"^- (\w+): (.+)$", there, re.M)))


def text(folder: Path, not_run: Mapping[str, str]) -> str:
    """`not_run`: names of benchmarks, each with why."""
    return "\n".join([*lines(pages(folder), not_run), ""])


def lines(found: list[Page], not_run: Mapping[str, str]) -> Iterator[str]:
    verdicts = [(each, target) for each in found for target in each.targets]
    met = sum(verdict == "met" for _, (_, _, verdict) in verdicts)
    yield from ("<!-- Written by benchmarks/run.py from the pages beside it. -->", "# Results", "")
    yield f"{len(verdicts)} targets: {met} met, {len(verdicts) - met} missed. [How to read them](../README.md)."
    yield from ("", "| target | measured | | page |", "|---|---|---|---|")
    for each, (what, measured, verdict) in verdicts:
        yield f"| {what} | {measured} | {verdict} | [{each.name}]({each.name}.md) |"
    yield from ("", "| page | what | date | commit | load before | machine |", "|---|---|---|---|---|---|")
    for each in found:
        machine, date, commit, load = each.made
        yield f"| [{each.name}]({each.name}.md) | {each.title} | {date} | {commit} | {load} | {machine} |"
    yield from ("", "Not run in the last run, so that the page is of an earlier one, or there is none:", "")
    yield from (f"- {name}: {why}" for name, why in not_run.items())
    if not not_run:
        yield "- none"
