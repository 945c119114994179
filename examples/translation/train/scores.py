"""How near translations come to those that people wrote: BLEU (Papineni et al. 2002) and chrF (Popović 2015)."""

from collections.abc import Sequence

from sacrebleu.metrics import BLEU, CHRF

TOKENIZERS = {"en": "13a", "zh": "zh"}  # sacrebleu's, of the language that is written
Rows = Sequence[Sequence[str]]


def bleu(said: Sequence[str], references: Rows, language: str) -> float:
    """BLEU in percent; every sentence has one or more references."""
    return float(BLEU(tokenize=TOKENIZERS[language]).corpus_score(said, _columns(references)).score)


def chrf(said: Sequence[str], references: Rows) -> float:
    """chrF2 in percent."""
    return float(CHRF().corpus_score(said, _columns(references)).score)


def _columns(rows: Rows) -> list[list[str | None]]:
    """References as sacrebleu wants them: the first of each sentence, then the second of those that have two, ..."""
    most = max(map(len, rows))
    return [[row[place] if place < len(row) else None for row in rows] for place in range(most)]
