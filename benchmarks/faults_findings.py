"""What a phase of the benchmark has found, and how long each part of it takes."""

from typing import NamedTuple


class Findings:
    """Figures to show, and promises: `broken` has those that were not kept, `late` those of them that name a time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.figures: list[tuple[str, str]] = []
        self.rates: dict[str, list[tuple[float, float]]] = {}  # something a second, over seconds: to be plotted
        self.kept = 0
        self.broken: list[str] = []
        self.late: list[str] = []  # a machine that is busy with other things breaks them too

    def show(self, what: str, figure: object) -> None:
        self.figures.append((what, str(figure)))

    def promise(self, kept: bool, what: str, but: object = "") -> None:
        """`what` is the promise in words; `but` what came instead, when it was not kept."""
        self._judge(kept, what, but, self.broken)

    def promise_in_time(self, kept: bool, what: str, but: object = "") -> None:
        self._judge(kept, what, but, self.late)

    def _judge(self, kept: bool, what: str, but: object, broken: list[str]) -> None:
        if kept:
            self.kept += 1
        else:
            broken.append(f"{what}{f': {but}' if but != '' else ''}"[:600])

    def promise_none(self, wrong: list[str], what: str) -> None:
        self.promise(not wrong, what, f"{len(wrong)} times not, first {wrong[0]}" if wrong else "")


class Size(NamedTuple):
    """How much of everything; times in seconds."""

    kills: float
    after_kills: float
    flood: float
    slow_clients: int
    idle_connections: int
    readers: int  # clients that read nothing of a large answer
    requests: int
    events: int


FULL = Size(60, 5, 8, 200, 4_000, 10, 60_000, 40_000)
QUICK = Size(8, 2, 2, 50, 1_000, 4, 3_000, 2_000)
BRIEF = Size(1.5, 1, 0.5, 10, 100, 2, 400, 300)  # for the tests
