"""The servers that are compared: how each is installed, started and asked, and what it does for a request.

What a peer needs is pinned in the lock files of this folder, and installed once into the user's cache.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import machine

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SENTENCES = ROOT / "examples" / "sentences"
OURS = ROOT / ".venv" / "bin" / "pilotlight"

ECHO = """
def handler(event, context):
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": event["body"]}
"""


class Target(NamedTuple):
    """One row of a table. `closes`: every request opens a connection of its own."""

    name: str
    workload: str
    path: str
    closes: bool = False


class Server(NamedTuple):
    """`{port}` and `{other}` in `command` stand for free ports. Without `{port}`, the log's first line has the URL."""

    command: Sequence[str]
    folder: Path
    environ: dict[str, str]
    targets: Sequence[Target]


WHAT_THEY_DO = (
    "Pilotlight turns the request into an event of an HTTP API and gives it, over the Runtime API (HTTP on loopback), "
    "to a process of the function's own, which takes one invocation at a time; processes are added with concurrency.",
    "serverless-offline, Node handler: an event of an HTTP API or a REST API goes as a message to a worker thread of "
    "the server's own process, one request at a time, threads are added with concurrency; no Runtime API, no process "
    "boundary.",
    "serverless-offline, Python handler: the event goes as a line of JSON through a pipe to a Python process, one "
    "request at a time, processes are added with concurrency; no Runtime API.",
    "chalice local calls the handler in the server's own process, in the thread of the connection, with an event of a "
    "REST API; no Runtime API, no process boundary, any number at once. It sends head and body of an answer apart, "
    "which on a connection that is kept costs 40 ms by Nagle's rule and delayed acknowledgements: so there is a row "
    "with a connection for each request as well.",
    "LitServe decodes JSON in a FastAPI process, puts it into a queue (`multiprocessing`'s, or ZeroMQ's as "
    "`fast_queue`) to one worker process, and sends what comes back through another queue; no event, one request at a "
    "time, no batching.",
    "BentoML decodes and checks JSON by pydantic in one worker process below a supervisor and calls the function in a "
    "thread of that process, with a trace for each request; no event, no process boundary behind HTTP.",
)


def pilotlight(work: Path) -> Server:
    if not OURS.exists():
        sys.exit(f"{OURS.relative_to(ROOT)} is missing: run `make .venv/installed`")
    service = work / "echo"
    (service / "inference").mkdir(parents=True)
    (service / "inference" / "echo.py").write_text(ECHO, encoding="utf-8")
    command = [str(OURS), "serve", str(service), str(SENTENCES), "--no-reload", "--port", "0", "--json"]
    targets = Target("Pilotlight", "echo", "/echo"), Target("Pilotlight", "kim_cnn", "/kim_cnn")
    return Server(command, work, {}, targets)


def peers() -> list[Server]:
    """Every peer, installed where it is not yet."""
    return [serverless_offline(), chalice(), litserve("echo"), litserve("echo", "fast"), litserve("kim_cnn"), bentoml()]


def serverless_offline() -> Server:
    folder = node_project(HERE / "serverless_offline")
    command = ["node", "node_modules/serverless/bin/serverless.js", "offline", "start", "--host", "127.0.0.1"]
    command += ["--httpPort", "{port}", "--lambdaPort", "{other}", "--albPort", "{other}", "--noPrependStageInUrl"]
    environ = {
        "VIRTUAL_ENV": str(virtual_environment("serverless_offline")),
        "PYTHONPATH": str(HERE),
        "SLS_TELEMETRY_DISABLED": "1",
        "SLS_NOTIFICATIONS_MODE": "off",
    }
    targets = (
        Target("serverless-offline, HTTP API, Node", "echo", "/echo"),
        Target("serverless-offline, REST API, Node", "echo", "/rest/echo"),
        Target("serverless-offline, HTTP API, Python", "echo", "/python/echo"),
        Target("serverless-offline, HTTP API, Python", "kim_cnn", "/kim_cnn"),
    )
    return Server(command, folder, environ, targets)


def chalice() -> Server:
    program = virtual_environment("chalice") / "bin" / "chalice"
    command = [str(program), "local", "--host", "127.0.0.1", "--port", "{port}", "--no-autoreload"]
    targets = (
        Target("chalice local", "echo", "/echo"),
        Target("chalice local, a connection for each request", "echo", "/echo", closes=True),
        Target("chalice local, a connection for each request", "kim_cnn", "/kim_cnn", closes=True),
    )
    return Server(command, HERE / "chalice_app", {"PYTHONPATH": str(HERE)}, targets)


def litserve(workload: str, *fast: str) -> Server:
    """One function each: with two it starts a second HTTP process as well, which is not the default of one."""
    python = virtual_environment("litserve") / "bin" / "python"
    target = Target("LitServe, `fast_queue`" if fast else "LitServe", workload, f"/{workload}")
    return Server([str(python), "litserve_app.py", "{port}", workload, *fast], HERE, {}, [target])


def bentoml() -> Server:
    environment = virtual_environment("bentoml")
    program = environment / "bin" / "bentoml"
    command = [str(program), "serve", "bentoml_app:Peer", "--host", "127.0.0.1", "--port", "{port}"]
    environ = {"BENTOML_HOME": str(environment / "home"), "BENTOML_DO_NOT_TRACK": "True"}
    targets = Target("BentoML", "echo", "/echo"), Target("BentoML", "kim_cnn", "/kim_cnn")
    return Server(command, HERE, environ, targets)


def versions() -> list[str]:
    """Of every peer, as its lock says."""
    pinned = [*map(locked, ("chalice", "litserve", "bentoml")), locked("onnxruntime", "litserve")]
    packages = json.loads((HERE / "serverless_offline" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    pinned += [f"{name} {packages[f'node_modules/{name}']['version']}" for name in ("serverless", "serverless-offline")]
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return [*pinned, f"Node {node.removeprefix('v')}"]


def locked(package: str, lock: str = "") -> str:
    """Name and version of what `LOCK.txt` pins; a lock is mostly named as its package."""
    lines = (HERE / f"{lock or package}.txt").read_text(encoding="utf-8").splitlines()
    [version] = [line.split()[0] for line in lines if line.startswith(f"{package}==")]
    return version.replace("==", " ")


# installing


def virtual_environment(name: str) -> Path:
    """What `NAME.txt` pins, in a folder of the cache that changes with it."""
    lock = HERE / f"{name}.txt"
    folder = cache(name, lock.read_bytes())
    if not (folder / "installed").exists():
        say(f"Installing {name} into {folder}, once ...")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "--require-hashes", "-r", str(lock)], check=True, env=machine.environ())
        (folder / "installed").touch()
    return folder


def node_project(source: Path) -> Path:
    """A copy of `source` with what its lock pins."""
    if not shutil.which("npm"):
        sys.exit("npm is not on the PATH: serverless-offline needs Node 20 or newer, as of nodejs.org or apt")
    folder = cache(source.name + "-node", (source / "package-lock.json").read_bytes())
    shutil.copytree(source, folder, dirs_exist_ok=True)
    if not (folder / "installed").exists():
        say(f"Installing {source.name} into {folder}, once ...")
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, check=True)
        (folder / "installed").touch()
    return folder


def cache(name: str, lock: bytes) -> Path:
    shared = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(lock + sys.version.encode()).hexdigest()
    return shared / "pilotlight" / "benchmarks" / f"{name}-{digest[:12]}"


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
