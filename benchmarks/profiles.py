"""One cold start and one warm request of every function of the examples, taken apart into phases that add up.

    python benchmarks/profiles.py [--runs 9] [--requests 100]

For each function the quickest cold start and the quickest request, which others on the machine have disturbed least,
by `pilotlight bench cold` and `bench warm`; beside them what the phases cannot do without, measured in the same run:
the interpreter, the library, a page fault, a warm run. Prints tables and writes them to
`benchmarks/results/profiles.md`; docs/cold-start.md says what they mean.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

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
HANDLER = ("decode", "tokenize", "handler", "encode", "respond")  # of a warm request what is `handler` in a cold one
STREAMS = ("textgen",)  # its parts overlap: no warm request
READER = "qa"
SMALLEST = "hello"  # neither model nor table

EXECUTE = """
import os, sys, time
os.environ["BEGAN"] = str(time.monotonic())
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
FIRST_LINE = "import posix, time; print((time.monotonic() - float(posix.environ[b'BEGAN'])) * 1000)"
CTYPES = """
import sys, time
began = time.monotonic()
import ctypes
print((time.monotonic() - began) * 1000)
"""
LIBRARY = """
import ctypes, sys, time
from ctypes import byref, c_char_p, c_int, c_uint32, c_void_p
began = time.monotonic()
base = ctypes.CDLL(sys.argv[1]).OrtGetApiBase
base.restype = c_void_p
api = ctypes.CFUNCTYPE(c_void_p, c_uint32)(c_void_p.from_address(base()).value)(5)
table = (c_void_p * 131).from_address(api)
env = c_void_p()
assert not ctypes.CFUNCTYPE(c_void_p, c_int, c_char_p, c_void_p)(table[3])(3, b"probe", byref(env))
print((time.monotonic() - began) * 1000)
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

Figures = Mapping[str, float]
Found = Mapping[str, Figures]
"""For each function."""


def pilotlight(*arguments: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "pilotlight", "bench", *arguments, "--json", "--dir", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=machine.environ())
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def printed(*command: str) -> float:
    """The number that a Python of those arguments prints."""
    return float(subprocess.check_output([sys.executable, *command], env=machine.environ(), text=True))


def first_line_ms(*options: str) -> float:
    """From the moment when a process executes Python until its first line runs."""
    return printed("-c", EXECUTE, *options, "-c", FIRST_LINE)


def least(measure: Callable[[], float], runs: int) -> float:
    measure()
    return min(measure() for _ in range(runs))


class Bounds(NamedTuple):
    """Milliseconds, and microseconds for a page."""

    bare: float
    python: float
    ctypes: float
    library: float
    page: float


def bounds(runs: int) -> Bounds:
    return Bounds(
        least(lambda: first_line_ms("-S", "-E"), runs),
        least(first_line_ms, runs),
        least(lambda: printed("-S", "-E", "-c", CTYPES), runs),
        least(lambda: printed("-S", "-E", "-c", LIBRARY, find_library()), runs),
        least(lambda: printed("-c", FAULTS), runs),
    )


def bounds_table(of: Bounds) -> Iterator[str]:
    yield from ("| what the phases cannot do without | |", "|---|---|")
    yield f"| `python -S -E` to its first line, ms | {of.bare:.1f} |"
    yield f"| `python` to its first line, with the packages' paths, ms | {of.python:.1f} |"
    yield f"| `import ctypes`, ms | {of.ctypes:.1f} |"
    yield f"| dlopen and environment of ONNX Runtime by ctypes, ms | {of.library:.1f} |"
    yield f"| the first touch of a page of 4,096 bytes, µs | {of.page:.2f} |"


def beside_bounds(of: Bounds, colds: Found, warm_reader: Figures) -> Iterator[str]:
    """A row for each phase of the reader's cold start; where something bounds it, how far it is from that."""
    rows: tuple[tuple[str, tuple[str, ...], float | None, str], ...] = (
        ("fork, isolation", ("fork", "isolation"), together(colds[SMALLEST], "fork", "isolation"), f"{SMALLEST}'s"),
        ("python", ("python",), of.python, "`python` to its first line"),
        ("imports", ("imports",), of.ctypes, "`import ctypes`, without which there is no library"),
        ("library", ("library",), of.library, "dlopen and environment by ctypes"),
        ("weights", ("weights",), None, "none measured: a session is ONNX Runtime's own work"),
        ("tokenizer", ("tokenizer",), None, "none measured"),
        ("runtime api", ("runtime api",), colds[SMALLEST]["runtime api"], f"{SMALLEST}'s"),
        ("first run", ("first run",), warm_reader["run"], "a warm run"),
        ("handler", ("handler",), together(warm_reader, *HANDLER), "a warm request's"),
    )
    yield from (
        "| phase of the reader's cold start | ms | bound | between them | what the bound is |",
        "|---" * 5 + "|",
    )
    for name, phases, bound, what in rows:
        ms = together(colds[READER], *phases)
        cells = ("", "") if bound is None else (f"{bound:.1f}", f"{ms - bound:.1f}")
        yield f"| {name} | {ms:.1f} | {' | '.join(cells)} | {what} |"


def together(figures: Figures, *names: str) -> float:
    return sum(figures[name] for name in names)


def table(names: Sequence[str], found: Found, more: Sequence[str] = ()) -> Iterator[str]:
    """A row for each function: its phases, which add up to the total."""
    yield "| ms | " + " | ".join([*names, "**total**", *more]) + " |"
    yield "|---" * (len(names) + len(more) + 2) + "|"
    for function, figures in found.items():
        phases = [figures[name] for name in names]
        rest = [f"{figures[name]:.3f}" for name in more]
        digits = 2 if sum(phases) < 10 else 1
        cells = [*(f"{ms:.{digits}f}" for ms in phases), f"**{sum(phases):.{digits}f}**", *rest]
        yield f"| {function} | {' | '.join(cells)} |"


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
    limits = bounds(options.runs)
    colds, warms = measure(options.runs, options.requests)
    sides = [f"processor: {side}" for side in ("client", "server", "function")]
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
        *bounds_table(limits),
        "",
        *beside_bounds(limits, colds, warms[READER]),
        "",
        "Both are the quickest of as many runs; what is below zero says how far such figures are apart. `fork` of a "
        "function with a table has the start of the table's writer in it, which `serve` starts once.",
        "",
        "## Warm",
        "",
        *table(warm.PHASES, warms, sides),
        "",
        "Processor time is the mean of all requests, at the client, the server, and the function's process.",
    ]
    machine.write("profiles", lines, ("onnxruntime",))


if __name__ == "__main__":
    main()
