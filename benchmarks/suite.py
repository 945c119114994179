"""The benchmarks of `run.py`: what each is called with, needs and takes, in the order in which they run.

A script is `NAME.py` and its page `results/NAME.md`. Minutes are those of two quiet processors, first installations
not included: they are for the time left, and five times as many are the limit.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Benchmark(NamedTuple):
    """`quick` takes the place of `arguments` where a short run is asked for.

    In either "{data}" is the folder of data, and "{shared}" one that all benchmarks of a run have.
    """

    name: str
    minutes: float
    quick: str = ""
    arguments: str = ""
    needs: tuple[str, ...] = ()


BENCHMARKS = (
    Benchmark("cold_start", 0.2, "--runs 3"),
    Benchmark("kim_cnn", 0.4, "--runs 2"),
    Benchmark("scale_out", 0.2, "--rounds 1"),
    Benchmark("wordpiece", 0.7, "--runs 2"),
    Benchmark("threads", 1, "--runs 1 --warm 5"),
    Benchmark("telemetry", 0.3, "--rounds 2"),
    Benchmark("memory_limit", 0.8, "--environments 2 --seconds 1"),
    Benchmark("cache", 1, "--rounds 1 --size 10"),
    Benchmark("profiles", 3, "--runs 2 --requests 10"),
    Benchmark("simulate", 3, "--seconds 5 --rounds 1"),
    Benchmark("tune", 4, "--runs 2"),
    Benchmark("throughput", 6.5, "--rounds 1 --seconds 1", needs=("wrk", "npm", "serving")),
    Benchmark("records", 4.5, "--rounds 1 --seconds 1 --requests 200", needs=("wrk", "dynalite")),
    Benchmark("faults", 3, "--quick"),
    Benchmark("fork_server", 4, "--work {shared} --runs 2", "--work {shared}"),
    Benchmark("readers", 7, "--work {shared} --runs 1 --dropped 1 --sizes minilm", "--work {shared}"),
    Benchmark("captioning", 2.5, "--runs 1 --warm 2"),
    Benchmark("translation", 4.5, "--runs 1 --warm 2"),
    Benchmark("vision", 6, "--runs 1 --models mobilenet_v2"),
    Benchmark("pictures", 1, "--count 50 --runs 2"),
    Benchmark("kim_cnn_table", 1.5, "--runs 1", needs=("dynalite",)),
    Benchmark("tables", 1.2, "--items 200 --rounds 1 --runs 1", needs=("dynalite",)),
    Benchmark("vectors", 4, "--dynamodb --runs 1 --sizes 10000", "--dynamodb --runs 3", needs=("dynalite",)),
    Benchmark("playground", 0.8, "--runs 1", needs=("chromium",)),
    Benchmark("records_page", 4, "--records 20000 --rounds 1"),
    Benchmark("build", 2, "--runs 1"),
    Benchmark("container_start", 3, "--runs 1", needs=("root", "containers")),
    Benchmark("accuracy", 1.5, "--data {data} --only sentiment", "--data {data}", needs=("data",)),
    Benchmark("real_models", 0.2, "--data {data}", "--data {data}", needs=("data", "tflite")),
)


def _program(*names: str) -> str:
    missing = [name for name in names if not shutil.which(name)]
    return f"{', '.join(missing)}: not on the PATH (apt install)" if missing else ""


def _file(path: str, made_by: str) -> str:
    return "" if (ROOT / path).exists() else f"{path} is not there: `{made_by}` makes it"


def _data(folder: Path | None, part: str) -> str:
    if folder is None:
        return "it wants data that is not in this repository: --data DIR, see the script's --help"
    return "" if (folder / part).exists() else f"the folder of --data has no {part}"


NEEDS: dict[str, Callable[[Path | None], str]] = {
    "wrk": lambda _: _program("wrk"),
    "npm": lambda _: _program("npm", "node"),
    "chromium": lambda _: _program("chromium"),
    "containers": lambda _: _program("podman", "runc", "debootstrap"),
    "dynalite": lambda _: _file("tests/dynalite/installed", "make tests/dynalite/installed") or _program("node"),
    "serving": lambda _: _file(".venv/installed", "make .venv/installed"),
    "root": lambda _: "" if os.geteuid() == 0 else "containers need root here",
    "data": lambda data: _data(data, "."),
    "tflite": lambda data: _data(data, "tflite"),
}


def wanting(benchmark: Benchmark, data: Path | None) -> str:
    """Why it cannot run here, in one line; "" when it can."""
    if not (ROOT / "benchmarks" / f"{benchmark.name}.py").exists():
        return f"benchmarks/{benchmark.name}.py is not there"
    return next(filter(None, (NEEDS[need](data) for need in benchmark.needs)), "")
