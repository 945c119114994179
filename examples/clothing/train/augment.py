"""Pictures changed at random, a batch at a time: so a network trained from nothing does not learn them by heart."""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, one_hot


def views(pixels: Tensor, size: int, least: float) -> Tensor:
    """A random crop of each picture, at least `least` of its area, scaled, turned a little, half of them mirrored.

    `pixels` uint8 `[n, 3, h, w]`; gives float32 `[n, 3, size, size]` in 0..255.
    """
    n = len(pixels)
    area, ratio = _between(n, least, 1.0), torch.exp(_between(n, -math.log(4 / 3), math.log(4 / 3)))
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    x, y = _between(n, -1, 1) * (1 - width), _between(n, -1, 1) * (1 - height)
    turn, mirror = _between(n, -1, 1) * math.radians(12), torch.randint(0, 2, (n,)) * 2.0 - 1
    cos, sin = turn.cos(), turn.sin()
    rows = torch.stack([width * cos * mirror, -width * sin, x, height * sin * mirror, height * cos, y], 1)
    grid = affine_grid(rows.view(n, 2, 3), [n, 3, size, size], align_corners=False)
    return grid_sample(pixels.float(), grid, padding_mode="reflection", align_corners=False)


def colours(views: Tensor, strength: float) -> Tensor:
    """Brightness, contrast and saturation changed by a factor within 1 +- `strength`, colours by a third."""
    n = len(views)
    factor = _between(n * 3, 1 - strength, 1 + strength).view(3, n, 1, 1, 1)
    balance = _between(n * 3, 1 - strength / 3, 1 + strength / 3).view(n, 3, 1, 1)
    views = views * (factor[0] * balance)
    mean = views.mean((1, 2, 3), keepdim=True)
    views = mean + (views - mean) * factor[1]
    grey = views.mean(1, keepdim=True)
    return (grey + (views - grey) * factor[2]).clamp(0, 255)


def mixed(views: Tensor, labels: Tensor, classes: int, cut: float, mix: float) -> tuple[Tensor, Tensor]:
    """A batch with its wanted probabilities `[n, classes]`: with chance `cut` a rectangle of each picture is another's
    (Yun et al. 2019, CutMix), with chance `mix` it is blended with another (Zhang et al. 2018, mixup)."""
    wanted, order = one_hot(labels, classes).float(), torch.randperm(len(views))
    draw, share = float(torch.rand(())), float(torch.rand(()))
    if draw < cut:
        views, share = _pasted(views, views[order], share)
    elif draw < cut + mix:
        share = float(torch.distributions.Beta(0.3, 0.3).sample())
        views = torch.lerp(views[order], views, share)
    else:
        return views, wanted
    return views, torch.lerp(wanted[order], wanted, share)


def _pasted(views: Tensor, others: Tensor, share: float) -> tuple[Tensor, float]:
    size = views.shape[-1]
    side = round(size * math.sqrt(1 - share))
    top, left = (int(torch.randint(0, size - side + 1, ())) for _ in range(2))
    views = views.clone()
    views[:, :, top : top + side, left : left + side] = others[:, :, top : top + side, left : left + side]
    return views, 1 - side * side / (size * size)


def _between(n: int, low: float, high: float) -> Tensor:
    return torch.rand(n) * (high - low) + low
