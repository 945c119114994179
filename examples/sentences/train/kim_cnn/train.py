"""Train Kim's network on sentences with labels and export it for serving.

    python -m train.kim_cnn.train --data DIR --out models/kim_cnn

DIR holds the files of the data set, for `sst2` the Treebank's `trees/train.txt` and `trees/dev.txt`. A share of what
trains is kept apart, and the epoch that does best on it is kept (with `--apart 0` the last one); the development part
takes no part in any choice and is measured once, on the exported files. Every form but "rand" begins with the vectors
of `--vectors`; a word that the file lacks gets the vector that is made from its letters, in training and in serving.

The same arguments give the same weights on the same machine, also when a run was broken off and resumed.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from train import data, runs, vectors
from train.data import Example
from train.kim_cnn import evaluate, export
from train.kim_cnn.model import FORMS, KimCNN, KimCNNConfig
from train.runs import Run, say
from train.vectors import Vector


class Sentences:
    """Examples in batches of one length each, so that no padding is needed, in an order that an epoch's seed sets."""

    def __init__(self, examples: Iterable[Example], words: Sequence[str], classes: int, size: int) -> None:
        numbers = {word: number for number, word in enumerate(words)}
        rows: dict[int, list[list[int]]] = defaultdict(list)
        labels: dict[int, list[float]] = defaultdict(list)
        for tokens, label in examples:
            rows[len(tokens)].append([numbers.get(word, 0) for word in tokens])
            labels[len(tokens)].append(label)
        self._lengths = [(torch.tensor(rows[n]), wanted(torch.tensor(labels[n]), classes)) for n in sorted(rows)]
        self._size = size

    def __len__(self) -> int:
        return sum(-(-len(wanted) // self._size) for _, wanted in self._lengths)

    def shuffled(self, seed: str) -> Iterator[tuple[Tensor, ...]]:
        """`tokens` [batch, n] and the wanted probabilities [batch, classes]."""
        generator = random.Random(seed)
        picks = []
        for which, (_, wanted) in enumerate(self._lengths):
            order = generator.sample(range(len(wanted)), len(wanted))
            picks += [(which, order[start : start + self._size]) for start in range(0, len(order), self._size)]
        generator.shuffle(picks)
        for which, pick in picks:
            tokens, wanted = self._lengths[which]
            yield tokens[pick], wanted[pick]


def wanted(labels: Tensor, classes: int) -> Tensor:
    """The wanted probabilities `[batch, classes]` of labels `[batch]`."""
    if classes == 2:
        return torch.stack([1 - labels, labels], dim=1)
    return nn.functional.one_hot(labels.long(), classes).float()


def accuracy(batches: Sentences) -> Callable[[nn.Module], float]:
    """Measures the share of examples whose likeliest class is the wanted one."""

    def measure(model: nn.Module) -> float:
        hits = total = 0
        for tokens, wanted in batches.shuffled("any"):
            hits += int((model(tokens).argmax(1) == wanted.argmax(1)).sum())
            total += len(wanted)
        return hits / total

    return measure


def report(
    model: KimCNN, words: Sequence[str], folder: Path, examples: list[Example], given: Mapping[str, Vector]
) -> None:
    """Measure the exported files, alone and against the network they come from."""
    answers = evaluate.logits(folder, examples, given)
    numbers = {word: number for number, word in enumerate(words)}
    rows = (torch.tensor([[numbers.get(word, 0) for word in example.tokens]]) for example in examples)
    with torch.no_grad():
        exact = torch.cat([model(row) for row in rows]).numpy()
    hits, agree = evaluate.right(answers, examples), int((answers.argmax(1) == exact.argmax(1)).sum())
    print(f"development part: {hits} of {len(examples)} right, {hits / len(examples):.2%}")
    print(f"float32 network: {evaluate.right(exact, examples)} right, {agree} answers the same, ", end="")
    print(f"logits at most {abs(answers - exact).max():.4f} apart")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _add_data(parser)
    _add_network(parser)
    runs.options(parser, epochs=16, patience=4, batch=64, rate=1e-3)
    options = parser.parse_args()
    if (options.form == "rand") == (options.vectors is not None):
        parser.error("--vectors are for every form but rand, which has none")
    if options.part < 0 or (options.part + 1) * options.apart > 1 + 1e-9:
        parser.error(f"--part {options.part}: there is no such part of a share of {options.apart:g}")
    return options


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="folder with the files of the data set")
    parser.add_argument("--dataset", choices=data.SETS, default="sst2", help="default sst2")
    parser.add_argument("--cased", action="store_true", help="leave the words in their own case")
    parser.add_argument(
        "--apart", type=float, default=0.1, help="share of what trains kept apart (default 0.1; 0: none)"
    )
    parser.add_argument("--part", type=int, default=0, help="which part of that share: 0, 1, ... (default 0)")


def _add_network(parser: argparse.ArgumentParser) -> None:
    usual = KimCNNConfig.word_dropout
    parser.add_argument("--form", choices=FORMS, default="rand", help="; ".join(f"{k}: {v}" for k, v in FORMS.items()))
    parser.add_argument("--vectors", type=Path, help="word vectors in word2vec's text form, gzipped or not")
    parser.add_argument("--dimensions", type=int, default=KimCNNConfig.dimensions, help="of the form rand's vectors")
    parser.add_argument(
        "--word-dropout", type=float, default=usual, help=f"share of words made unknown in training (default {usual:g})"
    )
    parser.add_argument(
        "--sparse", action="store_true", help="let a batch move the vectors of its words only: much less work"
    )


def settings(options: argparse.Namespace) -> runs.Settings:
    """What the weights after an epoch depend on."""
    names = (
        "dataset",
        "cased",
        "form",
        "seed",
        "apart",
        "part",
        "dimensions",
        "word_dropout",
        "sparse",
        "batch",
        "rate",
    )
    return {**{name: getattr(options, name) for name in names}, "vectors": str(options.vectors)}


def vocabulary(parts: data.Parts, given: Mapping[str, Vector], form: str) -> tuple[list[str], int]:
    """The words that have rows, and how many of them, the first ones, are those of what trains.

    Then come those of the given vectors; and, where any word has a vector, all others that are to be measured.
    """
    learned = data.vocabulary(parts.training)
    others = data.vocabulary(parts.apart + parts.development) if form == "static" else []
    return list(dict.fromkeys([*learned, *given, *others])), len(learned)


def network(options: argparse.Namespace, parts: data.Parts, given: Mapping[str, Vector]) -> tuple[KimCNN, list[str]]:
    """The network as it begins, and its words."""
    words, learned = vocabulary(parts, given, options.form)
    noise, sparse = options.word_dropout, options.sparse
    config = KimCNNConfig(
        learned, options.dimensions, options.form, classes=len(parts.labels), word_dropout=noise, sparse=sparse
    )
    if not given:
        return KimCNN(config), words
    config = replace(config, dimensions=len(next(iter(given.values()))))
    return KimCNN(config, torch.from_numpy(vectors.look_up(given, words, config.dimensions))), words


def optimizers(model: KimCNN, rate: float) -> list[torch.optim.Optimizer]:
    """Adam, after whose step output weights are clipped, and where gradients are sparse one for the vectors."""
    sparse = list(model.embedding.parameters()) if model.config.sparse and model.embedding is not None else []
    dense = [parameter for parameter in model.parameters() if all(parameter is not each for each in sparse)]
    adam = torch.optim.Adam(dense, lr=rate)
    adam.register_step_post_hook(lambda *_: model.clip())
    return [adam, torch.optim.SparseAdam(sparse, lr=rate)] if sparse else [adam]


def main() -> None:
    options = arguments()
    parts = data.SETS[options.dataset](options.data, options.apart, options.part, options.cased)
    given = vectors.read(options.vectors) if options.vectors else {}
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    model, words = network(options, parts, given)
    say(f"{len(parts.training)} examples, {len(words)} words; {len(parts.apart)} kept apart")
    training, apart = (Sentences(part, words, len(parts.labels), options.batch) for part in parts[:2])
    run = Run(model, optimizers(model, options.rate), len(training), settings(options))
    runs.fit(run, training, accuracy(apart) if parts.apart else None, options)
    export.export(model, words, parts.labels, options.out, options.cased)
    report(model, words, options.out, parts.development, given)


if __name__ == "__main__":
    main()
