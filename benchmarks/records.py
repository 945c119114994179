"""What records cost, and that none is lost.

    python benchmarks/records.py [--rounds 8] [--seconds 2] [--requests 2000] [--seed 1]

Needs `wrk` on the PATH and dynalite (`npm ci` in tests/dynalite). Two parts, in one run:

- Throughput: the same function twice, with and without records in SQLite, both servers up; wrk asks one and then the
  other, in rounds; the ratio of each round counts. Processor time a request is that of a server and its environments.
  Three functions: one that does nothing but greet, and of the examples Kim's network and the reader.
- Faults: `pilotlight serve` with records in DynamoDB, where 10 % of the store's calls fail and environments are killed
  at random while requests come, under both runtime loops. Afterwards `pilotlight records recover`; each request that
  was answered must have one record. Then once more with SQLite, where the server is killed as well.

Prints the results and writes them to `benchmarks/results/records.md`.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import machine

ROOT = Path(__file__).parents[1]
DYNALITE = ROOT / "tests" / "dynalite" / "node_modules" / "dynalite" / "cli.js"
CONNECTIONS = 8
KILL_SECONDS = 0.15  # between two environments that are killed
FUNCTION = '''
from pilotlight import endpoint

@endpoint
def handler(name: str) -> dict[str, str]:
    """Greet somebody."""
    return {"message": f"Hello, {name}!"}
'''
LUA = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.body = [==[%s]==]
"""
RECORDED = "\n[defaults]\nrecords = true\n"
CREDENTIALS = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}


class Round(NamedTuple):
    """One turn of one server: requests a second, microseconds of processor time a request."""

    rate: float
    cpu: float


class Faulty(NamedTuple):
    """What became of the requests of one run under faults."""

    name: str
    asked: int
    answered: int
    killed: int
    calls: int
    failed: int
    before: int  # records of answered requests in the table before recovery
    after: int  # and after it
    extra: int  # records of requests that were not answered


class Subject(NamedTuple):
    """What is asked with and without records: two services that differ in nothing else."""

    name: str
    path: str
    body: str
    without: Path
    recorded: Path


def subjects(work: Path) -> list[Subject]:
    greeting = [service(work / "off", ""), service(work / "on", RECORDED)]
    found = [Subject("a function that greets", "/hello", '{"name": "Ada"}', *greeting)]
    for name, function, example in (
        ("Kim's network", "kim_cnn", "sentences"),
        ("the reader, one field redacted", "qa", "question_answering"),
    ):
        body = json.loads((ROOT / "examples" / example / "events" / f"{function}.json").read_text(encoding="utf-8"))
        pair = [recording(ROOT / "examples" / example, work / function / str(on), on) for on in (False, True)]
        found.append(Subject(name, f"/{function}", json.dumps(body), *pair))
    return found


def recording(example: Path, folder: Path, on: bool) -> Path:
    """A copy of an example whose functions are recorded, or none of them."""
    shutil.copytree(example, folder, ignore=shutil.ignore_patterns(".pilotlight", "__pycache__", "data", "run"))
    settings = folder / "pilotlight.toml"
    text = settings.read_text(encoding="utf-8").replace("records = true", "")
    settings.write_text(text + (RECORDED if on else ""), encoding="utf-8")
    return folder


def service(folder: Path, toml: str) -> Path:
    (folder / "inference").mkdir(parents=True)
    (folder / "inference" / "hello.py").write_text(FUNCTION, encoding="utf-8")
    (folder / "pilotlight.toml").write_text(toml, encoding="utf-8")
    return folder


