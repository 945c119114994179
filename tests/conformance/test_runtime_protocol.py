"""What both runtime loops say to the Runtime API beyond one invocation after the other: SnapStart, and several workers.

The Runtime API here is one that the test plays: it records each request, and answers when the test says so.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from conftest import write

API = "/2018-06-01/runtime/"
LOOPS = {
    "pilotlight": ("-c", "from pilotlight.function.runtime import main; main()"),
    "awslambdaric": ("-m", "awslambdaric", "inference/probe.handler"),
}
both = pytest.mark.parametrize("loop", LOOPS)


class Request(NamedTuple):
    path: str
    error_type: str
    body: bytes


class Lambda(ThreadingHTTPServer):
    """`asked` are the requests as they come, by all connections; an event put into `events` goes to one of those that
    wait for it. `restored` is set when the snapshot may be said to be restored."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.asked: queue.Queue[Request] = queue.Queue()
        self.events: queue.Queue[tuple[str, bytes] | None] = queue.Queue()
        self.restored = threading.Event()
        self.init_errors = 0

    @property
    def address(self) -> str:
        return "127.0.0.1:{1}".format(*self.server_address)

    def next(self) -> Request:
        return self.asked.get(timeout=60)

    def paths(self, count: int) -> list[str]:
        return sorted(self.next().path for _ in range(count))

    def answers(self, count: int) -> list[Any]:
        """The bodies of the next posts; requests for events are left out."""
        posts: list[Any] = []
        while len(posts) < count:
            request = self.next()
            if request.path != "invocation/next":
                posts.append(json.loads(request.body))
        return posts


