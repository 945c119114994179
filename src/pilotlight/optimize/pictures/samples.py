"""The pictures that a model is calibrated and compared on: a folder, or one with a sub-folder for each label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilotlight.errors import InputError, UsageError
from pilotlight.function.pictures import Size, read_header, resized
from pilotlight.optimize.tools import needed

if TYPE_CHECKING:
    from pilotlight.optimize.outputs import Feeds

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
MOST = 400
"""Pictures that are compared at most; of more, every n-th."""
INPUT = "pixels"


@dataclass(frozen=True)
class Picture:
    """`right` has its label, which is the name of its folder; empty without."""

    path: Path = field(compare=False)
    right: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return self.path.name


def read(folder: Path | None) -> tuple[Picture, ...]:
    """The pictures in `folder`, in the order of their names. UsageError when there are none."""
    if folder is None:
        raise UsageError("optimising a picture model: it is compared on pictures", "--samples takes a folder of them")
    if not folder.is_dir():
        raise UsageError(f"reading the samples in {folder}: there is no such folder", "--samples takes one of pictures")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise UsageError(f"reading the samples in {folder}: no pictures", f"they end in {', '.join(SUFFIXES)}")
    step = -(-len(files) // MOST)
    return tuple(Picture(path, _label(path, folder)) for path in files[::step])


def _label(path: Path, folder: Path) -> tuple[str, ...]:
    inside = path.relative_to(folder).parts
    return (inside[0],) if len(inside) > 1 else ()


def check_labels(pictures: Sequence[Picture], labels: Sequence[str]) -> None:
    """UsageError when a folder is named as none of the labels."""
    for picture in pictures:
        if unknown := [label for label in picture.right if label not in labels]:
            raise UsageError(
                f"reading the samples: the folder {unknown[0]!r} is named as none of the labels",
                f"the labels are {', '.join(labels[:20])}; --labels names a file with one a line, in the model's order",
            )


def feeds(pictures: Sequence[Picture], size: Size) -> tuple[Feeds, ...]:
    """The pixels of each, uint8 [1, height, width, 3], as serving brings them to `size`."""
    return tuple({INPUT: _pixels(picture.path, size)} for picture in pictures)


def _pixels(path: Path, size: Size) -> Any:
    content = path.read_bytes()
    try:
        header = read_header(content, path.name)
        return needed("numpy").asarray(resized(content, header.format, header.orientation, path.name, size))
    except InputError as error:
        raise UsageError(f"reading the samples: {path}: {error}", "leave that picture out") from None
