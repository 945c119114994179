"""One job done by the exporters' scripts, in the interpreter of an exporter's environment."""

import json
import os
import re
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilotlight.errors import ModelError, PilotlightError, SourceError
from pilotlight.optimize.progress import Progress

SCRIPTS = Path(__file__).parent / "exporters" / "scripts"
COUNT = re.compile(r"count (\d+) (\d+) (.+)")  # as `refusal.count` writes it
LINES_KEPT = 6  # of the traceback, for the error
KINDS: Mapping[str, type[PilotlightError]] = {"source": SourceError, "model": ModelError}
# Models come from the folder that is named, and from nowhere else.
QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}
OFFLINE = {"HF_HUB_OFFLINE": "1"}


def run(python: Path, job: Mapping[str, Any], progress: Progress, online: bool = False) -> dict[str, Any]:
    """What the job gives. Raises SourceError or ModelError as the script refuses; ModelError when it dies."""
    with tempfile.TemporaryDirectory(prefix="pilotlight-") as folder:
        request, result = Path(folder) / "job.json", Path(folder) / "result.json"
        request.write_text(json.dumps(job), encoding="utf-8")
        process = subprocess.Popen(
            [str(python), "-I", str(SCRIPTS), str(request), str(result), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, **QUIET, **({} if online else OFFLINE)},
        )
        problems = _follow(process, progress)
        if process.returncode != 0 or not result.is_file():
            raise _died(job, process.returncode, problems)
        answer: dict[str, Any] = json.loads(result.read_bytes())
    if refused := answer.get("refused"):
        raise KINDS[refused["kind"]](refused["message"], refused["hint"])
    done: dict[str, Any] = answer["done"]
    return done


def _follow(process: "subprocess.Popen[str]", progress: Progress) -> list[str]:
    """Tell what the process says until it ends; the last lines of its standard error."""
    assert process.stdout is not None
    assert process.stderr is not None
    last: deque[str] = deque(maxlen=LINES_KEPT)
    reader = threading.Thread(target=last.extend, args=(process.stderr,))  # both pipes have to be emptied
    reader.start()
    try:
        for line in process.stdout:
            _tell(line.rstrip("\n"), progress)
        process.wait()
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()
        process.stderr.close()
    return [line.rstrip() for line in last]


def _tell(line: str, progress: Progress) -> None:
    if counted := COUNT.fullmatch(line):
        progress.count(counted[3], int(counted[1]), int(counted[2]))
    else:
        progress.say(line)


def _died(job: Mapping[str, Any], code: int, problems: list[str]) -> ModelError:
    what = f"running {job['do']!r} for {job.get('path') or job.get('repository')}"
    if code < 0:
        return ModelError(f"{what}: the exporter was ended by signal {-code}", "signal 9 often means too little memory")
    return ModelError(f"{what}: the exporter failed (exit code {code})\n" + "\n".join(problems))
