"""Symbols of shared objects that nothing reads at run time, taken out where a tool is there to do it.

The tool's version is part of what a tree of libraries is kept under: another one writes other bytes.
"""

import functools
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pilotlight.bundle.target import Target

_SECONDS = 300.0
_TOOLS = ("{machine}-linux-gnu-strip", "strip", "llvm-strip")


class Strip(NamedTuple):
    """A tool of that `version` that reads the target's shared objects."""

    path: str
    version: str


@functools.cache
def tool(target: Target) -> Strip | None:
    """The first that says it reads ELF of the target's architecture; None for none."""
    for name in _TOOLS:
        path = shutil.which(name.format(machine=target.machine))
        if path and _reads(path, target):
            return Strip(path, _said(path, "--version").partition("\n")[0])
    return None


def _reads(path: str, target: Target) -> bool:
    """binutils list what they were built for; LLVM's reads all."""
    wanted = {"x86_64": "elf64-x86-64", "aarch64": "elf64-littleaarch64"}[target.machine]
    return "llvm" in path or wanted in _said(path, "--help")


def _said(path: str, option: str) -> str:
    return subprocess.run([path, option], capture_output=True, text=True, timeout=_SECONDS).stdout


def strip(files: Iterable[Path], tool: Strip) -> int:
    """Take out symbols; the bytes that this saves. A file that the tool refuses stays as it is."""
    return sum(_strip(file, tool) for file in files)


def _strip(file: Path, tool: Strip) -> int:
    before, whole = file.stat(), file.with_name(f"{file.name}.stripped")
    done = subprocess.run(
        [tool.path, "--strip-unneeded", "-o", str(whole), str(file)], capture_output=True, timeout=_SECONDS
    )
    saved = before.st_size - whole.stat().st_size if done.returncode == 0 else 0
    if saved > 0:
        whole.chmod(before.st_mode)
        whole.replace(file)
    whole.unlink(missing_ok=True)
    return max(saved, 0)
