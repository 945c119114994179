"""One cold start and one warm request of every function of the examples, taken apart into phases that add up.

    python benchmarks/profiles.py [--runs 9] [--requests 100]

For each function the quickest cold start and the quickest request, which others on the machine have disturbed least,
by `pilotlight bench cold` and `bench warm`; beside them what the phases cannot do without, measured in the same run:
the interpreter, the library, a page fault. Prints tables and writes them to `benchmarks/results/profiles.md`, where
what was written by hand below them stays.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import machine

from pilotlight.function.ort import find_library
from pilotlight.measure import cold, warm

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
FUNCTIONS = {
    "minimal": ("hello",),
    "question_answering": ("qa", "textgen"),
    "sentences": ("kim_cnn", "sm_cnn"),
    "clothing": ("clothing", "churn"),
    "captioning": ("caption",),
    "translation": ("translate", "sentiment", "summarize"),
}
STREAMS = ("textgen",)  # its parts overlap: no warm request
BY_HAND = "## What stands behind these figures"

LIBRARY = """
import ctypes, sys
from ctypes import byref, c_char_p, c_int, c_uint32, c_void_p
base = ctypes.CDLL(sys.argv[1]).OrtGetApiBase
base.restype = c_void_p
api = ctypes.CFUNCTYPE(c_void_p, c_uint32)(c_void_p.from_address(base()).value)(5)
table = (c_void_p * 131).from_address(api)
env = c_void_p()
assert not ctypes.CFUNCTYPE(c_void_p, c_int, c_char_p, c_void_p)(table[3])(3, b"probe", byref(env))
"""
FAULTS = """
import mmap, resource, time
area = mmap.mmap(-1, 64 << 20)
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
for place in range(0, len(area), 4096):
    area[place] = 1
touched, faults = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
began = time.perf_counter()
for place in range(0, len(area), 4096):
    area[place] = 1
print((touched - (time.perf_counter() - began)) / faults * 1e6)
"""


def pilotlight(*arguments: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "pilotlight", "bench", *arguments, "--json", "--dir", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=machine.environ())
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def process_ms(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, env=machine.environ(), stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


def least(measure: Callable[[], float], runs: int) -> float:
    measure()
    return min(measure() for _ in range(runs))


def fault_us() -> float:
    return float(subprocess.check_output([sys.executable, "-c", FAULTS], text=True))


def bounds(runs: int) -> Iterator[str]:
    bare = least(lambda: process_ms("-S", "-E", "-c", "pass"), runs)
    python = least(lambda: process_ms("-c", "pass"), runs)
    ctypes = least(lambda: process_ms("-S", "-E", "-c", "import ctypes"), runs)
    library = least(lambda: process_ms("-S", "-E", "-c", LIBRARY, find_library()), runs)
    yield from ("| what the phases cannot do without | |", "|---|---|")
    yield f"| `python -S -E -c pass`, ms | {bare:.1f} |"
    yield f"| `python -c pass`, with the packages' paths: the phase `python` less the exec, ms | {python:.1f} |"
    yield f"| `import ctypes` beyond the first, ms | {ctypes - bare:.1f} |"
    yield f"| beyond that dlopen and environment of ONNX Runtime: the phase `library`, ms | {library - ctypes:.1f} |"
    yield f"| the first touch of a page of 4,096 bytes, µs | {least(fault_us, 5):.2f} |"


def table(names: Sequence[str], found: Mapping[str, Mapping[str, float]], more: Sequence[str] = ()) -> Iterator[str]:
    """A row for each function: its phases, which add up to the total."""
    yield "| ms | " + " | ".join([*names, "**total**", *more]) + " |"
    yield "|---" * (len(names) + len(more) + 2) + "|"
    for function, figures in found.items():
        phases = [figures[name] for name in names]
        rest = [f"{figures[name]:.3f}" for name in more]
        digits = 2 if sum(phases) < 10 else 1
        cells = [*(f"{ms:.{digits}f}" for ms in phases), f"**{sum(phases):.{digits}f}**", *rest]
        yield f"| {function} | {' | '.join(cells)} |"


def by_hand(page: Path) -> list[str]:
    """What was written below the tables."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    return ["", BY_HAND + text.partition(BY_HAND)[2].rstrip()] if BY_HAND in text else []


def measure(runs: int, requests: int) -> tuple[dict[str, Any], dict[str, Any]]:
    colds, warms = {}, {}
    for service, names in FUNCTIONS.items():
        for name in names:
            folder = EXAMPLES / service
            colds[name] = pilotlight("cold", name, "--runs", str(runs), folder=folder)["quickest_ms"]
            if name not in STREAMS:
                found = pilotlight("warm", name, "--requests", str(requests), folder=folder)
                cpu = {f"processor: {side}": ms for side, ms in found["cpu_ms"].items()}
                warms[name] = {**found["quickest_ms"], **cpu}
    return colds, warms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9, help="cold starts of each function (default 9)")
    parser.add_argument("--requests", type=int, default=100, help="warm requests of each (default 100)")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    limits = list(bounds(options.runs))
    colds, warms = measure(options.runs, options.requests)
    sides = [f"processor: {side}" for side in ("client", "server", "function")]
    command = f"python benchmarks/profiles.py --runs {options.runs} --requests {options.requests}"
    lines = [
        "# One cold start and one warm request of each example",
        "",
        f"The quickest of {options.runs} cold starts and {options.requests} warm requests, which others on the machine"
        " have disturbed least. Cold: from asking for an environment to its answer, page cache warm. Warm: from a "
        "client's request over HTTP to its answer, one after the other. `pilotlight bench cold --help` and `bench warm "
        "--help` say what each phase is.",
        "",
        "## Cold",
        "",
        *table(cold.PHASES, colds),
        "",
        *limits,
        "",
        "## Warm",
        "",
        *table(warm.PHASES, warms, sides),
        "",
        "Processor time is the mean of all requests, at the client, the server, and the function's process.",
        "",
        f"Machine: {machine.describe()}, load average {load:.1f} before the run. Command: `{command}`.",
        *by_hand(machine.RESULTS / "profiles.md"),
    ]
    machine.write("profiles", lines)


if __name__ == "__main__":
    main()
