"""`python vision_torch.py NAME WEIGHTS PICTURE SIZE RUNS`: what the demonstrations do with torch, in eager mode.

The networks are those of Chollet 2017 (figure 5) and Sandler et al. 2018 (table 2). WEIGHTS is a file of safetensors,
written with random weights when it is not there.
"""

import json
import os
import sys
import time
from itertools import pairwise

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


def convolution(
    of: int, to: int, kernel: int, stride: int = 1, groups: int = 1, padding: int | None = None
) -> nn.Conv2d:
    pad = kernel // 2 if padding is None else padding
    return nn.Conv2d(of, to, kernel, stride, pad, groups=groups, bias=False)


def separable(of: int, to: int) -> nn.Sequential:
    return nn.Sequential(convolution(of, of, 3, groups=of), convolution(of, to, 1), nn.BatchNorm2d(to))


class Block(nn.Module):
    """Separable convolutions with a way around them."""

    def __init__(self, sizes: tuple[int, ...], stride: int = 1, relu_first: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for of, to in pairwise(sizes):
            layers += [nn.ReLU(), separable(of, to)]
        layers = layers if relu_first else layers[1:]
        self.layers = nn.Sequential(*layers, *([nn.MaxPool2d(3, stride, 1)] if stride > 1 else []))
        around = nn.Sequential(convolution(sizes[0], sizes[-1], 1, stride), nn.BatchNorm2d(sizes[-1]))
        self.around = around if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) + self.around(x)


def xception(classes: int) -> nn.Module:
    def entry(of: int, to: int, stride: int, padding: int) -> list[nn.Module]:
        return [convolution(of, to, 3, stride, padding=padding), nn.BatchNorm2d(to), nn.ReLU()]

    return nn.Sequential(
        *entry(3, 32, 2, 0),
        *entry(32, 64, 1, 0),
        Block((64, 128, 128), 2, relu_first=False),
        Block((128, 256, 256), 2),
        Block((256, 728, 728), 2),
        *[Block((728, 728, 728, 728)) for _ in range(8)],
        Block((728, 728, 1024), 2),
        *[separable(1024, 1536), nn.ReLU(), separable(1536, 2048), nn.ReLU()],
        *[nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, classes)],
    )


class Inverted(nn.Module):
    def __init__(self, of: int, to: int, stride: int, expand: int) -> None:
        super().__init__()
        wide = of * expand
        widened = [convolution(of, wide, 1), nn.BatchNorm2d(wide), nn.ReLU6()] if expand > 1 else []
        self.layers = nn.Sequential(
            *widened,
            *[convolution(wide, wide, 3, stride, groups=wide), nn.BatchNorm2d(wide), nn.ReLU6()],
            *[convolution(wide, to, 1), nn.BatchNorm2d(to)],
        )
        self.adds = stride == 1 and of == to

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.adds else self.layers(x)


def mobilenet_v2(classes: int) -> nn.Module:
    rows = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    layers: list[nn.Module] = [convolution(3, 32, 3, 2), nn.BatchNorm2d(32), nn.ReLU6()]
    of = 32
    for expand, to, count, stride in rows:
        for number in range(count):
            layers.append(Inverted(of, to, stride if number == 0 else 1, expand))
            of = to
    head = [convolution(320, 1280, 1), nn.BatchNorm2d(1280), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, *head, nn.Linear(1280, classes))


if __name__ == "__main__":
    name, weights, picture, size, runs = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
    network = {"xception": xception, "mobilenet_v2": mobilenet_v2}[name](10).eval()
    if not os.path.exists(weights):
        save_file(network.state_dict(), weights)
        sys.exit()
    network.load_state_dict(load_file(weights))

    def answer() -> list[float]:
        shown = Image.open(picture).convert("RGB").resize((size, size), Image.Resampling.NEAREST)
        pixels = torch.frombuffer(bytearray(shown.tobytes()), dtype=torch.uint8).view(1, size, size, 3)
        with torch.inference_mode():
            return network((pixels.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous())[0].tolist()

    answer()
    answered, warm = time.monotonic(), []
    for _ in range(runs):
        began = time.perf_counter()
        answer()
        warm.append(time.perf_counter() - began)
    print(json.dumps({"answered": answered, "warm": warm}))
