"""Concurrent requests to a server that has no environment yet: none may be lost, none answered twice.

    python benchmarks/scale_out.py [--requests 50] [--rounds 5]

Starts `pilotlight serve`, sends all requests at once over HTTP, checks that each got its own answer and that the
function ran exactly once for each, then counts the environments. Each round starts a new server.
"""

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from threading import Thread
from typing import NamedTuple

import httpx
import machine

ECHO = """
import os
from pilotlight import endpoint

@endpoint
def handler(number: int) -> dict[str, int]:
    print("ran", number)
    return {"number": number, "pid": os.getpid()}
"""
SETTINGS = "[functions.echo]\nmemory = 128\n"


class Server(NamedTuple):
    process: "subprocess.Popen[str]"
    url: str
    lines: list[str]
    """What it has written to its log so far."""
    reader: Thread
    """Reads them: a full pipe would stop the server."""


def start(folder: Path) -> Server:
    command = [sys.executable, "-m", "pilotlight", "serve", str(folder), "--port", "0", "--json", "--no-reload"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=machine.environ())
    assert server.stdout is not None
    listening = json.loads(server.stdout.readline())
    server.stdout.readline()  # the function is described: the one import that is not a request's is over
    lines: list[str] = []
    reader = Thread(target=lines.extend, args=(server.stdout,), daemon=True)
    reader.start()
    return Server(server, listening["url"], lines, reader)


async def ask(url: str, requests: int) -> tuple[list[dict[str, int]], list[float]]:
    limits = httpx.Limits(max_connections=requests)
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:

        async def one(number: int) -> tuple[dict[str, int], float]:
            began = time.perf_counter()
            response = await client.post(f"{url}/echo", json={"number": number})
            return response.raise_for_status().json(), time.perf_counter() - began

        answered = await asyncio.gather(*(one(number) for number in range(requests)))
    return [answer for answer, _ in answered], [seconds for _, seconds in answered]


def logged(lines: list[str]) -> Iterator[str]:
    """What the function has printed."""
    events = map(json.loads, lines)
    return (event["line"] for event in events if event["event"] == "log")


def one_round(requests: int) -> tuple[float, float, int]:
    """Seconds to the middle answer and to the last, and how many environments there were."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "inference").mkdir()
        (folder / "inference" / "echo.py").write_text(ECHO)
        (folder / "pilotlight.toml").write_text(SETTINGS)
        server = start(folder)
        try:
            answers, seconds = asyncio.run(ask(server.url, requests))
        finally:
            server.process.send_signal(signal.SIGINT)
            server.process.wait(30)
            server.reader.join(30)
    ran = Counter(int(line.split()[1]) for line in logged(server.lines) if line.startswith("ran "))
    if [answer["number"] for answer in answers] != list(range(requests)):
        sys.exit("an answer was lost or went to another request")
    if ran != Counter(range(requests)):
        sys.exit(f"the function did not run once for each request: {ran - Counter(range(requests))}")
    return median(seconds), max(seconds), len({answer["pid"] for answer in answers})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=50, help="requests at once (default 50)")
    parser.add_argument("--rounds", type=int, default=5, help="servers started (default 5)")
    options = parser.parse_args()
    rounds = [one_round(options.requests) for _ in range(options.rounds)]
    middles, lasts, environments = zip(*rounds, strict=True)
    lines = [
        f"# {options.requests} requests at once to a function without an environment",
        "",
        "| | median ms | least | most |",
        "|---|---|---|---|",
        machine.row("until half are answered", list(middles)),
        machine.row("until all are answered", list(lasts)),
        "",
        f"{options.rounds} rounds: every request got its own answer, and the function ran exactly once for each. "
        f"Environments that answered: {min(environments)} to {max(environments)}.",
    ]
    machine.write("scale_out", lines)


if __name__ == "__main__":
    main()
