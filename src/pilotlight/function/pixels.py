"""Pixels as a model wants them that does not prepare them itself, and what the integers of its answers stand for.

A model folder of `pilotlight optimize` needs none of this: its graph takes pixels. Somebody else's .tflite may take
floats, or integers that stand for floats. A pixel has 256 values, so each channel has a table of what they become, and
no numpy is needed.
"""

from __future__ import annotations

from array import array

from pilotlight.function.session import shaped

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pilotlight.function.session import TensorInfo

KEYS = ("scale", "mean", "std")
CHANNELS = 3
LIMITS = {"b": (-128, 127), "B": (0, 255)}


def tables(settings: Mapping[str, Any], info: TensorInfo) -> list[array[Any]]:
    """What each of the 256 values becomes, for red, green and blue; none where the input takes pixels as they are.

    `settings` is the block "image" of model.json: a value v becomes (v * `scale` - `mean`) / `std`, of which each is a
    number or one for each channel; 1, 0 and 1 where they are not said. Raises `ValueError` for what they cannot be, or
    where `info` is of no type that pixels become.
    """
    if info.dtype == "B" and not any(key in settings for key in KEYS):
        return []
    if info.dtype not in ("f", *LIMITS):
        raise ValueError(f"the input {info.name!r} is neither of pixels nor of float32")
    scale, mean, std = (_three(key, settings.get(key, 0 if key == "mean" else 1)) for key in KEYS)
    if 0 in std:
        raise ValueError('"std" is 0')
    values = [[(v * scale[c] - mean[c]) / std[c] for v in range(256)] for c in range(CHANNELS)]
    return [array(info.dtype, row if info.dtype == "f" else _integers(row, info)) for row in values]


def _three(key: str, value: Any) -> list[float]:
    each = value if isinstance(value, list) else [value] * CHANNELS
    if len(each) != CHANNELS or not all(type(number) in (int, float) for number in each):
        raise ValueError(f'"{key}" is a number, or three')
    return each


def _integers(row: Sequence[float], info: TensorInfo) -> list[int]:
    least, most = LIMITS[info.dtype]
    return [min(max(round(value / (info.scale or 1)) + info.zero_point, least), most) for value in row]


def prepared(pixels: memoryview, made: Sequence[array[Any]], info: TensorInfo) -> memoryview:
    """Pixels [1, height, width, 3] by the tables `made`; [1, 3, height, width] where `info` has the channels there."""
    if not made:
        return pixels
    flat, (_, height, width, _) = bytes(pixels), pixels.shape or ()
    channels = [array(table.typecode, map(table.__getitem__, flat[c::CHANNELS])) for c, table in enumerate(made)]
    if len(info.shape) == 4 and info.shape[1] == CHANNELS and info.shape[3] != CHANNELS:
        planes = array(info.dtype)
        for channel in channels:
            planes.extend(channel)
        return shaped(planes, info.dtype, (1, CHANNELS, height, width))
    whole = array(info.dtype, bytes(len(flat) * made[0].itemsize))
    for c, channel in enumerate(channels):
        whole[c::CHANNELS] = channel
    return shaped(whole, info.dtype, (1, height, width, CHANNELS))


def numbers(output: memoryview, info: TensorInfo) -> list[float]:
    """All numbers of an output in one row; of a quantised one, what its integers stand for."""
    row: list[float] = output.cast("B").cast(output.format).tolist()  # type: ignore[call-overload]
    return [(value - info.zero_point) * info.scale for value in row] if info.scale else row
