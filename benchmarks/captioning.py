"""Captioning at the tutorial's size, ResNet-101 and 9,490 words: the example against torch eager, process for process.

    python benchmarks/captioning.py [--runs 5] [--warm 10]

needs the extras `onnx`, `image` and `train`, 3 GB of memory and 1 GB of disk. Prints a table and writes it to
`benchmarks/results/captioning.md`. All sides have the same random weights: a checkpoint in the tutorial's layout,
which torch reads as it is (`captioning_torch.py` does what the tutorial does) and `train.convert` makes ready for the
example, in int8 and in float32. The end is made unlikely, so that both say as many words. The page cache is warm.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import IO, Any, NamedTuple

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


def converted(checkpoint: Path, words: Path, folder: Path) -> tuple[Path, Path]:
    """The model folders made of the checkpoint, in int8 and in float32."""
    small, plain = folder / "int8", folder / "float32"
    for out, more in ((small, ["--pictures", str(crops(folder / "pictures"))]), (plain, [])):
        command = [sys.executable, "-m", "train.convert", str(checkpoint), str(words), "--out", str(out), *more]
        subprocess.run(command, cwd=SERVICE, check=True)
    return small, plain


def crops(folder: Path) -> Path:
    """Pictures to calibrate with: parts of the one that is sent, and that one turned."""
    from PIL import Image

    folder.mkdir()
    with Image.open(PICTURE) as image:
        width, height = image.size
        for number in range(8):
            left, top = number % 4 * width // 8, number // 4 * height // 4
            part = image.crop((left, top, left + width // 2, top + height // 2))
            part.save(folder / f"part{number}.png")
            image.rotate(number * 45).save(folder / f"turned{number}.png")
    return folder


class Measured(NamedTuple):
    int8: Side
    float32: Side
    torch: Side


def measure(runs: int, warm: int, folder: Path) -> Measured:
    """All sides in turn; one unmeasured run of each goes first, and what they say is compared."""
    network = captioning_torch.made(captioning_torch.Sizes(), sharpness=4.0)
    network.decoder.fc.bias.data[-1] = -100.0
    checkpoint, words = folder / "weights.pt", folder / "words.json"
    captioning_torch.save(network, checkpoint, words)
    common = [str(PICTURE), str(BEAM), str(WORDS)]
    small, plain = (
        Side([sys.executable, "-c", OURS, *common], PILOTLIGHT_MODEL=str(model))
        for model in converted(checkpoint, words, folder)
    )
    torch = Side([sys.executable, str(HERE / "captioning_torch.py"), str(checkpoint), str(words), *common])
    sides = Measured(small, plain, torch)
    for number in range(runs + 1):
        for side in sides:
            side.run(warm, counts=number > 0)
    if plain.words != torch.words or len(plain.words) != WORDS:
        sys.exit(f"the captions differ: {plain.words} and {torch.words}")
    return sides


def table(sides: Measured) -> list[str]:
    names = "Pilotlight, int8", "Pilotlight, float32", "torch, float32"
    rows = [
        machine.row(f"{name}, {kind}", getattr(side, kind))
        for kind in ("cold", "warm")
        for name, side in zip(names, sides, strict=True)
    ]
    same = sum(one == two for one, two in zip(sides.int8.words, sides.torch.words, strict=True))
    (cold, warm), (plain_cold, plain_warm) = (
        [_ratio(each, sides.torch, kind) for kind in ("cold", "warm")] for each in (sides.int8, sides.float32)
    )
    return [
        "# Captioning at the tutorial's size",
        "",
        f"ResNet-101, 512 units, 9,490 words, a picture of 256 x 256, beam {BEAM}, {WORDS} words, random weights.",
        "",
        *machine.targets(
            [
                ("captioning: cold at least 8 times as fast as torch", f"{cold:.1f}", cold >= 8),
                ("captioning: warm at least 2 times as fast as torch", f"{warm:.1f}", warm >= 2),
            ]
        ),
        "| | median ms | least | most |",
        "|---|---|---|---|",
        *rows,
        "",
        f"Ratios of the medians, torch to Pilotlight: in int8 cold **{cold:.1f}** and warm **{warm:.1f}**, in float32 "
        f"cold {plain_cold:.1f} and warm {plain_warm:.1f}. Cold is from the start of a process to its first answer, "
        f"{len(sides.int8.cold)} fresh processes of each, in turn, page cache warm; warm is a whole answer in the same "
        f"processes, {len(sides.int8.warm)} of each. float32 says the same words as torch; in int8 {same} of the "
        f"{WORDS} words are the same, one by one. int8 is what `python -m train.convert --pictures` makes: encoder "
        "static, calibrated on 16 pictures, decoder dynamic.",
    ]


def _ratio(ours: Side, theirs: Side, kind: str) -> float:
    return median(getattr(theirs, kind)) / median(getattr(ours, kind))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="processes of each kind (default 5)")
    parser.add_argument("--warm", type=int, default=10, help="further answers of each process (default 10)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = table(measure(options.runs, options.warm, Path(folder)))
    machine.write("captioning", lines, ("onnxruntime", "torch"))


if __name__ == "__main__":
    main()
