"""Where the time of a cold start, or of warm requests, goes: moments and spans of time, written to the file that
PILOTLIGHT_TRACE names.

`pilotlight bench cold` and `bench warm` set that variable and read the file. Where it is not set, nothing is kept and
nothing written. Times are those of CLOCK_MONOTONIC in nanoseconds, which all processes of a machine share.
"""

import os
import sys
from time import monotonic_ns, time_ns

VARIABLE = "PILOTLIGHT_TRACE"
INVOCATIONS = "PILOTLIGHT_TRACE_INVOCATIONS"  # after how many of them the file is written; 1 without it
FORK = "PILOTLIGHT_TRACE_FORK"  # when the process was forked and when it was executed, where the launcher says so

_file = os.environ.get(VARIABLE, "")
_left = int(os.environ.get(INVOCATIONS, "1"))
_spans: list[tuple[str, int, int]] = []
_marks = {"started": monotonic_ns()}  # the package imports this module before any other
_marks.update(zip(("forked", "executed"), map(int, os.environ.pop(FORK, "").split()), strict=False))


class span:
    """`with span("weights"): ...` notes when that began and ended; of one name there may be many."""

    __slots__ = ("_began", "_name")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._began = monotonic_ns()

    def __exit__(self, *_: object) -> None:
        if _file:
            note(self._name, self._began, monotonic_ns())


def note(name: str, began: int, ended: int) -> None:
    """Note a span of time."""
    _spans.append((name, began, ended))


def mark(name: str, at: int | None = None) -> None:
    """Note a moment, or another number of nanoseconds."""
    _marks[name] = monotonic_ns() if at is None else at


def init() -> tuple[int, int]:
    """When the process began and when its handler was loaded, in nanoseconds since the epoch; the same twice where
    another runtime loads it."""
    epoch, began = time_ns() - monotonic_ns(), _marks["started"]
    return epoch + began, epoch + _marks.get("loaded", began)


def is_on() -> bool:
    """Whether something has been noted that is to be written."""
    return bool(_file)


def is_due() -> bool:
    """Called after each invocation: whether it is time to `write`."""
    global _left
    _left -= 1
    return bool(_file) and _left <= 0


def write() -> None:
    """Write all that was noted, the first time that this is called: when the last answer has been posted.

    The file is a JSON object: `marks`, `spans` ([name, began, ended]), the process's `pid`, the number of `modules` and
    the `files` that these were loaded from. It is there whole or not at all.
    """
    global _file
    path, _file = _file, ""
    if not path:
        return
    import json

    modules = list(sys.modules.values())
    files = [getattr(each, "__cached__", None) or getattr(each, "__file__", None) for each in modules]
    noted = {"marks": _marks, "spans": _spans, "pid": os.getpid(), "modules": len(modules), "files": files}
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        json.dump(noted, file)
    os.replace(f"{path}.part", path)
