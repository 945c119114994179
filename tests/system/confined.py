"""A program in a root file system, where it sees nothing else of this machine."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from stand_in import PYTHON, QEMU

_SCRIPT = Path(__file__).parent / "confine.sh"
_USER = "993"  # of Lambda's functions


def confined(root: Path, folders: Mapping[str, Path], *command: str) -> list[str]:
    """The command that runs `command` in a root, with nothing else of this machine but `folders` at their places there.

    Everything but /tmp is read-only, and the user is no administrator; the variables are those that it is started with.
    A program of another architecture is run by qemu, and named by its whole path.
    """
    shown = [word for place, folder in folders.items() for word in ("ro", str(folder), place)]
    return [str(_SCRIPT), str(root), _USER, *shown, "--", *_emulator(root), *command]


def write_interpreter(path: Path, root: Path, *shared: Path) -> None:
    """Make `path` a program: the root's Python, which sees the folders `shared` where they are here, and writes there.

    It is what `pilotlight build` takes as an interpreter of the target's that is installed on this machine.
    """
    shown = [word for folder in shared for word in ("rw", str(folder), str(folder))]
    command = [str(_SCRIPT), str(root), "0", *shown, "--", *_emulator(root), f"/usr/bin/python{PYTHON}"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', encoding="utf-8")
    path.chmod(0o755)


def _emulator(root: Path) -> tuple[str, ...]:
    return (str(QEMU),) if (root / QEMU.relative_to("/")).exists() else ()
