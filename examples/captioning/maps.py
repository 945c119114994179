"""Where the network looked for each word, drawn over the picture: one tile for each word, warm where it looked.

As in figure 3 of Xu et al. 2015. Pillow does all of it.
"""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

TILE = 192  # pixels of the longer side of a tile
BAND = 26  # under each tile, for its word
GAP = 6
COLUMNS = 5
PAPER, INK = (255, 255, 255), (24, 24, 27)
RAMP = ((0, (20, 12, 60)), (90, (150, 30, 110)), (170, (245, 110, 50)), (255, (255, 235, 130)))
"""Colours of the heat, from 0 to 255."""


def draw(picture: "Picture", words: Sequence[str], looks: Sequence[memoryview], grid: tuple[int, int]) -> bytes:
    """A PNG of the picture, then once more for each word; `looks` are weights of `grid` (rows, columns) cells."""
    from PIL import Image

    tile = _fitted(picture)
    tiles = [tile, *(_heated(tile, look, grid) for look in looks)]
    columns = min(COLUMNS, len(tiles))
    wide, high = tile.width + GAP, tile.height + BAND
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * wide + GAP, rows * high + GAP), PAPER)
    for number, (each, word) in enumerate(zip(tiles, ["", *words], strict=True)):
        left, top = GAP + number % columns * wide, GAP + number // columns * high
        sheet.paste(each, (left, top))
        _write(sheet, word, left + tile.width // 2, top + tile.height + BAND // 2 - 2)
    return _png(sheet)


def _fitted(picture: "Picture") -> "Picture":
    scale = TILE / max(picture.size)
    return picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))


def _heated(tile: "Picture", look: memoryview, grid: tuple[int, int]) -> "Picture":
    """The tile in grey, under the heat of one word: the more it was looked at, the more heat and the less grey."""
    from PIL import Image, ImageOps

    heat = _smooth(look, grid, tile.size)
    grey = ImageOps.grayscale(tile).convert("RGB")
    opacity = heat.point([value * 7 // 10 for value in range(256)])
    return Image.composite(_coloured(heat), Image.blend(tile, grey, 0.6), opacity)


def _smooth(look: memoryview, grid: tuple[int, int], size: tuple[int, int]) -> "Picture":
    """The weights as brightness: 0 where no more was looked than evenly, so that a look all around stays pale."""
    from PIL import Image

    even = 1 / len(look)
    most = max(max(look) - even, even)
    levels = bytes(round(255 * max(0.0, weight - even) / most) for weight in look)
    cells = Image.frombytes("L", (grid[1], grid[0]), levels)
    return cells.resize(size, Image.Resampling.BICUBIC)


def _coloured(heat: "Picture") -> "Picture":
    from PIL import Image

    bands = [heat.point([_between(value, band) for value in range(256)]) for band in range(3)]
    return Image.merge("RGB", bands)


def _between(value: int, band: int) -> int:
    """Red, green or blue of the heat's colour."""
    after = next(number for number, (level, _) in enumerate(RAMP) if value <= level and number)
    (low, cold), (high, warm) = RAMP[after - 1 : after + 1]
    return cold[band] + (warm[band] - cold[band]) * (value - low) // (high - low)


def _write(sheet: "Picture", word: str, x: int, y: int) -> None:
    from PIL import ImageDraw, ImageFont

    font = ImageFont.load_default(16)
    ImageDraw.Draw(sheet).text((x, y), word, fill=INK, font=font, anchor="mm")


def _png(sheet: "Picture") -> bytes:
    stored = BytesIO()
    sheet.save(stored, "PNG")
    return stored.getvalue()
