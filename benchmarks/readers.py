"""Readers of three sizes: cold start, warm latency, memory and disk against transformers and torch, in one run.

    python benchmarks/readers.py [--runs 5] [--sizes minilm distilbert bert-base] [--all]

needs the extra `optimize` and makes the exporters' environment when it is not there. The weights are random, of true
size; both sides read the same ones. Ours is the handler of a service: JSON event, decoding, tokenizer, windows, run,
spans, encoding. Theirs is what the demonstrations do. A probe without product code shows the floor. The sides take
turns, so what else the machine does hits all. Prints tables and writes them to `benchmarks/results/readers.md`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

import machine

from pilotlight.cli.progress import Lines
from pilotlight.function.ort import find_library
from pilotlight.optimize import environment

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "examples" / "question_answering"
SIZES = ("minilm", "distilbert", "bert-base")
TOKENS = (128, 384)
ENVIRONMENTS = (1, 2, 4)
WARM = 40

QUESTION = "where did the people of the city go in the summer ?"  # 12 words that are one token each
VOCABULARY = EXAMPLE / "models" / "qa" / "vocab.txt"
SERVICE = """
from pilotlight import endpoint
from pilotlight.function.text import Answer, Reader

reader = Reader("model")


@endpoint
def handler(question: str, context: str) -> Answer:
    return reader.answer(question, context)
"""


class Side(NamedTuple):
    """How one side is started, and which files its start reads."""

    name: str
    command: list[str]
    folder: Path
    files: tuple[Path, ...]


class Measured(NamedTuple):
    cold: list[float]
    """Seconds from the start of the process to its first answer."""
    dropped: list[float]
    """The same with the files dropped from the page cache before."""
    warm: list[float]
    """Seconds of one answer in a process that has answered before."""
    pss: list[float]
    """MB of all processes together, for each of ENVIRONMENTS."""


class Target(NamedTuple):
    """What a size has to reach with so many tokens: at least `bound`, or at most where `at_least` is False."""

    title: str
    size: str
    tokens: int
    value: Callable[[Measured, Measured, Measured], float]
    """Of ours, theirs and the probe."""
    bound: float
    at_least: bool


def cold_ms(ours: Measured, theirs: Measured, probe: Measured) -> float:
    return median(ours.cold) * 1000


def cold_ratio(ours: Measured, theirs: Measured, probe: Measured) -> float:
    return median(theirs.cold) / median(ours.cold)


def over_probe(ours: Measured, theirs: Measured, probe: Measured) -> float:
    return median(ours.cold) / median(probe.cold)


def warm_ratio(ours: Measured, theirs: Measured, probe: Measured) -> float:
    return median(theirs.warm) / median(ours.warm)


def fourth(ours: Measured, theirs: Measured, probe: Measured) -> float:
    """MB that the fourth environment adds."""
    two, four = ours.pss[-2:]
    return (four - two) / 2


TARGETS = (
    Target("MiniLM, 128: cold start at most 110 ms", "minilm", 128, cold_ms, 110, False),
    Target("MiniLM, 128: cold start at most 1.4 times the probe's", "minilm", 128, over_probe, 1.4, False),
    Target("MiniLM, 128: cold start at least 40 times faster", "minilm", 128, cold_ratio, 40, True),
    Target("DistilBERT, 384: cold start at least 35 times faster", "distilbert", 384, cold_ratio, 35, True),
    Target("BERT-base, 128: cold start at most 180 ms", "bert-base", 128, cold_ms, 180, False),
    Target("BERT-base, 128: cold start at least 32 times faster", "bert-base", 128, cold_ratio, 32, True),
    Target("BERT-base, 128: warm at least 5 times faster", "bert-base", 128, warm_ratio, 5, True),
    Target("BERT-base, 128: the fourth environment adds at most 45 MB", "bert-base", 128, fourth, 45, False),
)


def reached(measured: dict[tuple[str, int], dict[str, Measured]]) -> Iterator[tuple[str, str, bool]]:
    """The targets of the sizes that were measured, each with what was found."""
    for target in TARGETS:
        if sides := measured.get((target.size, target.tokens)):
            value = target.value(*sides.values())
            met = value >= target.bound if target.at_least else value <= target.bound
            digits = 0 if value >= 100 else 1 if value >= 10 else 2
            yield target.title, f"{value:.{digits}f}", met


def request(tokens: int) -> str:
    """A question with a context that are `tokens` tokens together, with [CLS] and two [SEP], as a line of JSON."""
    length = tokens - 3 - len(QUESTION.split())
    common = VOCABULARY.read_text(encoding="utf-8").split()[2100:]
    words = [word for word in common if word.isalpha() and word.isascii()][:length]
    return json.dumps({"question": QUESTION, "context": " ".join(words)}) + "\n"


@contextmanager
def started(side: Side, line: str) -> Iterator[subprocess.Popen[str]]:
    """A process of `side` that has answered one request; stopped at the end."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(side.command, cwd=side.folder, text=True, env=machine.environ(), **pipes) as process:
        try:
            ask(process, line, side.name)
            yield process
        finally:
            process.kill()