@contextlib.contextmanager
def serving(folder: Path, **variables: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The URL of a server, and its process; it is stopped at the end, if it was not before."""
    log = folder / "serve.log"
    command = [sys.executable, "-m", "pilotlight", "serve", str(folder), "--port", "0", "--no-reload", "--json"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=machine.environ() | variables)
    try:
        yield wait_for_url(log), process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(60)


def wait_for_url(log: Path) -> str:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(ValueError, KeyError):  # the first line is not whole yet
            url: str = json.loads(log.read_text(encoding="utf-8").split("\n")[0])["url"]
            return url
        time.sleep(0.05)
    sys.exit(f"the server does not start: {log.read_text()}")


def children(pid: int) -> list[int]:
    try:
        listed = [each for file in Path(f"/proc/{pid}/task").glob("*/children") for each in file.read_text().split()]
    except OSError:
        return []
    return [each for child in map(int, listed) for each in (child, *children(child))]


# throughput


def cpu_seconds(pid: int) -> float:
    """Of a process and all that it has started and that still runs, by the scheduler's clock: ticks are too coarse."""
    files = [file for each in (pid, *children(pid)) for file in Path(f"/proc/{each}/task").glob("*/schedstat")]
    nanoseconds = 0
    for file in files:
        with contextlib.suppress(OSError):
            nanoseconds += int(file.read_text().split()[0])
    return nanoseconds / 1e9


def wrk(url: str, pid: int, seconds: float, script: Path) -> Round:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", "-s", str(script), url]
    before = cpu_seconds(pid)
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    time.sleep(2.5)  # what was recorded is stored by then: it counts here, and not in the other's turn
    used = cpu_seconds(pid) - before
    if "Non-2xx" in text or "Socket errors" in text:
        sys.exit(f"requests failed:\n{text}")
    count = re.search(r"(\d+) requests in", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    assert count
    assert rate
    return Round(float(rate[1]), used / int(count[1]) * 1e6)


def throughput(subject: Subject, work: Path, rounds: int, seconds: float) -> dict[bool, list[Round]]:
    """Rounds without and with records, in turn."""
    script = work / "post.lua"
    script.write_text(LUA % subject.body, encoding="utf-8")
    found: dict[bool, list[Round]] = {False: [], True: []}
    with serving(subject.without) as (off_url, off_process), serving(subject.recorded) as (on_url, on_process):
        each = {False: (off_url + subject.path, off_process.pid), True: (on_url + subject.path, on_process.pid)}
        for url, pid in each.values():
            wrk(url, pid, 3, script)
        for number in range(rounds):
            order = (False, True) if number % 2 else (True, False)
            for on in order:
                say(f"{subject.name}, round {number + 1} of {rounds}, records {'on' if on else 'off'}")
                found[on].append(wrk(*each[on], seconds, script))
    return found


# faults


@contextlib.contextmanager
def store(share: float, seed: int, counts: dict[str, int]) -> Iterator[tuple[str, str]]:
    """The URL of a store at which a share of the calls fail, and that of the same store without faults."""
    port, proxy_port = free_port(), free_port()
    dynalite = subprocess.Popen(
        ["node", str(DYNALITE), "--host", "127.0.0.1", "--port", str(port), "--createTableMs", "0"],
        stdout=subprocess.PIPE,
    )
    script = str(Path(__file__).with_name("records_store.py"))
    proxy = subprocess.Popen(
        [sys.executable, script, str(proxy_port), str(port), str(share), str(seed)], stdout=subprocess.PIPE
    )
    try:
        for process in (dynalite, proxy):
            assert process.stdout is not None
            process.stdout.readline()
        yield f"http://127.0.0.1:{proxy_port}", f"http://127.0.0.1:{port}"
    finally:
        proxy.terminate()
        counts.update(json.loads(proxy.communicate(timeout=30)[0]))
        dynalite.terminate()
        dynalite.wait(30)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def make_table(url: str) -> None:
    import boto3

    client = boto3.client(
        "dynamodb", "us-east-1", endpoint_url=url, aws_access_key_id="any", aws_secret_access_key="any"
    )
    client.create_table(
        TableName="hello-records",
        KeySchema=[{"AttributeName": "primary_key", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "primary_key", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName="hello-records", WaiterConfig={"Delay": 1, "MaxAttempts": 60})


async def ask(url: str, number: int) -> bool:
    """Whether the request was answered, as the function answers it."""
    host, _, port = url.removeprefix("http://").partition(":")
    body = json.dumps({"name": f"n{number}"})
    head = f"POST /hello HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    try:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = await asyncio.wait_for(reader.read(), 60)
        writer.close()
    except (OSError, TimeoutError):
        return False
    return answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b'{"message":"Hello, n%d!"}' % number)


async def load(url: str, requests: int, pid: int, drawn: random.Random, server_dies: bool) -> tuple[set[int], int]:
    """Which requests were answered, and how many environments were killed meanwhile."""
    numbers, answered, killed = iter(range(requests)), set[int](), 0

    async def client() -> None:
        for number in numbers:
            if await ask(url, number):
                answered.add(number)

    clients = [asyncio.ensure_future(client()) for _ in range(CONNECTIONS)]
    waiting = asyncio.gather(*clients)
    while not waiting.done():
        await asyncio.wait([waiting], timeout=drawn.expovariate(1 / KILL_SECONDS))
        environments = await asyncio.to_thread(environments_of, pid)
        if environments and not waiting.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(drawn.choice(environments), signal.SIGKILL)
                killed += 1
        if server_dies and len(answered) > requests * 0.9:
            os.kill(pid, signal.SIGKILL)
            server_dies = False
    return answered, killed


def environments_of(pid: int) -> list[int]:
    """The processes in which the function runs: those whose command is a runtime loop."""
    found = []
    for each in children(pid):
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{each}/cmdline").read_bytes()
            if b"runtime import main" in command or b"awslambdaric" in command:
                found.append(each)
    return found


def records(folder: Path, url: str) -> list[int]:
    """The numbers of the requests that have a record with the right answer."""
    command = [sys.executable, "-m", "pilotlight", "records", str(folder), "--limit", "0", "--format", "jsonl"]
    environ = {**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL_DYNAMODB": url}
    text = subprocess.run(command, capture_output=True, text=True, check=True, env=environ).stdout
    names = []
    for record in map(json.loads, text.splitlines()):
        name = record["input"]["name"]
        if record["output"] == {"message": f"Hello, {name}!"}:
            names.append(int(name[1:]))
    return names


def recover(folder: Path, url: str) -> None:
    command = [sys.executable, "-m", "pilotlight", "records", "recover", str(folder)]
    environ = {**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL_DYNAMODB": url}
    for _ in range(2):  # to recover twice is to recover once
        subprocess.run(command, capture_output=True, text=True, check=True, env=environ)


def faults(work: Path, name: str, toml: str, requests: int, seed: int, server_dies: bool = False) -> Faulty:
    say(f"faults: {name}")
    folder = service(work / re.sub(r"\W+", "-", name), f'name = "hello"\n[defaults]\nrecords = true\n{toml}')
    counts: dict[str, int] = {}
    with store(0.1, seed, counts) as (faulty, sound):
        make_table(sound)
        with serving(folder, **CREDENTIALS, AWS_ENDPOINT_URL_DYNAMODB=faulty) as (url, process):
            answered, killed = asyncio.run(load(url, requests, process.pid, random.Random(seed), server_dies))
            if not server_dies:
                process.send_signal(signal.SIGKILL)  # so that nothing is stored when it stops
            process.wait(60)
        before = set(records(folder, sound)) & answered
        recover(folder, sound)
        found = records(folder, sound)
    if len(found) != len(set(found)):
        sys.exit(f"{name}: a request has two records")
    after = set(found)
    calls = counts.get("all", 0)
    return Faulty(
        name, requests, len(answered), killed, calls, calls - counts.get("passed", 0),
        len(before), len(after & answered), len(after - answered),
    )  # fmt: skip


# reporting


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def row(name: str, found: dict[bool, list[Round]]) -> str:
    off, on = found[False], found[True]
    rates = [with_.rate / without.rate for without, with_ in zip(off, on, strict=True)]
    return (
        f"| {name} | {median(each.rate for each in off):,.0f} | {median(each.rate for each in on):,.0f} "
        f"| **{median(rates):.3f}** ({min(rates):.3f} to {max(rates):.3f}) | {median(each.cpu for each in off):,.0f} "
        f"| {median(each.cpu for each in on):,.0f} |"
    )


def targets(found: dict[str, dict[bool, list[Round]]]) -> Iterator[tuple[str, str, bool]]:
    for name, each in found.items():
        pairs = zip(each[False], each[True], strict=True)
        cost = 1 - median(with_.rate / without.rate for without, with_ in pairs)
        yield f"{name}: records cost less than 5 % of throughput", f"{cost:.1%}", cost < 0.05


def report(
    found: dict[str, dict[bool, list[Round]]], faulty: Sequence[Faulty], options: argparse.Namespace
) -> Iterator[str]:
    yield from ("# Records: what they cost, and that none is lost", "", "## Throughput", "")
    columns = (
        "requests/s without",
        "with",
        "with / without, median (least to most)",
        "µs without",
        "with",
    )
    yield f"| | {' | '.join(columns)} |"
    yield "|---" * 6 + "|"
    yield from (row(name, each) for name, each in found.items())
    yield (
        f"\n{CONNECTIONS} connections, records in SQLite, {options.rounds} rounds of {options.seconds:g} s each. Both "
        "servers are up and asked in turn; wrk shares the processors with them. µs are processor time a request, of a "
        "server and its environments."
    )
    yield ""
    yield from machine.targets(targets(found))
    yield from ("## Faults", "")
    columns = ("requests", "answered", "environments killed", "store calls, failed", "records before recovery")
    yield f"| | {' | '.join((*columns, 'after', 'lost', 'twice', 'of others'))} |"
    yield "|---" * 10 + "|"
    for each in faulty:
        failed = f"{each.calls:,}, {each.failed:,}" if each.calls else "none to fail"
        yield (
            f"| {each.name} | {each.asked:,} | {each.answered:,} | {each.killed:,} | {failed} | {each.before:,} "
            f"| {each.after:,} | **{each.answered - each.after}** | 0 | {each.extra} |"
        )
    yield from (
        "",
        "Of the store's calls 10 % fail: by 500, by a connection closed before or after the call was done, by silence. "
        "Environments are killed at random, 7 a second, and at the end the server itself by SIGKILL (in the last row "
        "while requests come), so that all that it had not stored is left in its file. Records of others are those of "
        "requests whose environment was killed after the record was written and before the answer was out, or whose "
        "server was. A request has a record if that says the right answer to it.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if not shutil.which("wrk") or not DYNALITE.exists():
        sys.exit("wrk and dynalite are needed: `apt install wrk`, `npm ci` in tests/dynalite")
    remote = '[tables.records]\nstore = "dynamodb"\n'
    ric = '[functions.hello]\nruntime = "awslambdaric"\n'
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        faulty = [
            faults(work, "DynamoDB, Pilotlight's loop", remote, options.requests, options.seed),
            faults(work, "DynamoDB, awslambdaric", remote + ric, options.requests, options.seed + 1),
            faults(work, "SQLite", "", options.requests, options.seed + 2, server_dies=True),
        ]
        found = {
            each.name: throughput(each, work, options.rounds, options.seconds) for each in subjects(work / "services")
        }
    machine.write("records", [*report(found, faulty, options)])


if __name__ == "__main__":
    main()
