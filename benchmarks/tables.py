"""A DynamoDB table by Pilotlight's client and by boto3: rates of writing and reading, and a cold function that reads.

    python benchmarks/tables.py [--items 2000] [--rounds 7] [--runs 11]

The store is dynalite, one process on this machine, which shares the processors with its clients: in
tests/dynalite, installed by `make tests/dynalite/installed`. Both sides do the same work in turn. Items are word
vectors of 300 half floats; boto3 also writes them in the form in which other programs keep them, a list of numbers.
"""

import argparse
import asyncio
import os
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import machine

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import boto3

from dynamodb_stores import ENVIRON, dynalite, make_table
from pilotlight import project
from pilotlight.function.table import connect_uri
from pilotlight.local.pool import Pool
from pilotlight.project import Function
from pilotlight.values import Call

NAME, KEY, DIMENSIONS, WORDS = "vectors", "word", 300, 30
OURS = f"""
from pilotlight.function.table import connect

vectors = connect("{NAME}")


def handler(event, context):
    return len(vectors.get(event["words"]))
"""
BOTO3 = f"""
import boto3

client = boto3.client("dynamodb")


def handler(event, context):
    keys = [{{"{KEY}": {{"S": word}}}} for word in event["words"]]
    answer = client.batch_get_item(RequestItems={{"{NAME}": {{"Keys": keys}}}})
    return len(answer["Responses"]["{NAME}"])
"""
SETTINGS = f"""
[tables.{NAME}]
key = "{KEY}"
store = "dynamodb"
table = "{NAME}"

[functions.of_ours]
tables = ["{NAME}"]
"""

Item = dict[str, Any]
Work = Callable[[], object]


def make_items(count: int) -> tuple[list[Item], list[Item]]:
    """The same vectors as half floats, and as lists of decimal numbers."""
    random = Random(5)
    halves, lists = [], []
    for number in range(count):
        vector = [random.gauss(0, 0.4) for _ in range(DIMENSIONS)]
        halves.append({KEY: f"word{number}", "type": "f2", "vector": struct.pack(f"<{DIMENSIONS}e", *vector)})
        lists.append({KEY: f"word{number}", "vector": [Decimal(f"{value:.6f}") for value in vector]})
    return halves, lists


def works(items: list[Item], lists: list[Item]) -> dict[str, Work]:
    """Each to be timed: all of them move as many items."""
    ours = connect_uri(f"dynamodb://{NAME}?key={KEY}")
    other = boto3.resource("dynamodb")
    words = [item[KEY] for item in items]

    def write(given: list[Item]) -> None:
        with other.Table(NAME).batch_writer() as batch:
            for item in given:
                batch.put_item(Item=item)

    def read() -> int:
        parts = [words[start : start + 100] for start in range(0, len(words), 100)]
        requests = [{NAME: {"Keys": [{KEY: word} for word in part]}} for part in parts]
        return sum(len(other.batch_get_item(RequestItems=each)["Responses"][NAME]) for each in requests)

    return {
        "writing, boto3, lists of numbers": lambda: write(lists),
        "writing, boto3": lambda: write(items),
        "writing, ours": lambda: ours.put(items),
        "reading, boto3": read,
        "reading, ours": lambda: len(ours.get(words)),
    }


def measure(work: Work) -> tuple[float, float]:
    """Seconds, and those of this process on a processor."""
    began, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - used


def rates(works: dict[str, Work], count: int, rounds: int) -> list[str]:
    timed: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            taken = measure(work)
            timed[name] += [taken] if number else []  # the first round warms up
    lines = [
        "| | items a second: median, least, most | the client's processor time, µs an item |",
        "|---|---|---|",
    ]
    for name, each in timed.items():
        fast = sorted(count / seconds for seconds, _ in each)
        used = median(used for _, used in each) / count * 1e6
        lines.append(f"| {name} | {median(fast):,.0f}, {fast[0]:,.0f}, {fast[-1]:,.0f} | {used:.0f} |")
    for doing in ("writing", "reading"):
        ours, other = timed[f"{doing}, ours"], timed[f"{doing}, boto3"]
        ratio = median(theirs[0] / mine[0] for mine, theirs in zip(ours, other, strict=True))
        lines += ["", f"{doing.capitalize()}: {ratio:.1f} times as fast, the median of the rounds."]
    return lines


# cold starts


def functions(folder: Path) -> dict[str, Function]:
    (folder / "inference").mkdir()
    (folder / "pilotlight.toml").write_text(SETTINGS)
    for name, source in {"ours": OURS, "boto3": BOTO3}.items():
        (folder / "inference" / f"of_{name}.py").write_text(source)
    return {function.name: function for function in project.load(folder).functions}


async def cold(function: Function) -> float:
    """Seconds from nothing to the answer, which is checked."""
    pool = Pool(lambda key, line: print(line, file=sys.stderr), 10_000)
    await pool.host.launcher()  # as in a server that has started
    pool.deploy([function])
    words = ", ".join(f'"word{number}"' for number in range(WORDS))
    began = time.perf_counter()
    result = await pool(Call(function.key, f'{{"words": [{words}]}}'.encode()))
    taken = time.perf_counter() - began
    await pool.close()
    if result.error or result.payload != b"%d" % WORDS:
        sys.exit(f"{function.name} answered {result.payload!r}")
    return taken


def cold_starts(runs: int) -> list[str]:
    times: dict[str, list[float]] = {"of_boto3": [], "of_ours": []}
    with tempfile.TemporaryDirectory() as folder:
        made = functions(Path(folder))
        for number in range(runs + 1):
            for name, taken in times.items():
                seconds = asyncio.run(cold(made[name]))
                taken += [seconds] if number else []  # the first compiles
    ratio = median(times["of_boto3"]) / median(times["of_ours"])
    return [
        f"A cold function that reads {WORDS} words, process start to answer, {runs} runs in turn:",
        "",
        "| | median ms | least | most |",
        "|---|---|---|---|",
        machine.row("a plain handler with boto3", times["of_boto3"]),
        machine.row("a plain handler with ours", times["of_ours"]),
        "",
        f"{ratio:.1f} times as fast.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--runs", type=int, default=11)
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what ships to Lambda is compiled
    with dynalite() as url:
        os.environ.update({**ENVIRON, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL_DYNAMODB": url})
        make_table(url, NAME, KEY)
        items, lists = make_items(options.items)
        compared = rates(works(items, lists), options.items, options.rounds)
        starts = cold_starts(options.runs)
    machine.write(
        "tables",
        [
            "# A DynamoDB table by Pilotlight's client and by boto3",
            "",
            f"{options.items:,} vectors of {DIMENSIONS} half floats, {options.rounds} rounds in turn. boto3 writes by",
            "`batch_writer` and reads by `batch_get_item` of 100 keys. The store is dynalite 4.0.0 on the same",
            "machine: it does one request after another, and takes the most of the time on both sides.",
            "",
            *compared,
            "",
            *starts,
        ],
        ("boto3",),
    )


if __name__ == "__main__":
    main()
