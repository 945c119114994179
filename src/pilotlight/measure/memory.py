"""What a process holds in memory, as Linux counts it."""

from pathlib import Path
from typing import NamedTuple


class Memory(NamedTuple):
    """In MB. `rss` is every page that the process has mapped and touched; in `pss` a page that several processes share
    is divided among them, so that the sum over all processes is what the machine has given."""

    rss: float
    pss: float


def of(pid: int | str) -> Memory:
    """The memory of a process that runs, "self" for this one. Source: proc(5), smaps_rollup. Raises OSError."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    kilobytes = {name: int(size.split()[0]) for name, _, size in (line.partition(":") for line in lines)}
    return Memory(kilobytes["Rss"] / 1024, kilobytes["Pss"] / 1024)


def files_mapped(pid: int) -> set[Path]:
    """The files of which that process has mapped something: its interpreter, its libraries, its weights."""
    lines = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    names = [line.split(maxsplit=5)[5:] for line in lines]
    return {Path(name[0]) for name in names if name and name[0].startswith("/")}
