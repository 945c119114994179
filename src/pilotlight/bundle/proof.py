"""A package is proven by running it: its handler is loaded and its test events are answered from the packed tree, by
the target's interpreter, in a process that sees nothing else.

The interpreter is isolated (`-I -S`): no variables of this shell, no packages of this machine. What the function tries
to write outside its folder for temporary files is noted, as on Lambda all else is read-only.
"""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from pilotlight.bundle import files
from pilotlight.bundle.files import Part
from pilotlight.bundle.interpreter import Interpreter

_INIT_SECONDS = 120.0  # more than Lambda's own 10, as this machine may be busy
_LONGEST = 2_000  # characters of an error
SCRIPT = Path(__file__).with_name("proof_script.py")


class Event(NamedTuple):
    """A saved event: `name` is its file's, `payload` its JSON."""

    name: str
    payload: bytes


class Answer(NamedTuple):
    """What became of an event; `error` is empty where it was answered."""

    event: str
    error: str
    seconds: float


class Proof(NamedTuple):
    """`error` says why the handler was not loaded, "" when it was. `modules` are those that were imported at the end,
    `written` the paths that the function tried to write though Lambda would not let it."""

    error: str
    answers: tuple[Answer, ...]
    modules: frozenset[str]
    written: tuple[str, ...]
    init_seconds: float


def run(
    parts: Iterable[Part],
    handler: str,
    events: Iterable[Event],
    interpreter: Interpreter,
    variables: Mapping[str, str],
    timeout: float,
) -> Proof:
    """Unpack `parts`, load `handler` with the function's `variables`, and let it answer each of `events`.

    `timeout` is the function's, in seconds, for each event.
    """
    with tempfile.TemporaryDirectory(prefix="pilotlight-proof-") as folder:
        tree, own = Path(folder) / "task", Path(folder) / "tmp"
        own.mkdir()
        tree.mkdir()
        files.tree(parts, tree)
        given = list(events)
        texts = [[event.name, event.payload.decode("utf-8", "replace")] for event in given]
        report = own.with_name("report.json")
        command = interpreter.command(str(SCRIPT), str(tree), str(report), str(own))
        environ = {**_lambda(tree, own, handler), **variables}
        said = _run(command, tree, environ, json.dumps(texts), _INIT_SECONDS + timeout * len(given))
        return _read(report, said, tree)


def _lambda(tree: Path, own: Path, handler: str) -> dict[str, str]:
    """As much of Lambda's variables as a function may look at."""
    return {
        "_HANDLER": handler,
        "LAMBDA_TASK_ROOT": str(tree),
        "AWS_LAMBDA_FUNCTION_NAME": "proof",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "TMPDIR": str(own),
        "TZ": ":UTC",
    }


def _run(command: list[str], tree: Path, environ: Mapping[str, str], text: str, seconds: float) -> str:
    """What it wrote, and what ended it."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=tree,
        env=dict(environ),
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(text, seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        return f"{said}\nit had not ended after {seconds:.0f} s"
    except BaseException:  # such as Ctrl+C, which reaches this process alone
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    if process.returncode < 0:
        said += f"\nit was ended by {signal.Signals(-process.returncode).name}"
    return said


def _read(report: Path, said: str, tree: Path) -> Proof:
    """The report that the process leaves; one that died leaves what it had written last."""
    try:
        found = json.loads(report.read_bytes())
    except (OSError, ValueError):
        last = said.strip()[-_LONGEST:] or "it ended without a word"
        return Proof(f"the process ended before the handler was loaded: {last}", (), frozenset(), (), 0.0)
    answers = [Answer(name, error, seconds) for name, error, seconds in found["answers"]]
    if found["running"]:
        lines = said.strip().splitlines() or ["it ended without a word"]
        answers.append(Answer(found["running"], f"the process ended: {lines[-1]}", 0.0))
    written = tuple(sorted({path.replace(str(tree), "/var/task") for path in found["written"]}))
    return Proof(found["error"], tuple(answers), frozenset(found["modules"]), written, found["init_seconds"])
