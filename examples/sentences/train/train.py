"""Train Kim's network on the training part of the Stanford Sentiment Treebank and export it for serving.

    python -m train.train --data DIR --out models/kim_cnn

DIR holds `trees/train.txt` and `trees/dev.txt`. A share of the training trees is kept apart, and the epoch that does
best on it is kept; the development part takes no part in any choice and is measured once, on the exported files.
The same arguments give the same weights on the same machine, also when a run was broken off and resumed.
"""

import argparse
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from train import data, evaluate, export
from train.data import Example
from train.model import KimCNN, KimCNNConfig

Batch = tuple[Tensor, Tensor]
Settings = dict[str, float]


class Batches:
    """Examples in batches of one length each, so that no padding is needed, in an order that an epoch's seed sets."""

    def __init__(self, examples: Sequence[Example], words: Sequence[str], size: int) -> None:
        numbers = {word: number for number, word in enumerate(words)}
        rows: dict[int, list[list[int]]] = defaultdict(list)
        wanted: dict[int, list[float]] = defaultdict(list)
        for tokens, positive in examples:
            rows[len(tokens)].append([numbers.get(word, 0) for word in tokens])
            wanted[len(tokens)].append(positive)
        self._lengths = [(torch.tensor(rows[n]), torch.tensor(wanted[n])) for n in sorted(rows)]
        self._size = size

    def __len__(self) -> int:
        return sum(-(-len(wanted) // self._size) for _, wanted in self._lengths)

    def shuffled(self, seed: str) -> Iterator[Batch]:
        """`tokens` [batch, n] and the wanted probabilities [batch, 2] of negative and positive."""
        generator = random.Random(seed)
        picks = []
        for which, (_, wanted) in enumerate(self._lengths):
            order = generator.sample(range(len(wanted)), len(wanted))
            picks += [(which, order[start : start + self._size]) for start in range(0, len(order), self._size)]
        generator.shuffle(picks)
        for which, pick in picks:
            tokens, wanted = (column[pick] for column in self._lengths[which])
            yield tokens, torch.stack([1 - wanted, wanted], dim=1)


class Run:
    """A training run: the network, its moving average (which is what is exported), the optimiser and the best epoch."""

    def __init__(self, model: KimCNN, rate: float) -> None:
        self.model = model
        self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999))
        self.optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        self.epoch, self.best, self.best_epoch = 0, 0.0, 0
        self.best_weights: dict[str, Tensor] = {}

    def step(self, tokens: Tensor, wanted: Tensor) -> float:
        loss = nn.functional.cross_entropy(self.model(tokens), wanted)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.model.clip()
        self.average.update_parameters(self.model)
        return float(loss.detach())

    def finish_epoch(self, accuracy: float) -> None:
        self.epoch += 1
        if accuracy >= self.best:
            weights = self.average.module.state_dict()
            self.best, self.best_epoch = accuracy, self.epoch
            self.best_weights = {name: tensor.clone() for name, tensor in weights.items()}

    def save(self, path: Path, settings: Settings) -> None:
        state = {name: part.state_dict() for name, part in self._parts().items()}
        best = {"epoch": self.epoch, "best": self.best, "best_epoch": self.best_epoch}
        partial = path.with_name(path.name + ".part")
        torch.save({**state, **best, "best_weights": self.best_weights, "settings": settings}, partial)
        partial.replace(path)  # a run broken off while it saves keeps the epoch before

    def load(self, path: Path, settings: Settings) -> None:
        saved = torch.load(path, weights_only=True)
        if saved["settings"] != settings:
            sys.exit(f"{path} is of a run with {saved['settings']}, this one has {settings}: give another --checkpoint")
        for name, part in self._parts().items():
            part.load_state_dict(saved[name])
        self.epoch, self.best, self.best_epoch = saved["epoch"], saved["best"], saved["best_epoch"]
        self.best_weights = saved["best_weights"]

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        return {"model": self.model, "average": self.average, "optimizer": self.optimizer}


class Progress:
    """A line on stderr every few seconds: where, how fast, how long still."""

    def __init__(self, epochs: int, batches: int, every: float = 5.0) -> None:
        self._epochs, self._batches, self._every = epochs, batches, every
        self._started = self._printed = time.monotonic()
        self._done = 0

    def step(self, epoch: int, batch: int, loss: float) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._printed < self._every:
            return
        self._printed = now
        rate = self._done / (now - self._started)
        left = ((self._epochs - epoch) * self._batches + self._batches - batch) / rate
        _say(
            f"epoch {epoch}/{self._epochs}  batch {batch}/{self._batches}  loss {loss:.3f}  "
            f"{rate:.0f} batches/s  at most {left:.0f} s left"
        )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@torch.no_grad()
