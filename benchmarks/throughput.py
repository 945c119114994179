"""Requests per second of the local machine and of its peers, side by side in one run, by wrk.

    python benchmarks/throughput.py [--rounds 2] [--seconds 2]

Needs `wrk` and `npm` on the PATH and `make .venv/installed`; the peers are installed at first use, as their lock files
in `benchmarks/peers` say. Each round starts the servers one after the other: each is warmed, measured at 1, 8 and 64
connections and stopped. Before and after, an answer of each is compared with what it must be. Prints tables and writes
them to `benchmarks/results/throughput.md`.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import machine
from peers import servers
from peers.servers import Server, Target, say

CONNECTIONS = (1, 8, 64)
WARM_UP = 1  # seconds before each measurement, with as many connections
PATIENCE = 60  # seconds that a server has to start
PEERS_NAMED = ("serverless-offline", "LitServe", "BentoML")  # those that a target names
TITLES = {
    "echo": "Echo: a plain handler that answers with its body, 1 KB of JSON",
    "kim_cnn": "Kim CNN: `examples/sentences`, one sentence, ONNX Runtime on one thread",
}
BODIES = {
    "echo": json.dumps({"text": "x" * (1024 - len('{"text": ""}'))}).encode(),
    "kim_cnn": (servers.SENTENCES / "events" / "kim_cnn.json").read_bytes(),
}


class Cell(NamedTuple):
    """What wrk found in one turn: good answers a second, milliseconds, errors of all kinds."""

    rate: float
    p50: float
    p99: float
    errors: int


Cells = dict[Target, dict[int, list[Cell]]]
Answer = dict[str, Any]


# servers


@contextlib.contextmanager
def started(server: Server, log: Path, expected: dict[str, Answer]) -> Iterator[str]:
    """The URL of a server that answers right; at the end it is gone, and every process that it started."""
    ports = {word: str(free_port()) for word in ("{port}",) if word in server.command}
    command = [ports.get(word) or (str(free_port()) if word == "{other}" else word) for word in server.command]
    environ = machine.environ() | server.environ
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=server.folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{ports['{port}']}" if ports else ""
        yield wait_until_ready(process, server.targets[0], url, log, expected)
    finally:
        stop(process)


def wait_until_ready(
    process: subprocess.Popen[bytes], target: Target, url: str, log: Path, expected: dict[str, Answer]
) -> str:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        time.sleep(0.1)
        with contextlib.suppress(OSError, ValueError):  # nobody listens yet, or the first line is not whole
            found = url or json.loads(log.read_text(encoding="utf-8").split("\n")[0])["url"]
            check(found, target, expected)
            return found
    sys.exit(f"{target.name} does not answer:\n{log.read_text(errors='replace')[-2000:]}")


def check(url: str, target: Target, expected: dict[str, Answer]) -> None:
    """Ask once and compare: an echo with what was sent, a prediction with the first that a server gave in this run."""
    request = urllib.request.Request(url + target.path, BODIES[target.workload], {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.loads(response.read())
    wanted = expected.setdefault(target.workload, answer)
    if not is_same(answer, wanted):
        sys.exit(f"{target.name} answered {answer}, which is not {wanted}")


def is_same(answer: Answer, wanted: Answer) -> bool:
    """Our example also says how long it took, which its peers do not; logits may differ in their last digits."""
    compared = [name for name in wanted if name != "output" and not name.startswith("t_")]
    if any(answer.get(name) != wanted[name] for name in compared):
        return False
    ours, theirs = answer.get("output", []), wanted.get("output", [])
    return len(ours) == len(theirs) and all(abs(a - b) < 1e-3 for a, b in zip(ours, theirs, strict=True))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def stop(process: subprocess.Popen[bytes]) -> None:
    """By SIGINT, as Ctrl-C does; whatever of its processes is still there after that is killed."""
    family = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(20)
    for pid in (process.pid, *family):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def descendants(pid: int) -> list[int]:
    """Some servers put their workers into sessions of their own, so that a process group is not all of it."""
    try:
        files = list(Path(f"/proc/{pid}/task").glob("*/children"))
        children = [int(child) for file in files for child in file.read_text().split()]
    except OSError:
        return []
    return [each for child in children for each in (child, *descendants(child))]


# measuring


def measure(every: Sequence[Server], rounds: int, seconds: int, work: Path) -> Cells:
    """The servers in turn, so that what else the machine does hits all."""
    cells: Cells = {target: {count: [] for count in CONNECTIONS} for server in every for target in server.targets}
    expected: dict[str, Answer] = {"echo": json.loads(BODIES["echo"])}
    for name, body in BODIES.items():
        (work / f"{name}.json").write_bytes(body)
    for number in range(rounds):
        for server in every:
            say(f"round {number + 1} of {rounds}: {server.targets[0].name}")
            with started(server, work / "server.log", expected) as url:
                for target in server.targets:
                    turn(url, target, seconds, work, expected, cells[target])
    return cells


def turn(
    url: str, target: Target, seconds: int, work: Path, expected: dict[str, Answer], cells: dict[int, list[Cell]]
) -> None:
    check(url, target, expected)
    for count in CONNECTIONS:
        wrk(url, target, count, WARM_UP, work)
        cells[count].append(wrk(url, target, count, seconds, work))
    check(url, target, expected)


def wrk(url: str, target: Target, connections: int, seconds: int, work: Path) -> Cell:
    options = [f"-t{min(connections, 2)}", f"-c{connections}", f"-d{seconds}s", "-s", str(servers.HERE / "post.lua")]
    arguments = [str(work / f"{target.workload}.json"), *(["close"] if target.closes else [])]
    command = ["wrk", *options, url + target.path, "--", *arguments]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    found: dict[str, int] = json.loads(output.splitlines()[-1])
    if target.closes:  # wrk takes the end of a connection that was not announced for an error, after a whole answer too
        found["read"] = max(0, found["read"] - found["requests"])
    errors = sum(found[kind] for kind in ("connect", "read", "write", "status", "timeout"))
    rate = (found["requests"] - found["status"]) / found["duration"] * 1e6
    return Cell(rate, found["p50"] / 1000, found["p99"] / 1000, errors)


# reporting


def middle(cells: Sequence[Cell]) -> Cell:
    """The median of each value; errors are added up."""
    rates, p50s, p99s, errors = zip(*cells, strict=True)
    return Cell(median(rates), median(p50s), median(p99s), sum(errors))


def table(workload: str, cells: Cells) -> Iterator[str]:
    """All of one workload, and under it how many times as many requests Pilotlight answers."""
    found = {
        target: {count: middle(cells) for count, cells in counts.items()}
        for target, counts in cells.items()
        if target.workload == workload
    }
    yield f"## {TITLES[workload]}"
    yield ""
    columns = " | ".join(f"{count} conn.: requests/s | p50 ms | p99 ms" for count in CONNECTIONS)
    yield f"| | {columns} | errors |"
    yield "|---" * (3 * len(CONNECTIONS) + 2) + "|"
    for target, counts in found.items():
        errors = sum(cell.errors for cell in counts.values())
        yield f"| {target.name} | {' | '.join(map(shown, counts.values()))} | {errors:,} |"
    yield ""
    yield f"| Pilotlight's requests/s divided by those of | {' | '.join(f'{count} conn.' for count in CONNECTIONS)} |"
    yield "|---" * (len(CONNECTIONS) + 1) + "|"
    [ours, *theirs] = found
    for target in theirs:
        ratios = " | ".join(times_faster(found[ours][count], found[target][count]) for count in CONNECTIONS)
        yield f"| {target.name} | {ratios} |"
    yield ""


def shown(cell: Cell) -> str:
    return f"**{cell.rate:,.0f}** | {cell.p50:.2f} | {cell.p99:,.1f}" if cell.rate else "**0** | | "


def times_faster(ours: Cell, theirs: Cell) -> str:
    return f"{ours.rate / theirs.rate:.1f}" if theirs.rate else "no answer"


def targets(cells: Cells) -> Iterator[tuple[str, str, bool]]:
    """What the echo is meant to reach, and whether it did; of a peer's rows the fastest counts."""
    echo = {
        target: {count: middle(each) for count, each in counts.items()}
        for target, counts in cells.items()
        if target.workload == "echo"
    }
    ours = next(iter(echo.values()))
    rate, p50 = ours[8].rate, ours[1].p50
    yield "echo at 8 connections on 2 cores: at least 3,500 requests/s, goal 5,000", f"{rate:,.0f}", rate >= 3500
    yield "echo at 1 connection: p50 at most 0.5 ms", f"{p50:.2f}", p50 <= 0.5
    for name, factor in zip(PEERS_NAMED, (3, 10, 10), strict=True):
        fastest = max(counts[8].rate for target, counts in echo.items() if target.name.startswith(name))
        ratio = rate / fastest if fastest else float("inf")
        yield f"echo at 8 connections: at least {factor} times {name}", f"{ratio:.1f}", ratio >= factor


def report(cells: Cells, options: argparse.Namespace) -> list[str]:
    return [
        "# Throughput of the local API and of its peers",
        "",
        *machine.targets(targets(cells)),
        *table("echo", cells),
        *table("kim_cnn", cells),
        f"Medians of {options.rounds} rounds, {options.seconds} s after {WARM_UP} s of warming, the servers in turn; "
        "errors are those of all rounds, answers after more than 2 s among them. Every server runs with its defaults, "
        "without reloading, logs each request as it does by default (Pilotlight with `--json`) to a file, and has "
        "answered right before and after. wrk shares the processors with the server.",
        "",
        "What they do for a request:",
        "",
        *(f"- {sentence}" for sentence in servers.WHAT_THEY_DO),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2, help="turns of each server (default 2)")
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement (default 2)")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not on the PATH: `apt install wrk`, `brew install wrk`")
    with tempfile.TemporaryDirectory() as folder:
        every = [servers.pilotlight(Path(folder)), *servers.peers()]
        cells = measure(every, options.rounds, options.seconds, Path(folder))
    wrk_version = subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout.split("[")[0].strip()
    machine.write("throughput", report(cells, options), (*servers.versions(), wrk_version))


if __name__ == "__main__":
    main()
