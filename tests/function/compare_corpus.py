"""Reads files by `wordpiece` and by the library `tokenizers`, uncased and cased, and says where the two differ.

    python tests/function/compare_corpus.py [--vocabulary vocab.txt] FILE...

A text is a line that is not empty; of a .json file, every string in it. Exits with 1 when the pieces, places or words
of any text differ. `tests/function/test_wordpiece.py` does this with the texts of this repository.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from test_wordpiece import CASED, UNCASED, library, own
from tokenizers import Tokenizer

from pilotlight.function.vocabulary import split
from pilotlight.function.wordpiece import WordPiece

SHIPPED = Path(__file__).parents[2] / "examples" / "question_answering" / "models" / "qa" / "vocab.txt"
AT_ONCE = 1000  # texts


def texts(file: Path) -> Iterator[str]:
    content = file.read_text(encoding="utf-8", errors="replace")
    found = strings(json.loads(content)) if file.suffix == ".json" else content.split("\n")
    return (text for text in found if text.strip())


def strings(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, each in value.items():
                yield key
                yield from strings(each)
        case list():
            for each in value:
                yield from strings(each)


def differing(ours: WordPiece, theirs: Tokenizer, some: list[str]) -> list[str]:
    """The texts that the two do not read alike."""
    read = zip(some, theirs.encode_batch(some, add_special_tokens=False), strict=True)
    return [text for text, done in read if ours.encode(text) != (done.ids, done.offsets, done.word_ids)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=Path, default=SHIPPED, help="default: the shipped reader's")
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    vocabulary = split(options.vocabulary.read_bytes())
    sides = [(own(vocabulary, each), library(vocabulary, each)) for each in (UNCASED, CASED)]
    every = (text for file in options.files for text in texts(file))
    count = characters = differ = 0
    while some := list(islice(every, AT_ONCE)):
        count, characters = count + len(some), characters + sum(map(len, some))
        for ours, theirs in sides:
            for text in differing(ours, theirs, some):
                differ += 1
                print(f"read otherwise: {text[:200]!a}", file=sys.stderr)
    print(f"{count:,} texts of {characters:,} characters, read uncased and cased: {differ} read otherwise")
    sys.exit(bool(differ or not count))


if __name__ == "__main__":
    main()
