"""A picture -> its label."""

from __future__ import annotations

from pilotlight.errors import ModelError
from pilotlight.function.labels import Label, softmax
from pilotlight.function.model import Model
from pilotlight.function.pictures import Size
from pilotlight.function.pixels import KEYS, numbers, prepared, tables

TYPE_CHECKING = False

if TYPE_CHECKING:
    import os
    from typing import Any

    from pilotlight.function.inputs import Image

_SCORES = ("logits", "probabilities")


class ImageClassifier:
    """Picture classification by the model folder at `path`, whose `model.json` says how pictures are brought to it:

        "image": {"width": 299, "height": 299, "resample": "nearest", "fit": "stretch"}, "labels": ["dress", ...]

    The graph takes uint8 pixels [1, height, width, 3] as `pixels`, and gives one number for each label: logits, or
    probabilities where the settings say `"scores": "probabilities"`. One that takes float32, or integers which stand
    for floats, as somebody else's .tflite may, has "scale", "mean" and "std" in "image", as `pixels.tables` reads them.

    `install` is the command that installs a model which does not ship. Raises `ModelNotInstalled` when nothing is at
    `path`, `ModelError` when it is no such model.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int | None = None, install: str = "") -> None:
        self.model = Model(path, threads=threads, install=install)
        self.labels: list[str] = self._setting("labels", list)
        self._size = self._read_size(self._setting("image", dict))
        self._scores = self.model.settings.get("scores", "logits")
        if self._scores not in _SCORES:
            raise self._broken(f'"scores" is {" or ".join(_SCORES)}, not {self._scores!r}')
        inputs = {info.name: info for info in self.model.inputs}
        self._input = inputs.get("pixels", self.model.inputs[0])
        self._output = self.model.outputs[0]
        self._check_shapes()
        try:
            self._tables = tables(self._setting("image", dict), self._input)
        except ValueError as error:
            raise self._broken(f'"image": {error}') from None

    def logits(self, image: Image) -> dict[str, float]:
        """The model's own number for each label, by label. Raises what `inputs.Image.pixels` does."""
        pixels = image.pixels(*self._size[:4], resize=self._size.resize, draft=self._size.draft)
        name = self._output.name
        output = self.model.run({self._input.name: prepared(pixels, self._tables, self._input)}, [name])[name]
        row = numbers(output, self._output)
        if len(row) != len(self.labels):
            raise ModelError(f"running {self.model.path}: {len(row)} numbers for {len(self.labels)} labels")
        return dict(zip(self.labels, row, strict=True))

    def classify(self, image: Image, top: int = 5) -> list[Label]:
        """The `top` most probable labels, the most probable first. Raises what `inputs.Image.pixels` does."""
        scores = self.logits(image)
        row = list(scores.values())
        labels = map(Label, scores, softmax(row) if self._scores == "logits" else row)
        return sorted(labels, key=lambda label: -label.score)[:top]

    def _read_size(self, settings: dict[str, Any]) -> Size:
        if unknown := settings.keys() - {*Size._fields, *KEYS}:
            raise self._broken(f'"image": {min(unknown)!r} is not known')
        fields = {name: value for name, value in settings.items() if name in Size._fields}
        try:
            return Size(**fields).checked()
        except (TypeError, ValueError) as error:
            raise self._broken(f'"image": {error}') from None

    def _check_shapes(self) -> None:
        """What the graph has no fixed number for shows when it runs."""
        scores = self._output.shape[-1:]
        if scores and isinstance(scores[0], int) and scores[0] > 0 and scores[0] != len(self.labels):
            raise self._broken(f'"labels": {len(self.labels)} for {scores[0]} numbers')
        shape, size = self._input.shape, (self._size.height, self._size.width)
        fixed = len(shape) == 4 and all(isinstance(side, int) and side > 0 for side in shape[1:])
        if fixed and shape[3] == 3 and shape[1:3] != size:
            raise self._broken(f'"image": {size[1]} x {size[0]} for a graph of {shape[2]} x {shape[1]} pixels')

    def _setting(self, name: str, kind: type) -> Any:
        value = self.model.settings.get(name)
        if not isinstance(value, kind):
            raise self._broken(f"there is no {name!r}")
        return value

    def _broken(self, reason: str) -> ModelError:
        hint = "name a folder that `pilotlight optimize` wrote for image-classification"
        return ModelError(f"loading {self.model.path}: its model.json does not fit: {reason}", hint)
