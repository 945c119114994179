"""Text generation, a token at a time, with a cache of the keys and values that went before."""

from __future__ import annotations

from math import exp, isfinite

from pilotlight.errors import InputError, InputTooLarge, ModelError
from pilotlight.function.session import shaped
from pilotlight.function.textmodel import HINT, TextModel, floats, tensor, well_formed

TYPE_CHECKING = False

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pilotlight.function.session import TensorInfo
    from pilotlight.function.tokenizer import Tokenizer

    Choose = Callable[[Sequence[float]], int]

PAST, PRESENT = "past_key_values.", "present."
UNFINISHED = "\ufffd"  # what a tokenizer writes for a part of a character


class Generator:
    """Text generation by the model folder at `path`, which `pilotlight optimize` wrote.

    Any decoder will do whose graph takes `past_key_values.N.key` and `.value` and gives `present.N.key` and `.value`.
    `install` is the command that installs a model which does not ship. Raises `ModelNotInstalled` when nothing is at
    `path`, `ModelError` when it is no such model.
    """

    def __init__(self, path: str | os.PathLike[str], *, threads: int | None = None, install: str = "") -> None:
        self._text = TextModel(path, "text-generation", ["logits"], threads, install)
        self.model = self._text.model
        self._names = {info.name for info in self.model.inputs}
        self._empty = {
            info.name: _empty(info, self.model.path) for info in self.model.inputs if info.name.startswith(PAST)
        }
        if not self._empty:
            raise ModelError(f"loading {self.model.path}: the graph has no {PAST}0.key, so it has no cache", HINT)
        generation = self._text.setting("generation")
        self.max_positions: int = generation["max_positions"]
        self._eos = set(generation["eos"])
        self._bos: int | None = generation.get("bos")

    def stream(
        self,
        prompt: str,
        *,
        max_length: int = 50,
        temperature: float = 0.0,
        top_k: int = 50,
        seed: int | None = None,
    ) -> Iterator[str]:
        """What follows the prompt, in pieces, as it is generated.

        It ends with the model's end of text, or when prompt and continuation have `max_length` tokens, of which the
        model's positions are the most. At temperature 0 each token is the most probable one; above, it is drawn from
        the `top_k` most probable, by a generator of random numbers that begins at `seed`.

        Raises `InputError`, before anything is generated, where a field is out of its bounds.
        """
        choose = _choice(temperature, top_k, seed)
        ids = self._prompt(prompt)
        end = min(max_length, self.max_positions)
        if len(ids) >= end:
            raise InputError(("max_length", f"must be above the {len(ids)} tokens of the prompt, got {max_length}"))
        return pieces(self._text.tokenizer, ids, self._tokens(ids, end, choose))

    def _prompt(self, prompt: str) -> list[int]:
        ids = self._text.whole(self._text.tokenizer.encode(well_formed("prompt", prompt)).ids)
        if not ids and self._bos is not None:
            ids = [self._bos]
        if not ids:
            raise InputError(("prompt", "must not be empty"))
        if len(ids) >= self.max_positions:
            reason = f"{len(ids)} tokens, and the model has {self.max_positions} positions for them and what follows"
            raise InputTooLarge(("prompt", reason))
        return ids

    def _tokens(self, ids: list[int], end: int, choose: Choose) -> Iterator[int]:
        """The tokens after `ids`, until there are `end` in all."""
        past, read = self._empty, 0
        while read + len(ids) < end:
            given = self.model.run(self._feeds(ids, read, past))
            token = choose(_last(given["logits"]))
            if token in self._eos:
                return
            yield token
            past = {name: given[name.replace(PAST, PRESENT)] for name in past}
            ids, read = [token], read + len(ids)

    def _feeds(self, ids: list[int], read: int, past: dict[str, memoryview]) -> dict[str, memoryview]:
        """The inputs for tokens that come after `read` others, whose keys and values are in `past`."""
        length = read + len(ids)
        feeds = {
            "input_ids": tensor(ids, [1, len(ids)]),
            "attention_mask": tensor([1] * length, [1, length]),
            "position_ids": tensor(range(read, length), [1, len(ids)]),
        }
        return {**{name: feed for name, feed in feeds.items() if name in self._names}, **past}


def pieces(tokenizer: Tokenizer, ids: list[int], tokens: Iterable[int]) -> Iterator[str]:
    """The text that each token adds to that of `ids`; where a character is not complete yet, with a later token.

    A token's text may depend on what stands before it (a space between two words), so it is decoded together with
    the tokens of the piece before.
    """
    before, after = ids, list[int]()
    for token in tokens:
        after.append(token)
        piece = _added(tokenizer, before, after)
        if piece and not piece.endswith(UNFINISHED):
            yield piece
            before, after = after, []
    if rest := _added(tokenizer, before, after):
        yield rest


def _added(tokenizer: Tokenizer, before: list[int], after: list[int]) -> str:
    return tokenizer.decode(before + after)[len(tokenizer.decode(before)) :] if after else ""


def _choice(temperature: float, top_k: int, seed: int | None) -> Choose:
    """How the next token is chosen by the logits of all."""
    if not (isfinite(temperature) and temperature >= 0):
        raise InputError(("temperature", f"must be 0 or more, got {temperature}"))
    if top_k < 1:
        raise InputError(("top_k", f"must be 1 or more, got {top_k}"))
    return _sampling(temperature, top_k, seed) if temperature > 0 else _most_probable


def _most_probable(logits: Sequence[float]) -> int:
    return logits.index(max(logits))


def _sampling(temperature: float, top_k: int, seed: int | None) -> Choose:
    from heapq import nlargest
    from random import Random

    random = Random(seed)

    def choose(logits: Sequence[float]) -> int:
        tokens = nlargest(top_k, range(len(logits)), key=logits.__getitem__)
        highest = logits[tokens[0]]
        [token] = random.choices(tokens, [exp((logits[token] - highest) / temperature) for token in tokens])
        return token

    return choose


def _last(logits: memoryview) -> Sequence[float]:
    """Of the last position, whether the graph gives all positions or that alone: [1, tokens, vocabulary]."""
    vocabulary = (logits.shape or ())[-1]
    return floats(logits)[-vocabulary:].tolist()


def _empty(info: TensorInfo, path: str) -> memoryview:
    """Keys or values of no token: [1, heads, 0, width]."""
    match info.shape:
        case (_, int(heads), _, int(width)):
            return shaped(b"", info.dtype, (1, heads, 0, width))
    raise ModelError(f"loading {path}: input {info.name!r} does not say its heads and their width: {info.shape}", HINT)
