"""Word vectors for training: read from a text file, or made from the word itself where the file lacks it."""

import gzip
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from pilotlight.function.vectors import unknown

Vector = NDArray[np.float32]


def read(path: Path) -> dict[str, Vector]:
    """The vectors of a file in word2vec's text form, gzipped or not: a line `words dimensions`, then `word numbers...`.

    Ends the program where a line has another number of dimensions than the first line says.
    """
    with _opened(path) as file:
        _, dimensions = (int(number) for number in next(file).split())
        return dict(_vector(line, dimensions, f"{path}:{number}") for number, line in enumerate(file, start=2))


def write(vectors: Mapping[str, Sequence[float]], path: Path) -> None:
    """Write vectors in word2vec's text form."""
    dimensions = len(next(iter(vectors.values())))
    with path.open("w", encoding="utf-8") as file:
        file.write(f"{len(vectors)} {dimensions}\n")
        for word, vector in vectors.items():
            file.write(f"{word} {' '.join(format(number, '.6g') for number in vector)}\n")


def look_up(vectors: Mapping[str, Vector], words: Iterable[str], dimensions: int) -> Vector:
    """The vectors of words as rows, `[words, dimensions]`, as a function would get them from a table."""
    rows = [vectors[word] if word in vectors else unknown(word, dimensions) for word in words]
    return np.array(rows, np.float32)


def _opened(path: Path) -> IO[str]:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


def _vector(line: str, dimensions: int, place: str) -> tuple[str, Vector]:
    word, *numbers = line.rstrip("\n ").split(" ")
    if len(numbers) != dimensions:
        sys.exit(f"{place}: {len(numbers)} numbers, the first line says {dimensions}")
    return word, np.array(numbers, np.float32)