class Connection(BaseHTTPRequestHandler):
    server: Lambda
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._record(b"")
        if self.path == API + "restore/next":
            self.server.restored.wait(60)
            self._reply(200)
        elif (event := self.server.events.get()) is not None:
            self._reply(200, event[1], event[0])
        else:
            self.close_connection = True

    def do_POST(self) -> None:
        self._record(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == API + "init/error":
            self.server.init_errors += 1
        self._reply(403 if self.server.init_errors > 1 else 202)

    def _record(self, body: bytes) -> None:
        kind = self.headers.get("Lambda-Runtime-Function-Error-Type", "")
        self.server.asked.put(Request(self.path.removeprefix(API), kind, body))

    def _reply(self, status: int, body: bytes = b"{}", request_id: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if request_id:
            self.send_header("Lambda-Runtime-Aws-Request-Id", request_id)
            self.send_header("Lambda-Runtime-Deadline-Ms", "4102444800000")
            self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:f")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@contextlib.contextmanager
def playing() -> Iterator[Lambda]:
    with Lambda() as other:
        thread = threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield other
        finally:
            other.restored.set()
            for _ in range(10):
                other.events.put(None)  # whoever waits
            other.shutdown()
            thread.join()


@contextlib.contextmanager
def running(
    folder: Path, arguments: tuple[str, ...], source: str, **variables: str
) -> Iterator[tuple[Lambda, subprocess.Popen[bytes]]]:
    write(folder, {"inference/probe.py": source})
    with playing() as other:
        environ = {
            "AWS_LAMBDA_FUNCTION_NAME": "f",
            "AWS_LAMBDA_RUNTIME_API": other.address,
            "LAMBDA_TASK_ROOT": str(folder),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(folder),
            "_HANDLER": "inference/probe.handler",
            **variables,
        }
        command = [sys.executable, *arguments]
        with subprocess.Popen(command, cwd=folder, env=environ, start_new_session=True) as process:
            try:
                yield other, process
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


# SnapStart

HOOKS = """
    from snapshot_restore_py import register_after_restore, register_before_snapshot

    steps = ["import"]
    register_before_snapshot(steps.append, "first before")
    register_before_snapshot(steps.append, "second before")
    register_after_restore(steps.append, "first after")

    @register_after_restore
    def second():
        steps.append("second after")

    def handler(event, context):
        return steps
"""


@both
def test_snapstart_runs_hooks_on_both_sides_of_the_snapshot(tmp_path: Path, loop: str) -> None:
    with running(tmp_path, LOOPS[loop], HOOKS, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start") as (other, _):
        assert other.next().path == "restore/next"
        assert other.asked.empty()
        other.restored.set()
        assert other.next().path == "invocation/next"
        other.events.put(("r-1", b"{}"))
        assert other.next() == Request(
            "invocation/r-1/response",
            "",
            b'["import", "second before", "first before", "first after", "second after"]',
        )


@both
def test_without_snapstart_no_hook_runs(tmp_path: Path, loop: str) -> None:
    with running(tmp_path, LOOPS[loop], HOOKS, AWS_LAMBDA_INITIALIZATION_TYPE="on-demand") as (other, _):
        other.events.put(("r-1", b"{}"))
        assert other.answers(1) == [["import"]]


@both
def test_snapstart_needs_no_hooks(tmp_path: Path, loop: str) -> None:
    source = "def handler(event, context):\n    return 1\n"
    with running(tmp_path, LOOPS[loop], source, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start") as (other, _):
        other.restored.set()
        assert [other.next().path, other.next().path] == ["restore/next", "invocation/next"]


@both
@pytest.mark.parametrize(
    ("hook", "before", "path", "header", "status"),
    [
        ("before_snapshot", [], "init/error", "Runtime.BeforeSnapshotError", 64),
        ("after_restore", ["restore/next"], "restore/error", "Runtime.AfterRestoreError", 65),
    ],
)
@pytest.mark.parametrize(
    ("statement", "kind", "message"),
    [("raise ValueError('no luck')", "ValueError", "no luck"), ("raise SystemExit(3)", "SystemExit", "3")],
)
def test_a_hook_that_fails_is_reported(
    tmp_path: Path,
    loop: str,
    hook: str,
    before: list[str],
    path: str,
    header: str,
    status: int,
    statement: str,
    kind: str,
    message: str,
) -> None:
    source = f"""
        from snapshot_restore_py import register_{hook}

        @register_{hook}
        def fail():
            {statement}

        def handler(event, context): ...
    """
    with running(tmp_path, LOOPS[loop], source, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start") as (other, process):
        other.restored.set()
        assert [other.next().path for _ in before] == before
        request = other.next()
        error = json.loads(request.body)
        assert (request.path, request.error_type) == (path, header)
        assert (error["errorType"], error["errorMessage"], error["requestId"]) == (kind, message, "")
        assert error["stackTrace"][-1].split(", in ")[1].split("\n")[0] == "fail"
        assert process.wait(60) == status


def test_what_was_loaded_once_can_be_run_in_several_forks(tmp_path: Path) -> None:
    """`initialise` and `run` apart: each fork has variables of its own, also the address of the Runtime API."""
    source = "import os\n\nloaded = os.getpid()\n\ndef handler(event, context):\n    return [loaded, os.getpid()]\n"
    script = """
import os, sys
from pilotlight.function.runtime import initialise, run
handler = initialise(os.environ)
for address in sys.argv[1:]:
    if os.fork() == 0:
        os.environ["AWS_LAMBDA_RUNTIME_API"] = address
        run(handler)
for _ in sys.argv[1:]:
    os.wait()
"""
    with playing() as one, playing() as two:
        arguments = ("-c", script, one.address, two.address)
        with running(tmp_path, arguments, source, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start") as (_, process):
            pids = set()
            for each in (one, two):
                each.restored.set()
                each.events.put(("r-1", b"{}"))
                assert [each.next().path, each.next().path] == ["restore/next", "invocation/next"]
                loaded, pid = json.loads(each.next().body)
                assert loaded == process.pid
                pids.add(pid)
            assert len(pids - {process.pid}) == 2


# several workers

TOGETHER = """
    import os, pathlib, time

    here = pathlib.Path(__file__).parent

    def handler(event, context):
        if event.get("status") is not None:
            os._exit(event["status"])
        (here / event["name"]).touch()
        while not (here / event["other"]).exists():
            time.sleep(0.001)
        return [event["name"], os.getpid()]
"""
A = ("r-a", b'{"name": "a", "other": "b"}')
B = ("r-b", b'{"name": "b", "other": "a"}')


@both
def test_workers_run_invocations_at_once(tmp_path: Path, loop: str) -> None:
    with running(tmp_path, LOOPS[loop], TOGETHER, AWS_LAMBDA_MAX_CONCURRENCY="2") as (other, process):
        assert other.paths(2) == ["invocation/next"] * 2
        other.events.put(A)
        other.events.put(B)
        answers = other.answers(2)
        assert sorted(name for name, _ in answers) == ["a", "b"]
        assert len({pid for _, pid in answers} | {process.pid}) == 3


@both
def test_workers_go_on_when_one_ends(tmp_path: Path, loop: str) -> None:
    with running(tmp_path, LOOPS[loop], TOGETHER, AWS_LAMBDA_MAX_CONCURRENCY="3") as (other, process):
        assert other.paths(3) == ["invocation/next"] * 3
        other.events.put(("r-1", b'{"status": 3}'))
        other.events.put(A)
        other.events.put(B)
        assert sorted(name for name, _ in other.answers(2)) == ["a", "b"]
        assert process.poll() is None
        other.events.put(("r-2", b'{"status": 0}'))
        other.events.put(("r-3", b'{"status": 0}'))
        # awslambdaric's first process says nothing of how the others ended
        assert process.wait(60) == {"pilotlight": 3, "awslambdaric": 0}[loop]


def test_records_that_have_no_table_are_an_init_error(tmp_path: Path) -> None:
    source = "def handler(event, context):\n    return 1\n"
    with running(tmp_path, LOOPS["pilotlight"], source, PILOTLIGHT_RECORDS="{}") as (other, process):
        assert process.wait(60) == 1
        request = other.next()
        assert (request.path, request.error_type) == ("init/error", "TableError")


@both
def test_an_init_that_fails_ends_all_workers(tmp_path: Path, loop: str) -> None:
    """The Runtime API takes the first report and refuses those of the others."""
    with running(tmp_path, LOOPS[loop], "1 / 0\n", AWS_LAMBDA_MAX_CONCURRENCY="3") as (other, process):
        assert process.wait(60) == {"pilotlight": 1, "awslambdaric": 0}[loop]
        requests = [other.next() for _ in range(3)]
        assert {(request.path, request.error_type) for request in requests} == {("init/error", "ZeroDivisionError")}
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)  # nobody is left


@pytest.mark.parametrize(
    ("statement", "status"), [("os._exit(5)", 5), ("os.kill(os.getpid(), signal.SIGKILL)", 128 + 9)]
)
def test_the_environment_ends_as_its_workers_did(tmp_path: Path, statement: str, status: int) -> None:
    source = f"import os, signal\n\n{statement}\n"
    with running(tmp_path, LOOPS["pilotlight"], source, AWS_LAMBDA_MAX_CONCURRENCY="2") as (_, process):
        assert process.wait(60) == status
