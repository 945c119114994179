"""Word vectors: bytes an item against lists of decimal numbers, rates of look-ups, memory of an upload.

    python benchmarks/vectors.py [--vectors FILE] [--sentences FILE] [--runs 9] [--dynamodb]

Without `--vectors`, a file as `pilotlight vectors upload` takes it, and `--sentences`, one a line, both are made up:
10,000 words of 300 numbers with the 6 decimals that such files have. Those of the published page are a part of
GoogleNews-vectors-negative300 (code.google.com/archive/p/word2vec) in text form, and the development sentences of the
Stanford Sentiment Treebank (nlp.stanford.edu/sentiment). `--dynamodb` looks up in dynalite too, which `make
test-system` installs in `tests/dynalite`. Prints tables and writes them to `benchmarks/results/vectors.md`.
"""

import argparse
import base64
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from statistics import fmean, median
from typing import NamedTuple

import boto3
import machine

from pilotlight.function.items import Item
from pilotlight.function.table import connect_uri
from pilotlight.function.vectors import to_item
from pilotlight.vectors import source
from pilotlight.vectors.source import Entry

WORDS, DIM = 10_000, 300
SIZES = (10_000, 100_000, 500_000)  # words of the files whose upload is watched
DYNALITE = Path(__file__).parents[1] / "tests" / "dynalite" / "node_modules" / "dynalite" / "cli.js"
KEYS = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}

LOOK_UP = """
import json, sys, time
started = time.perf_counter()
from pilotlight.function.table import connect_uri
from pilotlight.function.vectors import Vectors
uri, dim, sentences = json.load(sys.stdin)
vectors = Vectors(connect_uri(uri), dim)
vectors.look_up(sentences[0])
first = time.perf_counter() - started
def rate():
    began = time.perf_counter()
    for sentence in sentences:
        vectors.look_up(sentence)
    return sum(map(len, sentences)) / (time.perf_counter() - began)
print(json.dumps([first, rate(), rate()]))
"""

BOTO3 = """
import json, sys, time
from array import array
started = time.perf_counter()
import boto3
name, dim, sentences = json.load(sys.stdin)
client = boto3.client("dynamodb")
def look_up(sentence):
    keys = [{"word": {"S": word}} for word in set(sentence)]
    found = {}
    for first in range(0, len(keys), 100):
        answer = client.batch_get_item(RequestItems={name: {"Keys": keys[first:first + 100]}})
        for item in answer["Responses"][name]:
            found[item["word"]["S"]] = array("f", [float(each["N"]) for each in item["vector"]["L"]])
    return [found.get(word) for word in sentence]
look_up(sentences[0])
first = time.perf_counter() - started
began = time.perf_counter()
for sentence in sentences:
    look_up(sentence)
rate = sum(map(len, sentences)) / (time.perf_counter() - began)
print(json.dumps([first, rate, rate]))
"""


# the data


def made_up(path: Path, words: int, dim: int) -> None:
    """A text file of vectors."""
    chance = random.Random(words)
    pool = [f"{chance.gauss(0, 0.15):.6g}" for _ in range(10_000 + dim)]
    with path.open("w") as file:
        file.write(f"{words} {dim}\n")
        for number in range(words):
            first = number % 10_000
            file.write(f"word{number} {' '.join(pool[first : first + dim])}\n")


def sentences_of(path: Path | None) -> list[list[str]]:
    """500 sentences; made-up ones have the frequent words more often, and some that are unknown."""
    if path is not None:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [line.split() for line in islice(filter(str.strip, lines), 500)]
    chance = random.Random(1)
    return [[f"word{int(1.1 * WORDS * chance.random() ** 4)}" for _ in range(20)] for _ in range(500)]


# bytes


def listed(entry: Entry, digits: int = 6) -> Item:
    """A list of decimal numbers, as other tools write it; 6 digits are those of a text file."""
    return {"word": entry.word, "vector": [float(f"{value:.{digits}g}") for value in entry.vector]}


