"""What is wrong with a file, for people: its first lines that cannot be used, then how many more of each kind."""

from collections import Counter
from collections.abc import Callable
from typing import BinaryIO

import click

from pilotlight.cli import output
from pilotlight.errors import VectorError
from pilotlight.vectors import words
from pilotlight.vectors.problems import Problem

SHOWN = 10
"""Problems of a file that are told one by one."""

skip_option = click.option("--skip-broken", is_flag=True, help="Leave out the lines that cannot be used.")
all_option = click.option("--all-problems", is_flag=True, help=f"List all such lines, not only the first {SHOWN}.")
words_option = click.option("--words", "listed", type=click.File("rb"), help="Only the words of this file, one a line.")


class Problems:
    """Told as they are found, and counted. `say` writes a line; `unit` is what is numbered, a line or a vector."""

    def __init__(self, name: str, every: bool, say: Callable[[str], None] = output.note, unit: str = "line") -> None:
        self.kinds: Counter[str] = Counter()
        self._name, self._every, self._say, self._unit = name, every, say, unit
        self._untold: Counter[str] = Counter()

    def __call__(self, problem: Problem) -> None:
        self.kinds[problem.kind] += 1
        if self._every or self.kinds.total() <= SHOWN:
            self._say(f"{self._name}, {self._unit} {problem.line}: {problem.text}")
        else:
            self._untold[problem.kind] += 1

    def end(self, skip: bool) -> None:
        """Say what was not told. Raises `VectorError` when there is any and it was not to be skipped."""
        if self._untold:
            kinds = ", ".join(f"{kind}: {count}" for kind, count in self._untold.most_common())
            self._say(f"{self._name}: {self._untold.total()} more ({kinds}); --all-problems lists them")
        if (found := self.kinds.total()) and not skip:
            units = self._unit if found == 1 else f"{self._unit}s"
            hint = "correct them, or leave them out with --skip-broken"
            raise VectorError(f"reading {self._name}: {found} {units} cannot be used, so nothing was written", hint)


def read_list(file: BinaryIO, skip: bool, every: bool) -> set[str]:
    """The words of a file, one a line. Raises `VectorError`."""
    problems = Problems(file.name, every)
    found = words.read_list(file, problems)
    problems.end(skip)
    return found
