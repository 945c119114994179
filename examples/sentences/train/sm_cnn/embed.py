"""Learn word vectors from the texts that SM-CNN is trained on: what stands around a word, weighed and compressed.

    python -m train.sm_cnn.embed --data DIR --squad FILE --out vectors.txt

How often two words stand near each other, against what chance would give, is a matrix (positive pointwise mutual
information); its singular vectors are the word vectors. Skip-gram factorises nearly the same matrix (Levy, Goldberg and
Dagan, "Improving Distributional Similarity with Lessons Learned from Word Embeddings", TACL 2015), but takes longer.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from train import pairs, vectors
from train.runs import say

SMOOTHING = 0.75  # of a context's frequency, as in word2vec
Sentence = Sequence[str]


def cooccurrences(sentences: Iterable[Sentence], numbers: dict[str, int], window: int) -> Counter[tuple[int, int]]:
    """How often words stand within `window` of each other: neighbours count `window` times, those at its end once."""
    counts: Counter[tuple[int, int]] = Counter()
    for sentence in sentences:
        known = [numbers.get(word, -1) for word in sentence]
        for distance in range(1, window + 1):
            for pair in zip(known, known[distance:], strict=False):
                if -1 not in pair:
                    counts[min(pair), max(pair)] += window // distance
    return counts


def ppmi(counts: Counter[tuple[int, int]], words: int) -> Tensor:
    """The positive pointwise mutual information of words and contexts, sparse, `[words, words]`."""
    pairs = torch.tensor(list(counts)).T
    places = torch.cat([pairs, pairs.flip(0)], dim=1)
    seen = torch.tensor(list(counts.values()), dtype=torch.float32).repeat(2)
    totals = torch.zeros(words).index_add_(0, places[0], seen)
    smooth = totals**SMOOTHING
    chance = totals[places[0]] * smooth[places[1]] / smooth.sum()
    return torch.sparse_coo_tensor(
        places, (seen / chance).log().clamp(min=0), (words, words), check_invariants=True
    ).coalesce()


def embed(sentences: Sequence[Sentence], dimensions: int, least: int, window: int) -> dict[str, list[float]]:
    """The vectors of words that occur at least `least` times, of one length.

    It is such that numbers have a standard deviation of 0.14, as those of words without a vector, which are uniform in
    [-0.25, 0.25).
    """
    counts = Counter(word for sentence in sentences for word in sentence)
    words = [word for word, count in sorted(counts.items(), key=lambda it: (-it[1], it[0])) if count >= least]
    numbers = {word: number for number, word in enumerate(words)}
    matrix = ppmi(cooccurrences(sentences, numbers, window), len(words))
    say(f"{sum(counts.values())} words, {len(words)} of them different and frequent enough")
    left, strength, _ = torch.svd_lowrank(matrix, q=2 * dimensions, niter=4)
    rows = (left * strength.sqrt())[:, :dimensions]
    rows = nn.functional.normalize(rows) * 0.14 * dimensions**0.5
    return dict(zip(words, rows.tolist(), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the folder train, in TrecQA's form")
    parser.add_argument("--squad", type=Path, help="a file of SQuAD 1.1")
    parser.add_argument("--out", type=Path, required=True, help="the file to write, in word2vec's text form")
    parser.add_argument("--dimensions", type=int, default=50)
    parser.add_argument("--least", type=int, default=2, help="times that a word has to occur (default 2)")
    parser.add_argument("--window", type=int, default=5, help="words to either side that count as near (default 5)")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)  # the factorisation begins at random
    examples = pairs.read(options.data / "train") + (pairs.squad(options.squad) if options.squad else [])
    sentences = dict.fromkeys(text for pair in examples for text in (pair.question, pair.answer))
    learned = embed(list(sentences), options.dimensions, options.least, options.window)
    vectors.write(learned, options.out)


if __name__ == "__main__":
    main()
