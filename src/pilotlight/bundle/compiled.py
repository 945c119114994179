"""Compiled modules beside their sources: Lambda's file system cannot be written, so a module without one is compiled
at every cold start.

They are written by the target's own Python, since another one's are not read, and are never checked against the
source (PEP 552, unchecked hash), whose time Lambda does not keep. One process writes those of one part in order, so
that the same sources give the same bytes.
"""

import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from pilotlight.bundle import files
from pilotlight.bundle.files import Part
from pilotlight.bundle.interpreter import Interpreter
from pilotlight.bundle.shipped import TASK_ROOT
from pilotlight.errors import BuildError

_SCRIPT = """
import importlib.util, json, os, py_compile, sys, warnings
warnings.simplefilter("ignore")
root, task_root = sys.argv[1:]
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
for path in json.load(sys.stdin):
    target = os.path.relpath(importlib.util.cache_from_source(os.path.join(root, path)), root)
    shown = os.path.join(task_root, path)
    try:
        py_compile.compile(os.path.join(root, path), os.path.join(root, target), shown, True, invalidation_mode=mode)
    except py_compile.PyCompileError:
        pass  # such as a module for an older Python that nothing imports
    os.unlink(os.path.join(root, path))
"""
_SECONDS = 600.0


def add(part: Part, interpreter: Interpreter, cache: Path) -> Part:
    """The part with compiled modules, which are kept in `cache` under a digest of all that they come from."""
    sources = tuple(entry for entry in part.entries if entry.path.endswith(".py"))
    if not sources:
        return part
    digest = hashlib.sha256(f"{interpreter.version}\0{_SCRIPT}\0".encode())
    for entry in sources:
        digest.update(f"{entry.path}\0{entry.size}\0".encode() + entry.read())
    done = cache / digest.hexdigest()
    if not done.exists():
        _compile(Part(part.name, sources), interpreter, done)
    return files.part(part.name, [*part.entries, *files.of_folder(done)])


def _compile(sources: Part, interpreter: Interpreter, done: Path) -> None:
    done.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".compiling-", dir=done.parent))
    try:
        files.tree([sources], folder)
        _run(interpreter, folder, [entry.path for entry in sources.entries])
        folder.chmod(0o755)
        keep(folder, done)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(interpreter: Interpreter, folder: Path, paths: list[str]) -> None:
    try:
        ran = subprocess.run(
            interpreter.command("-c", _SCRIPT, str(folder), TASK_ROOT),
            input=json.dumps(paths),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            env={"PYTHONHASHSEED": "0"},
        )
    except subprocess.TimeoutExpired:
        reason = f"compiling by {interpreter.path}: it had not ended after {_SECONDS:.0f} s"
        raise BuildError(reason, "name another interpreter with --python") from None
    if ran.returncode != 0:
        said = ran.stderr.strip().splitlines()[-1:] or [f"exit code {ran.returncode}"]
        raise BuildError(f"compiling by {interpreter.path}: {said[0]}", "name another interpreter with --python")


def keep(folder: Path, done: Path) -> None:
    """Make `folder` what is at `done`, unless another process was faster."""
    try:
        folder.rename(done)
    except OSError:
        if not done.is_dir():
            raise
