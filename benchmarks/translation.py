"""Translation at the size of opus-mt, 6 + 6 layers of 512, 65,001 words: against transformers and CTranslate2.

    python benchmarks/translation.py [--runs 3] [--warm 8]

needs the extras `onnx`, `optimize` and `train`, 3 GB of memory and 1.5 GB of disk; CTranslate2 is installed at first
use, as its lock file in `benchmarks/peers` says. Prints a table and writes it to `benchmarks/results/translation.md`.
Weights are random, and the same on all sides; the end is made impossible, so that all say 20 tokens. Each side is timed
from text to text, its tokenizer included. The page cache is warm.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import machine
from peers.servers import locked, virtual_environment

from pilotlight.optimize.progress import Progress
from pilotlight.optimize.sequences import export, folder, ladder, pieces
from pilotlight.optimize.source import resolve

HERE = Path(__file__).parent
BEAMS = (1, 4)
TEXT = "bada gelo mipa tusi rova benu daki lomera sitovu nape"

OURS = """
import sys, time
from json import dumps
from pilotlight.function.translate import Translator
translator = Translator(sys.argv[1])
for line in sys.stdin:
    started = time.perf_counter()
    [said] = translator.translate([line.strip()], beam=int(sys.argv[2]))
    print(dumps({"text": said.text, "seconds": time.perf_counter() - started}), flush=True)
"""


class Side:
    """One way to translate: the command of a process that answers every line."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name, self._command = name, command
        self.cold: list[float] = []
        self.warm: list[float] = []
        self.text = ""

    def run(self, warm: int, counts: bool) -> None:
        started = time.perf_counter()
        pipe = subprocess.PIPE
        with subprocess.Popen(
            self._command, stdin=pipe, stdout=pipe, text=True, env=machine.environ(), stderr=subprocess.DEVNULL
        ) as process:
            self.text = self._asked(process)["text"]
            taken = time.perf_counter() - started
            seconds = [float(self._asked(process)["seconds"]) for _ in range(warm)]
            assert process.stdin is not None
            process.stdin.close()
        if counts:
            self.cold.append(taken)
            self.warm += seconds[1:]  # one more settles down first

    def _asked(self, process: "subprocess.Popen[str]") -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{TEXT}\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended without an answer")
        answer: dict[str, Any] = json.loads(line)
        return answer


def prepare(home: Path) -> dict[str, Path]:
    """The checkpoint, our folders in int8 and float32, and CTranslate2's."""
    checkpoint, made = home / "checkpoint", home / "export"
    subprocess.run([sys.executable, str(HERE / "translation_torch.py"), "make", str(checkpoint)], check=True)
    made.mkdir()
    settings = export.write(resolve(str(checkpoint)), "translation", made, Progress()).settings
    found = {"checkpoint": checkpoint}
    layers = [part.node for part in ladder.parts(export.network(made))]
    for name, int8 in (("int8", layers), ("float32", [])):
        found[name] = home / name
        folder.write(export.network(made, int8), settings, made / pieces.FILE, found[name])
    packages = next((virtual_environment("ctranslate2") / "lib").glob("python*/site-packages"))
    environ = {**machine.environ(), "PYTHONPATH": str(packages)}  # its converter imports transformers and torch
    for name in ("int8", "float32"):
        found[f"ct2 {name}"] = home / f"ct2-{name}"
        command = [sys.executable, "-m", "ctranslate2.converters.transformers", "--model", str(checkpoint)]
        command += ["--output_dir", str(found[f"ct2 {name}"]), "--quantization", name]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environ)
    return found


def sides(found: dict[str, Path], beams: int) -> list[Side]:
    """transformers first."""
    checkpoint, python = str(found["checkpoint"]), sys.executable
    peer = str(virtual_environment("ctranslate2") / "bin" / "python")
    theirs = [python, str(HERE / "translation_torch.py"), checkpoint, str(beams)]
    return [
        Side("transformers, eager, float32", theirs),
        *(
            Side(
                f"CTranslate2, {name}",
                [peer, str(HERE / "translation_ct2.py"), str(found[f"ct2 {name}"]), checkpoint, str(beams)],
            )
            for name in ("float32", "int8")
        ),
        *(
            Side(f"Pilotlight, {name}", [python, "-c", OURS, str(found[name]), str(beams)])
            for name in ("float32", "int8")
        ),
    ]


def measure(found: dict[str, Path], beams: int, runs: int, warm: int) -> list[Side]:
    """All sides in turn; one unmeasured run of each goes first."""
    timed = sides(found, beams)
    for number in range(runs + 1):
        for side in timed:
            side.run(warm, counts=number > 0)
    original, float32 = timed[0], timed[-2]
    if original.text != float32.text:
        sys.exit(f"with {beams} beams the texts differ: {original.text!r} and {float32.text!r}")
    return timed


def faster(timed: list[Side]) -> tuple[float, float]:
    """How many times as fast int8 is as transformers, cold and warm."""
    theirs, ours = timed[0], timed[-1]
    cold, warm = (median(getattr(theirs, kind)) / median(getattr(ours, kind)) for kind in ("cold", "warm"))
    return cold, warm


def targets(found: dict[int, list[Side]]) -> Iterator[tuple[str, str, bool]]:
    for beams, timed in found.items():
        how = "greedy" if beams == 1 else f"{beams} beams"
        for kind, ratio, bound in zip(("cold", "warm"), faster(timed), (8, 3), strict=True):
            what = f"translation, {how}: {kind} at least {bound} times as fast as transformers"
            yield what, f"{ratio:.1f}", ratio >= bound


def table(beams: int, timed: list[Side]) -> list[str]:
    cold, warm = faster(timed)
    rows = [machine.row(f"{side.name}, {kind}", getattr(side, kind)) for kind in ("cold", "warm") for side in timed]
    return [
        f"## {'Greedy' if beams == 1 else f'{beams} beams'}",
        "",
        "| | median ms | least | most |",
        "|---|---|---|---|",
        *rows,
        "",
        f"Pilotlight in int8 against transformers: cold **{cold:.1f}**, warm **{warm:.1f}** times as fast (medians).",
        "",
    ]


def sizes(found: dict[str, Path]) -> str:
    def size(name: str) -> float:
        return sum(file.stat().st_size for file in found[name].iterdir()) / 1e6

    return ", ".join(f"{name} {size(name):.0f}" for name in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="processes of each kind (default 3)")
    parser.add_argument("--warm", type=int, default=8, help="further answers of each process (default 8)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        found = prepare(Path(home))
        timed = {beams: measure(found, beams, options.runs, options.warm) for beams in BEAMS}
        megabytes = sizes(found)
    lines = [
        "# Translation at the size of opus-mt",
        "",
        "6 + 6 layers of 512 with 8 heads, 65,001 words, 24 tokens to 20 tokens, one text; from text to text.",
        "",
        *machine.targets(targets(timed)),
        *(line for beams, sides in timed.items() for line in table(beams, sides)),
        f"Cold is from the start of a process to its first answer, {options.runs} fresh processes of each, in turn, "
        f"page cache warm; warm is a whole answer in the same processes, {options.runs * (options.warm - 1)} of each. "
        "Pilotlight in float32 and transformers say the same text. CTranslate2's search is its own.",
        "",
        f"Folders in MB: {megabytes}.",
    ]
    machine.write("translation", lines, ("onnxruntime", "torch", "transformers", locked("ctranslate2")))


if __name__ == "__main__":
    main()
