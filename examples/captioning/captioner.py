"""Pixels -> a caption, word by word, and where the network looked for each: an encoder, a decoder and beam search."""

from array import array
from os.path import join
from typing import TYPE_CHECKING, Any, NamedTuple

from beam import Beams, Choice, search

from pilotlight import Model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotlight import Image

LIMIT = 50  # words; the network ends its captions long before


class Spoken(NamedTuple):
    """A caption's `words`, and for each the weights of the picture's cells, row by row: `looks`, floats that sum to 1.

    `ended` is false for a caption that was cut off after `LIMIT` words.
    """

    words: list[str]
    looks: list[memoryview]
    ended: bool


class Captioner:
    """A model folder with `encoder/` and `decoder/` (`train/graphs.py` says what they take and give).

    Raises `ModelNotInstalled` where they are not, `ModelError` where they cannot be loaded.
    """

    def __init__(self, path: str) -> None:
        self.encoder, self.decoder = (Model(join(path, part)) for part in ("encoder", "decoder"))
        self.grid: tuple[int, int] = tuple(self.encoder.settings["grid"])
        """Rows and columns of the cells."""
        self.words: list[str] = self.decoder.settings["words"]

    def caption(self, image: "Image", beam: int) -> Spoken:
        """The best caption of `beam` beams."""
        size = self.encoder.settings["image"]
        return self.of_pixels(image.pixels(size["width"], size["height"], size["resample"]), beam)

    def of_pixels(self, pixels: memoryview, beam: int) -> Spoken:
        """As `caption`, of uint8 [1, height, width, 3] in the encoder's size."""
        settings = self.decoder.settings
        step = Step(self.decoder, self.encoder.run({"pixels": pixels}), len(self.words))
        found = search(step, settings["start"], settings["end"], beam, LIMIT)
        return Spoken([self.words[word] for word in found.words], found.looks, found.ended)


class Step:
    """The decoder for one picture, `seen` by the encoder. The state goes from run to run without being touched here."""

    def __init__(self, decoder: Model, seen: dict[str, memoryview], words: int) -> None:
        self._decoder, self._words = decoder, words
        self._picture = {name: seen[name] for name in ("features", "keys")}
        self._state = {name: seen[name] for name in ("h", "c")}

    def __call__(self, beams: Beams, width: int) -> tuple[list[Choice], "Sequence[memoryview]"]:
        most = len(beams.words) * self._words
        feeds: dict[str, Any] = {
            "words": array("q", beams.words),
            "parents": array("q", beams.parents),
            "totals": array("f", beams.totals),
            "width": array("q", [min(width, most)]),
        }
        given = self._decoder.run({**feeds, **self._state, **self._picture})
        self._state = {"h": given["h_next"], "c": given["c_next"]}
        choices = map(Choice, given["best"].tolist(), given["from"].tolist(), given["next"].tolist())
        return list(choices), rows(given["looks"])


def rows(table: memoryview) -> list[memoryview]:
    """The rows of floats [n, cells], as memoryview gives none of a table with two dimensions."""
    count, width = table.shape or (0, 0)
    flat = table.cast("B").cast("f")
    return [flat[row * width : (row + 1) * width] for row in range(count)]
