"""How near captions come to those that people wrote: a corpus's BLEU (Papineni et al. 2002), by sacrebleu."""

from collections.abc import Sequence

from sacrebleu.metrics import BLEU

Words = Sequence[str]


def bleu(captions: Sequence[Words], references: Sequence[Sequence[Words]], longest: int = 4) -> float:
    """BLEU in percent with n-grams of up to `longest` words; all captions have the same number of references.

    Words are compared as they are (lower case, no punctuation), and nothing is smoothed.
    """
    metric = BLEU(max_ngram_order=longest, tokenize="none", smooth_method="none", force=True)
    said = [" ".join(caption) for caption in captions]
    by_place = [[" ".join(caption) for caption in place] for place in zip(*references, strict=True)]
    return float(metric.corpus_score(said, by_place).score)
