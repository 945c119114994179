"""Environments that start at once on an empty cache, what a model costs that is there, and how fast one comes.

    python benchmarks/cache.py [--environments 8] [--size 100] [--rounds 5]

The hub is a server on this machine, shaped like the real one: an API, redirects to a second host, ranges, digests. It
counts what it is asked for. Each round starts a new `pilotlight serve` on an empty cache and sends as many requests at
once as there are to be environments; then the same number of processes with a cache each, which is what they would do
without a lock. Both sides of each ratio are measured in turn, in one run.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import NamedTuple

import machine

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hub_server import FakeHub, open_hub

FUNCTION = """
import os, time
from pilotlight import endpoint
from pilotlight.function.cache import fetch

FOLDER = fetch(os.environ["PILOTLIGHT_MODEL"])

@endpoint
def handler() -> dict[str, object]:
    time.sleep(1)  # so that each request needs an environment of its own
    return {"pid": os.getpid(), "bytes": os.stat(os.path.join(FOLDER, "model.onnx")).st_size}
"""
SETTINGS = '[functions.show]\nmodel = "hf://org/name"\nmemory = 128\ntimeout = 300\n'
FETCH = "import sys; from pilotlight.function.cache import fetch; fetch(sys.argv[1])"
READ = "import sys, urllib.request; open(sys.argv[2], 'wb').write(urllib.request.urlopen(sys.argv[1]).read())"
KEPT = """
import sys, time
began = time.perf_counter()
from pilotlight.function.cache import fetch
fetch(sys.argv[1])
print(time.perf_counter() - began)
"""


class Round(NamedTuple):
    """Seconds until all had the model, how many processes did, and how often the file was asked for."""

    seconds: float
    environments: int
    downloads: int


def environ(folder: Path, hub: FakeHub) -> dict[str, str]:
    own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "huggingface"), "HF_TOKEN": "", "HF_HUB_OFFLINE": "0"}
    return {**machine.environ(), **own, "PILOTLIGHT_CACHE": str(folder / "cache")}


def served(hub: FakeHub, environments: int) -> Round:
    """By environments of `pilotlight serve` that start at once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "service" / "inference").mkdir(parents=True)
        (folder / "service" / "inference" / "show.py").write_text(FUNCTION)
        (folder / "service" / "pilotlight.toml").write_text(SETTINGS)
        before = hub.downloads.count("model.onnx")
        command = [sys.executable, "-m", "pilotlight", "serve", str(folder / "service"), "--port", "0", "--json"]
        server = subprocess.Popen(
            [*command, "--no-reload"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environ(folder, hub),
        )
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            began = time.perf_counter()
            with ThreadPoolExecutor(environments) as pool:
                answers = list(pool.map(lambda _: ask(f"{url}/show"), range(environments)))
            seconds = time.perf_counter() - began - 1
        finally:
            server.send_signal(signal.SIGINT)
            server.communicate(timeout=60)
    pids = {answer["pid"] for answer in answers}
    return Round(seconds, len(pids), hub.downloads.count("model.onnx") - before)


def ask(url: str) -> dict[str, int]:
    request = urllib.request.Request(url, b"{}", {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as response:
        answer: dict[str, int] = json.load(response)
    return answer


def apart(hub: FakeHub, environments: int) -> Round:
    """By processes that know nothing of one another: each has a cache of its own."""
    before = hub.downloads.count("model.onnx")
    with tempfile.TemporaryDirectory() as name:
        began = time.perf_counter()
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", FETCH, "hf://org/name"],
                stderr=subprocess.DEVNULL,
                env=environ(Path(name, str(number)), hub),
            )
            for number in range(environments)
        ]
        for process in processes:
            if process.wait(300) != 0:
                sys.exit("a process could not fetch the model")
        seconds = time.perf_counter() - began
    return Round(seconds, environments, hub.downloads.count("model.onnx") - before)


def timed(command: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - began


def pace(hub: FakeHub, blob: str, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of a process that fetches the model, and of one that reads the same bytes and writes them to a file."""
    ours, plain = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            environment = environ(Path(name), hub)
            ours.append(timed([sys.executable, "-c", FETCH, "hf://org/name"], environment))
            plain.append(
                timed([sys.executable, "-c", READ, f"{hub.cdn_url}/blobs/{blob}", f"{name}/file"], environment)
            )
    return ours, plain


def kept(hub: FakeHub, rounds: int) -> list[float]:
    """Seconds of the import and the call in a fresh process, with the model there."""
    with tempfile.TemporaryDirectory() as name:
        environment = environ(Path(name), hub)
        command = [sys.executable, "-c", KEPT, "hf://org/name"]
        subprocess.run(command, check=True, capture_output=True, env=environment)
        found = []
        for _ in range(rounds * 5):
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
            found.append(float(done.stdout))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=int, default=8, help="requests at once (default 8)")
    parser.add_argument("--size", type=int, default=100, help="MB of the model (default 100)")
    parser.add_argument("--rounds", type=int, default=5, help="times each is measured (default 5)")
    options = parser.parse_args()
    if shutil.disk_usage(tempfile.gettempdir()).free < (options.environments + 1) * options.size * 1e6:
        sys.exit(f"{tempfile.gettempdir()} has no room for {options.environments} models")
    with open_hub() as hub:
        commit = hub.add("org/name", {"model.onnx": os.urandom(options.size * 1_000_000), "config.json": b"{}"})
        blob = hub.repositories["org/name"].commits[commit]["model.onnx"].sha256
        together, each_its_own = [], []
        for _ in range(options.rounds):
            together.append(served(hub, options.environments))
            each_its_own.append(apart(hub, options.environments))
        if any(one.downloads != 1 for one in together):
            sys.exit(f"the model was fetched more than once: {together}")
        ours, plain = pace(hub, blob, options.rounds)
        there = kept(hub, options.rounds)
    write(options, together, each_its_own, ours, plain, there)


def write(
    options: argparse.Namespace,
    together: list[Round],
    each_its_own: list[Round],
    ours: list[float],
    plain: list[float],
    there: list[float],
) -> None:
    count, size = options.environments, options.size
    fewest, most = (choose(one.environments for one in together) for choose in (min, max))
    ratio = median(ours) / median(plain)
    downloads = {one.downloads for one in together}
    without = {one.downloads for one in each_its_own}
    lines = [
        f"# {count} environments that start at once on an empty cache",
        "",
        f"A model of {size} MB on a hub on this machine, which checks nothing but counts.",
        "",
        "| | downloads of the model | median ms until all have it | least | most |",
        "|---|---|---|---|---|",
        _row("one cache, as environments of `pilotlight serve` have it", downloads, together),
        _row("a cache for each process", without, each_its_own),
        "",
        f"{options.rounds} rounds; environments that answered: {fewest} to {most}. The first row is from the requests "
        "to the last answer, less the second that the function sleeps, and has the start of the environments in it.",
        "",
        "| a fresh process | median ms | least | most |",
        "|---|---|---|---|",
        machine.row(f"fetches {size} MB: digests checked, on the disk, under its name", ours),
        machine.row("reads the same bytes with urllib and writes them, nothing checked", plain),
        machine.row("imports `fetch` and finds the model there, of its time that part alone", there),
        "",
        f"Fetching takes {ratio:.2f} times what reading takes.",
    ]
    machine.write("cache", lines)


def _row(name: str, downloads: set[int], rounds: list[Round]) -> str:
    seconds = [one.seconds * 1000 for one in rounds]
    counts = " or ".join(map(str, sorted(downloads)))
    return f"| {name} | {counts} | {median(seconds):.0f} | {min(seconds):.0f} | {max(seconds):.0f} |"


if __name__ == "__main__":
    main()
