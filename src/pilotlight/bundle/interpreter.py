"""The interpreter of the target's Python that is on this machine: it compiles what ships, and runs it as a proof."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pilotlight.bundle.target import Target
from pilotlight.errors import UsageError

_SECONDS = 60.0  # that one may take to say what it is
_PROBE = """
import json, os, platform, sys
glibc = platform.libc_ver()[1] if platform.libc_ver()[0] == "glibc" else ""
print(json.dumps([sys.implementation.name, "%d.%d" % sys.version_info[:2], sys.version, os.uname().machine, glibc]))
"""


class Interpreter(NamedTuple):
    """`version` is all that it says of itself, which tells one build of it from another; `machine` is the kernel's
    word for its processor."""

    path: str
    version: str
    machine: str
    glibc: str

    def command(self, *arguments: str) -> list[str]:
        """Its command, in which it sees neither variables, nor packages of the user or of this machine."""
        return [self.path, "-I", "-S", *arguments]


def find(target: Target, chosen: str = "") -> Interpreter | None:
    """The first CPython of the target's version on PATH that runs, or the one that was `chosen`; None for none.

    Raises `UsageError` when the chosen one is none.
    """
    if chosen:
        found = _probe(os.path.abspath(shutil.which(chosen) or chosen), target)  # it is started in other folders
        if found is None:
            hint = f"name a CPython {target.python}, such as /usr/bin/python{target.python}"
            raise UsageError(f"taking {chosen} as the target's interpreter: it is no Python {target.python}", hint)
        return found
    return next((found for path in _named(target.runtime) if (found := _probe(path, target))), None)


def _named(name: str) -> Iterator[str]:
    """Every program of that name: the first may be a stand-in that says only where others are."""
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = Path(folder or ".") / name
        if path.is_file() and os.access(path, os.X_OK):
            yield str(path.absolute())


def _probe(path: str, target: Target) -> Interpreter | None:
    try:
        done = subprocess.run(
            [path, "-I", "-S", "-c", _PROBE], capture_output=True, timeout=_SECONDS, stdin=subprocess.DEVNULL
        )
        name, python, version, machine, glibc = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return Interpreter(path, version, machine, glibc) if (name, python) == ("cpython", target.python) else None
