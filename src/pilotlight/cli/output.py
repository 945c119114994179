"""What the commands print, for people and, with --json, for programs."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping

import click
import msgspec


def examples(*commands: str) -> str:
    """The epilog of a help page; \\b keeps click from wrapping it."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


def line(text: str = "") -> None:
    """A line on stdout. When nobody reads it any more, as after `| head`, a server serves on in silence."""
    try:
        click.echo(text)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Log:
    """Lines of a server: some are written at once, as a write of its own for each would cost more than the line.

    To be used in a running event loop, and closed before it ends.
    """

    _PAUSE = 0.02  # seconds that a line may wait
    _SIZE = 1000  # lines that may

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._flushing: asyncio.TimerHandle | None = None

    def line(self, text: str) -> None:
        self._lines.append(text)
        if len(self._lines) >= self._SIZE:
            self.flush()
        elif self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(self._PAUSE, self.flush)

    def record(self, **fields: object) -> None:
        self.line(_compact(fields))

    def flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if self._lines:
            lines, self._lines = self._lines, []
            line("\n".join(lines))


def note(text: str) -> None:
    """For people, beside the answer: goes to stderr, so that what a program reads stays clean."""
    click.secho(text, err=True, dim=True)


def error(message: str, hint: str = "") -> None:
    """What ended the command; where --json was asked for, as one JSON object on stdout too."""
    if "--json" in sys.argv[1:]:
        record(error=message, hint=hint)
    explain(message, hint)


def explain(message: str, hint: str = "") -> None:
    """One sentence and its remedy, on stderr."""
    click.echo(f"{click.style('error:', fg='red')} {message}", err=True)
    if hint:
        click.echo(f"{click.style('hint:', fg='yellow')} {hint}", err=True)


def record(**fields: object) -> None:
    """One JSON object on a line of its own."""
    line(_json(fields))


def _json(fields: Mapping[str, object]) -> str:
    return msgspec.json.format(_compact(fields), indent=0)


def _compact(fields: Mapping[str, object]) -> str:
    try:
        return msgspec.json.encode(fields, enc_hook=str).decode()
    except UnicodeEncodeError:  # the name of a file that is no text
        return json.dumps(fields, default=str)
