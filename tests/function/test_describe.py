"""The process that imports a function's file and tells what it takes, or why it cannot be imported."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

GOOD = '''
"""Greets."""
import os
print("noise from the import")
os.write(1, b"noise without a newline")
from pilotlight import endpoint

@endpoint
def handler(name: str) -> str:
    return name

def raw(event, context):
    return event
'''


def describe(folder: Path, source: str, handler: str = "inference/greet.handler") -> tuple[int, dict[str, Any]]:
    (folder / "inference").mkdir()
    (folder / "inference/greet.py").write_text(source)
    command = [sys.executable, "-m", "pilotlight.function.describe", handler]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    (line,) = result.stdout.splitlines()
    return result.returncode, json.loads(line)


def test_an_endpoint(tmp_path: Path) -> None:
    assert describe(tmp_path, GOOD) == (
        0,
        {
            "ok": True,
            "raw": False,
            "doc": "Greets.",
            "input": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
            "output": {"type": "string"},
            "media": ["application/json", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain"],
            "answer": "text/plain",
            "streams": False,
        },
    )


def test_a_raw_handler(tmp_path: Path) -> None:
    assert describe(tmp_path, GOOD, "inference/greet.raw") == (0, {"ok": True, "raw": True, "doc": "Greets."})


def test_of_a_result_that_may_be_a_response_the_others_are_told(tmp_path: Path) -> None:
    source = GOOD.replace("import endpoint", "import Response, endpoint").replace(
        "-> str", "-> dict[str, int] | Response"
    )
    status, told = describe(tmp_path, source)
    assert status == 0
    assert told["output"] == {"type": "object", "additionalProperties": {"type": "integer"}}
    assert told["answer"] == "application/json"


STARRED = "from pilotlight import endpoint\n@endpoint\ndef handler(*a): ..."


@pytest.mark.parametrize(
    ("source", "handler", "kind", "error"),
    [
        ("", "inference/greet.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module"),
        ("import nowhere", "inference/greet.handler", "Runtime.ImportModuleError", "Unable to import module"),
        ("x = ", "inference/greet.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'inference/greet'"),
        ("", "greet", "Runtime.MalformedHandlerName", "Bad handler 'greet'"),
        ("1 / 0", "inference/greet.handler", "ZeroDivisionError", "division by zero"),
        ("raise SystemExit(3)", "inference/greet.handler", "SystemExit", "3"),
        (
            STARRED,
            "inference/greet.handler",
            "FunctionError",
            "reading the parameters of inference.greet.handler: *args",
        ),
    ],
)
def test_what_cannot_be_described(tmp_path: Path, source: str, handler: str, kind: str, error: str) -> None:
    status, answer = describe(tmp_path, source, handler)
    assert status == 1
    assert (answer["ok"], answer["type"]) == (False, kind)
    assert answer["error"].startswith(error)
    assert answer["traceback"].startswith("Traceback")
    assert bool(answer["hint"]) == (kind == "FunctionError")
