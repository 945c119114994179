"""What a run tells, kept."""

from pilotlight.optimize.progress import Progress


class Told(Progress):
    """`lines` as they were said, `counts` as they changed."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.counts: list[tuple[str, int, int]] = []

    def step(self, number: int, total: int, name: str) -> None:
        self.lines.append(f"step {number} of {total}: {name}")

    def say(self, text: str) -> None:
        self.lines.append(text)

    def count(self, what: str, done: int, total: int) -> None:
        self.counts.append((what, done, total))