def wire(item: Item) -> int:
    """Bytes of an item in an answer of BatchGetItem."""
    vector = item["vector"]
    if isinstance(vector, bytes):
        fields: object = {"B": base64.b64encode(vector).decode()}
    else:
        assert isinstance(vector, list)
        fields = {"L": [{"N": str(value)} for value in vector]}
    kind = {"type": {"S": item["type"]}} if "type" in item else {}
    return len(json.dumps({"word": {"S": item["word"]}, **kind, "vector": fields}, separators=(",", ":")).encode())


def stored(item: Item) -> int:
    """Bytes that DynamoDB counts.

    A number takes a byte for two digits, leading and trailing zeros left out, one more, and one for a minus sign.
    Source: docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html.
    """
    size = sum(len(name) for name in item) + len(str(item["word"]).encode()) + len(str(item.get("type", "")))
    vector = item["vector"]
    if isinstance(vector, bytes):
        return size + len(vector)
    assert isinstance(vector, list)
    return size + 3 + sum(1 + _number(value) for value in vector if isinstance(value, float))


def _number(value: float) -> int:
    digits = str(abs(value)).partition("e")[0].replace(".", "").strip("0")
    return -(-len(digits) // 2) + 1 + (value < 0)


def byte_rows(entries: list[Entry]) -> list[str]:
    forms: dict[str, Callable[[Entry], Item]] = {
        "list of decimal numbers, 6 digits": listed,
        "list of decimal numbers, 17 digits": lambda entry: listed(entry, 17),
        "single floats, `f4`": lambda entry: to_item(entry.word, entry.vector, "f4", "word"),
        "half floats, `f2`": lambda entry: to_item(entry.word, entry.vector, "f2", "word"),
    }
    sizes = {name: [(wire(item), stored(item)) for item in map(form, entries)] for name, form in forms.items()}
    means = {name: tuple(map(fmean, zip(*each, strict=True))) for name, each in sizes.items()}
    ours = means["half floats, `f2`"]
    units = {name: fmean(-(-size // 1024) for _, size in each) for name, each in sizes.items()}
    return [
        f"| {name} | {sent:,.0f} | {sent / ours[0]:.1f} | {kept:,.0f} | {kept / ours[1]:.1f} | {units[name]:.1f} |"
        for name, (sent, kept) in means.items()
    ]


# look-ups


class Side(NamedTuple):
    """A process that looks up: its script, what it is told of the table, its variables."""

    script: str
    table: str
    environ: dict[str, str]


def look_up(sides: dict[str, Side], dim: int, sentences: list[list[str]], runs: int) -> list[str]:
    """A row for each side, medians over processes in turn, of which the first compile and are not counted."""
    measured: dict[str, list[list[float]]] = {name: [] for name in sides}
    for number in range(runs + 1):
        for name, side in sides.items():
            done = subprocess.run(
                [sys.executable, "-c", side.script],
                input=json.dumps([side.table, dim, sentences]),
                capture_output=True,
                text=True,
                check=True,
                env=machine.environ() | side.environ,
            )
            if number:
                measured[name].append(json.loads(done.stdout))
    rows = []
    for name, each in measured.items():
        first, cold, warm = (median(values) for values in zip(*each, strict=True))
        rows.append(f"| {name} | {first * 1000:.1f} | {cold:,.0f} | {warm:,.0f} |")
    return rows


def upload(path: Path, uri: str, **environ: str) -> tuple[float, float]:
    """Seconds, and MB of memory at most, of `pilotlight vectors upload`."""
    with tempfile.TemporaryDirectory() as cache:
        variables = machine.environ() | {"PILOTLIGHT_CACHE": cache, **environ}
        command = [sys.executable, "-m", "pilotlight", "vectors", "upload", str(path), "--table", uri]
        began = time.perf_counter()
        process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        most = 0.0
        while process.poll() is None:
            most = max(most, high_water(process.pid))
            time.sleep(0.02)
        if process.returncode:
            sys.exit(f"uploading {path} failed")
        return time.perf_counter() - began, most


def high_water(pid: int) -> float:
    """MB that a process has had in memory at most; 0 when it has just ended."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    return 0.0


@contextlib.contextmanager
def dynalite() -> Iterator[dict[str, str]]:
    """The variables of a DynamoDB that has the tables `ours` and `lists`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["node", str(DYNALITE), "--host", "127.0.0.1", "--port", str(port), "--createTableMs", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                sys.exit("dynalite does not start: `make test-system` installs it")
            environ = {
                **KEYS,
                "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{port}",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
            os.environ.update(environ)
            for name in ("ours", "lists"):
                make_table(name)
            yield environ
        finally:
            process.terminate()


def make_table(name: str) -> None:
    client = boto3.client("dynamodb")
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "word", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "word", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def look_up_rows(
    file: Path, entries: list[Entry], sentences: list[list[str]], folder: Path, options: argparse.Namespace
) -> list[str]:
    dim, uri = len(entries[0].vector), f"sqlite://{folder}/tables.sqlite?table=vectors&key=word"
    upload(file, uri)
    sides = {"SQLite": Side(LOOK_UP, uri, {})}
    with dynalite() if options.dynamodb else contextlib.nullcontext({}) as environ:
        if options.dynamodb:
            remote = "dynamodb://ours?key=word"
            upload(file, remote, **environ)
            connect_uri("dynamodb://lists?key=word").put(map(listed, entries))
            sides["DynamoDB (dynalite)"] = Side(LOOK_UP, remote, environ)
            sides["the same by boto3, lists of numbers, nothing kept"] = Side(BOTO3, "lists", environ)
        return look_up(sides, dim, sentences, options.runs)


def memory_rows(folder: Path, sizes: list[int]) -> list[str]:
    rows = []
    for words in sizes:
        file = folder / "large.txt"
        made_up(file, words, 10)
        seconds, megabytes = upload(file, f"sqlite://{folder}/large{words}.sqlite?table=vectors&key=word")
        rows.append(f"| {words:,} | {file.stat().st_size / 1e6:.0f} | {seconds:.1f} | {megabytes:.0f} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, help="a file of vectors")
    parser.add_argument("--sentences", type=Path, help="a file of sentences")
    parser.add_argument("--runs", type=int, default=9, help="processes of each kind (default 9)")
    parser.add_argument("--dynamodb", action="store_true", help="look up in dynalite, too")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="words of the files to upload")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = options.vectors or folder / "vectors.txt"
        if options.vectors is None:
            made_up(file, WORDS, DIM)
        entries = list(source.entries(file, source.survey(file), lambda problem: None))
        sentences = sentences_of(options.sentences)
        write(
            entries,
            sentences,
            byte_rows(entries),
            look_up_rows(file, entries, sentences, folder, options),
            memory_rows(folder, options.sizes),
            options.runs,
        )


def write(
    entries: list[Entry], sentences: list[list[str]], sizes: list[str], rates: list[str], memory: list[str], runs: int
) -> None:
    words = sum(map(len, sentences))
    known = {entry.word for entry in entries}
    unknown = sum(word not in known for sentence in sentences for word in sentence)
    machine.write(
        "vectors",
        [
            "# Word vectors in a table",
            "",
            f"## Bytes an item: {len(entries):,} words of {len(entries[0].vector)} numbers",
            "",
            "| form | JSON of an answer | times `f2` | DynamoDB's own count | times `f2` | write units |",
            "|---|---|---|---|---|---|",
            *sizes,
            "",
            "Means over the words. 6 digits are those of the text file; 17 those that Python prints of a float from a "
            "binary one. DynamoDB's count is what the sizes of items, and so prices, are reckoned by.",
            "",
            f"## Look-ups: {len(sentences)} sentences of {words:,} words, {unknown / words:.0%} of them unknown",
            "",
            "| table | first sentence, ms | words a second, first time | again |",
            "|---|---|---|---|",
            *rates,
            "",
            f"Medians of {runs} processes of each, in turn, one sentence a call. The first column begins at the first "
            "import.",
            "",
            "## Memory of `pilotlight vectors upload` into SQLite: vectors of 10 numbers",
            "",
            "| words | MB of the file | seconds | MB of memory at most |",
            "|---|---|---|---|",
            *memory,
        ],
        ("boto3",),
    )


if __name__ == "__main__":
    main()
