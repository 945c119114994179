"""`python -I scripts JOB.json RESULT.json PARENT`: what is done inside an exporter's environment.

This folder is run by an interpreter that knows nothing of Pilotlight, only of PyTorch and transformers. A job is one
JSON object whose `do` names the work; lines on standard output are progress; the result, or why it was refused, is
written as JSON. The work ends with the process PARENT, which alone wants its result.
"""

import ctypes
import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from refusal import Refused

WORK = {
    **{"fetch": "hub", "export": "tracing", "answer": "timing", "first": "timing"},
    **{"picture_export": "picture_keras", "picture_facts": "picture_keras", "picture_program": "picture_program"},
    **dict.fromkeys(("picture_answers", "picture_first"), "picture_answers"),
    **dict.fromkeys(("sequence_export", "sequence_answers", "sequence_first"), "sequences"),
}
PR_SET_PDEATHSIG = 1  # prctl(2)


def run(job: dict[str, Any]) -> dict[str, Any]:
    """The result of a job, or `{"refused": ...}`. Whatever else goes wrong ends the process with its traceback."""
    work = getattr(importlib.import_module(WORK[job["do"]]), job["do"])
    try:
        return {"done": work(job)}
    except Refused as refused:
        return {"refused": {"kind": refused.kind, "message": str(refused), "hint": refused.hint}}


def end_with(parent: int) -> None:
    """Where the kernel can: a parent that is killed could not end this process, which may run for hours."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before that
        raise ProcessLookupError("the process that asked for this job has ended")


if __name__ == "__main__":
    end_with(int(sys.argv[3]))
    result = run(json.loads(Path(sys.argv[1]).read_bytes()))
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")
