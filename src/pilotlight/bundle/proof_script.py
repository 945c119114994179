"""Run by the target's interpreter, with nothing but its standard library and the packed tree: see `proof.py`.

python3.13 -I -S proof_script.py TREE REPORT TEMPORARY < EVENTS
"""

import json
import os
import sys
import time
from typing import Any

_FREE = ("/tmp/", "/dev/", "/proc/")  # Lambda's own, and where what is written is no file
_DEADLINE = 900_000  # milliseconds from now
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {"os.mkdir", "os.remove", "os.rmdir", "os.truncate"}
_BOTH = {"os.rename", "os.link", "os.symlink"}  # of these the second path is written as well


class Watch:
    """Notes the paths that are written in the packed `tree`, or elsewhere but in `own`, which stands for /tmp."""

    def __init__(self, own: str, tree: str) -> None:
        self._own, self._tree = (f"{os.path.realpath(path)}/" for path in (own, tree))
        self.paths: list[str] = []
        self.is_on = True

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.is_on and (event in _CHANGES or (event == "open" and _is_write(*arguments))):
            self._note(arguments[0])
        elif self.is_on and event in _BOTH:
            for path in arguments[:2] if event == "os.rename" else arguments[1:2]:
                self._note(path)

    def _note(self, path: object) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            found = os.path.realpath(os.fsdecode(path))
            if found.startswith(self._tree) or not f"{found}/".startswith((self._own, *_FREE)):
                self.paths.append(found)


def _is_write(path: object, mode: str | None, flags: int) -> bool:
    return bool(mode and set(mode) & set("wax+")) or (mode is None and bool(flags & _WRITES))


class Lambda:
    """The Runtime API's client as the runtime loop sees it, for events that are there already; `error` says why the
    last one was not answered, "" when it was."""

    def __init__(self) -> None:
        self.event = ("", "")
        self.error = ""

    def next(self) -> Any:
        from pilotlight.function.runtime_client import Event

        name, text = self.event
        return Event(name, text.encode(), int(time.time() * 1000) + _DEADLINE)

    def respond(self, request_id: str, payload: bytes) -> None:
        try:
            answer = json.loads(payload)
        except ValueError:  # a plain handler may answer with bytes
            answer = None
        self._take(answer, payload)

    def fail(self, request_id: str, error: dict[str, Any]) -> None:
        self.error = f"{error['errorType']}: {error['errorMessage']}"

    def begin_stream(self, request_id: str, head: dict[str, Any]) -> None:
        self._take(head, b"")

    def send_chunk(self, chunk: bytes) -> None:
        """Nobody reads it."""

    def end_stream(self, error: dict[str, Any] | None = None) -> None:
        if error:
            self.fail("", error)

    def _take(self, answer: object, payload: bytes) -> None:
        status = answer.get("statusCode") if isinstance(answer, dict) else None
        if isinstance(status, int) and status >= 400:
            self.error = f"it was answered with {status}: {payload.decode('utf-8', 'replace')}"


class Report:
    """What is known so far, written before anything that may end the process."""

    def __init__(self, path: str, watch: Watch) -> None:
        self._path, self._watch = path, watch
        self.error, self.running, self.init_seconds = "", "", 0.0
        self.answers: list[tuple[str, str, float]] = []

    def write(self) -> None:
        self._watch.is_on = False
        found = {
            "error": self.error,
            "running": self.running,
            "init_seconds": self.init_seconds,
            "answers": self.answers,
            "modules": sorted(sys.modules),
            "written": self._watch.paths,
        }
        with open(self._path, "w", encoding="utf-8") as file:
            json.dump(found, file)
        self._watch.is_on = True


def main(tree: str, path: str, own: str) -> None:
    events = json.load(sys.stdin)
    sys.path.insert(0, tree)
    sys.dont_write_bytecode = True
    watch = Watch(own, tree)
    report = Report(path, watch)
    sys.addaudithook(watch)
    handler = load(report)
    for name, text in () if report.error else events:
        report.running = name
        report.write()
        report.answers.append(answer(handler, name, text))
        report.running = ""
    report.write()


def load(report: Report) -> Any:
    """The handler; the report says why there is none."""
    began = time.perf_counter()
    try:
        from pilotlight.function import runtime

        return runtime.initialise(os.environ)
    except BaseException as error:  # the boundary to user code: whatever its import raised is the result
        report.error = f"{getattr(error, 'kind', type(error).__name__)}: {error}"
    finally:
        report.init_seconds = time.perf_counter() - began


def answer(handler: Any, name: str, text: str) -> tuple[str, str, float]:
    """The event's name, why it was not answered or "", and the seconds that it took."""
    from pilotlight.function import runtime

    began = time.perf_counter()
    api: Any = Lambda()
    api.event = name, text
    try:
        runtime.serve_one(api, handler)
    except BaseException as error:  # what a function raises that is no Exception ends Lambda's process too
        api.error = f"{type(error).__name__}: {error}"
    return name, api.error, time.perf_counter() - began


if __name__ == "__main__":
    main(*sys.argv[1:])
