"""Process start to first answer, and the answers after it: the sentences example against the same network in torch.

    python benchmarks/kim_cnn.py [--runs 15]

needs the extras `onnx` and `train`. Prints a table and writes it to `benchmarks/results/kim_cnn.md`. Both sides read
the same weights (the torch checkpoint is made from the served file) and use the same tokenizer; fresh processes take
turns, the page cache is warm.
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

WARM = 50  # answers of each process after its first

OURS = """
import json, sys
from time import perf_counter
from pilotlight.function.runtime import load
handler, times = load("inference/kim_cnn.handler", "."), []
print(json.dumps(handler({"input": sys.argv[1]}, None)), flush=True)
for _ in range(int(sys.argv[2])):
    began = perf_counter()
    handler({"input": sys.argv[1]}, None)
    times.append(perf_counter() - began)
print(json.dumps(times))
"""


class Side:
    """A command, and the seconds of its processes' answers."""

    def __init__(self, *command: str) -> None:
        self.command = [sys.executable, *command, EVENT["input"], str(WARM)]
        self.cold: list[float] = []
        self.warm: list[float] = []

    def run(self) -> dict[str, Any]:
        """A process in the service's folder; its first answer."""
        started = time.perf_counter()
        with subprocess.Popen(
            self.command, cwd=SERVICE, stdout=subprocess.PIPE, text=True, env=machine.environ()
        ) as process:
            assert process.stdout is not None
            answer: dict[str, Any] = json.loads(process.stdout.readline())
            self.cold.append(time.perf_counter() - started)
            self.warm += json.loads(process.stdout.readline())
        if process.returncode:
            sys.exit(f"{self.command[1]} ended with exit code {process.returncode}")
        return answer


def check(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """How far the logits are apart; ends the benchmark when the two do not say the same."""
    apart = max(abs(a - b) for a, b in zip(ours["output"], theirs["output"], strict=True))
    if ours["prediction"] != theirs["prediction"] or apart > 0.001:
        sys.exit(f"the answers differ: {ours['output']} and {theirs['output']}")
    return apart


def measure(runs: int, checkpoint: Path) -> tuple[Side, Side, float]:
    """Ours, torch, and how far the logits are apart; one unmeasured run of each goes first."""
    ours, theirs = Side("-c", OURS), Side(str(HERE / "kim_cnn_torch.py"), str(checkpoint))
    apart = check(ours.run(), theirs.run())
    for side in (ours, theirs):
        side.cold, side.warm = [], []
    for _ in range(runs):
        for side in (ours, theirs):
            side.run()
    return ours, theirs, apart


def table(ours: Side, theirs: Side, apart: float) -> list[str]:
    cold, warm = median(theirs.cold) / median(ours.cold), median(theirs.warm) / median(ours.warm)
    return [
        "# Kim CNN: process start to first answer",
        "",
        *machine.targets(
            [
                ("Kim CNN: cold at least 14 times as fast as torch", f"{cold:.1f}", cold >= 14),
                ("Kim CNN: warm at least 2 times as fast as torch", f"{warm:.1f}", warm >= 2),
            ]
        ),
        "| | median ms | least | most |",
        "|---|---|---|---|",
        machine.row("Pilotlight", ours.cold),
        machine.row("torch", theirs.cold),
        machine.row("Pilotlight, warm", ours.warm),
        machine.row("torch, warm", theirs.warm),
        "",
        f"Ratios of the medians: cold **{cold:.1f}**, warm **{warm:.1f}**. Same prediction, logits {apart:.1e} apart. "
        f"{len(ours.cold)} fresh processes of each, in turn, page cache warm; {WARM} more answers of each process.",
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
