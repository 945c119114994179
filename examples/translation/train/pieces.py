"""The tokenisers of a direction, as MarianMT keeps them: `source.spm`, `target.spm` and `vocab.json`.

Unigram models by SentencePiece (Kudo 2018), one for each language, of the training part alone. `vocab.json` numbers the
pieces of both, so that one matrix embeds both languages. English, and Chinese to be translated, are brought to NFKC by
the tokeniser itself; Chinese to be said is kept as it is, as NFKC would make its signs narrow.
"""

import json
import math
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import sentencepiece
from train.data import CHINESE, Pair

END, UNKNOWN, PADDING = "</s>", "<unk>", "<pad>"
_SAMPLED = 8  # segmentations of a sentence that training draws from
_SHARPNESS = 0.3  # 0 draws each as often, 1 as often as the model says


class Sizes(NamedTuple):
    """Numbers of pieces."""

    en: int = 2500
    zh: int = 3600


class Segmented(NamedTuple):
    """The likeliest segmentations of a text as numbers, and how often each is drawn."""

    pieces: list[list[int]]
    weights: list[float]

    def drawn(self, generator: random.Random) -> list[int]:
        return generator.choices(self.pieces, self.weights)[0]


class Side:
    """A language's pieces, numbered by the vocabulary of both."""

    def __init__(self, path: Path, numbers: dict[str, int]) -> None:
        self._model = sentencepiece.SentencePieceProcessor(model_file=str(path))
        self._numbers = numbers

    def segmented(self, text: str) -> Segmented:
        found = self._model.nbest_encode(text, nbest_size=_SAMPLED, return_type="proto").nbests
        likeliest = max(each.score for each in found)
        weights = [math.exp(_SHARPNESS * (each.score - likeliest)) for each in found]
        return Segmented([[self._number(piece.piece) for piece in each.pieces] for each in found], weights)

    def _number(self, piece: str) -> int:
        return self._numbers.get(piece, self._numbers[UNKNOWN])


def write(folder: Path, pairs: Sequence[Pair], direction: str, sizes: Sizes) -> tuple[dict[str, int], int]:
    """Make the three files from the training part. Returns the numbers of the pieces, and how many the target has."""
    folder.mkdir(parents=True, exist_ok=True)
    sources, targets = zip(*(pair.turned(direction) for pair in pairs), strict=True)
    source, target = direction.split("-")
    said = _train(
        folder / "target.spm", targets, getattr(sizes, target), "identity" if target == CHINESE else "nmt_nfkc"
    )
    read = _train(folder / "source.spm", sources, getattr(sizes, source), "nmt_nfkc")
    known = dict.fromkeys([END, UNKNOWN, *said])
    numbers = {piece: number for number, piece in enumerate([*known, *(it for it in read if it not in known), PADDING])}
    (folder / "vocab.json").write_text(json.dumps(numbers, ensure_ascii=False), encoding="utf-8")
    return numbers, len(known)


def _train(path: Path, texts: Iterable[str], size: int, rule: str) -> list[str]:
    """Write a model, and return its pieces."""
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=file,
            vocab_size=size,
            model_type="unigram",
            normalization_rule_name=rule,
            character_coverage=0.9998,
            hard_vocab_limit=False,
            num_threads=1,
            minloglevel=2,
        )
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return [model.id_to_piece(number) for number in range(model.get_piece_size()) if not model.is_control(number)]
