"""Pictures with captions: the parts of `captions.json`, words and their numbers, and pixels decoded once.

`captions.json`, beside the folder `images/`, is a list of `{"file": "1.jpg", "split": "train" | "val", "captions":
["There is ...", ...]}`, or what the splits of Karpathy and Li (CVPR 2015) are published as for MS COCO and others:
`{"images": [{"filename", "filepath", "split", "sentences": [{"raw"}, ...]}, ...]}`. Other splits are not looked at.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

START, END, UNKNOWN, PADDING = "<start>", "<end>", "<unk>", "<pad>"
SIDE = 128  # pixels of the square that the encoder sees
WordMap = Mapping[str, int]
_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")


class Picture(NamedTuple):
    """The file of a picture, and its captions as words."""

    path: Path
    captions: tuple[tuple[str, ...], ...]


class Parts(NamedTuple):
    """What trains, what chooses the epoch, and what only measures."""

    training: list[Picture]
    apart: list[Picture]
    validation: list[Picture]


def read(folder: Path, share: float = 0.1) -> Parts:
    """The pictures of the train split, of which a share is kept apart, and those of the val split."""
    splits: dict[str, list[Picture]] = {"train": [], "val": []}
    for file, split, captions in _listed(json.loads((folder / "captions.json").read_text(encoding="utf-8"))):
        if split in splits:
            splits[split].append(Picture(folder / "images" / file, tuple(map(words, captions))))
    shuffled = random.Random(0).sample(splits["train"], len(splits["train"]))  # one draw, so that seeds compare
    apart = round(len(shuffled) * share)
    return Parts(shuffled[apart:], shuffled[:apart], splits["val"])


def _listed(given: Any) -> Iterator[tuple[str, str, list[str]]]:
    """File, split and captions of each picture."""
    if isinstance(given, list):
        yield from ((entry["file"], entry["split"], entry["captions"]) for entry in given)
        return
    for entry in given["images"]:
        file = str(Path(entry.get("filepath", ""), entry["filename"]))
        split = "train" if entry["split"] == "restval" else entry["split"]  # of MS COCO, to train on too
        yield file, split, [sentence["raw"] for sentence in entry["sentences"]]


def words(caption: str) -> tuple[str, ...]:
    """The words of a caption in lower case, without punctuation."""
    return tuple(_WORD.findall(caption.lower()))


def word_map(pictures: Iterable[Picture], least: int) -> dict[str, int]:
    """The numbers of the words that occur at least `least` times, the most frequent first; 0 is the padding."""
    counts = Counter(word for picture in pictures for caption in picture.captions for word in caption)
    frequent = [word for word in sorted(counts, key=lambda it: (-counts[it], it)) if counts[word] >= least]
    return {word: number for number, word in enumerate([PADDING, *frequent, UNKNOWN, START, END])}


def encode(caption: Iterable[str], numbers: WordMap) -> list[int]:
    """The numbers of `<start>`, the words and `<end>`."""
    return [numbers[START], *(numbers.get(word, numbers[UNKNOWN]) for word in caption), numbers[END]]


def drawn(captions: Sequence[tuple[str, ...]], count: int, generator: random.Random) -> list[tuple[str, ...]]:
    """So many of a picture's captions; where it has fewer, some twice."""
    if len(captions) >= count:
        return generator.sample(captions, count)
    return [*captions, *generator.choices(captions, k=count - len(captions))]


def pixels(pictures: Sequence[Picture]) -> np.ndarray:
    """The pictures as uint8 `[n, SIDE, SIDE, 3]`, made smaller as serving does."""
    decoded = np.empty((len(pictures), SIDE, SIDE, 3), np.uint8)
    for row, picture in enumerate(pictures):
        with Image.open(picture.path) as image:
            decoded[row] = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return decoded
