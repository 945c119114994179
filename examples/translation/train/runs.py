"""A training run: epochs, a moving average of the weights, checkpoints, and how far it is."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from train.batches import Batch, Batches
from transformers import MarianMTModel

Settings = dict[str, str | float]
Loss = Callable[[MarianMTModel, Batch], Tensor]
Score = Callable[[MarianMTModel], float]
_NUMBERS = ("epoch", "steps", "best", "best_epoch")


class Run:
    """The network, its moving average (which is what is measured and exported), and the best epoch.

    `settings` are what the weights after an epoch depend on: a checkpoint of others is refused.
    """

    def __init__(self, model: MarianMTModel, settings: Settings, average: float) -> None:
        self.model, self.settings = model, settings
        self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(average))
        self.optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01, fused=True)
        self.epoch = self.steps = 0
        self.best, self.best_epoch = 0.0, 0
        self.best_weights: dict[str, Tensor] = {}

    def step(self, loss: Tensor, rate: float) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.average.update_parameters(self.model)
        self.steps += 1
        return float(loss.detach())

    def finish_epoch(self, score: float) -> None:
        self.epoch += 1
        if score >= self.best:
            weights = self.average.module.state_dict()
            self.best, self.best_epoch = score, self.epoch
            self.best_weights = {name: tensor.clone() for name, tensor in weights.items()}

    def save(self, path: Path) -> None:
        state = {name: part.state_dict() for name, part in self._parts().items()}
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        partial = path.with_name(path.name + ".part")
        torch.save({**state, **numbers, "best_weights": self.best_weights, "settings": self.settings}, partial)
        partial.replace(path)  # a run broken off while it saves keeps the epoch before

    def load(self, path: Path) -> None:
        saved = torch.load(path, weights_only=True)
        if saved["settings"] != self.settings:
            sys.exit(f"{path} is of a run with {saved['settings']}, not {self.settings}: give another --checkpoint")
        for name, part in self._parts().items():
            part.load_state_dict(saved[name])
        for name in (*_NUMBERS, "best_weights"):
            setattr(self, name, saved[name])

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        return {"model": self.model, "average": self.average, "optimizer": self.optimizer}


class Progress:
    """A line on stderr every few seconds: where, how fast, how long still."""

    def __init__(self, epochs: int, every: float = 10.0) -> None:
        self._epochs, self._every = epochs, every
        self._started = self._printed = time.monotonic()
        self._done = 0

    def step(self, epoch: int, batch: int, batches: int, loss: float) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._printed < self._every:
            return
        self._printed = now
        rate = self._done / (now - self._started)
        left = ((self._epochs - epoch) * batches + batches - batch) / rate
        where = f"epoch {epoch}/{self._epochs}  batch {batch}/{batches}"
        say(f"{where}  loss {loss:.3f}  {rate:.1f} batches/s  at most {left:.0f} s left")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def fit(run: Run, batches: Batches, loss: Loss, score: Score, options: argparse.Namespace) -> None:
    """Train until `options.patience` epochs in a row brought nothing better.

    The network is left with the weights of the best epoch, for use.
    """
    if options.checkpoint and options.checkpoint.exists():
        run.load(options.checkpoint)
    progress = Progress(options.epochs)
    while run.epoch < options.epochs and run.epoch - run.best_epoch < options.patience:
        _epoch(run, batches, loss, options, progress)
        found = _score(run, score)
        run.finish_epoch(found)
        say(f"epoch {run.epoch}/{options.epochs}  chrF {found:.2f}  best {run.best:.2f} in {run.best_epoch}")
        if options.checkpoint:
            run.save(options.checkpoint)
    run.model.load_state_dict(run.best_weights)
    run.model.eval()


def _epoch(run: Run, batches: Batches, loss: Loss, options: argparse.Namespace, progress: Progress) -> None:
    epoch = run.epoch + 1
    torch.manual_seed(options.seed * 1000 + epoch)  # by number, so that a resumed run draws what an unbroken one would
    run.model.train()
    drawn = batches.epoch(f"{options.seed} {epoch}")
    for number, batch in enumerate(drawn, start=1):
        rate = options.rate * slowing(run.steps + 1, options.warmup)
        progress.step(epoch, number, len(drawn), run.step(loss(run.model, batch), rate))


def slowing(step: int, warmup: int) -> float:
    """How the step size goes: up over the first steps, then down as the root of their number, however many follow."""
    return min(step / warmup, (warmup / step) ** 0.5)


def _score(run: Run, score: Score) -> float:
    run.average.eval()
    with torch.inference_mode():
        return score(run.average.module)