def ask(process: subprocess.Popen[str], line: str, name: str) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line)
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        sys.exit(f"{name} ended without an answer")
    return json.loads(answer) if answer.strip() else {}


def cold(side: Side, line: str) -> float:
    begun = time.perf_counter()
    with started(side, line):
        return time.perf_counter() - begun


def drop(paths: Sequence[Path]) -> None:
    """Have the kernel forget the pages of these files and folders."""
    for path in paths:
        for file in path.rglob("*") if path.is_dir() else (path,):
            if file.is_file():
                descriptor = os.open(file, os.O_RDONLY)
                os.fdatasync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(descriptor)


def warm(side: Side, line: str) -> list[float]:
    with started(side, line) as process:
        times = [float(ask(process, line, side.name)["seconds"]) for _ in range(WARM + 5)]
    return times[5:]


def pss(side: Side, line: str, count: int) -> float:
    """MB of `count` processes that have all answered: each page divided by the processes that share it."""
    if not count:
        return 0.0
    with started(side, line) as process:
        below = pss_of(side, line, count - 1, [process])
    return below


def pss_of(side: Side, line: str, more: int, processes: list[subprocess.Popen[str]]) -> float:
    if not more:
        return sum(map(resident, processes))
    with started(side, line) as process:
        return pss_of(side, line, more - 1, [*processes, process])


def resident(process: subprocess.Popen[str]) -> float:
    lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000


def measure(sides: Sequence[Side], tokens: int, runs: int, dropped: int) -> dict[str, Measured]:
    """All sides in turn; one unmeasured start of each goes first."""
    line = request(tokens)
    for side in sides:
        cold(side, line)
    found = {side.name: Measured([], [], [], []) for side in sides}
    for _ in range(runs):
        for side in sides:
            found[side.name].cold.append(cold(side, line))
    for _ in range(dropped):
        for side in sides:
            drop(side.files)
            found[side.name].dropped.append(cold(side, line))
    for side in sides[:2]:
        found[side.name].warm.extend(warm(side, line))
        found[side.name].pss.extend(pss(side, line, count) for count in ENVIRONMENTS)
    return found


