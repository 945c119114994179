"""Ctrl-C: one line says what is kept or done, and in commands that change what is on AWS, what the same will do."""

import os
import signal
import threading
from types import FrameType
from typing import Self

import click
import msgspec

from pilotlight.cli import output

INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells have it for SIGINT."""


def broken_off(text: str) -> int:
    """Say what is kept of what was measured until Ctrl-C; the exit status."""
    output.note(f"Interrupted: {text}.")
    return INTERRUPTED


_AFTER_ECHO = "\n"  # a terminal has written ^C


class Interrupts:
    """Within the block `text` is what an interrupt has said, once; the second one ends the process at once.

    The first raises KeyboardInterrupt, whose way out may take a while: parts of an upload that are under way are waited
    for. So the line is written when the signal comes, past all buffers, which a signal may have found half-written.
    """

    def __init__(self, text: str, as_json: bool) -> None:
        self.text = text
        self._as_json = as_json
        self._is_said = False
        self._usual = signal.getsignal(signal.SIGINT)

    def __enter__(self) -> Self:
        # Others have it ignored, as nohup has, or are told of it by themselves.
        if self._usual is signal.default_int_handler and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Raises `click.Abort` for KeyboardInterrupt, after which click would write an empty line."""
        if signal.getsignal(signal.SIGINT) == self._interrupt:
            signal.signal(signal.SIGINT, self._usual)
        if kind is None or not issubclass(kind, KeyboardInterrupt | click.Abort):
            return
        if not self._is_said:
            self._say()
        raise click.Abort from None

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        self._is_said = True
        if self._as_json:
            os.write(1, b"%b\n" % msgspec.json.encode({"kind": "note", "text": self.text}))
        else:
            os.write(2, f"{_AFTER_ECHO if os.isatty(2) else ''}{self.text}\n".encode())
        raise KeyboardInterrupt

    def _say(self) -> None:
        if self._as_json:
            output.record(kind="note", text=self.text)
        else:
            output.note(self.text)
