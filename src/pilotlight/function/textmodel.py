"""What every text task needs: a model with its tokenizer, texts that can be read, rows of token ids as feeds."""

from __future__ import annotations

import os
from struct import pack

from pilotlight.errors import InputError, InputTooLarge, ModelError
from pilotlight.function import tokenizer
from pilotlight.function.model import Model
from pilotlight.function.trace import span
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pilotlight.function.tokenizer import Encoding

MAX_CHARACTERS = 1_000_000  # 1 to 3 s of tokenizing in plain Python
HINT = "name a folder that `pilotlight optimize` wrote for this task"


class Row(NamedTuple):
    """One row of a batch: token ids, special ones included, of which those from `second` on have the second type."""

    ids: list[int]
    second: int


class TextModel:
    """The model folder at `path`, which was made for `task` and gives `outputs`.

    `max_length` is how many tokens the model reads at once. Raises `ModelNotInstalled` or `ModelError`.
    """

    def __init__(
        self, path: str | os.PathLike[str], task: str, outputs: Sequence[str], threads: int | None, install: str
    ) -> None:
        self.model = Model(path, threads=threads, install=install)
        self._doing = f"loading {self.model.path}"
        self._check(task, outputs)
        settings = self.setting("tokenizer")
        _check_tokenizer(settings, self._doing)
        with span("tokenizer"):
            self.tokenizer = tokenizer.load(os.path.dirname(self.model.path), settings)
        self._names = {info.name for info in self.model.inputs}
        self.max_length: int = settings["max_length"]
        self._single: list[list[int]] = settings["single"]
        self._pair: list[list[int]] = settings["pair"]
        self._types: list[int] = settings["pair_types"]
        self._pad: int = settings["pad"]

    def setting(self, name: str) -> Any:
        """An entry of `model.json`. Raises `ModelError` when there is none."""
        if not self.model.settings:
            raise ModelError(f"{self._doing}: there is no model.json beside it", HINT)
        if name not in self.model.settings:
            raise ModelError(f"{self._doing}: its model.json has no {name!r}", HINT)
        return self.model.settings[name]

    def encode(self, field: str, text: str, most: int = MAX_CHARACTERS) -> Encoding:
        """The tokens of `text`. Raises `InputError`, which names `field`, when nothing in it can be read."""
        if not text.strip():
            raise InputError((field, "must not be empty"))
        with span("tokenize"):
            encoding = self.tokenizer.encode(well_formed(field, text, most))
        if not encoding.ids:
            raise InputError((field, "holds no character that the model can read"))
        return encoding

    def single(self, ids: list[int]) -> Row:
        """The row of one text, cut to what the model reads."""
        special = len(self.whole([]))
        row = self.whole(ids[: self.max_length - special])
        return Row(row, len(row))

    def whole(self, ids: list[int]) -> list[int]:
        """One text with the special tokens around it."""
        before, after = self._single
        return [*before, *ids, *after]

    def pair(self, first: list[int], second: list[int]) -> Row:
        """The row of two texts."""
        before, between, after = self._pair
        return Row([*before, *first, *between, *second, *after], len(before) + len(first) + len(between))

    @property
    def pair_specials(self) -> int:
        """How many special tokens a pair has."""
        return sum(map(len, self._pair))

    @property
    def classified(self) -> bool:
        """Whether a pair begins with a special token, which readers answer "nothing" with."""
        return bool(self._pair[0])

    def run(self, rows: Sequence[Row], outputs: Sequence[str]) -> list[memoryview]:
        """The outputs named, each [rows, ...], of rows that are padded to the longest of them."""
        feeds = {name: feed for name, feed in self._feeds(rows).items() if name in self._names}
        return list(self.model.run(feeds, outputs).values())

    def _feeds(self, rows: Sequence[Row]) -> dict[str, memoryview]:
        length = max(len(row.ids) for row in rows)
        first, second = self._types
        ids: list[int] = []
        mask: list[int] = []
        types: list[int] = []
        for row in rows:
            size = len(row.ids)
            padding = [0] * (length - size)
            ids.extend(row.ids + [self._pad] * len(padding))
            mask.extend([1] * size + padding)
            types.extend([first] * row.second + [second] * (size - row.second) + padding)
        shape = [len(rows), length]
        return {
            "input_ids": tensor(ids, shape),
            "attention_mask": tensor(mask, shape),
            "token_type_ids": tensor(types, shape),
        }

    def _check(self, task: str, outputs: Sequence[str]) -> None:
        made_for = self.setting("task")
        if made_for != task:
            raise ModelError(f"{self._doing}: the model is for {made_for}, and {task} is asked of it", HINT)
        given = {info.name for info in self.model.outputs}
        for name in outputs:
            if name not in given:
                raise ModelError(f"{self._doing}: the graph has no output {name!r}", HINT)


def _check_tokenizer(settings: Any, doing: str) -> None:
    """What surrounds texts has the shape that rows are made by. Raises `ModelError`."""
    if not isinstance(settings, dict):
        raise ModelError(f"{doing}: its tokenizer settings are no object", HINT)
    for name, fits in TOKENIZER.items():
        if name not in settings:
            raise ModelError(f"{doing}: its tokenizer settings lack {name!r}", HINT)
        if not fits(settings[name]):
            raise ModelError(f"{doing}: {name!r} of its tokenizer settings cannot be {settings[name]!r:.80}", HINT)


def _is_number(value: object) -> bool:
    return type(value) is int and value >= 0


def _are_numbers(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_number, value))


TOKENIZER: dict[str, Callable[[Any], bool]] = {
    "max_length": lambda value: _is_number(value) and value > 4,  # less is no room for two texts
    "single": lambda value: isinstance(value, list) and len(value) == 2 and all(map(_are_numbers, value)),
    "pair": lambda value: isinstance(value, list) and len(value) == 3 and all(map(_are_numbers, value)),
    "pair_types": lambda value: _are_numbers(value) and len(value) == 2,
    "pad": _is_number,
}


def well_formed(field: str, text: str, most: int = MAX_CHARACTERS) -> str:
    """`text` itself.

    Raises `InputTooLarge` above `most` characters, `InputError` where it is no Unicode: JSON can hold half of a
    surrogate pair.
    """
    if len(text) > most:
        raise InputTooLarge((field, f"{len(text)} characters, and {most} are allowed"))
    try:
        text.encode()
    except UnicodeEncodeError as error:
        reason = f"character {error.start + 1} is half of a surrogate pair, which is no text"
        raise InputError((field, reason)) from None
    return text


def tensor(numbers: Sequence[int], shape: Sequence[int]) -> memoryview:
    """int64 numbers as a tensor of that shape. Not by `array`, whose import brings `collections` along."""
    view: memoryview = memoryview(pack(f"{len(numbers)}q", *numbers)).cast("q", shape)  # type: ignore[call-overload]
    return view


def floats(output: memoryview) -> memoryview[float]:
    """A float32 tensor as one row of numbers, which is quick to slice."""
    return output.cast("B").cast("f")
