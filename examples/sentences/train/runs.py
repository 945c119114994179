"""A training run: epochs until nothing gets better, checkpoints, and how far it is. Both networks are trained by it."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Settings = dict[str, str | float]
Measure = Callable[[nn.Module], float]


class Batches(Protocol):
    """Batches of inputs and, last, the wanted probabilities `[batch, classes]`, in an order that a seed sets."""

    def __len__(self) -> int: ...
    def shuffled(self, seed: str) -> Iterator[tuple[Tensor, ...]]: ...


class Run:
    """The network, its moving average (which is what is exported), what takes its steps, and the best epoch.

    The average goes back a thousand steps, or half an epoch of `batches` where that is less. `settings` are what the
    weights after an epoch depend on: a checkpoint of others is refused.
    """

    def __init__(
        self, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], batches: int, settings: Settings
    ) -> None:
        self.model, self.optimizers, self.settings = model, optimizers, settings
        decay = max(0.0, min(0.999, 1 - 2 / batches))
        self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
        self.epoch, self.best, self.best_epoch = 0, 0.0, 0
        self.best_weights: dict[str, Tensor] = {}

    def step(self, *inputs: Tensor, wanted: Tensor) -> float:
        loss = nn.functional.cross_entropy(self.model(*inputs), wanted)
        self.model.zero_grad()
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        self.average.update_parameters(self.model)
        return float(loss.detach())

    def finish_epoch(self, score: float) -> None:
        self.epoch += 1
        if score >= self.best:
            weights = self.average.module.state_dict()
            self.best, self.best_epoch = score, self.epoch
            self.best_weights = {name: tensor.clone() for name, tensor in weights.items()}

    def save(self, path: Path) -> None:
        state = {name: part.state_dict() for name, part in self._parts().items()}
        best = {"epoch": self.epoch, "best": self.best, "best_epoch": self.best_epoch}
        partial = path.with_name(path.name + ".part")
        torch.save({**state, **best, "best_weights": self.best_weights, "settings": self.settings}, partial)
        partial.replace(path)  # a run broken off while it saves keeps the epoch before

    def load(self, path: Path) -> None:
        saved = torch.load(path, weights_only=True)
        if saved["settings"] != self.settings:
            sys.exit(
                f"{path} is of a run with {saved['settings']}, this one has {self.settings}: give another --checkpoint"
            )
        for name, part in self._parts().items():
            part.load_state_dict(saved[name])
        self.epoch, self.best, self.best_epoch = saved["epoch"], saved["best"], saved["best_epoch"]
        self.best_weights = saved["best_weights"]

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        optimizers = {f"optimizer {number}": each for number, each in enumerate(self.optimizers)}
        return {"model": self.model, "average": self.average, **optimizers}


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
        say(
            f"epoch {epoch}/{self._epochs}  batch {batch}/{self._batches}  loss {loss:.3f}  "
            f"{rate:.0f} batches/s  at most {left:.0f} s left"
        )


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def options(parser: argparse.ArgumentParser, epochs: int, patience: int, batch: int, rate: float) -> None:
    """Add what every training command takes."""
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=epochs, help=f"at most (default {epochs})")
    parser.add_argument(
        "--patience", type=int, default=patience, help=f"epochs without gain before stopping (default {patience})"
    )
    parser.add_argument("--batch", type=int, default=batch, help=f"default {batch}")
    parser.add_argument("--rate", type=float, default=rate, help=f"step size (default {rate})")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoint", type=Path, help="file to save each epoch to, and to resume from if it is there")


def fit(run: Run, batches: Batches, measure: Measure | None, options: argparse.Namespace) -> None:
    """Train until `options.patience` epochs in a row brought nothing better on what was kept apart.

    The network is left with the weights of the best epoch, for use. Where nothing was kept apart, there is nothing to
    measure, and that is the last one.
    """
    if options.checkpoint and options.checkpoint.exists():
        run.load(options.checkpoint)
    progress = Progress(options.epochs, len(batches))
    while run.epoch < options.epochs and run.epoch - run.best_epoch < options.patience:
        _epoch(run, batches, options.seed, progress)
        _measure(run, measure, options.epochs)
        if options.checkpoint:
            run.save(options.checkpoint)
    run.model.load_state_dict(run.best_weights)
    run.model.eval()


def _measure(run: Run, measure: Measure | None, epochs: int) -> None:
    run.average.eval()
    with torch.no_grad():
        score = measure(run.average) if measure else 0.0
    run.finish_epoch(score)
    kept = f"kept apart {score:.2%}  best {run.best:.2%} in {run.best_epoch}" if measure else "nothing kept apart"
    say(f"epoch {run.epoch}/{epochs}  {kept}")


def _epoch(run: Run, batches: Batches, seed: int, progress: Progress) -> None:
    epoch = run.epoch + 1
    torch.manual_seed(seed * 1000 + epoch)  # by number, so that a resumed run draws what an unbroken one would
    run.model.train()
    for number, (*inputs, wanted) in enumerate(batches.shuffled(f"{seed} {epoch}"), start=1):
        progress.step(epoch, number, run.step(*inputs, wanted=wanted))
