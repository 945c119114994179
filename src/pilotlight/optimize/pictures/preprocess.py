"""What a trainer did to pixels before the model saw them, which the graph does now: `pixel * scale + offset`."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from pilotlight.errors import UsageError

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as torchvision's own weights have it


@dataclass(frozen=True)
class Preprocess:
    """Of each channel, red, green and blue."""

    name: str
    scale: tuple[float, float, float]
    offset: tuple[float, float, float]
    description: str


def _same(name: str, scale: float, offset: float, description: str) -> Preprocess:
    return Preprocess(name, (scale,) * 3, (offset,) * 3, description)


_PRESETS = (
    _same("none", 1.0, 0.0, "0 to 255, as they are: the model scales them itself"),
    _same("unit", 1 / 255, 0.0, "0 to 1"),
    _same("inception", 1 / 127.5, -1.0, "-1 to 1, as Xception, Inception and MobileNet of Keras take them"),
    Preprocess(
        "torchvision",
        tuple(1 / (255 * deviation) for deviation in DEVIATION),  # type: ignore[arg-type]
        tuple(-mean / deviation for mean, deviation in zip(MEAN, DEVIATION, strict=True)),  # type: ignore[arg-type]
        "0 to 1, less the mean and by the deviation of ImageNet, as torchvision's weights take them",
    ),
)
PRESETS: Mapping[str, Preprocess] = {preset.name: preset for preset in _PRESETS}


def find(name: str) -> Preprocess:
    """The preset of that name; UsageError, with the nearest, when there is none."""
    if preset := PRESETS.get(name):
        return preset
    near = get_close_matches(name, PRESETS, 1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"--preprocess {name}: not known", f"{guess}there are {', '.join(PRESETS)}")
