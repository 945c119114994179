"""`python -I scripts JOB.json RESULT.json`: what is done inside an exporter's environment.

This folder is run by an interpreter that knows nothing of Pilotlight, only of PyTorch and transformers. A job is one
JSON object whose `do` names the work; lines on standard output are progress; the result, or why it was refused, is
written as JSON.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from refusal import Refused

WORK = {"fetch": "hub", "export": "tracing", "answer": "timing", "first": "timing"}


def run(job: dict[str, Any]) -> dict[str, Any]:
    """The result of a job, or `{"refused": ...}`. Whatever else goes wrong ends the process with its traceback."""
    work = getattr(importlib.import_module(WORK[job["do"]]), job["do"])
    try:
        return {"done": work(job)}
    except Refused as refused:
        return {"refused": {"kind": refused.kind, "message": str(refused), "hint": refused.hint}}


if __name__ == "__main__":
    result = run(json.loads(Path(sys.argv[1]).read_bytes()))
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")
