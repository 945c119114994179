"""What `pilotlight tune` finds for two models, and whether a share of a processor is one.

    python benchmarks/tune.py [--runs 12]

Processor time by control groups needs a kernel that lets this user make them: root, mostly. The first table is work of
known length in a group; the others are `pilotlight tune` on the question_answering and sentences examples.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from machine import RESULTS, environ, write

from pilotlight import limits
from pilotlight.local import shares
from pilotlight.local.cgroup import PERIOD, Cgroup

ROOT = Path(__file__).parents[1]
MODELS = (("question_answering", "qa"), ("sentences", "kim_cnn"))
MEMORIES = (128, 256, 512, 1024, 1769)
WORK = (1.0, 5.0, 20.0, 100.0)  # ms of a processor
ROUNDS = 15


def work(milliseconds: float) -> float:
    """Use so much of a processor; how many milliseconds that took."""
    began, until = time.perf_counter(), time.process_time() + milliseconds / 1000
    while time.process_time() < until:
        pass
    return (time.perf_counter() - began) * 1000


def held(memory: int) -> list[float]:
    """Medians of `work` in a new process with the share of that memory, which is at rest before each."""
    group = Cgroup.make(f"bench-{memory}", None, share=shares.share(memory))
    assert group is not None, shares.why_not() or "the group could not be made"
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        for entry in group.entries:
            Path(entry).write_text("0")
        os.write(write_end, json.dumps([median(rested(each) for _ in range(ROUNDS)) for each in WORK]).encode())
        os._exit(0)
    os.close(write_end)
    with open(read_end) as pipe:
        found = json.load(pipe)
    os.waitpid(pid, 0)
    asyncio.run(group.close())
    return list(found)


def rested(milliseconds: float) -> float:
    time.sleep(5 * PERIOD / 1_000_000)
    return work(milliseconds)


def physics() -> list[str]:
    lines = [
        "## Work of known length, in ms, by memory",
        "",
        f"Elapsed times; in brackets, as a part of the work divided by the share. A period is {PERIOD // 1000} ms. "
        f"Medians of {ROUNDS}, at rest before each.",
        "",
        "| memory | share | " + " | ".join(f"{each:.0f} ms of a processor" for each in WORK) + " |",
        "|---|---|" + "---|" * len(WORK),
    ]
    for memory in MEMORIES:
        share = shares.share(memory)
        cells = [f"{took:.1f} ({took * share / each:.2f})" for took, each in zip(held(memory), WORK, strict=True)]
        lines.append(f"| {memory} MB | {share:.3f} | {' | '.join(cells)} |")
    return [*lines, ""]


def tuned(service: str, name: str, runs: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        kept, picture = Path(folder) / "kept.json", RESULTS / f"tune_{name}.svg"
        command = ["tune", name, "--dir", str(ROOT / "examples" / service), "--runs", str(runs), "--json"]
        command += ["--save", str(kept), "--plot", str(picture)]
        done = subprocess.run([sys.executable, "-m", "pilotlight", *command], env=environ(), stdout=subprocess.PIPE)
        if done.returncode:
            raise SystemExit(done.returncode)
        return dict(json.loads(done.stdout))


def table(name: str, found: dict[str, Any]) -> list[str]:
    [(architecture, choices)] = found["choices"].items()
    reference = next(each for each in found["settings"] if each["memory"] == limits.MEMORY_OF_ONE_VCPU)
    unit = reference["time"] * reference["memory"]
    lines = [
        f"## `pilotlight tune {name}`",
        "",
        f"![time and cost over memory](tune_{name}.svg)",
        "",
        "| memory | warm ms (mean) | p50 | p99 | cold ms p50 | init ms | billed ms | max MB | $ per million "
        "| time x memory, of that at 1,769 MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in found["settings"]:
        if each["reason"]:
            lines.append(f"| {each['memory']} MB | {each['reason']} |" + " |" * 8)
            continue
        numbers = [each[key] for key in ("time", "warm_p50", "warm_p99", "cold_p50", "init", "billed")]
        cells = [*(f"{number:.1f}" for number in numbers), f"{each['peak']:.0f}", f"{each['dollars']:.3f}"]
        lines.append(f"| {each['memory']} MB | {' | '.join(cells)} | {each['time'] * each['memory'] / unit:.2f} |")
    lines += ["", f"{architecture}, {found['settings'][0]['runs']} rounds:", ""]
    for goal, choice in choices.items():
        alike = f"; not told apart: {', '.join(map(str, choice['alike']))} MB" if choice["alike"] else ""
        lines.append(f"- {goal}: {choice['memory']} MB{alike}")
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=12)
    arguments = parser.parse_args()
    lines = ["# Memory settings, by processor time", "", *physics()]
    for service, name in MODELS:
        lines += table(name, tuned(service, name, arguments.runs))
    write("tune", lines)


if __name__ == "__main__":
    main()
