"""Train SM-CNN on questions with candidate answers and export it for serving.

    python -m train.sm_cnn.train --data DIR --vectors vectors.txt --out models/sm_cnn

DIR holds `train` and `raw-dev` in TrecQA's form. A share of the training questions is kept apart, and the epoch that
ranks their answers best is kept; the development part takes no part in any choice and is measured once, on the
exported files. Words have the vectors of the file and keep them; one that the file lacks gets the vector that is made
from its letters.

The same arguments give the same weights on the same machine, also when a run was broken off and resumed.
"""

import argparse
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from train import data, pairs, ranking, runs, vectors
from train.data import UNKNOWN
from train.pairs import Pair
from train.runs import Run, say
from train.sm_cnn import evaluate, export
from train.sm_cnn.model import PADDING, SMCNN, SMCNNConfig

REPEATS = 2  # of TrecQA's pairs in an epoch, when ten times as many of SQuAD train beside them


class Candidates:
    """Pairs in batches of like length, which is little padding, in an order that an epoch's seed sets."""

    def __init__(self, examples: Sequence[Pair], idf: Mapping[str, float], size: int) -> None:
        numbers = {word: number for number, word in enumerate(idf)}
        texts = ([pair.question for pair in examples], [pair.answer for pair in examples])
        self._sides = [[torch.tensor([numbers.get(word, 0) for word in text]) for text in side] for side in texts]
        self.overlap = torch.from_numpy(evaluate.overlap(examples, idf))
        self._wanted = torch.tensor([[not pair.right, pair.right] for pair in examples], dtype=torch.float32)
        self._size = size

    def __len__(self) -> int:
        return -(-len(self._wanted) // self._size)

    def shuffled(self, seed: str) -> Iterator[tuple[Tensor, ...]]:
        """`question` and `answer` [batch, n], `overlap` [batch, 4], and the wanted probabilities [batch, 2]."""
        generator = random.Random(seed)
        order = generator.sample(range(len(self._wanted)), len(self._wanted))
        order.sort(key=lambda i: len(self._sides[1][i]))
        starts = range(0, len(order), self._size)
        for start in generator.sample(starts, len(starts)):
            yield self._batch(order[start : start + self._size])

    def all(self) -> tuple[Tensor, ...]:
        """What the network takes, of every pair in the order they were given."""
        return self._batch(range(len(self._wanted)))[:-1]

    def _batch(self, pick: Sequence[int]) -> tuple[Tensor, ...]:
        sides = [pad_sequence([side[i] for i in pick], batch_first=True, padding_value=PADDING) for side in self._sides]
        return *sides, self.overlap[list(pick)], self._wanted[list(pick)]


def precision(examples: Sequence[Pair], candidates: Candidates) -> Callable[[nn.Module], float]:
    """Measures the mean average precision over questions with right and wrong answers."""

    def measure(model: nn.Module) -> float:
        scores = evaluate.scores(model(*candidates.all()).numpy())
        return ranking.measure(pairs.scored(examples, scores), clean=True).map

    return measure


def keep_apart(examples: Sequence[Pair], share: float) -> tuple[list[Pair], list[Pair]]:
    """The pairs to train on and those of the questions kept apart from them."""
    _, apart = data.keep_apart(list(dict.fromkeys(pair.name for pair in examples)), share)
    names = set(apart)
    return [pair for pair in examples if pair.name not in names], [pair for pair in examples if pair.name in names]


def report(model: SMCNN, folder: Path, examples: Sequence[Pair], given: Mapping[str, vectors.Vector]) -> None:
    """Measure the exported files, alone and against the network they come from.

    Where those take vectors they differ by more than rounding: each strange word has its own, and not all the same.
    """
    idf = evaluate.read_idf(folder)
    answers = evaluate.logits(folder, examples, given)
    print(f"development part:\n{evaluate.report(examples, answers, idf)}")
    with torch.no_grad():
        exact = model(*Candidates(examples, idf, 1).all()).numpy()
    print(f"float32 network: logits at most {abs(answers - exact).max():.4f} apart")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the folders train and raw-dev")
    parser.add_argument("--vectors", type=Path, required=True, help="word vectors in word2vec's text form")
    parser.add_argument("--squad", type=Path, help="a file of SQuAD 1.1, whose questions train too")
    parser.add_argument("--no-overlap", dest="overlap", action="store_false", help="leave the overlap features out")
    parser.add_argument("--table", action="store_true", help="export a graph that takes vectors instead of words")
    parser.add_argument("--apart", type=float, default=0.2, help="share of the questions kept apart (default 0.2)")
    runs.options(parser, epochs=30, patience=10, batch=64, rate=1e-3)
    return parser.parse_args()


def settings(options: argparse.Namespace) -> runs.Settings:
    """What the weights after an epoch depend on."""
    names = ("overlap", "seed", "apart", "batch", "rate")
    files = {name: str(getattr(options, name)) for name in ("vectors", "squad")}
    return {**{name: getattr(options, name) for name in names}, **files}


def words(examples: Sequence[Pair], given: Mapping[str, vectors.Vector]) -> dict[str, float]:
    """The words that have rows, with their idf: those that have vectors, and those of several sentences.

    Others are all alike, and as rare as can be.
    """
    idf = pairs.idf((text for pair in examples for text in (pair.question, pair.answer)), given, least=3)
    return {**idf, **{word: idf[UNKNOWN] for word in given if word not in idf}}


def main() -> None:
    options = arguments()
    kept, apart = keep_apart(pairs.read(options.data / "train"), options.apart)
    if options.squad:
        kept = kept * REPEATS + pairs.squad(options.squad)
    given = vectors.read(options.vectors)
    idf = words(kept, given)
    say(f"{len(kept)} pairs, {len(idf)} words; {len(apart)} pairs kept apart")
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    dimensions = len(next(iter(given.values())))
    rows = torch.from_numpy(vectors.look_up(given, idf, dimensions))
    model = SMCNN(SMCNNConfig(dimensions, options.overlap), rows)
    training = Candidates(kept, idf, options.batch)
    model.standardise(training.overlap)
    run = Run(model, [torch.optim.Adam(model.parameters(), lr=options.rate)], len(training), settings(options))
    runs.fit(run, training, precision(apart, Candidates(apart, idf, 1)), options)
    export.export(model, idf, options.out, options.table)
    report(model, options.out, pairs.read(options.data / "raw-dev"), given)


if __name__ == "__main__":
    main()
