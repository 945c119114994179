"""A reader's environments forked from a process that has loaded it, next to fresh ones: cold start and memory.

    python benchmarks/fork_server.py [--runs 25] [--work FOLDER]

The reader is examples/question_answering as it ships, with its own saved event and with 128 tokens. A cold start is the
time from the pool being asked, while no environment is there and the fork server is ready, to the answer, which is
checked. Memory is PSS, each page divided by the processes that share it, of environments that have answered, with the
process that they are forked from; then also of a BERT-base in int8 with random weights, made as by readers.py.
"""

import argparse
import asyncio
import itertools
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import machine
import msgspec
import readers
import uvloop

from pilotlight import project
from pilotlight.cli.progress import Lines
from pilotlight.function.tokenizer import load
from pilotlight.local.environment import Environment
from pilotlight.local.host import Host
from pilotlight.local.isolation import Level
from pilotlight.local.pool import Pool
from pilotlight.optimize import environment
from pilotlight.project import Function
from pilotlight.values import Call

COUNTS = (1, 2, 4, 8, 16)
LEVELS: tuple[Level, ...] = ("none", "namespace")
QUIET = 0.05  # seconds after an environment has been stopped, so that its end costs the next one nothing


class Question(NamedTuple):
    """An event, how many tokens it is, and the answer that a warm environment gave."""

    event: bytes
    tokens: int
    answer: bytes


class Kind(NamedTuple):
    """How environments are started."""

    forks: bool
    level: Level

    def __str__(self) -> str:
        return f"{'forked' if self.forks else 'fresh'}, isolation {self.level}"


def reader(folder: Path, forks: bool) -> Function:
    """The function `qa` of a service, with one vCPU."""
    function = next(each for each in project.load(folder).functions if each.name == "qa")
    return msgspec.structs.replace(function, snapstart=forks, memory=1769, idle=1)


def log(key: str, line: str) -> None:
    if not line.startswith(("START", "END", "REPORT", "INIT_REPORT", "RESTORE_REPORT")):
        print(line, file=sys.stderr)


async def answer(pool: Pool, function: Function, event: bytes) -> bytes:
    result = await pool(Call(function.key, event))
    if result.error:
        sys.exit(f"{function.key} answered {result.payload!r}")
    return result.payload


async def question(event: bytes) -> Question:
    """Counted and answered once. The span has to be that part of the context."""
    fields = json.loads(event)
    model = readers.EXAMPLE / "models" / "qa"
    settings = json.loads((model / "model.json").read_text(encoding="utf-8"))
    tokenizer = load(str(model), settings["tokenizer"])
    tokens = sum(len(tokenizer.encode(fields[name]).ids) for name in ("question", "context")) + 3
    function, pool = reader(readers.EXAMPLE, forks=False), Pool(log, 10_000)
    pool.deploy([function])
    got = await answer(pool, function, event)
    await pool.close()
    said = json.loads(got)
    if not said["answer"] or fields["context"][said["start"] : said["end"]] != said["answer"]:
        sys.exit(f"the reader answered {got!r}")
    return Question(event, tokens, got)


class Service:
    """The reader in a pool whose environments can all be taken away."""

    def __init__(self, kind: Kind) -> None:
        self.function = reader(readers.EXAMPLE, kind.forks)
        self.pool = Pool(log, 10_000, itertools.count(0, 3600).__next__, Host(kind.level))  # an hour passes each time
        self.pool.deploy([self.function])

    async def cold(self, asked: Question) -> float:
        """Seconds to the answer of an environment that was not there."""
        began = time.perf_counter()
        got = await answer(self.pool, self.function, asked.event)
        taken = time.perf_counter() - began
        if got != asked.answer:
            sys.exit(f"the reader answered {got!r}, and before that {asked.answer!r}")
        while any(self.pool.environments().values()):
            await asyncio.sleep(QUIET)  # it may not have asked for the next event yet
            self.pool.reap()
        await asyncio.sleep(QUIET)
        return taken


