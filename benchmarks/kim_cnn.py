"""Process start to first answer: the sentences example against the same network in torch, fresh processes in turn.

    python benchmarks/kim_cnn.py [--runs 15]

needs the extras `onnx` and `train`. Prints a table and writes it to `benchmarks/results/kim_cnn.md`. Both sides read
the same weights (the torch checkpoint is made from the served file) and use the same tokenizer; the page cache is warm.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import kim_cnn_torch
import machine

HERE = Path(__file__).parent
SERVICE = HERE.parent / "examples" / "sentences"
EVENT = json.loads((SERVICE / "events" / "kim_cnn.json").read_text(encoding="utf-8"))

OURS = """
import json, sys
from pilotlight.function.runtime import load
handler = load("inference/kim_cnn.handler", ".")
print(json.dumps(handler({"input": sys.argv[1]}, None)))
"""


def first_answer(command: list[str]) -> tuple[float, dict[str, Any]]:
    """Seconds from the start of a process in the service folder to its first line, and what the line says."""
    started = time.perf_counter()
    with subprocess.Popen(command, cwd=SERVICE, stdout=subprocess.PIPE, text=True, env=machine.environ()) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        taken = time.perf_counter() - started
    if process.returncode:
        sys.exit(f"{command[1]} ended with exit code {process.returncode}")
    return taken, json.loads(line)


def check(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """How far the logits are apart; ends the benchmark when the two do not say the same."""
    apart = max(abs(a - b) for a, b in zip(ours["output"], theirs["output"], strict=True))
    if ours["prediction"] != theirs["prediction"] or apart > 0.001:
        sys.exit(f"the answers differ: {ours['output']} and {theirs['output']}")
    return apart


def measure(runs: int, checkpoint: Path) -> tuple[list[float], list[float], float]:
    """Times of ours, times of torch, and how far the logits are apart; one unmeasured run of each goes first."""
    sentence = EVENT["input"]
    commands = (
        [sys.executable, "-c", OURS, sentence],
        [sys.executable, str(HERE / "kim_cnn_torch.py"), str(checkpoint), sentence],
    )
    times: tuple[list[float], list[float]] = ([], [])
    apart = check(*(first_answer(command)[1] for command in commands))
    for _ in range(runs):
        for taken, command in zip(times, commands, strict=True):
            taken.append(first_answer(command)[0])
    return *times, apart


def table(ours: list[float], theirs: list[float], apart: float) -> list[str]:
    ratio = median(theirs) / median(ours)
    return [
        "# Kim CNN: process start to first answer",
        "",
        *machine.targets([("Kim CNN: cold at least 14 times as fast as torch", f"{ratio:.1f}", ratio >= 14)]),
        "| | median ms | least | most |",
        "|---|---|---|---|",
        machine.row("Pilotlight", ours),
        machine.row("torch", theirs),
        "",
        f"Ratio of the medians: **{ratio:.1f}**. Same prediction, logits {apart:.1e} apart. "
        f"{len(ours)} fresh processes of each, in turn, page cache warm.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15, help="processes of each kind (default 15)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "kim_cnn.pt"
        kim_cnn_torch.checkpoint(SERVICE / "models" / "kim_cnn", checkpoint)
        machine.write("kim_cnn", table(*measure(options.runs, checkpoint)), ("onnxruntime", "torch"))


if __name__ == "__main__":
    main()
