"""Measure a model folder as it is served: needs onnxruntime, no torch.

    python -m train.evaluate FILE [--model models/kim_cnn]

FILE holds trees, or `label text` lines where label is 0 (negative) or 1 (positive).
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from train import data
from train.data import Example

Logits = NDArray[np.float32]


def logits(folder: Path, examples: Iterable[Example]) -> Logits:
    """What the files of a model folder answer, `[examples, classes]`."""
    numbers = {word: number for number, word in enumerate(data.read_lines(folder / "vocabulary.txt"))}
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    rows = ([[numbers.get(word, 0) for word in example.tokens]] for example in examples)
    return np.concatenate([session.run(["logits"], {"tokens": np.array(row, np.int64)})[0] for row in rows])


def right(answers: Logits, examples: Iterable[Example]) -> int:
    """How many answers have their highest logit at the wanted class."""
    return int((answers.argmax(axis=1) == [example.positive for example in examples]).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", type=Path, default=Path("models/kim_cnn"), help="default models/kim_cnn")
    options = parser.parse_args()
    lines = data.read_lines(options.file)
    examples = data.sentences(lines) if lines[0].startswith("(") else data.labelled(lines)
    hits = right(logits(options.model, examples), examples)
    print(f"{hits} of {len(examples)} right, {hits / len(examples):.2%}")


if __name__ == "__main__":
    main()
