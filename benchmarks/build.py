"""How large a package is, how long a build takes, and whether two builds are the same: results/build.md.

    python benchmarks/build.py [--runs 5] [--python PATH]

The question-answering service, copied into folders of its own, is built by the command as its users run it. What torch
with transformers would take is read from the lists of files of their wheels, as installed beside this script
(`.venv-train`); the model is counted as the one in the package, though torch would load weights four times as large.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from statistics import median

import machine
from packaging.requirements import Requirement

from pilotlight import limits, project
from pilotlight.bundle import build, zipped
from pilotlight.bundle.target import Target

SERVICE = Path(__file__).parents[1] / "examples" / "question_answering"
BERT_BASE_INT8 = 110_000_000  # bytes: 110 million weights


def copy(folder: Path) -> Path:
    return Path(shutil.copytree(SERVICE, folder, ignore=shutil.ignore_patterns("data", "run", "*.pt", ".pilotlight")))


def built(service: Path, cache: Path, python: str, package: str = "auto") -> tuple[dict[str, object], float]:
    """The record of one build, and its seconds."""
    command = [sys.executable, "-m", "pilotlight", "build", "qa", "--dir", str(service), "--json", "--package", package]
    command += ["--python", python] if python else []
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PILOTLIGHT_CACHE": str(cache)})
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        raise SystemExit(done.stdout + done.stderr)
    record: dict[str, object] = json.loads(done.stdout)
    return record, seconds


def image(service: Path, cache: Path, python: str) -> str:
    """The digest of the service's image, upon an empty base: one from a registry has its own digest everywhere."""
    settings = service / "pilotlight.toml"
    settings.write_text(f'{settings.read_text()}\n[build]\nbase_image = "scratch"\n')
    artifact = built(service, cache, python, "image")[0]["artifact"]
    assert isinstance(artifact, dict)
    return str(artifact["digest"])


def same(one: object, other: object) -> str:
    return "the same bytes" if one == other else "DIFFERENT bytes"


def changed(service: Path, cache: Path, python: str, number: int) -> float:
    file = service / "inference" / "qa.py"
    file.write_text(f"{file.read_text()}\nCHANGE = {number}\n")
    return built(service, cache, python)[1]


def closure(names: Iterable[str]) -> set[str]:
    """Those distributions and all that they need here, as far as it is installed."""
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = re.sub("[-_.]+", "-", todo.pop()).lower()
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        if name not in found:
            found.add(name)
            wanted = map(Requirement, needs)
            todo += [each.name for each in wanted if not each.marker or each.marker.evaluate({"extra": ""})]
    return found


def unpacked(names: Iterable[str]) -> int:
    """Bytes of the files that the wheels list; compiled modules, which pip adds, have no size there."""
    return sum(file.size or 0 for name in names for file in distribution(name).files or ())


def bert_base(folder: Path, cache: Path, python: str) -> tuple[int, int]:
    """Bytes unpacked and zipped of the same service with weights as large as BERT-base's in int8."""
    service = copy(folder)
    (service / "models/qa/model.onnx.data").write_bytes(os.urandom(BERT_BASE_INT8))
    loaded = project.load(service)
    [function] = [each for each in loaded.functions if each.name == "qa"]
    package = build.pack(build.plan(function, Target()), loaded.build, cache / "build", python, lambda text: None)
    return package.size, zipped.write(package.parts, folder / "out.zip").size


def mb(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--python", default="", help="the target's interpreter, where it is not on PATH")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as room:
        folder, cache = Path(room), Path(room) / "cache"
        one, other = copy(folder / "one" / "qa"), copy(folder / "other" / "qa")
        record, first = built(one, cache, options.python)
        again, _ = built(other, folder / "another cache", options.python)
        warm = [built(one, cache, options.python)[1] for _ in range(options.runs)]
        code = [changed(one, cache, options.python, number) for number in range(options.runs)]
        whole, packed = bert_base(folder / "bert", cache, options.python)
        images = [
            image(copy(folder / name / "qa"), folder / f"cache of {name}", options.python)
            for name in ("third", "fourth")
        ]
    artifact, twin = record["artifact"], again["artifact"]
    assert isinstance(artifact, dict)
    assert isinstance(twin, dict)
    checks = record["checks"]
    assert isinstance(checks, list)
    not_run = [each["name"] for each in checks if each["status"] == "not run"]
    naive = closure(["torch", "transformers"])
    zipped = int(artifact["size"])
    goals = [("question answering as a zip: at most 45 MB", mb(zipped), zipped <= 45_000_000)]
    lines = [
        "# Builds",
        "",
        f"{options.runs} runs, medians; {record['target']}.",
        f"Not run: {', '.join(not_run) or 'no check'}.",
        "",
        "| package | unpacked | zipped |",
        "|---|---|---|",
        f"| question answering | {mb(artifact['unpacked'])} | {mb(artifact['size'])} |",
        f"| the same with {mb(BERT_BASE_INT8)} of weights, as BERT-base in int8 | {mb(whole)} | {mb(packed)} |",
        f"| limit of a zip | {mb(limits.ZIP_UNZIPPED)} | |",
    ]
    if "torch" in naive:
        model = sum(row["size"] for row in record["contents"] if row["part"] == "model")  # type: ignore[attr-defined]
        size, version = unpacked(naive) + model, distribution("torch").version
        ratio = size / artifact["unpacked"]
        lines.append(
            f"| torch {version}, transformers, what they need, and the same model | {mb(size)} ({ratio:.1f} x) | |"
        )
    lines += [
        "",
        *machine.targets(goals),
        "| build of one function, proven | seconds |",
        "|---|---|",
        f"| first, wheels from the index or uv's cache | {first:.2f} |",
        f"| nothing changed | {median(warm):.2f} |",
        f"| code changed | {median(code):.2f} |",
        "",
        f"Two folders, two caches: zips have {same(artifact['digest'], twin['digest'])}, images {same(*images)}.",
    ]
    machine.write("build", lines, ("uv", "onnxruntime", "torch", "transformers"))


if __name__ == "__main__":
    main()
