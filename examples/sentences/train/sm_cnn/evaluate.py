"""Measure a model folder as it is served, beside the baseline: needs onnxruntime, no torch.

    python -m train.sm_cnn.evaluate FOLDER... [--model models/sm_cnn] [--vectors FILE]

FOLDER holds the pairs of a set: a.toks, b.toks, id.txt and sim.txt. MAP and MRR come in both conventions, see
`train/ranking.py`: over all questions (raw), and over those with right and wrong answers (clean).
"""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from overlap import features
from train import pairs, ranking, vectors
from train.data import UNKNOWN
from train.pairs import Pair
from train.vectors import Vector

Logits = NDArray[np.float32]


def logits(folder: Path, examples: Iterable[Pair], given: Mapping[str, Vector] = {}) -> Logits:
    """What the files of a model folder answer, `[pairs, 2]`; `given` is for one that takes vectors."""
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    taken = {value.name for value in session.get_inputs()}
    idf = read_idf(folder)
    row = _numbered(list(idf)) if session.get_inputs()[0].type == "tensor(int64)" else _embedded(given, session)
    answers = []
    for pair in examples:
        feeds = {"question": row(pair.question), "answer": row(pair.answer), "overlap": overlap([pair], idf)}
        answers.append(session.run(["logits"], {name: feed for name, feed in feeds.items() if name in taken})[0])
    return np.concatenate(answers)


def scores(answers: Logits) -> list[float]:
    """The probability that each answer is right."""
    exact = answers.astype(np.float64)
    return list(1 / (1 + np.exp(exact[:, 0] - exact[:, 1])))


def overlap(examples: Iterable[Pair], idf: Mapping[str, float]) -> NDArray[np.float32]:
    """The overlap features, `[pairs, 4]`."""
    rows = [features(pair.question, pair.answer, idf, idf[UNKNOWN]) for pair in examples]
    return np.array(rows, np.float32)


def read_idf(folder: Path) -> dict[str, float]:
    """The words of a model folder, in their order, with their idf."""
    with (folder / "idf.txt").open(encoding="utf-8") as file:
        return {word: float(number) for word, number in (line.split(" ") for line in file)}


def report(examples: Sequence[Pair], answers: Logits, idf: Mapping[str, float]) -> str:
    """Lines that say how well a set was ranked."""
    found = {"this model": scores(answers), "idf sum": [pairs.idf_sum(pair, idf) for pair in examples]}
    return "\n".join(
        f"  {name}, {kind}: {ranking.measure(pairs.scored(examples, numbers), clean=kind == 'clean')}"
        for name, numbers in found.items()
        for kind in ("raw", "clean")
    )


def _numbered(words: Sequence[str]) -> Callable[[Iterable[str]], NDArray[np.int64]]:
    numbers = {word: number for number, word in enumerate(words)}
    return lambda tokens: np.array([[numbers.get(word, 0) for word in tokens]], np.int64)


def _embedded(given: Mapping[str, Vector], session: onnxruntime.InferenceSession) -> Callable[[Iterable[str]], Vector]:
    dimensions = session.get_inputs()[0].shape[2]
    return lambda tokens: vectors.look_up(given, tokens, dimensions)[np.newaxis]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--model", type=Path, default=Path("models/sm_cnn"), help="default models/sm_cnn")
    parser.add_argument("--vectors", type=Path, help="for a model that takes vectors, in word2vec's text form")
    options = parser.parse_args()
    given = vectors.read(options.vectors) if options.vectors else {}
    for folder in options.folders:
        examples = pairs.read(folder)
        print(folder)
        print(report(examples, logits(options.model, examples, given), read_idf(options.model)))


if __name__ == "__main__":
    main()
