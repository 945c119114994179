"""How well the shipped models answer: each example's own evaluation, on data that this repository does not have.

    python benchmarks/accuracy.py --data DIR [--only NAME ...]

DIR has `squad/squad-v1.1-dev.json` (github.com/rajpurkar/SQuAD-explorer), `sentences/trees/dev.txt`
(nlp.stanford.edu/sentiment), `trecqa/raw-dev` (github.com/castorini/SM-CNN-Torch), `wikiqa/dev`
(github.com/castorini/data), `clothing/validation` (github.com/alexeygrigorev/clothing-dataset-small), `captions`
(UCM-Captions, github.com/201528014227051/RSICD_optimal) and `zh-en/pairs.tsv` (Tatoeba's pairs, tatoeba.org). Needs the
extra `train`. A model whose data is not there is not run, and the page says so. The evaluations are those that the
examples' READMEs name, one process each. Prints a table and writes it to `benchmarks/results/accuracy.md`.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import machine

EXAMPLES = machine.ROOT / "examples"

Rows = list[tuple[str, str, str]]  # model, measure, value


class Evaluation(NamedTuple):
    """`arguments` follow `python -m` in the example's folder; "{data}" is DIR. `read` makes rows of what is printed."""

    example: str
    data: str
    arguments: str
    read: Callable[[str], Rows]


def squad(printed: str) -> Rows:
    found = json.loads(printed)
    return [("qa", name.replace("_", " "), f"{value:.1f}") for name, value in found.items() if isinstance(value, float)]


def sentiment(printed: str) -> Rows:
    [share] = re.findall(r"right, ([\d.]+)%", printed)
    return [("kim_cnn", "right", f"{float(share):.1f} %")]


def ranking(printed: str) -> Rows:
    rows, folder = [], Path()
    for line in printed.splitlines():
        if found := re.fullmatch(r"  this model, (\w+): MAP ([\d.]+), MRR ([\d.]+) .+", line):
            kind, precision, rank = found.groups()
            measure = f"{folder.parent.name}/{folder.name}, {kind}: MAP, MRR"
            rows.append(("sm_cnn", measure, f"{float(precision):.3f}, {float(rank):.3f}"))
        elif not line.startswith(" "):
            folder = Path(line)
    return rows


def clothes(printed: str) -> Rows:
    found = re.findall(r"^models/(\w+): .*?([\d.]+) ?%", printed, re.M)
    return [(model, "right", f"{float(share):.1f} %") for model, share in found]


def captions(printed: str) -> Rows:
    rows = re.findall(r"^\| (\d) \| (.+) \|$", printed, re.M)
    scores = [(beam, enumerate(each.split(" | "), 1)) for beam, each in rows]
    return [("captioning", f"beam {beam}, BLEU-{longest}", score) for beam, each in scores for longest, score in each]


def translations(printed: str) -> Rows:
    rows = re.findall(r"^\| [^|]+ \| (\d) \| ([\d.]+) \| ([\d.]+) \|", printed, re.M)
    measures = [(beam, (("BLEU", bleu), ("chrF", chrf))) for beam, bleu, chrf in rows]
    return [("", f"beam {beam}, {name}", value) for beam, each in measures for name, value in each]


EVALUATIONS = {
    "squad": Evaluation("question_answering", "squad", "train.evaluate --data {data}/squad", squad),
    "sentiment": Evaluation(
        "sentences", "sentences/trees", "train.kim_cnn.evaluate {data}/sentences/trees/dev.txt", sentiment
    ),
    "ranking": Evaluation(
        "sentences", "trecqa", "train.sm_cnn.evaluate {data}/trecqa/raw-dev {data}/wikiqa/dev", ranking
    ),
    "clothes": Evaluation(
        "clothing",
        "clothing/validation",
        "train.evaluate {data}/clothing/validation --model models/clothing --model models/clothing_tflite",
        clothes,
    ),
    "captions": Evaluation("captioning", "captions", "train.evaluate --data {data}/captions", captions),
    "en-zh": Evaluation(
        "translation", "zh-en", "train.evaluate en-zh --data {data}/zh-en --model models/en-zh --words 0", translations
    ),
    "zh-en": Evaluation(
        "translation", "zh-en", "train.evaluate zh-en --data {data}/zh-en --model models/zh-en --words 0", translations
    ),
}


def evaluated(each: Evaluation, data: Path) -> Rows:
    command = [sys.executable, "-m", *each.arguments.format(data=data).split()]
    folder = EXAMPLES / each.example
    environ = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{folder / 'inference'}"}
    return each.read(
        subprocess.run(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True, check=True).stdout
    )


def table(names: list[str], data: Path) -> Iterator[str]:
    yield from (
        "# How well the shipped models answer",
        "",
        "| model | measured on | measure | value |",
        "|---|---|---|---|",
    )
    for name in names:
        each = EVALUATIONS[name]
        print(f"{name} ...", file=sys.stderr, flush=True)
        there = (data / each.data).exists()
        rows = evaluated(each, data) if there else [("", "", f"not run: DIR has no {each.data}")]
        for model, measure, value in rows:
            yield f"| models/{model or name} | {each.data} | {measure} | {value} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with the data named above")
    parser.add_argument("--only", nargs="+", choices=EVALUATIONS, help="these alone; writes no page")
    options = parser.parse_args()
    lines = [*table(options.only or list(EVALUATIONS), options.data.resolve())]
    if options.only:
        print("\n".join(lines))
    else:
        machine.write("accuracy", lines, ("onnxruntime", "ai-edge-litert", "numpy", "sacrebleu"))


if __name__ == "__main__":
    main()
