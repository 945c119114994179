"""What hostile pictures do to a served function, and what reading a picture costs beside running a model.

    python benchmarks/pictures.py [--count 1000] [--seed 1] [--runs 15]

1. Hostile and damaged pictures, the kinds of `pictures_hostile.py`, go one after the other to a real `pilotlight serve`
   with one environment. After every 25 a good picture is sent, whose answer tells the environment's process and its
   memory: the process has to stay the same, and the memory where it was.
2. A 12-megapixel photograph and one of 256 pixels, made of noise over slopes, are read and brought to a size as a
   classifier does it; so much processor time beside one run of MobileNetV2's and Xception's convolutions.

Needs the extras image and test. Prints a table and writes it to `benchmarks/results/pictures.md`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import httpx
import machine
import pictures_hostile
import pictures_models
from pictures_hostile import small
from PIL import Image as Pillow

from pilotlight.function.inputs import Image
from pilotlight.function.model import Model

LOOK = """
import os
from pilotlight import Image, endpoint

def memory() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) // 1024

@endpoint
def handler(image: Image) -> dict[str, object]:
    pixels = image.pixels(224, 224, "bilinear", "crop", resize=256)
    return {"format": image.format, "pixels": len(bytes(pixels)), "process": os.getpid(), "memory": memory()}
"""
SETTINGS = "[functions.look]\nmemory = 1769\ntimeout = 30\n"
EVERY = 25
GOOD = small.written(small.fields(), "JPEG")


class Answer(NamedTuple):
    kind: str
    status: int
    reason: str
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    lines = ["# Pictures", "", *hostile(options.count, options.seed), "", *shares(options.runs)]
    machine.write("pictures", lines, ("pillow", "onnxruntime"))


# hostile pictures


def hostile(count: int, seed: int) -> list[str]:
    answers: list[Answer] = []
    probes: list[dict[str, int]] = []
    with served() as client:
        for number, each in enumerate(pictures_hostile.made(count, seed)):
            if number % EVERY == 0:
                probes.append(probe(client))
            answers.append(sent(client, each))
        probes.append(probe(client))
    return told(answers, probes)


@contextmanager
def served() -> Iterator[httpx.Client]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "inference").mkdir()
        (Path(folder) / "inference" / "look.py").write_text(LOOK)
        (Path(folder) / "pilotlight.toml").write_text(SETTINGS)
        command = [sys.executable, "-m", "pilotlight", "serve", folder, "--port", "0", "--no-reload", "--json"]
        with open(os.devnull, "w") as nowhere:
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=nowhere, text=True, env=machine.environ())
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        drained = subprocess.Popen(["cat"], stdin=server.stdout, stdout=subprocess.DEVNULL)
        try:
            with httpx.Client(base_url=url, timeout=60) as client:
                yield client
        finally:
            server.terminate()
            server.wait(60)
            drained.wait(60)


def sent(client: httpx.Client, hostile: pictures_hostile.Hostile) -> Answer:
    began = time.perf_counter()
    answer = client.post("/look", content=hostile.content, headers={"content-type": "image/png"})
    seconds = time.perf_counter() - began
    problem = answer.json().get("errors", [{"reason": ""}])[0] if answer.status_code != 200 else {"reason": ""}
    return Answer(hostile.kind, answer.status_code, problem["reason"], seconds)


def probe(client: httpx.Client) -> dict[str, int]:
    answer = client.post("/look", content=GOOD, headers={"content-type": "image/jpeg"})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def told(answers: list[Answer], probes: list[dict[str, int]]) -> list[str]:
    statuses = sorted({answer.status for answer in answers})
    kinds = Counter(answer.kind for answer in answers)
    rows = [
        "| what was done | pictures | " + " | ".join(map(str, statuses)) + " | slowest, ms |",
        "|---|---|" + "---|" * (len(statuses) + 1),
    ]
    for kind in [*kinds, ""]:
        of_kind = [answer for answer in answers if answer.kind == kind or not kind]
        counts = [sum(answer.status == status for answer in of_kind) for status in statuses]
        slowest = max(answer.seconds for answer in of_kind) * 1000
        rows.append(f"| {kind or 'all'} | {len(of_kind)} | {' | '.join(map(str, counts))} | {slowest:.0f} |")
    unexplained = sum(400 <= answer.status < 500 and not answer.reason for answer in answers)
    memory = [each["memory"] for each in probes]
    settled = memory[len(memory) // 4 :]
    return [
        "## Hostile and damaged pictures",
        "",
        *rows,
        "",
        f"- Environments: {len({each['process'] for each in probes})}; one that crashed would have been replaced.",
        f"- Refused without a reason: {unexplained}. Answered with neither 200 nor 4xx: "
        f"{sum(answer.status != 200 and not 400 <= answer.status < 500 for answer in answers)}.",
        f"- Anonymous memory of the environment, MB: {memory[0]} at the first good picture, {settled[0]} after a "
        f"quarter of all, {memory[-1]} after the last, {max(memory)} at most.",
        "- 200 is right for a picture that can still be read: flipped bits in pixels, an end cut off that holds none.",
    ]


# the share of a request


def photograph(width: int, height: int) -> bytes:
    """A JPEG of about 0.3 bytes a pixel, as cameras write: noise of a few sizes over a slope."""
    sizes = [(width // scale, height // scale) for scale in (4, 8, 32)]
    layers = [Pillow.effect_noise(size, 60).resize((width, height)) for size in sizes]
    return small.written(Pillow.merge("RGB", layers), "JPEG", quality=90)


def shares(runs: int) -> list[str]:
    rows = [
        "## Reading a picture beside running a model",
        "",
        "Processor time of all threads, median. MobileNetV2-sized reads 224 x 224 (bilinear, crop), Xception-sized "
        "299 x 299 (nearest). A draft decodes a large JPEG at an eighth to a half of its size.",
        "",
        "| picture | model | reading, ms | of that decoding, ms | running, ms | share of reading |",
        "|---|---|---|---|---|---|",
    ]
    goals = []
    sizes = {"12 megapixels": (4_000, 3_000), "256 pixels": (256, 256)}
    with tempfile.TemporaryDirectory() as folder:
        models = pictures_models.made(Path(folder))
        for name, size in sizes.items():
            content = photograph(*size)
            for draft in (False, True) if name == "12 megapixels" else (False,):
                for model, settings in models.items():
                    title = f"{name}{', draft' if draft else ''}"
                    line, goal = row(title, model, content, settings, draft, runs)
                    rows.append(line)
                    goals.append(goal)
    return [*rows, "", *machine.targets(goals)]


def row(
    name: str, model: str, content: bytes, made: pictures_models.Made, draft: bool, runs: int
) -> tuple[str, tuple[str, str, bool]]:
    """A row of the table, and whether its target is met."""
    loaded = Model(made.file, threads=1)
    pixels = Image(content).pixels(**made.size, draft=draft)
    reading = spent(lambda: Image(content).pixels(**made.size, draft=draft), runs)
    decoding = spent(lambda: Image(content).open(), runs)
    running = spent(lambda: loaded.run({"pixels": pixels}), runs)
    shown = f"{decoding * 1000:.1f}" if not draft else ""
    share = reading / (reading + running)
    line = f"| {name} | {model} | {reading * 1000:.1f} | {shown} | {running * 1000:.1f} | {share:.0%} |"
    return line, (f"{name}, {model}: reading less than 10 % of a request", f"{share:.0%}", share < 0.1)


def spent(work: Callable[[], object], runs: int) -> float:
    work()
    times = []
    for _ in range(runs):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return median(times)


if __name__ == "__main__":
    main()
