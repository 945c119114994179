"""Why a job is not done, as the main process shows it."""

import sys


class Refused(Exception):
    """`kind` is "source" (the caller has to change something) or "model" (the files are not what they should be)."""

    def __init__(self, message: str, hint: str = "", kind: str = "source") -> None:
        super().__init__(message)
        self.hint = hint
        self.kind = kind


def count(what: str, done: int, total: int) -> None:
    """The main process reads such a line, as `Progress.count`."""
    say(f"count {done} {total} {what}")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
