"""Measure a model folder as it is served: needs onnxruntime, no torch.

    python -m train.kim_cnn.evaluate FILE [--model models/kim_cnn] [--vectors FILE]

FILE holds trees, or `label text` lines where label is the number of a class: 0 (negative) or 1 (positive).
"""

import argparse
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from train import data, vectors
from train.data import Example
from train.vectors import Vector

Logits = NDArray[np.float32]


def logits(folder: Path, examples: Iterable[Example], given: Mapping[str, Vector] = {}) -> Logits:
    """What the files of a model folder answer, `[examples, classes]`; `given` is for one that takes vectors."""
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    [taken] = session.get_inputs()
    row = _numbered(folder) if taken.name == "tokens" else _embedded(given, taken.shape[2])
    answers = (session.run(["logits"], {taken.name: row(example.tokens)})[0] for example in examples)
    return np.concatenate(list(answers))


def right(answers: Logits, examples: Iterable[Example]) -> int:
    """How many answers have their highest logit at the wanted class."""
    return int((answers.argmax(axis=1) == [example.label for example in examples]).sum())


def _numbered(folder: Path) -> Callable[[Iterable[str]], NDArray[np.int64]]:
    numbers = {word: number for number, word in enumerate(data.read_lines(folder / "vocabulary.txt"))}
    return lambda words: np.array([[numbers.get(word, 0) for word in words]], np.int64)


def _embedded(given: Mapping[str, Vector], dimensions: int) -> Callable[[Iterable[str]], Vector]:
    return lambda words: vectors.look_up(given, words, dimensions)[np.newaxis]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", type=Path, default=Path("models/kim_cnn"), help="default models/kim_cnn")
    parser.add_argument("--vectors", type=Path, help="for a model that takes vectors, in word2vec's text form")
    options = parser.parse_args()
    lines = data.read_lines(options.file)
    cased = json.loads((options.model / "model.json").read_bytes()).get("cased", False)
    examples = data.sentences(lines, cased) if lines[0].startswith("(") else data.labelled(lines, cased)
    given = vectors.read(options.vectors) if options.vectors else {}
    hits = right(logits(options.model, examples, given), examples)
    print(f"{hits} of {len(examples)} right, {hits / len(examples):.2%}")


if __name__ == "__main__":
    main()
