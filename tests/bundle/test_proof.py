"""Packages are proven by a real process of an interpreter that sees nothing but the packed tree."""

import os
import signal
import sys
from pathlib import Path

import pytest

from pilotlight.bundle import files, interpreter, proof, shipped
from pilotlight.bundle.files import Entry, part
from pilotlight.bundle.proof import Event, Proof
from pilotlight.bundle.target import Target

HERE = Target(f"{sys.version_info.major}.{sys.version_info.minor}")


def run(text: str, *payloads: str, timeout: float = 30, **variables: str) -> Proof:
    python = interpreter.find(HERE, sys.executable)
    assert python is not None
    parts = [
        files.part("runtime", shipped.entries(HERE.runtime)),
        part("code", [Entry("inference/ask.py", text.encode())]),
    ]
    events = [Event(f"{number}.json", payload.encode()) for number, payload in enumerate(payloads)]
    return proof.run(parts, "inference/ask.handler", events, python, variables, timeout)


def errors(found: Proof) -> list[str]:
    assert found.error == ""
    return [answer.error for answer in found.answers]


TYPED = """
import os
from pilotlight import endpoint

@endpoint
def handler(word: str) -> dict[str, str]:
    return {"word": word, "set": os.environ["WORD"]}
"""


def test_events_are_answered_with_the_variables_of_the_function() -> None:
    found = run(TYPED, '{"word": "lamp"}', WORD="wick")
    assert errors(found) == [""]
    assert found.written == ()
    assert "pilotlight.function.endpoint" in found.modules


def test_it_sees_no_package_of_this_machine() -> None:
    found = run("import pytest\n")
    assert found.error == "Runtime.ImportModuleError: Unable to import module 'inference/ask': No module named 'pytest'"
    assert found.answers == ()


def test_an_event_that_does_not_fit_is_an_error() -> None:
    http = '{"version": "2.0", "requestContext": {"http": {"method": "POST", "path": "/"}}, "body": "{}"}'
    first, second = errors(run(TYPED, '{"wort": "lamp"}', http, WORD=""))
    assert "word: missing" in first
    assert second.startswith("it was answered with 400: ")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("raise ValueError('no oil')", "ValueError: no oil"),
        ("return {1, 2}", "Runtime.MarshalError: "),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import os; os._exit(3)", "the process ended: it ended without a word"),
        ("import os; print('dark', flush=True); os.abort()", "the process ended: it was ended by SIGABRT"),
    ],
)
def test_what_goes_wrong_in_the_handler_is_said(body: str, error: str) -> None:
    [found] = errors(run(f"def handler(event, context):\n    {body}\n", "{}"))
    assert found.startswith(error)


def test_a_handler_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "_INIT_SECONDS", 5.0)
    found = run("import time\ndef handler(event, context):\n    time.sleep(600)\n", "{}", timeout=0.5)
    assert errors(found) == ["the process ended: it had not ended after 6 s"]


def test_a_module_that_ends_the_process_is_an_error() -> None:
    found = run("import os\nprint('no lamp', flush=True)\nos._exit(1)\n", "{}")
    assert found.error == "the process ended before the handler was loaded: no lamp"


def test_an_answer_that_is_streamed_is_made_to_its_end() -> None:
    text = """
from pilotlight import endpoint

@endpoint
def handler(n: int):
    for i in range(n):
        yield str(6 // (3 - i))
"""
    first, second = errors(run(text, '{"n": 3}', '{"n": 4}', PILOTLIGHT_INVOKE_MODE="RESPONSE_STREAM"))
    assert first == ""
    assert second.startswith("ZeroDivisionError")


def test_what_is_written_where_lambda_allows_nothing_is_noted() -> None:
    text = """
import os, tempfile

def handler(event, context):
    open("cache.txt", "w").close()
    for path in ("/no/such/folder/x", "/tmp/no/such/folder/x"):
        try:
            open(path, "w")
        except FileNotFoundError:
            pass
    with tempfile.TemporaryDirectory() as folder:
        open(f"{folder}/fine", "w").close()
        os.rename(f"{folder}/fine", "moved.txt")
    open(os.devnull, "w").close()
    open(__file__).close()
"""
    found = run(text, "{}")
    assert errors(found) == [""]
    assert set(found.written) == {"/var/task/cache.txt", "/var/task/moved.txt", "/no/such/folder/x"}


def test_nothing_of_this_shell_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("SECRET", "x")
    text = """
import os, sys

def handler(event, context):
    assert "SECRET" not in os.environ
    assert "/nowhere" not in sys.path
"""
    assert errors(run(text, "{}")) == [""]


class Stopped(Exception):
    """What a signal raises here, as Ctrl+C does."""


def test_nothing_runs_on_when_the_build_is_stopped(tmp_path: Path) -> None:
    def stop(*_: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGUSR1, stop)
    text = f"""
import os, pathlib, signal, time
pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(os.getpid()))
os.kill({os.getpid()}, signal.SIGUSR1)
time.sleep(600)
"""
    try:
        with pytest.raises(Stopped):
            run(text)
    finally:
        signal.signal(signal.SIGUSR1, before)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
