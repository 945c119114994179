"""Folders of pictures, one folder a class, as one array of pixels."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image, ImageOps
from torch import Tensor

from .steps import CLASSES


class Pictures(NamedTuple):
    """`pixels` uint8 `[n, 3, size, size]`, `labels` int64 `[n]` (places in `CLASSES`), and the files they are of."""

    pixels: Tensor
    labels: Tensor
    files: tuple[Path, ...]

    def part(self, chosen: Tensor) -> "Pictures":
        """Those pictures where the bool tensor `[n]` is true."""
        files = tuple(file for file, wanted in zip(self.files, chosen.tolist(), strict=True) if wanted)
        return Pictures(self.pixels[chosen], self.labels[chosen], files)


def files(folder: Path) -> list[tuple[Path, int]]:
    """The JPEGs below `folder/CLASS/` with their classes, in order. Raises `ValueError` where a class has none."""
    found = [(file, number) for number, name in enumerate(CLASSES) for file in sorted((folder / name).glob("*.jpg"))]
    lacking = [name for number, name in enumerate(CLASSES) if number not in {label for _, label in found}]
    if lacking:
        raise ValueError(f"reading {folder}: there is no .jpg in {', '.join(lacking)}")
    return found


def read(folder: Path, size: int) -> Pictures:
    """All pictures of a folder, made square by scaling (as the function does it), decoded once."""
    found = files(folder)
    pixels = torch.empty(len(found), 3, size, size, dtype=torch.uint8)
    for place, (file, _) in enumerate(found):
        pixels[place] = decode(file, size).permute(2, 0, 1)
    return Pictures(pixels, torch.tensor([label for _, label in found]), tuple(file for file, _ in found))


def decode(file: Path, size: int) -> Tensor:
    """The pixels of one file, uint8 `[size, size, 3]`."""
    with Image.open(file) as picture:
        square = ImageOps.exif_transpose(picture).convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    return torch.frombuffer(bytearray(square.tobytes()), dtype=torch.uint8).view(size, size, 3)


def split(pictures: Pictures, tenths: int = 1) -> tuple[Pictures, Pictures]:
    """Training and kept-apart pictures. The digest of a file's name decides, so that more files move none."""
    apart = torch.tensor([hashlib.sha256(file.name.encode()).digest()[0] % 10 < tenths for file in pictures.files])
    return pictures.part(~apart), pictures.part(apart)
