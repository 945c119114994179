"""The runtime loop before a Runtime API of plain sockets: the bytes that it sends for a streamed answer."""

import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from conftest import write

EVENT = json.dumps({"version": "2.0", "requestContext": {"http": {"method": "GET", "path": "/"}}}).encode()
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


class Lambda:
    """The other side of the Runtime API, for one runtime."""

    def __init__(self, listener: socket.socket) -> None:
        self.address = "127.0.0.1:{1}".format(*listener.getsockname())
        self.connection, _ = listener.accept()
        self.connection.settimeout(30)
        self.reader: BinaryIO = self.connection.makefile("rb")

    def head(self) -> list[str]:
        """Request line and headers of the next request."""
        return [line.decode().rstrip("\r\n") for line in iter(self.reader.readline, b"\r\n")]

    def send_event(self) -> None:
        assert self.head()[0] == "GET /2018-06-01/runtime/invocation/next HTTP/1.1"
        head = f"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: r-1\r\nContent-Length: {len(EVENT)}\r\n\r\n"
        self.connection.sendall(head.encode() + EVENT)

    def chunk(self) -> bytes:
        """The next chunk of the body; b"" for the one that ends it."""
        size = int(self.reader.readline(), 16)
        chunk = self.reader.read(size)
        assert not size or self.reader.readline() == b"\r\n"
        return chunk


@contextlib.contextmanager
def running(folder: Path, source: str, mode: str = "RESPONSE_STREAM") -> Iterator[tuple[Lambda, subprocess.Popen[str]]]:
    write(folder, {"inference/one.py": source})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        environ = {
            **os.environ,
            "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:{1}".format(*listener.getsockname()),
            "PILOTLIGHT_INVOKE_MODE": mode,
            "_HANDLER": "inference/one.handler",
        }
        listener.settimeout(30)
        command = [sys.executable, "-c", "from pilotlight.function.runtime import main; main()"]
        with subprocess.Popen(command, cwd=folder, env=environ, stderr=subprocess.PIPE, text=True) as process:
            other = Lambda(listener)
            try:
                yield other, process
            finally:
                other.reader.close()
                other.connection.close()
                process.communicate(timeout=60)


GATED = """
    import pathlib, time
    from pilotlight import endpoint

    @endpoint
    def handler():
        yield "ü"
        while not pathlib.Path("go").exists():
            time.sleep(0.01)
        yield ""
        yield b"\\0\\xff" * 3
"""


def test_the_bytes_of_a_streamed_answer(tmp_path: Path) -> None:
    with running(tmp_path, GATED) as (other, _):
        other.send_event()
        request_line, *headers = other.head()
        assert request_line == "POST /2018-06-01/runtime/invocation/r-1/response HTTP/1.1"
        assert [line for line in headers if not line.startswith(("Host:", "User-Agent:"))] == [
            "Content-Type: application/vnd.awslambda.http-integration-response",
            "Lambda-Runtime-Function-Response-Mode: streaming",
            "Transfer-Encoding: chunked",
            "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
        ]
        head = b'{"statusCode": 200, "headers": {"content-type": "text/plain; charset=utf-8"}}'
        assert other.chunk() == head + bytes(8)
        assert other.chunk() == "ü".encode()
        (tmp_path / "go").touch()  # the function is still in the middle of it
        assert [other.chunk(), other.chunk()] == [b"\0\xff" * 3, b""]
        assert other.reader.readline() == b"\r\n"
        other.connection.sendall(ACCEPTED)
        other.send_event()  # it goes on with the next


def test_an_exception_in_the_middle_ends_the_body_with_trailers(tmp_path: Path) -> None:
    source = """
        from pilotlight import endpoint

        @endpoint
        async def handler():
            yield "a"
            raise ValueError("no more")
    """
    with running(tmp_path, source) as (other, process):
        other.send_event()
        other.head()
        assert [other.chunk() for _ in range(3)][1:] == [b"a", b""]
        kind, body = other.head()
        assert kind == "Lambda-Runtime-Function-Error-Type: ValueError"
        name, _, text = body.partition(": ")
        error = json.loads(base64.b64decode(text, validate=True))
        assert name == "Lambda-Runtime-Function-Error-Body"
        assert (error["errorType"], error["errorMessage"], error["requestId"]) == ("ValueError", "no more", "r-1")
        other.connection.sendall(ACCEPTED)
        other.send_event()
        other.connection.shutdown(socket.SHUT_RDWR)
        assert process.stderr is not None
        assert process.stderr.read().startswith("[ERROR] ValueError: no more\nTraceback (most recent call last):\n")


@pytest.mark.parametrize(
    ("source", "mode", "length"),
    [
        (GATED, "BUFFERED", "Content-Length: "),
        ("def handler(event, context):\n    return 1\n", "RESPONSE_STREAM", "Content-Length: 1"),
        (
            "def handler(event, context):\n    yield 1\n",
            "RESPONSE_STREAM",
            "Content-Length: ",
        ),  # as awslambdaric: an error
    ],
    ids=["a URL that does not stream", "a plain handler", "a plain handler that is a generator"],
)
def test_everything_else_is_posted_whole(tmp_path: Path, source: str, mode: str, length: str) -> None:
    (tmp_path / "go").touch()
    with running(tmp_path, source, mode) as (other, _):
        other.send_event()
        request_line, *headers = other.head()
        assert request_line.startswith("POST /2018-06-01/runtime/invocation/r-1/")
        assert any(line.startswith(length) for line in headers)
        assert not any("chunked" in line for line in headers)


def test_ends_when_lambda_is_gone(tmp_path: Path) -> None:
    source = """
        from pilotlight import endpoint

        @endpoint
        def handler():
            while True:
                yield b"x" * 100_000
    """
    with running(tmp_path, source) as (other, process):
        other.send_event()
        other.head()
        other.chunk()
        other.connection.shutdown(socket.SHUT_RDWR)
        assert process.wait(timeout=60) == 0
