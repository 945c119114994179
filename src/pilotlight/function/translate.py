"""Translation by a model folder that `pilotlight optimize` wrote from a Marian checkpoint, such as opus-mt's.

from pilotlight.function.translate import Translator

translator = Translator("models/en-zh")
translator.translate(["How are you?", "It rains."])      # [Translation("你好吗?", -0.21), Translation(...)]
"""

from __future__ import annotations

from array import array
from math import sqrt

from pilotlight.errors import InputError, ModelError
from pilotlight.function import unigram
from pilotlight.function.seq2seq import Seq2Seq
from pilotlight.function.textmodel import well_formed
from pilotlight.function.trace import span
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from pilotlight.function.seq2seq import Generated

TASK = "translation"
MOST_BEAMS = 16


class Translation(NamedTuple):
    """A text in the other language; `score` is the mean of the logarithms of its tokens' probabilities."""

    text: str
    score: float


class _Row(NamedTuple):
    """A part of a text as the model reads it: which text it is of, its tokens, the space behind it."""

    text: int
    tokens: list[int]
    gap: str


class Translator:
    """Translation by the model folder at `path`.

    Translations are those of transformers' `generate` on the same weights; with weights in int8 nearly so. A text of
    more tokens than the model reads at once is translated in parts, cut at sentence ends. `batch` parts go through the
    model together, whichever texts they are of.

    `prefix` is the token that names the language to translate to, such as `>>cmn_Hans<<`, for a model of several; a
    text may begin with one itself. A text of more than `max_characters` is refused. `install` is the command that
    installs a model which does not ship.

    Raises `ModelNotInstalled` when nothing is at `path`, `ModelError` when it is no such model.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        threads: int | None = None,
        prefix: str = "",
        batch: int = 16,
        max_characters: int = 100_000,
        install: str = "",
    ) -> None:
        if min(batch, max_characters) < 1:
            raise ModelError("making a Translator: its numbers have to be 1 or more", "correct them")
        self._model = Seq2Seq(path, TASK, threads, install)
        self.model = self._model.decoder
        settings = self._model.settings["tokenizer"]
        with span("tokenizer"):
            self._pieces = unigram.load(self._model.folder, settings)
        self.max_length: int = settings["max_length"]
        self._end: int = settings["end"]
        self._codes: dict[str, int] = settings["codes"]
        self.prefix = prefix or settings.get("prefix", "")
        if self.prefix and self.prefix not in self._codes:
            raise ModelError(f"loading {self.model.path}: it has no {self.prefix}", self._hint())
        self.batch = batch
        self.max_characters = max_characters

    def translate(
        self, texts: Sequence[str], *, beam: int | None = None, prefix: str | None = None
    ) -> list[Translation]:
        """The translation of each text by so many beams: 1 is greedy, None is what the model's makers set.

        Raises `InputError`, whose field is `text`, `beam` or `prefix`, for what cannot be translated.
        """
        if beam is not None and not 1 <= beam <= MOST_BEAMS:
            raise InputError(("beam", f"must be from 1 to {MOST_BEAMS}, got {beam}"))
        rows = self._rows(texts, self.prefix if prefix is None else prefix)
        said: dict[int, Generated] = {}
        for numbers in self._batches(rows):
            generated = self._model.generate([rows[number].tokens for number in numbers], beam)
            said.update(zip(numbers, generated, strict=True))
        found: list[list[tuple[Generated, str]]] = [[] for _ in texts]
        for number, row in enumerate(rows):
            found[row.text].append((said[number], row.gap))
        return [self._joined(parts) for parts in found]

    def embed(self, texts: Sequence[str]) -> list[array[float]]:
        """For each text the mean of the encoder's states over its tokens, of length 1: near for texts that mean alike.

        Raises as `translate` does.
        """
        rows = self._rows(texts, "")
        sums: list[array[float] | None] = [None] * len(texts)
        for numbers in self._batches(rows):
            given = self._model.encode([rows[number].tokens for number in numbers], ["embedding"])["embedding"]
            flat, width = given.cast("B").cast("f"), (given.shape or ())[1]
            for place, number in enumerate(numbers):
                row, vector = rows[number], flat[place * width : (place + 1) * width]
                weighted = [len(row.tokens) * each for each in vector]
                before = sums[row.text]
                sums[row.text] = array(
                    "f", weighted if before is None else map(sum, zip(before, weighted, strict=True))
                )
        return [_unit(each) for each in sums if each is not None]

    def split(self, text: str) -> list[str]:
        """The parts in which a text is translated: itself alone, unless the model reads fewer tokens at once."""
        return [part for part, _, _ in self._parts(text, [])]

    def _rows(self, texts: Sequence[str], prefix: str) -> list[_Row]:
        if prefix and prefix not in self._codes:
            raise InputError(("prefix", f"the model has no {prefix!r}; {self._hint()}"))
        rows = []
        for number, text in enumerate(texts):
            if not text.strip():
                raise InputError(("text", "must not be empty"))
            code, bare = self._coded(well_formed("text", text, self.max_characters), prefix)
            parts = [_Row(number, tokens, gap) for _, tokens, gap in self._parts(bare, code)]
            if not parts:
                raise InputError(("text", "holds no character that the model can read"))
            rows += parts
        return rows

    def _coded(self, text: str, prefix: str) -> tuple[list[int], str]:
        """The token that names the language, and the text without it."""
        if text.startswith(">>") and text[: text.find("<<") + 2] in self._codes:
            prefix = text[: text.find("<<") + 2]
            text = text[len(prefix) :]
        return [self._codes[prefix]] if prefix else [], text

    def _parts(self, text: str, before: list[int]) -> Iterator[tuple[str, list[int], str]]:
        """Each part of the text, its tokens with what stands around them, and the space behind it."""
        most = self.max_length - len(before) - 1
        tokens = self._pieces.encode(text)
        if len(tokens) <= most:
            if tokens:
                yield text, [*before, *tokens, self._end], ""
            return

        from pilotlight.function import sentences

        for part in sentences.split(text, most, lambda piece: len(self._pieces.encode(piece))):
            if tokens := self._pieces.encode(part.text)[:most]:
                yield part.text, [*before, *tokens, self._end], part.gap

    def _batches(self, rows: Sequence[_Row]) -> Iterator[list[int]]:
        """Numbers of rows, those of like length together."""
        order = sorted(range(len(rows)), key=lambda number: len(rows[number].tokens))
        for first in range(0, len(order), self.batch):
            yield order[first : first + self.batch]

    def _joined(self, parts: list[tuple[Generated, str]]) -> Translation:
        tokens = sum(len(said.tokens) for said, _ in parts)
        score = sum(said.score * len(said.tokens) for said, _ in parts) / tokens
        texts = [(self._pieces.decode(said.tokens), gap) for said, gap in parts]
        if len(texts) == 1:
            return Translation(texts[0][0], score)

        from pilotlight.function import sentences

        return Translation(sentences.join(texts), score)

    def _hint(self) -> str:
        return f"it has {', '.join(self._codes)}" if self._codes else "it is for one language"


def _unit(vector: array[float]) -> array[float]:
    length = sqrt(sum(each * each for each in vector)) or 1.0
    return array("f", [each / length for each in vector])
