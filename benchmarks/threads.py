"""What the threads of ONNX Runtime do between runs, and what it costs: the same functions, turning and asleep.

    python benchmarks/threads.py [--runs 4] [--warm 20] [--translator FOLDER]

needs the extras `onnx` and `image`. Prints a table and writes it to `benchmarks/results/threads.md`. The functions are
those of the examples, each called with its saved event; `--translator` adds a model folder for translation, such as
`benchmarks/translation.py` makes. A process loads one and calls it `--warm` times; the settings take turns.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import machine

from pilotlight import project
from pilotlight.local import process

EXAMPLES = Path(__file__).parents[1] / "examples"
FUNCTIONS = ("question_answering/qa", "captioning/caption", "clothing/clothing", "translation/translate")
SETTINGS = {
    "as ONNX Runtime has it": (),
    "sleep between runs": ("session.force_spinning_stop=1",),
}
TEXT = "bada gelo mipa tusi rova benu daki lomera sitovu nape"

TIMED = """
for number in range(warm + 2):
    started = time.perf_counter()
    answer()
    if number > 1:
        print(time.perf_counter() - started)
"""
START = """
import importlib.util, json, sys, time
from pilotlight.function import onnx
warm = int(sys.argv[1])
onnx.POOL = dict(each.split("=") for each in sys.argv[3:])
"""
FUNCTION = """
sys.path.insert(0, ".")
module = importlib.import_module("inference." + sys.argv[2])
event = json.load(open("events/" + sys.argv[2] + ".json"))
answer = lambda: module.handler(event, None)
"""
TRANSLATOR = f"""
from pilotlight.function.translate import Translator
translator = Translator(sys.argv[2])
answer = lambda: translator.translate(["{TEXT}"], beam=1)
"""


def run(
    script: str, folder: Path, name: str, settings: tuple[str, ...], warm: int, extra: dict[str, str]
) -> list[float]:
    """Seconds of each call in a fresh process."""
    command = [sys.executable, "-c", START + script + TIMED, str(warm), name, *settings]
    environ = {**machine.environ(), **extra}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{name}: {done.stderr}")
    return [float(line) for line in done.stdout.split()]


def of_function(name: str) -> tuple[str, Path, str, dict[str, str]]:
    folder = EXAMPLES / name.partition("/")[0]
    [function] = [each for each in project.load(folder).functions if each.name == name.rpartition("/")[2]]
    return FUNCTION, folder, function.name, process.deployed(function, "")


def measure(script: str, folder: Path, name: str, extra: dict[str, str], runs: int, warm: int) -> list[str]:
    taken: dict[str, list[float]] = {each: [] for each in SETTINGS}
    for number in range(runs + 1):  # the first is not counted
        for each, settings in SETTINGS.items():
            seconds = run(script, folder, name, settings, warm, extra)
            taken[each] += seconds if number else []
    usual = median(taken["as ONNX Runtime has it"])
    return [f"{machine.row(f'{name}, {each}', taken[each])} {usual / median(taken[each]):.2f} |" for each in SETTINGS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4, help="processes of each kind (default 4)")
    parser.add_argument("--warm", type=int, default=20, help="calls of each process (default 20)")
    parser.add_argument("--translator", type=Path, help="a model folder for translation")
    options = parser.parse_args()
    sides = [of_function(name) for name in FUNCTIONS]
    if options.translator:
        sides.append((TRANSLATOR, Path.cwd(), str(options.translator.resolve()), {}))
    rows = [row for side in sides for row in measure(*side, options.runs, options.warm)]
    lines = [
        "# The threads of ONNX Runtime between runs",
        "",
        "| | median ms | least | most | times as fast |",
        "|---|---|---|---|---|",
        *(
            row.replace(str(options.translator and options.translator.resolve()), "opus-mt's size, greedy")
            for row in rows
        ),
        "",
        f"A whole call of a warm function with its saved event, {options.runs} processes of {options.warm} calls each, "
        f"in turn, {len(os.sched_getaffinity(0))} threads in the pool.",
    ]
    machine.write("threads", lines, ("onnxruntime",))


if __name__ == "__main__":
    main()
