"""A model of an encoder and a decoder: token numbers -> token numbers, all beams of all texts in one call a step."""

from __future__ import annotations

import os
from array import array

from pilotlight.errors import ModelError
from pilotlight.function.beamsearch import Candidate, Rules, Search, sequence
from pilotlight.function.model import Model
from pilotlight.function.session import shaped
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

ENCODER = "encoder.onnx"
HINT = "name a folder that `pilotlight optimize` wrote for this task"


class Generated(NamedTuple):
    """The tokens of a text, its end among them, and the mean of the logarithms of their probabilities."""

    tokens: list[int]
    score: float


class Seq2Seq:
    """The model folder at `path`, which was made for `task`.

    Raises `ModelNotInstalled` when nothing is at `path`, `ModelError` when it is no such model.
    """

    def __init__(self, path: str | os.PathLike[str], task: str, threads: int | None = None, install: str = "") -> None:
        self.decoder = Model(path, threads=threads, install=install)
        self.settings = self.decoder.settings
        self.folder = os.path.dirname(self.decoder.path)
        self._check(task)
        session = self.settings.get("session", {})
        self.encoder = Model(
            os.path.join(self.folder, ENCODER),
            threads=threads,
            options=session.get("options", {}),
            optimize=session.get("optimize", True),
        )
        generation = self.settings["generation"]
        self._start: int = generation["start"]
        self._pad: int = generation["pad"]
        self._vocabulary: int = generation["vocabulary"]
        self._beams: int = generation["beams"]
        self._rules = Rules(
            generation["ends"],
            generation["max_length"],
            generation["length_penalty"],
            generation["early_stopping"],
            generation["forced_end"],
        )
        self._empty = {info.name: _empty(info.shape) for info in self.decoder.inputs if info.name.startswith("past.")}

    def _check(self, task: str) -> None:
        doing = f"loading {self.decoder.path}"
        if not self.settings:
            raise ModelError(f"{doing}: there is no model.json beside it", HINT)
        if self.settings.get("task") != task:
            raise ModelError(f"{doing}: the model is for {self.settings.get('task')}, and {task} is asked of it", HINT)
        for name in ("generation", "tokenizer"):
            if not isinstance(self.settings.get(name), dict):
                raise ModelError(f"{doing}: its model.json has no {name!r}", HINT)

    def encode(self, texts: Sequence[Sequence[int]], outputs: Sequence[str] | None = None) -> dict[str, memoryview]:
        """What the encoder gives for texts as token numbers, padded to the longest; with the `attention_mask`."""
        length = max(map(len, texts))
        ids, mask = array("q"), array("i")
        for text in texts:
            padding = length - len(text)
            ids.extend([*text, *[self._pad] * padding])
            mask.extend([1] * len(text) + [0] * padding)
        seen = shaped(mask, "i", (len(texts), length))
        given = self.encoder.run({"input_ids": shaped(ids, "q", (len(texts), length)), "attention_mask": seen}, outputs)
        return {**given, "attention_mask": seen}

    def generate(self, texts: Sequence[Sequence[int]], beams: int | None = None) -> list[Generated]:
        """For each text, as token numbers with its end, what the model makes of it, by so many beams."""
        searches = [Search(self._beams if beams is None else beams, self._start, self._rules) for _ in texts]
        seen = self.encode(texts)
        seen.pop("embedding")
        self._search(searches, seen)
        return [_generated(search) for search in searches]

    def _search(self, searches: Sequence[Search], seen: dict[str, memoryview]) -> None:
        """Until all are done. Those that are leave the batch, and with them what the encoder saw of their texts."""
        going, past, beams = list(searches), dict(self._empty), searches[0].beams
        parents = array("q", [0]) * (len(going) * beams)
        while going:
            if going[0].is_forced:  # all are as long as one another
                for search in going:
                    search.force()
                return
            given = self._step(going, parents, {**seen, **past})
            for search, candidates in zip(going, self._candidates(given), strict=True):
                search.advance(candidates)
            left = [number for number, search in enumerate(going) if not search.is_done]
            parents = array("q", [number * beams + each for number in left for each in going[number].parents])
            if len(left) < len(going):
                seen = {name: _rows(view, left) for name, view in seen.items()}
            going = [going[number] for number in left]
            past = {name: given[name.replace("past.", "present.")] for name in past}

    def _step(
        self, going: Sequence[Search], parents: array[int], fed: Mapping[str, memoryview]
    ) -> dict[str, memoryview]:
        shape = (len(going), going[0].beams)
        feeds: dict[str, Any] = {
            "tokens": shaped(array("q", _all(search.tokens for search in going)), "q", shape),
            "totals": shaped(array("f", _all(search.totals for search in going)), "f", shape),
            "parents": parents,
            "count": array("q", [min(going[0].wanted, self._vocabulary * shape[1])]),
        }
        return self.decoder.run({**feeds, **fed})

    def _candidates(self, given: Mapping[str, memoryview]) -> list[list[Candidate]]:
        """Of each text, the best first."""
        totals: list[Any] = given["best"].tolist()
        places: list[Any] = given["places"].tolist()
        size = self._vocabulary
        return [
            [Candidate(total, place // size, place % size) for total, place in zip(*pairs, strict=True)]
            for pairs in zip(totals, places, strict=True)
        ]


def _generated(search: Search) -> Generated:
    best = search.result()
    return Generated(sequence(best.last), best.total / best.length)


def _all(lists: Iterable[Sequence[Any]]) -> list[Any]:
    return [each for several in lists for each in several]


def _rows(view: memoryview, numbers: Sequence[int]) -> memoryview:
    """Those rows of a tensor, as one of its own."""
    shape = view.shape or ()
    flat = view.cast("B")
    size = len(flat) // shape[0]
    return shaped(
        b"".join(flat[number * size : (number + 1) * size] for number in numbers),
        view.format,
        (len(numbers), *shape[1:]),
    )


def _empty(shape: Sequence[int | str | None]) -> memoryview:
    """Keys or values of no token."""
    _, heads, _, width = shape
    return shaped(b"", "f", (1, int(heads or 0), 0, int(width or 0)))
