"""A cold Kim CNN whose word vectors are in DynamoDB: the sentences example against two handlers with boto3.

    python benchmarks/kim_cnn_table.py [--runs 15]

needs the extras `onnx` and `train`, and dynalite: `make tests/dynalite/installed`. It is one process on this machine,
which shares the processors with the functions. All three have the same weights, the same vectors and the same
tokenizer, are run by the same runtime loop, and read the same sentence in turn:

- ours: `models/kim_cnn_static`, vectors as half floats, as `pilotlight vectors upload` stores them;
- boto3 and torch, vectors as lists of numbers: the demonstrations' way;
- boto3, numpy and ONNX Runtime's Python module, the model and the items of ours.

Prints a table and writes it to `benchmarks/results/kim_cnn_table.md`.
"""

import argparse
import asyncio
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import machine

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import onnx
import torch
from onnx import numpy_helper

from dynamodb_stores import ENVIRON, dynalite, make_table
from pilotlight import project
from pilotlight.function.items import Item
from pilotlight.function.table import connect_uri
from pilotlight.local.pool import Pool
from pilotlight.project import Function
from pilotlight.values import Call
from pilotlight.vectors import source
from pilotlight.vectors.source import Entry

HERE = Path(__file__).parent
SERVICE = HERE.parent / "examples" / "sentences"
EVENT = (SERVICE / "events" / "kim_cnn.json").read_bytes()
MODEL = "models/kim_cnn_static"
SIDES = {
    "kim_cnn": "Pilotlight, ONNX Runtime's C library",
    "of_onnxruntime": "boto3, numpy, ONNX Runtime's Python module",
    "of_torch": "boto3, torch",
}


def make_service(folder: Path) -> dict[str, Function]:
    """One service with all three: the example's function as it is, its model, and the same weights for torch."""
    shutil.copytree(HERE / "kim_cnn_table_functions", folder, dirs_exist_ok=True)
    for name in ("tokens.py", "embedding.py", "inference/kim_cnn.py"):
        shutil.copyfile(SERVICE / name, folder / name)
    shutil.copytree(SERVICE / MODEL, folder / MODEL)
    stored = onnx.load(folder / MODEL / "model.onnx").graph.initializer
    weights = {each.name: torch.from_numpy(numpy_helper.to_array(each).astype("float32")) for each in stored}
    torch.save(weights, folder / MODEL / "kim_cnn.pt")
    return {function.name: function for function in project.load(folder).functions}


def fill(url: str, file: Path) -> int:
    """Put the vectors of `models/kim_cnn` into the table `vectors`, and as lists of the same numbers into `lists`.

    Returns how many they are.
    """
    python = (sys.executable, "-m")
    subprocess.run([*python, "train.kim_cnn.words", "--out", str(file)], cwd=SERVICE, check=True)
    for name in ("vectors", "lists"):
        make_table(url, name, "word")
    upload = [*python, "pilotlight", "vectors", "upload", str(file), "--table", "dynamodb://vectors?key=word"]
    subprocess.run(upload, check=True, env={**os.environ, "PILOTLIGHT_CACHE": str(file.parent)})
    entries = list(source.entries(file, source.survey(file), lambda problem: sys.exit(problem.text)))
    connect_uri("dynamodb://lists?key=word").put(map(listed, entries))
    return len(entries)


def listed(entry: Entry) -> Item:
    """A list of the numbers that the half floats are, with the 6 digits that text files of vectors have."""
    size = len(entry.vector)
    halves = struct.unpack(f"<{size}e", struct.pack(f"<{size}e", *entry.vector))
    return {"word": entry.word, "vector": [float(f"{number:.6g}") for number in halves]}


async def cold(function: Function) -> tuple[float, list[float]]:
    """Seconds from nothing to the answer, and its logits."""
    pool = Pool(lambda key, line: print(line, file=sys.stderr), 10_000)
    await pool.host.launcher()  # as in a server that has started
    pool.deploy([function])
    began = time.perf_counter()
    result = await pool(Call(function.key, EVENT))
    taken = time.perf_counter() - began
    await pool.close()
    if result.error:
        sys.exit(f"{function.name} answered {result.payload!r}")
    return taken, json.loads(result.payload)["output"]


def measure(functions: dict[str, Function], runs: int) -> tuple[dict[str, list[float]], float]:
    """Times of each in turn, and how far logits are apart at most; the first, unmeasured run compiles."""
    times: dict[str, list[float]] = {name: [] for name in SIDES}
    furthest = 0.0
    for number in range(runs + 1):
        answers = {name: asyncio.run(cold(functions[name])) for name in SIDES}
        furthest = max(furthest, *(apart(answers["kim_cnn"][1], logits) for _, logits in answers.values()))
        for name, (taken, _) in answers.items():
            times[name] += [taken] if number else []
    return times, furthest


def apart(ours: list[float], theirs: list[float]) -> float:
    """How far the logits are apart; ends the benchmark when the two do not say the same."""
    most = max(abs(one - other) for one, other in zip(ours, theirs, strict=True))
    if most > 0.001:
        sys.exit(f"the answers differ: {ours} and {theirs}")
    return most


def table(times: dict[str, list[float]], furthest: float, words: int) -> list[str]:
    ours = median(times["kim_cnn"])
    runs = len(times["kim_cnn"])
    ratios = {name: median(taken) / ours for name, taken in times.items()}
    return [
        "# Kim CNN with word vectors in DynamoDB: process start to first answer",
        "",
        "| | vectors are | median ms | least | most |",
        "|---|---|---|---|---|",
        machine.row(f"{SIDES['kim_cnn']} | half floats", times["kim_cnn"]),
        machine.row(f"{SIDES['of_onnxruntime']} | half floats", times["of_onnxruntime"]),
        machine.row(f"{SIDES['of_torch']} | lists of numbers", times["of_torch"]),
        "",
        f"Ratios of the medians: **{ratios['of_onnxruntime']:.1f}** with ONNX Runtime's module, "
        f"**{ratios['of_torch']:.1f}** with torch.",
        "",
        f"{runs} environments of each, in turn, by the same runtime loop, page cache warm. The same sentence, logits "
        f"at most {furthest:.1e} apart. The table is dynalite 4.0.0 on the same machine, with {words:,} words.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15, help="environments of each kind (default 15)")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what ships to Lambda is compiled
    with dynalite() as url, tempfile.TemporaryDirectory() as name:
        os.environ.update({**ENVIRON, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL_DYNAMODB": url})
        words = fill(url, Path(name) / "vectors.txt")
        functions = make_service(Path(name) / "service")
        lines = table(*measure(functions, options.runs), words)
    machine.write("kim_cnn_table", lines, ("onnxruntime", "boto3", "numpy", "torch"))


if __name__ == "__main__":
    main()
