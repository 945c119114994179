"""How far a run is, told while it runs. Who shows it decides how: `pilotlight.cli.progress` does."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Progress:
    """What a run tells. This one shows nothing."""

    def step(self, number: int, total: int, name: str) -> None:
        """The step of that number, from 1, begins."""

    def say(self, text: str) -> None:
        """A line to stay: what begins, or what was found."""

    def count(self, what: str, done: int, total: int, more: Callable[[], str] = str) -> None:
        """Within the step, `done` of `total` are done; when they are as many, `what` is over. `more` is asked for what
        else there is to say when it is shown."""

    def each(self, what: str, items: Sequence[Item]) -> Iterator[Item]:
        """The items, counted as they are done."""
        for done, item in enumerate(items):
            self.count(what, done, len(items))
            yield item
        self.count(what, len(items), len(items))
