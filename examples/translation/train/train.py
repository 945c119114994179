"""Train a translator of one direction from pairs of sentences, as a checkpoint that transformers and Pilotlight read.

    python -m train.train en-zh --data DIR --out checkpoints/en-zh
    pilotlight optimize checkpoints/en-zh --task translation --samples checkpoints/en-zh/samples.jsonl \\
        --out models/en-zh

DIR holds `pairs.tsv` and, to learn single words too, `hsk.json` (see `train/data.py`). A twentieth of the pairs chooses
the epoch: the one whose translations (greedy) have the highest chrF. Another twentieth takes no part in any choice and
is measured by `train.evaluate`, on the exported files.

The same arguments give the same weights on the same machine, also when a run was broken off and resumed, and a run of
fewer epochs is the beginning of a run of more.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from train import data, network, pieces, runs, scores
from train.batches import Batches
from train.runs import Run, say
from transformers import MarianMTModel, MarianTokenizer

_SAMPLES = 100  # sentences


def translations(model: MarianMTModel, tokenizer: MarianTokenizer, texts: Sequence[str], beam: int = 1) -> list[str]:
    """What the network says for each text."""
    found: list[str] = []
    for some in data.in_parts(texts, 256):
        inputs = tokenizer(some, return_tensors="pt", padding=True, truncation=True)
        said = model.generate(**inputs, num_beams=beam, max_length=64)
        found += tokenizer.batch_decode(said, skip_special_tokens=True)
    return found


def score(model: MarianMTModel, tokenizer: MarianTokenizer, wanted: Mapping[str, Sequence[str]]) -> float:
    """chrF in percent of greedy translations."""
    return scores.chrf(translations(model, tokenizer, list(wanted)), list(wanted.values()))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes, known = network.Sizes(), pieces.Sizes()
    parser.add_argument("direction", choices=data.DIRECTIONS)
    parser.add_argument("--data", type=Path, required=True, help="folder with pairs.tsv and perhaps hsk.json")
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint folder to write")
    parser.add_argument("--share", type=float, default=0.05, help="of the pairs, for each of two parts kept apart")
    parser.add_argument("--pieces", type=int, nargs=2, default=known, metavar=("EN", "ZH"), help=f"default {known}")
    parser.add_argument("--width", type=int, default=sizes.width, help=f"default {sizes.width}")
    parser.add_argument("--inner", type=int, default=sizes.inner, help=f"of the feed-forward layers ({sizes.inner})")
    parser.add_argument("--heads", type=int, default=sizes.heads, help=f"default {sizes.heads}")
    parser.add_argument("--layers", type=int, nargs=2, default=sizes[3:5], metavar=("ENCODER", "DECODER"))
    parser.add_argument("--dropout", type=float, default=sizes.dropout, help=f"default {sizes.dropout}")
    parser.add_argument("--epochs", type=int, default=40, help="at most (default 40)")
    parser.add_argument("--patience", type=int, default=10, help="epochs without gain before stopping (default 10)")
    parser.add_argument("--batch", type=int, default=2000, help="pieces of both sides, padding counted (default 2000)")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="highest step size (default 0.0015)")
    parser.add_argument("--warmup", type=int, default=800, help="steps until the highest (default 800)")
    parser.add_argument(
        "--average", type=float, default=0.998, help="of the moving average of the weights (default 0.998)"
    )
    parser.add_argument("--smoothing", type=float, default=0.1, help="of the labels (default 0.1)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoint", type=Path, help="file to save each epoch to, and to resume from if it is there")
    return parser.parse_args()


def settings(options: argparse.Namespace) -> runs.Settings:
    """What the weights after an epoch depend on."""
    free = ("data", "out", "threads", "checkpoint", "patience", "epochs")
    return {name: str(value) for name, value in vars(options).items() if name not in free}


class Task(NamedTuple):
    """What there is to learn, and the pieces that it is said in: the first `targets` are of the target language."""

    parts: data.Parts
    words: Sequence[data.Pair]
    development: Mapping[str, Sequence[str]]
    numbers: dict[str, int]
    targets: int


def prepared(options: argparse.Namespace) -> Task:
    """The task, and the tokeniser's files written for it."""
    parts, words = data.read(options.data, options.share), data.words(options.data)
    known = pieces.Sizes(*options.pieces)
    numbers, targets = pieces.write(options.out, parts.training + words, options.direction, known)
    return Task(parts, words, data.references(parts.development, options.direction), numbers, targets)


def train(model: MarianMTModel, task: Task, options: argparse.Namespace) -> None:
    spoken = {piece: number for piece, number in task.numbers.items() if number < task.targets}
    sides = (pieces.Side(options.out / "source.spm", task.numbers), pieces.Side(options.out / "target.spm", spoken))
    batches = Batches(task.parts.training, task.words, options.direction, sides, task.numbers, options.batch)
    loss = partial(network.loss, targets=task.targets, smoothing=options.smoothing)
    tokenizer = MarianTokenizer.from_pretrained(options.out)
    run = Run(model, settings(options), options.average)
    runs.fit(run, batches, loss, partial(score, tokenizer=tokenizer, wanted=task.development), options)


def write_samples(path: Path, development: Mapping[str, Sequence[str]]) -> None:
    """Some of the development part as `pilotlight optimize` takes it."""
    some = list(development.items())[:_SAMPLES]
    lines = [json.dumps({"text": text, "answers": right}, ensure_ascii=False) + "\n" for text, right in some]
    path.write_text("".join(lines), encoding="utf-8")


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    task = prepared(options)
    sizes = network.Sizes(options.width, options.inner, options.heads, *options.layers, options.dropout)
    model = network.made(task.numbers, task.targets, sizes)
    counts = (
        f"{len(task.parts.training)} pairs, {len(task.words)} of words, {len(task.parts.development)} for development"
    )
    say(f"{counts}; {len(task.numbers)} pieces, {model.num_parameters()} weights; segmenting")
    network.save(model, options.out, options.direction)
    train(model, task, options)
    network.save(model, options.out, options.direction)
    write_samples(options.out / "samples.jsonl", task.development)


if __name__ == "__main__":
    main()
