"""The view Records over a million records: how long its index takes, and each question.

    python benchmarks/records_page.py [--records 1000000] [--rounds 7]

The server is `pilotlight records --ui` over a table in SQLite, asked over HTTP as the page asks it. While the index is
made another client asks for a small file: that is what the server's own work would feel of it.
"""

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import quantiles
from typing import Any
from urllib.parse import quote

import machine

from pilotlight.function.table import Item, connect_uri

TABLE = "table=records&key=primary_key&expires=expires"
WORDS = [
    "harbour",
    "light",
    "reading",
    "room",
    "river",
    "stone",
    "bridge",
    "tower",
    "garden",
    "market",
    "station",
    "museum",
]
DAYS = 30
BEGIN = datetime(2026, 10, 29, tzinfo=UTC)


def records(count: int) -> Iterator[Item]:
    """Thirty days of three functions, in the order in which they come."""
    random = Random(1)
    for number in range(count):
        when = BEGIN + timedelta(days=DAYS * number / count)
        label = random.choices(["positive", "negative", "neutral"], [5, 3, 2])[0]
        yield {
            "primary_key": f"{random.getrandbits(128):032x}",
            "createdAt": f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03}Z",
            "function": random.choice(["library--qa", "library--sentiment", "library--kim"]),
            "model": "models/kim@1f6c0a2b9d3e",
            "route": "POST /kim",
            "status": 500 if number % 97 == 0 else 200,
            "latency_ms": round(random.lognormvariate(3, 0.6), 2),
            "cold": number % 200 == 0,
            "input": json.dumps({"text": " ".join(random.choices(WORDS, k=20))}),
            "output": json.dumps({"label": label, "score": round(random.betavariate(5, 2), 4)}),
        }


def ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=600) as answer:
        return json.load(answer)


def timed(url: str) -> float:
    began = time.perf_counter()
    with urllib.request.urlopen(url, timeout=600) as answer:
        answer.read()
    return time.perf_counter() - began


def questions(url: str) -> dict[str, str]:
    ends = [round((BEGIN + timedelta(days=days)).timestamp() * 1000) for days in (0, 23, 29)]
    drift = f"since={ends[1]}&reference_since={ends[0]}&reference_until={ends[1]}"
    texts = {"some records have": quote("river stone bridge"), "none has": "zzz"}
    return {
        "the list": f"{url}/page",
        "its errors": f"{url}/page?failed=1",
        "counts and charts of all": f"{url}/overview",
        "of one function": f"{url}/overview?function=qa",
        "of the last day": f"{url}/overview?since={ends[2]}",
        "drift, 7 days against 23": f"{url}/drift?{drift}",
        **{f"the list, a text that {name}": f"{url}/page?contains={text}" for name, text in texts.items()},
        **{f"charts, a text that {name}": f"{url}/overview?contains={text}" for name, text in texts.items()},
    }


def built(server: str) -> tuple[float, float, list[float]]:
    """Seconds to the first records and to all, and how long a small file took meanwhile."""
    began, first, waits = time.perf_counter(), 0.0, []
    ask(f"{server}/records/tables")
    while True:
        state = ask(f"{server}/records/tables")[0]
        first = first or (time.perf_counter() - began if state["done"] else 0.0)
        if state["runs"]:
            return first, time.perf_counter() - began, waits
        waits += [timed(f"{server}/element.js") for _ in range(20)]
        time.sleep(0.05)


def peak(process: int) -> float:
    """MB of memory of a process at its highest."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def worker(process: int) -> int:
    """The only child of the server."""
    return int("".join(path.read_text() for path in Path(f"/proc/{process}/task").glob("*/children")))


def argument(process: int, place: int) -> str:
    return Path(f"/proc/{process}/cmdline").read_text().split("\0")[place]


def measure(folder: Path, rounds: int) -> list[str]:
    uri = f"sqlite://{folder}/tables.sqlite?{TABLE}"
    command = [sys.executable, "-m", "pilotlight", "records", str(folder), "--ui", "--table", uri]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"at (http://\S+)/ ", process.stdout.readline())
        assert found
        server = f"{found[1]}/_pilotlight"
        first, all_of_it, waits = built(server)
        made_by = worker(process.pid)
        size = Path(argument(made_by, 3), "index.sqlite").stat().st_size
        memory = peak(made_by), peak(process.pid)
        lines = [
            f"The first records are shown after {first:.1f} s, and all are read after {all_of_it:.0f} s.",
            f"The index has {size / 1e6:.0f} MB on the disk; the process that makes it had {memory[0]:.0f} MB of",
            f"memory at its highest. Meanwhile a file of 2 KB took {median_and_p99(waits)} of {len(waits)} requests.",
            "",
            "| | median ms | least | most |",
            "|---|---|---|---|",
        ]
        for name, url in questions(f"{server}/records/records").items():
            lines.append(machine.row(name, [timed(url) for _ in range(rounds)]))
        lines += ["", f"The server had {peak(process.pid):.0f} MB of memory at its highest, {memory[1]:.0f} MB before."]
        process.send_signal(signal.SIGINT)
    return lines


def median_and_p99(seconds: list[float]) -> str:
    parts = quantiles(seconds, n=100)
    return f"{parts[49] * 1000:.1f} ms in the median and {parts[98] * 1000:.1f} ms in the 99th percentile"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = connect_uri(f"sqlite://{folder}/tables.sqlite?{TABLE}")
        table.put(records(options.records))
        table.close()
        size = (Path(folder) / "tables.sqlite").stat().st_size / 1e6
        measured = measure(Path(folder), options.rounds)
    machine.write(
        "records_page",
        [
            "# The view Records over many records",
            "",
            f"{options.records:,} records of {DAYS} days in a table in SQLite of {size:.0f} MB. Each question is a",
            "request over HTTP, as the page sends it.",
            "",
            *measured,
        ],
    )


if __name__ == "__main__":
    main()
