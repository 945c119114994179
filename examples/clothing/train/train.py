"""Train the classifier of clothes from nothing, on pictures in ten folders.

    python -m train.train --data DIR --checkpoint run/network.pt

DIR holds `train/CLASS/*.jpg`: github.com/alexeygrigorev/clothing-dataset-small. With `--keep-apart` a tenth of the
pictures measures each epoch, which is how settings are chosen; without it all of them train. A run that was broken off
goes on from its checkpoint. `python -m train.export` makes model folders of the checkpoint.

It trains on crops of 96 pixels and serves pictures of 128: what random crops show is larger than what whole pictures
show, so that a network does better on somewhat larger ones (Touvron et al. 2019, "Fixing the train-test resolution
discrepancy").
"""

import argparse
import copy
import math
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from . import augment
from .network import Network
from .pictures import Pictures, read, split
from .steps import CLASSES

LARGE = 160  # pixels a side, in memory; crops are taken from these


class Settings(NamedTuple):
    """What the weights depend on, beside the pictures: a checkpoint of other settings is refused."""

    seed: int
    epochs: int
    batch: int
    rate: float
    decay: float
    crop: float
    colour: float
    cut: float
    mix: float
    smooth: float
    size: int
    keep_apart: bool


class Run:
    """The network, its moving average (which is what is exported) and the optimiser."""

    def __init__(self, settings: Settings, steps: int) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.steps, self.epoch = settings, steps, 0
        self.network = Network(len(CLASSES)).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network)
        matrices = [weight for weight in self.network.parameters() if weight.ndim > 1]
        others = [weight for weight in self.network.parameters() if weight.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": settings.decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.SGD(groups, settings.rate, momentum=0.9, nesterov=True)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)

    def _rate(self, step: int) -> float:
        """Up in the first 5 % of all steps, then down along a cosine."""
        total = self.settings.epochs * self.steps
        warm = max(1, total // 20)
        return (step + 1) / warm if step < warm else 0.5 + 0.5 * math.cos(math.pi * (step - warm) / (total - warm))

    def step(self, views: Tensor, wanted: Tensor) -> float:
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.network(views.contiguous(memory_format=torch.channels_last))
        loss = nn.functional.cross_entropy(logits.float(), wanted, label_smoothing=self.settings.smooth)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self._follow()
        return float(loss.detach())

    def _follow(self) -> None:
        """Average over the last 200 steps or so, and over fewer where there were not as many."""
        steps = self.schedule.last_epoch
        share = 1 - min(0.995, (1 + steps) / (10 + steps))
        for average, latest in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            if average.is_floating_point():
                average.lerp_(latest, share)
            else:
                average.copy_(latest)

    def save(self, path: Path) -> None:
        state = {name: part.state_dict() for name, part in self._parts().items()}
        partial = path.with_name(path.name + ".part")
        torch.save({**state, "epoch": self.epoch, "settings": self.settings._asdict()}, partial)
        partial.replace(path)  # a run broken off while it saves keeps the epoch before

    def load(self, path: Path) -> None:
        saved = torch.load(path, weights_only=True)
        if saved["settings"] != self.settings._asdict():
            sys.exit(f"{path} is of a run with {saved['settings']}: give the same settings, or another --checkpoint")
        for name, part in self._parts().items():
            part.load_state_dict(saved[name])
        self.epoch = saved["epoch"]

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer | torch.optim.lr_scheduler.LambdaLR]:
        return {
            "network": self.network,
            "average": self.average,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
        }


def fit(run: Run, pictures: Pictures, apart: Pictures | None, checkpoint: Path) -> None:
    """Train the epochs that are left; each is saved, and measured where pictures were kept apart."""
    settings = run.settings
    while run.epoch < settings.epochs:
        started = time.monotonic()
        torch.manual_seed(settings.seed * 1000 + run.epoch)  # so that a resumed run draws what an unbroken one would
        loss = _epoch(run, pictures)
        run.epoch += 1
        run.save(checkpoint)
        found = ""
        if apart:
            found = "".join(f"  kept apart at {size} {accuracy(run.average, apart, size):.1%}" for size in (96, 128))
        taken = time.monotonic() - started
        say(
            f"epoch {run.epoch}/{settings.epochs}  loss {loss:.3f}  {len(pictures.files) / taken:.0f} pictures/s  "
            f"about {taken * (settings.epochs - run.epoch):.0f} s left{found}"
        )


def _epoch(run: Run, pictures: Pictures) -> float:
    settings, losses = run.settings, []
    run.network.train()
    for chosen in torch.randperm(len(pictures.files)).split(settings.batch)[: run.steps]:
        views = augment.colours(augment.views(pictures.pixels[chosen], settings.size, settings.crop), settings.colour)
        labels = pictures.labels[chosen]
        losses.append(run.step(*augment.mixed(views, labels, len(CLASSES), settings.cut, settings.mix)))
    return sum(losses) / len(losses)


def accuracy(network: nn.Module, pictures: Pictures, size: int) -> float:
    """The share of pictures whose class has the highest logit, at `size` pixels a side."""
    network.eval()
    right = 0
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for pixels, labels in zip(pictures.pixels.split(64), pictures.labels.split(64), strict=True):
            small = nn.functional.interpolate(pixels.float(), (size, size), mode="bilinear", antialias=True)
            right += int((network(small).argmax(1) == labels).sum())
    return right / len(pictures.files)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/CLASS/*.jpg")
    parser.add_argument("--checkpoint", type=Path, required=True, help="saved each epoch; resumed from if it is there")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=36)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=0.1, help="highest step size")
    parser.add_argument("--decay", type=float, default=1e-3, help="weight decay")
    parser.add_argument("--crop", type=float, default=0.4, help="least share of a picture that is seen")
    parser.add_argument("--colour", type=float, default=0.4)
    parser.add_argument("--cut", type=float, default=0.3, help="chance of CutMix")
    parser.add_argument("--mix", type=float, default=0.1, help="chance of mixup")
    parser.add_argument("--smooth", type=float, default=0.1, help="label smoothing")
    parser.add_argument("--size", type=int, default=96, help="pixels a side, a multiple of 32 (default 96)")
    parser.add_argument("--keep-apart", action="store_true", help="measure on a tenth instead of training on it")
    return parser.parse_args()


def _parts(folder: Path, keep_apart: bool) -> tuple[Pictures, Pictures | None]:
    """What trains, and what measures. Ends the program where there is nothing for the one or the other."""
    try:
        pictures = read(folder, LARGE)
    except ValueError as error:
        sys.exit(str(error))
    if not keep_apart:
        return pictures, None
    pictures, apart = split(pictures)
    if not apart.files:
        sys.exit(f"{folder} has too few pictures to keep a tenth apart: leave --keep-apart out")
    return pictures, apart


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    settings = Settings(**{name: getattr(options, name) for name in Settings._fields})
    pictures, apart = _parts(options.data / "train", settings.keep_apart)
    say(f"{len(pictures.files)} pictures to train on, {len(apart.files) if apart else 0} kept apart")
    run = Run(settings, max(1, len(pictures.files) // settings.batch))
    options.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    if options.checkpoint.exists():
        run.load(options.checkpoint)
    fit(run, pictures, apart, options.checkpoint)


if __name__ == "__main__":
    main()
