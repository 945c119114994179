"""Give words that a file of vectors lacks the vectors of another file, brought into the space of the first.

    python -m train.fill vectors.txt.gz glove.6B.50d.txt --texts TREC.train.all --out filled.txt

Words that both files have say how: by the affine map that is best in least squares (Mikolov, Le and Sutskever,
"Exploiting Similarities among Languages for Machine Translation", 2013, do so from language to language). Of the second
file, in any form that `pilotlight vectors` reads, it takes the words of the texts.
"""

import argparse
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from tokens import tokenize
from train import data, vectors
from train.vectors import Vector

from pilotlight.vectors import source
from pilotlight.vectors.problems import Problem


def read(path: Path, words: Collection[str]) -> dict[str, Vector]:
    """The vectors of those words that a file has. Ends the program where a line is broken."""

    def refuse(problem: Problem) -> None:
        sys.exit(f"{path}: {layout.unit} {problem.line}: {problem.text}")

    layout = source.survey(path)
    entries = source.entries(path, layout, refuse)
    return {entry.word: np.array(entry.vector, np.float32) for entry in entries if entry.word in words}


def filled(given: Mapping[str, Vector], others: Mapping[str, Vector]) -> dict[str, Vector]:
    """`given`, and what it lacks of `others`."""
    common, missing = others.keys() & given, [word for word in others if word not in given]
    known = sorted(common)  # a set has another order in each process
    if not known:
        sys.exit("the two files have no word in common")
    wanted = np.stack([given[word] for word in known])
    affine, *_ = np.linalg.lstsq(_with_one(others, known), wanted, rcond=None)
    return dict(given) | dict(zip(missing, _with_one(others, missing) @ affine, strict=True))


def _with_one(table: Mapping[str, Vector], words: Collection[str]) -> Vector:
    rows = np.array([table[word] for word in words], np.float32)
    return np.column_stack([rows, np.ones(len(rows), np.float32)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("given", type=Path, help="in word2vec's text form, gzipped or not")
    parser.add_argument("others", type=Path, help="another file of vectors")
    parser.add_argument("--texts", type=Path, nargs="+", required=True, help="files whose words are wanted")
    parser.add_argument(
        "--cased", action="store_true", help="words in their own case, which else have that of lower case"
    )
    parser.add_argument("--out", type=Path, required=True, help="the file to write, in word2vec's text form")
    options = parser.parse_args()
    given = vectors.read(options.given)
    lines = (line for path in options.texts for line in data.read_lines(path))
    words = {word for line in lines for word in tokenize(line, cased=options.cased)}
    table = filled(given, read(options.others, {*words, *given, *map(str.lower, words)}))
    table |= {word: table[word.lower()] for word in sorted(words - table.keys()) if word.lower() in table}
    vectors.write(table, options.out)
    print(f"{len(given)} words given, {len(table) - len(given)} more, {len(words - table.keys())} have none")


if __name__ == "__main__":
    main()
