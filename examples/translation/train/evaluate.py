"""BLEU and chrF of a translator on the pairs kept apart, as a function answers from it.

    python -m train.evaluate en-zh --data DIR --model models/en-zh

Prints a row for each width of the beam. Every sentence of the test part is translated once and compared with all its
translations there, by sacrebleu: BLEU with the tokeniser `zh` for Chinese and `13a` for English, chrF2. `words` is
the share of words of `hsk.json` that come out as one of their first two meanings: they were all trained on, so that it
says how much was remembered, not how much was understood.
"""

import argparse
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from train import data, scores

from pilotlight.function.translate import Translator

BEAMS = (1, 4)
References = Mapping[str, Sequence[str]]
Say = Callable[[Sequence[str], int], list[str]]


def spoken(folder: Path) -> Say:
    """What translates as a function does."""
    translator = Translator(str(folder.resolve()))

    def say(texts: Sequence[str], beam: int) -> list[str]:
        some = data.in_parts(texts, 32)
        return [found.text for part in some for found in translator.translate(part, beam=beam)]

    return say


def remembered(said: Mapping[str, str], wanted: References) -> float:
    """The share, in percent, of words that are said as one of those listed."""
    right = sum(plain(said[word]) in map(plain, meanings) for word, meanings in wanted.items())
    return 100 * right / len(wanted)


def plain(meaning: str) -> str:
    return meaning.lower().strip(" .!").removeprefix("to ")


def report(say: Say, direction: str, parts: data.Parts, words: References, beams: Sequence[int] = BEAMS) -> None:
    """Print a row for each beam."""
    sentences = data.references(parts.test, direction)
    print(f"{len(parts.test)} pairs, {len(sentences)} sentences, {len(words)} words\n")
    print("| direction | beam | BLEU | chrF | words |\n|---|---|---|---|---|")
    for beam in beams:
        print(f"| {direction} | {beam} | {measured(say, direction, sentences, beam)} |", end="", flush=True)
        said = dict(zip(words, say(list(words), beam), strict=True))
        print(f" {remembered(said, words):.1f} % |" if words else " |", flush=True)


def measured(say: Say, direction: str, sentences: References, beam: int) -> str:
    """BLEU and chrF of all sentences, as cells of a table."""
    said, references = say(list(sentences), beam), list(sentences.values())
    language = direction.split("-")[1]
    return f"{scores.bleu(said, references, language):.1f} | {scores.chrf(said, references):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("direction", choices=data.DIRECTIONS)
    parser.add_argument("--data", type=Path, required=True, help="folder with pairs.tsv and perhaps hsk.json")
    parser.add_argument("--model", type=Path, required=True, help="a model folder")
    parser.add_argument("--share", type=float, default=0.05, help="of the pairs, as given to train.train")
    parser.add_argument("--beams", type=int, nargs="+", default=BEAMS, help="default 1 4")
    parser.add_argument("--words", type=int, default=1000, help="that are asked for at most (default 1000)")
    options = parser.parse_args()
    parts, words = data.read(options.data, options.share), data.references(data.words(options.data), options.direction)
    some = random.Random(0).sample(list(words), min(options.words, len(words)))
    report(spoken(options.model), options.direction, parts, {word: words[word] for word in some}, options.beams)


if __name__ == "__main__":
    main()
