"""A small residual network (He et al. 2016) for one class of ten."""

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """Two convolutions and a short cut around them; where the stride is 2 the short cut averages (He et al. 2019)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.pool = nn.AvgPool2d(2) if stride == 2 else nn.Identity()
        self.short = nn.Conv2d(before, after, 1, bias=False)
        self.short_norm = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.first_norm(self.first(x)))
        return torch.relu(self.second_norm(self.second(inner)) + self.short_norm(self.short(self.pool(x))))


class Network(nn.Module):
    """Pixels in 0..255, float `[n, 3, h, w]`, to logits `[n, classes]`; h and w are multiples of 32."""

    def __init__(self, classes: int, widths: tuple[int, ...] = (32, 64, 128, 256), dropout: float = 0.2) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 5, 2, 2, bias=False)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        self.pool = nn.MaxPool2d(3, 2, 1)
        pairs = zip((widths[0], *widths), widths, strict=False)
        self.blocks = nn.Sequential(*(Block(a, b, 2 if place else 1) for place, (a, b) in enumerate(pairs)))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.pool(torch.relu(self.stem_norm(self.stem(pixels / 127.5 - 1))))
        head: Tensor = self.head(self.dropout(self.blocks(x).mean((2, 3))))
        return head