async def starts(questions: Sequence[Question], runs: int) -> dict[tuple[Kind, int], list[float]]:
    """All kinds in turn; one unmeasured round goes first, after which the fork servers are there."""
    kinds = [Kind(forks, level) for forks in (True, False) for level in LEVELS]
    services = {kind: Service(kind) for kind in kinds}
    times: dict[tuple[Kind, int], list[float]] = {}
    for number in range(runs + 1):
        for asked in questions:
            for kind, service in services.items():
                taken = await service.cold(asked)
                times.setdefault((kind, asked.tokens), [])[:0] = [taken] if number else []
    for service in services.values():
        await service.pool.close()
    return times


def pss(pid: int) -> float:
    """MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1000


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])


async def memory(folder: Path, event: bytes, forks: bool) -> dict[int, float]:
    """MB of so many environments and the process that they are forked from, for each of 1 to the last of COUNTS."""
    function, host = reader(folder, forks), Host()
    starter = host.starter(function, lambda line: log("", line))
    environments: list[Environment] = []
    found = {}
    for count in range(1, COUNTS[-1] + 1):
        one = Environment(function, starter, lambda line: log("", line), *[lambda *_: None] * 3)
        await one.start(60)
        result = await one.invoke(Call(function.key, event, f"request-{count}"))
        if result.error:
            sys.exit(f"{function.key} answered {result.payload!r}")
        environments.append(one)
        found[count] = sum(pss(each.pid) for each in environments) + pss(parent(one.pid))
    for one in environments:
        await one.stop()
    await starter.close()
    await host.close()
    return found


def bert(work: Path) -> Path:
    """The folder of a service that reads with a BERT-base in int8."""
    readers.sides("bert-base", work, environment.python("torch", Lines()), 128)
    return work / "bert-base-service"


def memory_rows(name: str, found: dict[bool, dict[int, float]]) -> list[str]:
    rows = []
    for forks, totals in found.items():
        cells = " | ".join(f"{totals[count]:.0f}" for count in COUNTS)
        each = (totals[COUNTS[-1]] - totals[1]) / (COUNTS[-1] - 1)
        fourth = totals[4] - totals[3]
        rows.append(f"| {name}, {'forked' if forks else 'fresh'} | {cells} | {each:.1f} | {fourth:.1f} |")
    return rows


def targets(times: dict[tuple[Kind, int], list[float]]) -> Iterator[tuple[str, str, bool]]:
    """For each number of tokens; of both levels of isolation the slower counts."""
    for tokens in dict.fromkeys(tokens for _, tokens in times):
        ms = max(median(taken) for (kind, count), taken in times.items() if kind.forks and count == tokens) * 1000
        yield f"the shipped reader, forked, {tokens} tokens: first answer in at most 30 ms", f"{ms:.1f}", ms <= 30


def report(times: dict[tuple[Kind, int], list[float]], sizes: dict[str, dict[bool, dict[int, float]]]) -> list[str]:
    return [
        "# Environments forked from a process that has loaded the function",
        "",
        *machine.targets(targets(times)),
        "| cold start of the shipped reader, one vCPU | median ms | least | most |",
        "|---|---|---|---|",
        *(machine.row(f"{tokens} tokens, {kind}", seconds) for (kind, tokens), seconds in times.items()),
        "",
        "| PSS in MB of so many environments | "
        + " | ".join(map(str, COUNTS))
        + " | each more adds | the fourth adds |",
        "|---|" + "---|" * (len(COUNTS) + 2),
        *(row for name, found in sizes.items() for row in memory_rows(name, found)),
        "",
        "Each number has the process in it that the environments come from: forked, the one that has loaded the "
        "function; fresh, the launcher of all functions.",
    ]


async def measure(runs: int, work: Path) -> list[str]:
    event = (readers.EXAMPLE / "events" / "qa.json").read_bytes()
    questions = [await question(event), await question(readers.request(128).encode())]
    times = await starts(questions, runs)
    sizes = {}
    for name, folder in (("shipped reader", readers.EXAMPLE), ("BERT-base int8", bert(work))):
        sizes[name] = {forks: await memory(folder, questions[1].event, forks) for forks in (True, False)}
    return report(times, sizes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=25, help="cold starts of each kind (default 25)")
    parser.add_argument("--work", type=Path, help="folder to keep the models in (default: a temporary one)")
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="fork-server-"))
    lines = uvloop.run(measure(options.runs, work))
    machine.write("fork_server", lines, ("onnxruntime",))
    if not options.work:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
