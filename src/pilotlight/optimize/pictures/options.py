"""What the command line asks for a picture model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pilotlight.errors import UsageError
from pilotlight.function.pictures import Size
from pilotlight.optimize import pipeline
from pilotlight.optimize.pictures import preprocess

FORMATS = ("onnx", "tflite")


@dataclass(frozen=True)
class Options(pipeline.Options):
    """`size` is that of a model which takes pictures of any size; 0 is the model's own. `resize` is the shorter side
    before the middle is cut out, 0 for none."""

    preprocess: str = "none"
    format: str = "onnx"
    labels: Path | None = None
    size: int = 0
    resample: str = "bilinear"
    fit: str = "stretch"
    resize: int = 0


def check(options: Options) -> None:
    """Raises UsageError for what cannot be."""
    pipeline.check(options)
    preprocess.find(options.preprocess)
    if options.format not in FORMATS:
        raise UsageError(f"--format {options.format}: not known", f"there are {', '.join(FORMATS)}")
    picture_size(options, options.resize or 1, options.resize or 1)
    if options.format == "tflite" and options.prefer == "warm":
        raise UsageError("--prefer warm: TensorFlow Lite packs its weights itself", "leave it out, or --format onnx")


def picture_size(options: Options, height: int, width: int) -> Size:
    """How pictures are brought to the model. Raises UsageError."""
    try:
        return Size(width, height, options.resample, options.fit, options.resize or None).checked()
    except ValueError as error:
        raise UsageError(f"reading the options: {error}", "--fit crop --resize 256 is torchvision's usual") from None
