"""How far a long run is, on stderr: one line that is rewritten on a terminal, else a line every few seconds."""

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Self

import click

from pilotlight.cli import output
from pilotlight.optimize.progress import Progress

EVERY = 5.0
"""Seconds between two lines that say how far a step is."""
REDRAWN = 0.2
"""Seconds between two states of the line on a terminal."""
ESTIMATED_AFTER = 1.0
"""Seconds before which how long it takes is not guessed."""
CLEAR = "\r\x1b[K"


class Counted(NamedTuple):
    """`done` of `total` since `began`, in seconds of the monotonic clock; `more` is said behind it."""

    what: str
    done: int
    total: int
    began: float
    more: Callable[[], str] = str

    def text(self, now: float) -> str:
        """Such as "answers in fp32: 214 of 1413 in 0:35, about 3:16 left"."""
        elapsed = now - self.began
        text = f"{self.what}: {self.done} of {self.total} in {clock(elapsed)}"
        if self.done and elapsed >= ESTIMATED_AFTER:
            text += f", about {clock(elapsed / self.done * (self.total - self.done))} left"
        return text + self.more()


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


def shown() -> "Lines":
    """For a person who looks, or for a file that is read later."""
    return Live() if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else Lines()


class Lines(Progress):
    """Lines that stay."""

    def __init__(self) -> None:
        self._counted: Counted | None = None
        self._last = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever is shown of a state goes."""

    def step(self, number: int, total: int, name: str) -> None:
        self.say(f"step {number} of {total}: {name}")

    def say(self, text: str) -> None:
        output.note(text)

    def count(self, what: str, done: int, total: int, more: Callable[[], str] = str) -> None:
        now = time.monotonic()
        going = self._counted
        began = going.began if going and done and going.what == what else now
        self._counted = Counted(what, done, total, began, more) if done < total else None
        self._changed(now)

    def _changed(self, now: float) -> None:
        if self._counted and now - self._last >= EVERY:
            self._last = now
            self.say(f"  {self._counted.text(now)}")


class Live(Lines):
    """A line that tells the step and how far it is; what is said goes above it, and so do steps with what they took.

    A thread of its own draws it, so that the seconds go on while a library works.
    """

    def __init__(self) -> None:
        super().__init__()
        self._step, self._began = "", 0.0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._drawing = threading.Thread(target=self._draw, daemon=True)

    def __enter__(self) -> Self:
        self._drawing.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._drawing.join()
        self._end_step(over=error[0] is None)

    def step(self, number: int, total: int, name: str) -> None:
        self._end_step(over=True)
        with self._lock:
            self._step, self._began = f"step {number} of {total}: {name}", time.monotonic()

    def say(self, text: str) -> None:
        with self._lock:
            click.echo(CLEAR, nl=False, err=True)
            output.note(text)

    def _changed(self, now: float) -> None:
        """The thread sees it."""

    def _end_step(self, over: bool) -> None:
        """Leave the line of a step that is over, take away another."""
        took = f"{self._step}, {clock(time.monotonic() - self._began)}\n" if self._step and over else ""
        with self._lock:
            click.echo(f"{CLEAR}{took}", nl=False, err=True)

    def _draw(self) -> None:
        while not self._ended.wait(REDRAWN):
            with self._lock:
                click.echo(f"{CLEAR}{self._state()}", nl=False, err=True)

    def _state(self) -> str:
        """As wide as the terminal at most: a line that wraps cannot be rewritten."""
        now, counted = time.monotonic(), self._counted
        parts = [f"{self._step}, {clock(now - self._began)}"] if self._step else []
        parts += [counted.text(now)] if counted else []
        return " | ".join(parts)[: shutil.get_terminal_size().columns - 1]
