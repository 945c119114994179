"""A text -> its label, or its embedding."""

from __future__ import annotations

from pilotlight.errors import ModelError
from pilotlight.function.labels import Label, softmax
from pilotlight.function.textmodel import TextModel, floats

TYPE_CHECKING = False

if TYPE_CHECKING:
    import os


class Classifier:
    """Text classification by the model folder at `path`, which `pilotlight optimize` wrote.

    `install` is the command that installs a model which does not ship. Raises `ModelNotInstalled` when nothing is at
    `path`, `ModelError` when it is no such model.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int | None = None, install: str = "") -> None:
        self._text = TextModel(path, "text-classification", ["logits"], threads, install)
        self.model = self._text.model
        self.labels: list[str] = self._text.setting("labels")

    def classify(self, text: str) -> Label:
        """The most probable label of a text, of which the model reads the beginning when it is too long for it.

        Raises `InputError`, whose field is `text`, for one that cannot be read.
        """
        row = self._text.single(self._text.encode("text", text).ids)
        logits = floats(self._text.run([row], ["logits"])[0]).tolist()
        if len(logits) != len(self.labels):
            raise ModelError(f"running {self.model.path}: {len(logits)} logits for {len(self.labels)} labels")
        return max(map(Label, self.labels, softmax(logits)), key=lambda label: label.score)


class Embedder:
    """Sentence embeddings by the model folder at `path`, which `pilotlight optimize` wrote; else as `Classifier`."""

    def __init__(self, path: str | os.PathLike[str], *, threads: int | None = None, install: str = "") -> None:
        self._text = TextModel(path, "sentence-embedding", ["embedding"], threads, install)
        self.model = self._text.model

    def embed(self, text: str) -> list[float]:
        """The embedding of a text, of which the model reads the beginning when it is too long for it.

        Raises `InputError`, whose field is `text`, for one that cannot be read.
        """
        row = self._text.single(self._text.encode("text", text).ids)
        return list(floats(self._text.run([row], ["embedding"])[0]))
