"""Batches of pictures with their captions, the pictures turned, mirrored and recoloured anew in every epoch."""

import math
import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from train import data
from train.data import Picture, WordMap


class Batch(NamedTuple):
    """`pixels` float `[n, 3, side, side]` in [0, 255], `said` `[n, words]`: the share of captions that have a word.

    `captions` are rows of numbers `[m, longest]`, the longest first, after their ends 0; `of` `[m]` are their pictures.
    """

    pixels: Tensor
    said: Tensor
    captions: Tensor
    of: Tensor


class Pictures:
    """Pictures decoded once, in batches in an order that an epoch's seed sets."""

    def __init__(self, pictures: Sequence[Picture], numbers: WordMap, size: int, captions: int) -> None:
        self._pictures, self._numbers, self._size, self._captions = pictures, numbers, size, captions
        self.pixels = torch.from_numpy(data.pixels(pictures))
        self.said = torch.stack([self._share(picture) for picture in pictures])

    def __len__(self) -> int:
        return -(-len(self._pictures) // self._size)

    def shuffled(self, seed: str) -> Iterator[Batch]:
        generator = random.Random(seed)
        order = generator.sample(range(len(self._pictures)), len(self._pictures))
        for start in range(0, len(order), self._size):
            rows = order[start : start + self._size]
            yield Batch(vary(floats(self.pixels[rows])), self.said[rows], *self._rows(rows, generator))

    def _rows(self, rows: Sequence[int], generator: random.Random) -> tuple[Tensor, Tensor]:
        drawn = [
            (data.encode(caption, self._numbers), place)
            for place, row in enumerate(rows)
            for caption in data.drawn(self._pictures[row].captions, self._captions, generator)
        ]
        drawn.sort(key=lambda it: -len(it[0]))
        padded = nn.utils.rnn.pad_sequence([torch.tensor(numbers) for numbers, _ in drawn], batch_first=True)
        return padded, torch.tensor([place for _, place in drawn])

    def _share(self, picture: Picture) -> Tensor:
        share = torch.zeros(len(self._numbers))
        for caption in picture.captions:
            share[sorted({self._numbers[word] for word in caption if word in self._numbers})] += 1
        return share / len(picture.captions)


def floats(pixels: Tensor) -> Tensor:
    """uint8 `[n, side, side, 3]` as the encoder's float `[n, 3, side, side]`."""
    return pixels.permute(0, 3, 1, 2).float().contiguous()


def vary(pixels: Tensor) -> Tensor:
    """Turn by quarters and a little, mirror, move, zoom and recolour: from above, nothing has an upper side."""
    grid = nn.functional.affine_grid(_turns(len(pixels)), list(pixels.shape), align_corners=False)
    moved = nn.functional.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
    contrast = 1 + 0.25 * _spread(len(pixels), 1) + 0.08 * _spread(len(pixels), 3)
    brightness = 25 * _spread(len(pixels), 1) + 8 * _spread(len(pixels), 3)
    return ((moved - 128) * contrast + 128 + brightness).clamp(0, 255)


def _turns(count: int) -> Tensor:
    angles = torch.randint(4, (count,)) * (math.pi / 2) + 0.15 * (2 * torch.rand(count) - 1)
    zoom = torch.empty(count).uniform_(0.8, 1.1)
    mirror = torch.randint(2, (count,)) * 2 - 1
    cos, sin = angles.cos() * zoom, angles.sin() * zoom
    moves = 0.2 * torch.rand(2, count) - 0.1
    return torch.stack([cos * mirror, -sin, moves[0], sin * mirror, cos, moves[1]], 1).view(count, 2, 3)


def _spread(count: int, channels: int) -> Tensor:
    return (2 * torch.rand(count, channels, 1, 1) - 1).float()
