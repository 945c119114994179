"""What of Pilotlight is in every package, and the script that starts its loop, run by a real shell."""

import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from pilotlight.bundle import files, shipped
from pilotlight.bundle.files import Entry, part

HANDLER = b"def handler(event, context):\n    return {'word': event['word']}\n"


def test_it_is_what_functions_import_and_nothing_else() -> None:
    paths = {entry.path for entry in shipped.entries("python3.13")}
    assert {path for path in paths if not path.startswith("pilotlight/function/")} == {
        "pilotlight-runtime",
        "pilotlight/__init__.py",
        "pilotlight/errors.py",
        "pilotlight/events.py",
        "pilotlight/limits.py",
        "pilotlight/tuples.py",
        "pilotlight/values.py",
    }
    assert {"pilotlight/function/__init__.py", "pilotlight/function/runtime.py"} <= paths
    assert not any("__pycache__" in path for path in paths)


class _RuntimeApi(BaseHTTPRequestHandler):
    """One event, then no more: the second request for one is answered by hanging up."""

    protocol_version = "HTTP/1.1"
    asked = 0
    answers: list[object] = []  # noqa: RUF012  (of the class that a test makes)

    def do_GET(self) -> None:
        type(self).asked += 1
        if self.asked > 1:
            self.close_connection = True
            return
        body = b'{"word": "lamp"}'
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "1")
        self.send_header("Lambda-Runtime-Deadline-Ms", "9999999999999")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.mark.parametrize(("kind", "name"), [("zip", "ask"), ("image", "ask"), ("image", "python_tips")])
def test_the_script_starts_the_loop_for_the_wrapper_and_as_entry_point(tmp_path: Path, kind: str, name: str) -> None:
    code = part("code", [Entry(f"inference/{name}.py", HANDLER)])
    parts = [files.part("runtime", shipped.entries(sys.executable)), code]
    files.tree(parts, tmp_path)
    api = type("Api", (_RuntimeApi,), {"answers": [], "asked": 0})
    with HTTPServer(("127.0.0.1", 0), api) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        command = [str(tmp_path / shipped.START)]
        command += [sys.executable, "/var/runtime/bootstrap.py"] if kind == "zip" else [f"inference/{name}.handler"]
        environ = {"PATH": os.environ["PATH"], "LAMBDA_TASK_ROOT": str(tmp_path), "AWS_LAMBDA_RUNTIME_API": address}
        environ |= {"_HANDLER": f"inference/{name}.handler"} if kind == "zip" else {}
        done = subprocess.run(command, env=environ, cwd="/", capture_output=True, text=True, timeout=60)
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert api.answers == [{"word": "lamp"}]
