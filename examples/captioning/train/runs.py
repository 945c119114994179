"""A training run in stages: epochs with a falling step size, a moving average of the weights, checkpoints, progress."""

import argparse
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from train.model import Captioner
from train.pictures import Batch, Pictures

Settings = dict[str, str | float]


class Stage(NamedTuple):
    """What is learned, for how many epochs, at which step size at most, and how well: a higher score is better."""

    name: str
    epochs: int
    rate: float
    loss: Callable[[Captioner, Batch], Tensor]
    score: Callable[[Captioner], float]


class Run:
    """The network, its moving average (which is what is measured and exported), and the best epoch of the stage.

    `settings` are what the weights after an epoch depend on: a checkpoint of others is refused.
    """

    def __init__(self, model: Captioner, settings: Settings) -> None:
        self.model, self.settings = model, settings
        self.stage = self.epoch = 0
        self._begin()

    def _begin(self) -> None:
        self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(0.99), use_buffers=True)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), weight_decay=0.02)
        self.best, self.best_epoch = -math.inf, 0
        self.best_weights: dict[str, Tensor] = {}

    def step(self, loss: Tensor, rate: float) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self.average.update_parameters(self.model)
        return float(loss.detach())

    def finish_epoch(self, score: float) -> None:
        self.epoch += 1
        if score >= self.best:
            weights = self.average.module.state_dict()
            self.best, self.best_epoch = score, self.epoch
            self.best_weights = {name: tensor.clone() for name, tensor in weights.items()}

    def finish_stage(self) -> None:
        self.model.load_state_dict(self.best_weights)
        self.stage, self.epoch = self.stage + 1, 0
        self._begin()

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


_NUMBERS = ("stage", "epoch", "best", "best_epoch")


class Progress:
    """A line on stderr every few seconds: where, how fast, how long still."""

    def __init__(self, stage: Stage, batches: int, every: float = 10.0) -> None:
        self._stage, self._batches, self._every = stage, batches, every
        self._started = self._printed = time.monotonic()
        self._done = 0

    def step(self, epoch: int, batch: int, loss: float) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._printed < self._every:
            return
        self._printed = now
        rate = self._done / (now - self._started)
        left = ((self._stage.epochs - epoch) * self._batches + self._batches - batch) / rate
        where = f"{self._stage.name} {epoch}/{self._stage.epochs}  batch {batch}/{self._batches}"
        say(f"{where}  loss {loss:.3f}  {rate:.1f} batches/s  at most {left:.0f} s left")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def fit(run: Run, stages: list[Stage], batches: Pictures, options: argparse.Namespace) -> None:
    """Train stage by stage, each until `options.patience` epochs in a row brought nothing better.

    The network is left with the weights of the last stage's best epoch, for use.
    """
    if options.checkpoint and options.checkpoint.exists():
        run.load(options.checkpoint)
    for stage in stages[run.stage :]:
        progress = Progress(stage, len(batches))
        while run.epoch < stage.epochs and run.epoch - run.best_epoch < options.patience:
            _epoch(run, stage, batches, options, progress)
            run.finish_epoch(_score(run, stage))
            say(f"{stage.name} {run.epoch}/{stage.epochs}  best {run.best:.4f} in {run.best_epoch}")
            if options.checkpoint:
                run.save(options.checkpoint)
        run.finish_stage()
    run.model.eval()


def _epoch(run: Run, stage: Stage, batches: Pictures, options: argparse.Namespace, progress: Progress) -> None:
    epoch = run.epoch + 1
    name = f"{options.seed} {stage.name} {epoch}"
    torch.manual_seed(sum(name.encode()) * 1000 + epoch)  # so that a resumed run draws what an unbroken one would
    run.model.train()
    for number, batch in enumerate(batches.shuffled(name), start=1):
        rate = stage.rate * falling((run.epoch + number / len(batches)) / stage.epochs)
        progress.step(epoch, number, run.step(stage.loss(run.model, batch), rate))


def falling(done: float) -> float:
    """How the step size goes: up over the first 4 % of a stage, then down to nothing along a cosine."""
    return min(1.0, done / 0.04) * (1 + math.cos(math.pi * done)) / 2


def _score(run: Run, stage: Stage) -> float:
    run.average.eval()
    with torch.no_grad():
        return stage.score(run.average.module)