def optimized(folder: Path, out: Path) -> dict[str, Any]:
    """What `pilotlight optimize` makes of a reader; random weights have no answers to agree on, so none is asked."""
    options = ["--task", "question-answering", "--precision", "int8", "--min-agreement", "0", "--out", str(out)]
    command = [sys.executable, "-m", "pilotlight", "optimize", str(folder), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return json.loads((out / "report.json").read_text(encoding="utf-8"))


def sides(size: str, work: Path, exporter: Path, tokens: int) -> tuple[Side, Side, Side]:
    """Ours, theirs and the probe for one size, made below `work` where they are not there yet."""
    theirs, service = work / size, work / f"{size}-service"
    if not service.exists():
        make = [str(exporter), str(HERE / "readers_make.py"), size, str(VOCABULARY)]
        subprocess.run([*make, str(theirs)], check=True)
        (service / "inference").mkdir(parents=True)
        (service / "inference" / "qa.py").write_text(SERVICE, encoding="utf-8")
        optimized(theirs, service / "model")
    inputs = ["input_ids", "attention_mask", *(["token_type_ids"] if size != "distilbert" else [])]
    naive = [str(exporter), str(HERE / "readers_naive.py"), str(theirs)]
    library, model = find_library(), service / "model" / "model.onnx"
    probe = [sys.executable, "-S", "-E", str(HERE / "readers_probe.py"), library, str(model), str(tokens), *inputs]
    python = Path(os.path.realpath(sys.executable)).parents[1] / "lib"
    packages = next((exporter.parents[1] / "lib").glob("python*/site-packages"))
    return (
        Side("Pilotlight", [sys.executable, str(HERE / "readers_ours.py")], service, (service, Path(library), python)),
        Side("transformers, torch", naive, work, (theirs, packages, python)),
        Side("probe", probe, service, (service, Path(library), python)),
    )


def ms(seconds: Sequence[float], share: int = 50) -> str:
    """A percentile in milliseconds."""
    value = median(seconds) if share == 50 else quantiles(seconds, n=100)[share - 1]
    return f"{value * 1000:,.1f}" if value < 0.1 else f"{value * 1000:,.0f}"


def rows(size: str, tokens: int, found: dict[str, Measured]) -> Iterator[str]:
    ours, theirs, probe = found.values()
    for name, one in found.items():
        times = f"{ms(one.cold)} | {ms(one.dropped)}"
        rest = (
            f"{ms(one.warm)} | {ms(one.warm, 95)} | " + " / ".join(f"{mb:.0f}" for mb in one.pss) if one.warm else "| |"
        )
        yield f"| {size}, {tokens} | {name} | {times} | {rest} |"
    ratio = [median(getattr(theirs, kind)) / median(getattr(ours, kind)) for kind in ("cold", "dropped", "warm")]
    over = median(ours.cold) / median(probe.cold)
    ratios = " | ".join(f"**{one:.1f}**" for one in ratio)
    yield f"| | theirs / ours | {ratios} | | cold ours / probe {over:.2f} |"


def megabytes(path: Path) -> float:
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file() and not file.is_symlink()) / 1e6


def disk(all_sides: dict[str, tuple[Side, Side, Side]]) -> Iterator[str]:
    """Bytes on disk: what answers, and its weights."""
    product = megabytes(HERE.parent / "src" / "pilotlight" / "function")
    library = megabytes(Path(find_library()))
    yield from (
        "",
        "| MB on disk | Pilotlight: code, library, model | transformers and torch, model |",
        "|---|---|---|",
    )
    for size, (ours, theirs, _) in all_sides.items():
        model = megabytes(ours.folder / "model")
        packages, weights = megabytes(theirs.files[1]), megabytes(theirs.files[0])
        yield f"| {size} | {product:.1f} + {library:.1f} + {model:.1f} | {packages:,.0f} + {weights:.0f} |"


def cases(options: argparse.Namespace) -> list[tuple[str, int]]:
    """Sizes and numbers of tokens to measure."""
    wanted = {(target.size, target.tokens) for target in TARGETS}
    pairs = [(size, tokens) for size in options.sizes for tokens in TOKENS]
    return [pair for pair in pairs if options.all or pair in wanted]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="cold starts of each side (default 5)")
    parser.add_argument("--dropped", type=int, default=2, help="those with nothing in the page cache (default 2)")
    parser.add_argument("--all", action="store_true", help="every size with every length, not only those with a target")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES)
    parser.add_argument("--work", type=Path, help="folder to keep the models in (default: a temporary one)")
    options = parser.parse_args()
    exporter = environment.python("torch", Lines())
    work = options.work or Path(tempfile.mkdtemp(prefix="readers-"))
    table = [
        "| model, tokens | | cold ms | disk-cold ms | warm p50 ms | p95 | PSS MB, 1 / 2 / 4 environments |",
        "|---|---|---|---|---|---|---|",
    ]
    every, measured = {}, {}
    for size, tokens in cases(options):
        print(f"{size}, {tokens} tokens", file=sys.stderr, flush=True)
        every[size] = sides(size, work, exporter, tokens)
        found = measured[size, tokens] = measure(every[size], tokens, options.runs, options.dropped)
        table += rows(size, tokens, found)
    lines = [
        "# Readers: cold start, warm latency, memory",
        "",
        *machine.targets(reached(measured)),
        '"Faster" is than transformers with torch, in the table below.',
        "",
        *table,
        *disk(every),
    ]
    machine.write("readers", lines, ("onnxruntime",))
    if not options.work:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
