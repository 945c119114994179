"""Captioning at the tutorial's size, ResNet-101 and 9,490 words: the example against torch eager, process for process.

    python benchmarks/captioning.py [--runs 5] [--warm 10]

needs the extras `onnx`, `image` and `train`, 2 GB of memory and 1 GB of disk. Prints a table and writes it to
`benchmarks/results/captioning.md`. Both sides have the same random weights: a checkpoint in the tutorial's layout,
which torch reads as it is (`captioning_torch.py` does what the tutorial does) and `train.convert` makes ready for the
example. The end is made unlikely, so that both say as many words. The page cache is warm.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import IO, Any

import captioning_torch
import machine

HERE = Path(__file__).parent
SERVICE = HERE.parent / "examples" / "captioning"
PICTURE = SERVICE / "events" / "tennis.jpg"
BEAM, WORDS = 3, 20

OURS = """
import sys, time
from json import dumps, loads
from pilotlight.function.runtime import load
handler = load("inference/caption.handler", ".")
import captioner
picture, beam, captioner.LIMIT = open(sys.argv[1], "rb").read(), int(sys.argv[2]), int(sys.argv[3])
from base64 import b64encode
event = {"httpMethod": "POST", "path": "/caption", "headers": {"content-type": "image/jpeg"}, "isBase64Encoded": True,
         "queryStringParameters": {"beam": str(beam)}, "body": b64encode(picture).decode()}
while True:
    started = time.perf_counter()
    answer = handler(event, None)
    taken = time.perf_counter() - started
    print(dumps({"words": loads(answer["body"])["message"].split(), "seconds": taken}), flush=True)
    if not sys.stdin.readline():
        break
"""


class Side:
    """One of the two: the command of a process that answers once, and once more for each line."""

    def __init__(self, command: list[str], **variables: str) -> None:
        self._command, self._environ = command, {**machine.environ(), **variables}
        self.cold: list[float] = []
        self.warm: list[float] = []
        self.words: list[str] = []

    def run(self, warm: int, counts: bool = True) -> None:
        started = time.perf_counter()
        with subprocess.Popen(
            self._command, cwd=SERVICE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self._environ
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            self.words = self._read(process.stdout)["words"]
            taken = time.perf_counter() - started
            seconds = [self._again(process.stdin, process.stdout) for _ in range(warm)]
            process.stdin.close()
        if counts:
            self.cold.append(taken)
            self.warm += seconds[1:]  # one more settles down first

    def _again(self, ask: IO[str], answers: IO[str]) -> float:
        ask.write("\n")
        ask.flush()
        return float(self._read(answers)["seconds"])

    def _read(self, answers: IO[str]) -> dict[str, Any]:
        line = answers.readline()
        if not line:
            sys.exit(f"{self._command[1]} ended without an answer")
        answer: dict[str, Any] = json.loads(line)
        return answer


def prepare(folder: Path) -> tuple[Path, Path, Path]:
    """A checkpoint, its word map, and the model folder made of them."""
    checkpoint, words, model = folder / "weights.pt", folder / "words.json", folder / "model"
    network = captioning_torch.made(captioning_torch.Sizes(), sharpness=4.0)
    network.decoder.fc.bias.data[-1] = -100.0
    captioning_torch.save(network, checkpoint, words)
    command = [sys.executable, "-m", "train.convert", str(checkpoint), str(words), "--out", str(model)]
    subprocess.run(command, cwd=SERVICE, check=True)
    return checkpoint, words, model


def measure(runs: int, warm: int, folder: Path) -> tuple[Side, Side]:
    """Both sides in turn; one unmeasured run of each goes first, and what they say is compared."""
    checkpoint, words, model = prepare(folder)
    common = [str(PICTURE), str(BEAM), str(WORDS)]
    ours = Side([sys.executable, "-c", OURS, *common], PILOTLIGHT_MODEL=str(model))
    theirs = Side([sys.executable, str(HERE / "captioning_torch.py"), str(checkpoint), str(words), *common])
    for number in range(runs + 1):
        for side in (ours, theirs):
            side.run(warm, counts=number > 0)
    if ours.words != theirs.words or len(ours.words) != WORDS:
        sys.exit(f"the captions differ: {ours.words} and {theirs.words}")
    return ours, theirs


def table(ours: Side, theirs: Side) -> list[str]:
    names = f"Pilotlight, onnxruntime {version('onnxruntime')}", f"torch {version('torch')}"
    rows = [
        machine.row(f"{name}, {kind}", getattr(side, kind))
        for kind in ("cold", "warm")
        for name, side in zip(names, (ours, theirs), strict=True)
    ]
    cold, warm = (median(getattr(theirs, kind)) / median(getattr(ours, kind)) for kind in ("cold", "warm"))
    return [
        "# Captioning at the tutorial's size",
        "",
        f"ResNet-101, 512 units, 9,490 words, a picture of 256 x 256, beam {BEAM}, {WORDS} words; float32 on both.",
        "",
        "| | median ms | least | most |",
        "|---|---|---|---|",
        *rows,
        "",
        f"Ratios of the medians: cold **{cold:.1f}**, warm **{warm:.1f}**. Cold is from the start of a process to its "
        f"first answer, {len(ours.cold)} fresh processes of each, in turn, page cache warm; warm is a whole answer in "
        f"the same processes, {len(ours.warm)} of each. Both say the same words.",
        "",
        f"Machine: {machine.describe()}. Command: `python benchmarks/captioning.py --runs {len(ours.cold)}`.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="processes of each kind (default 5)")
    parser.add_argument("--warm", type=int, default=10, help="further answers of each process (default 10)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        machine.write("captioning", table(*measure(options.runs, options.warm, Path(folder))))


if __name__ == "__main__":
    main()
