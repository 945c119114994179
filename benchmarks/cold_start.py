"""A cold start of an echo function: from the decision to start an environment to the function's answer.

    python benchmarks/cold_start.py [--runs 25]

Spawning the process, its Runtime API listener, the init phase and the first invocation, through the pool, for
Pilotlight's runtime loop and for `awslambdaric`; beside them a bare Python, which is the least any of it can take.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine
import uvloop

from pilotlight import project
from pilotlight.local.pool import Pool
from pilotlight.project import Function
from pilotlight.values import Call

ECHO = "def handler(event, context):\n    return event\n"
TYPED = """
from pilotlight import endpoint

@endpoint
def handler(number: int) -> dict[str, int]:
    return {"number": number}
"""
SETTINGS = '[functions.awslambdaric]\nruntime = "awslambdaric"\n'


def functions(folder: Path) -> dict[str, Function]:
    (folder / "inference").mkdir()
    (folder / "pilotlight.toml").write_text(SETTINGS)
    for name, source in {"echo": ECHO, "awslambdaric": ECHO, "typed": TYPED}.items():
        (folder / "inference" / f"{name}.py").write_text(source)
    return {function.name: function for function in project.load(folder).functions}


async def cold(function: Function, number: int) -> float:
    """Seconds from nothing to the answer, which is checked."""
    pool = Pool(lambda key, line: print(line, file=sys.stderr), 10_000)
    await pool.host.launcher()  # as in a server that has started
    pool.deploy([function])
    began = time.perf_counter()
    result = await pool(Call(function.key, json.dumps({"number": number}).encode()))
    taken = time.perf_counter() - began
    await pool.close()
    if result.error or json.loads(result.payload) != {"number": number}:
        sys.exit(f"{function.name} answered {result.payload!r}")
    return taken


def bare_python() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - began


async def measure(found: dict[str, Function], runs: int) -> dict[str, list[float]]:
    """One unmeasured run of each goes first: it compiles."""
    times: dict[str, list[float]] = {name: [] for name in ("bare", *found)}
    for number in range(runs + 1):
        taken = {"bare": bare_python()}
        for name, function in found.items():
            taken[name] = await cold(function, number)
        if number:
            for name, seconds in taken.items():
                times[name].append(seconds)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=25, help="cold starts of each kind (default 25)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        times = uvloop.run(measure(functions(Path(folder)), options.runs))
    lines = [
        "# Cold start of an echo function, spawn to answer",
        "",
        "| | median ms | least | most |",
        "|---|---|---|---|",
        machine.row("`python -c pass`, for comparison", times["bare"]),
        machine.row("Pilotlight's loop, a plain handler", times["echo"]),
        machine.row("Pilotlight's loop, an `@endpoint`", times["typed"]),
        machine.row("awslambdaric, a plain handler", times["awslambdaric"]),
        "",
        f"{options.runs} fresh environments of each, in turn, page cache warm.",
    ]
    machine.write("cold_start", lines, ("awslambdaric",))


if __name__ == "__main__":
    main()
