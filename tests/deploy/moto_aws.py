"""AWS for tests, as far as moto's server goes: logs, tables, stacks of tables. A process of its own."""

import contextlib
import http.client
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import boto3

from http_servers import Request, answer

REGION = "eu-west-1"
_PROGRAM = "from moto.server import main; main(['-H', '127.0.0.1', '-p', '0'])"


class Aws(NamedTuple):
    """`environ` is what a shell has in which `pilotlight` finds it."""

    environ: Mapping[str, str]

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            REGION,
            endpoint_url=self.environ["AWS_ENDPOINT_URL"],
            aws_access_key_id=self.environ["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environ["AWS_SECRET_ACCESS_KEY"],
        )

    def start(self, *arguments: str, cwd: Path) -> "subprocess.Popen[str]":
        """`pilotlight ...` in that shell."""
        return subprocess.Popen(
            [sys.executable, "-m", "pilotlight", *arguments],
            cwd=cwd,
            env={**_without_aws(), **self.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, cwd: Path) -> tuple[int, str, str]:
        """Its exit code, and what it wrote."""
        process = self.start(*arguments, cwd=cwd)
        out, err = process.communicate(timeout=100)
        return process.returncode, out, err


def _without_aws() -> dict[str, str]:
    """The environment without what it says of AWS, nor any file that does."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**kept, "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


@contextlib.contextmanager
def running() -> Iterator[Aws]:
    process = subprocess.Popen([sys.executable, "-c", _PROGRAM], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        said = next(line for line in process.stderr if "Running on" in line)
        threading.Thread(target=process.stderr.read, daemon=True).start()  # lest it stand still when the pipe is full
        url = said.split()[-1]
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION}
        yield Aws({**keys, "AWS_ENDPOINT_URL": url, "AWS_EC2_METADATA_DISABLED": "true"})
    finally:
        process.terminate()
        process.wait(60)
        process.stderr.close()


def forwarding(port: int) -> Callable[[Request], bytes]:
    """Answers of Lambda, as far as `pilotlight serve` at that port is it: there the alias has no name."""

    def forward(request: Request) -> bytes:
        path, _, query = request.target.partition("?")
        assert query == "Qualifier=live"
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request(request.method, path, request.body, request.headers)
        got = connection.getresponse()
        head = "".join(f"{name}: {value}\r\n" for name, value in got.getheaders() if name.startswith("x-amz"))
        body = got.read()
        connection.close()
        return answer(got.status, body, head)

    return forward