def accuracy(model: nn.Module, batches: Batches) -> float:
    """The share of examples whose likelier class is the wanted one."""
    model.eval()
    hits = total = 0
    for tokens, wanted in batches.shuffled("any"):
        hits += int((model(tokens).argmax(1) == wanted.argmax(1)).sum())
        total += len(wanted)
    return hits / total


def train_epoch(run: Run, batches: Batches, seed: int, progress: Progress) -> None:
    epoch = run.epoch + 1
    torch.manual_seed(seed * 1000 + epoch)  # by number, so that a resumed run draws what an unbroken one would
    run.model.train()
    for number, (tokens, wanted) in enumerate(batches.shuffled(f"{seed} {epoch}"), start=1):
        progress.step(epoch, number, run.step(tokens, wanted))


def fit(run: Run, training: Batches, apart: Batches, options: argparse.Namespace) -> None:
    """Train until `options.patience` epochs in a row brought nothing better on the trees kept apart."""
    progress = Progress(options.epochs, len(training))
    while run.epoch < options.epochs and run.epoch - run.best_epoch < options.patience:
        train_epoch(run, training, options.seed, progress)
        right = accuracy(run.average, apart)
        run.finish_epoch(right)
        _say(f"epoch {run.epoch}/{options.epochs}  kept apart {right:.2%}  best {run.best:.2%} in {run.best_epoch}")
        if options.checkpoint:
            run.save(options.checkpoint, settings(options))


def report(model: KimCNN, words: Sequence[str], folder: Path, examples: list[Example]) -> None:
    """Measure the exported files, alone and against the network they come from."""
    answers = evaluate.logits(folder, examples)
    numbers = {word: number for number, word in enumerate(words)}
    rows = (torch.tensor([[numbers.get(word, 0) for word in example.tokens]]) for example in examples)
    with torch.no_grad():
        exact = torch.cat([model(row) for row in rows]).numpy()
    hits, agree = evaluate.right(answers, examples), int((answers.argmax(1) == exact.argmax(1)).sum())
    print(f"development part: {hits} of {len(examples)} right, {hits / len(examples):.2%}")
    print(f"float32 network: {evaluate.right(exact, examples)} right, {agree} answers the same, ", end="")
    print(f"logits at most {abs(answers - exact).max():.4f} apart")


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with trees/train.txt and trees/dev.txt")
    parser.add_argument("--out", type=Path, required=True, help="folder to write model.onnx and vocabulary.txt to")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=16, help="at most (default 16)")
    parser.add_argument("--patience", type=int, default=4, help="epochs without gain before stopping (default 4)")
    parser.add_argument("--apart", type=float, default=0.1, help="share of the training trees kept apart (default 0.1)")
    parser.add_argument("--dimensions", type=int, default=KimCNNConfig.dimensions, help="of a word vector")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1e-3, help="Adam's step size (default 0.001)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoint", type=Path, help="file to save each epoch to, and to resume from if it is there")
    return parser


def settings(options: argparse.Namespace) -> Settings:
    """What the weights after an epoch depend on."""
    return {name: getattr(options, name) for name in ("seed", "apart", "dimensions", "batch", "rate")}


def start(options: argparse.Namespace, words: Sequence[str]) -> Run:
    """A fresh run, or the one that the checkpoint holds."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    run = Run(KimCNN(KimCNNConfig(len(words), options.dimensions)), options.rate)
    if options.checkpoint and options.checkpoint.exists():
        run.load(options.checkpoint, settings(options))
    return run


def main() -> None:
    options = arguments().parse_args()
    kept, apart = data.keep_apart(data.read_lines(options.data / "trees/train.txt"), options.apart)
    examples, development = data.training_examples(kept), data.read_lines(options.data / "trees/dev.txt")
    words = data.vocabulary(examples)
    _say(f"{len(examples)} phrases, {len(words)} words; {len(apart)} trees kept apart")
    run = start(options, words)
    fit(run, Batches(examples, words, options.batch), Batches(data.sentences(apart), words, options.batch), options)
    run.model.load_state_dict(run.best_weights)
    run.model.eval()
    export.export(run.model, words, options.out)
    report(run.model, words, options.out, data.sentences(development))


if __name__ == "__main__":
    main()
