"""The dictionary of jiagu -> the words that `segmentation.py` reads.

    pip download jiagu==0.2.3 --no-binary :all: --no-deps
    tar xzf jiagu-0.2.3.tar.gz
    python -m train.segmenter jiagu-0.2.3/jiagu/segment/dict/jiagu.dict

A line of the dictionary is a word, a tab and its frequency. Words of the HSK that are rarer than `--least`, or missing,
get that frequency; others that are rarer, and those with other than Chinese characters, are left out.
"""

import argparse
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

import hsk
from segmentation import FILE, WIDTH, is_chinese

LEAST = 5
"""Below it half of the words are, mostly names: 1.5 MB for a tenth of a per cent of the words in a text."""


class Refused(Exception):
    """Why a file is not converted."""


def read(path: Path) -> dict[str, int]:
    """The frequencies of Chinese words. Raises `Refused`."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        pairs = [line.strip().split("\t") for line in lines if line.strip()]
        return {word: int(frequency) for word, frequency in pairs if _fits(word)}
    except OSError as error:
        raise Refused(f"reading {path}: {error.strerror}") from None
    except ValueError as error:
        raise Refused(f"reading {path}: it is no dictionary of jiagu: {error}") from None


def _fits(word: str) -> bool:
    return is_chinese(word) and len(word[0].encode()) == WIDTH


def kept(words: Mapping[str, int], learned: Iterable[str], least: int) -> dict[str, int]:
    """The words that are frequent enough, of one character, or to be learned."""
    frequent = {word: count for word, count in words.items() if count >= least or len(word) == 1}
    return frequent | {word: max(least, words.get(word, 0)) for word in learned}


def lines(words: Mapping[str, int]) -> Iterable[str]:
    """Those of the file."""
    yield str(sum(words.values()))
    for first, group in groupby(sorted(words), key=lambda word: word[0]):
        yield first + " ".join(f"{word[1:]}{words[word]}" for word in group)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dictionary", type=Path, help="jiagu.dict")
    parser.add_argument("--least", type=int, default=LEAST, help="the lowest frequency, default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path(FILE), help="default: chinese/words.txt")
    arguments = parser.parse_args()
    try:
        words = kept(read(arguments.dictionary), hsk.simplified(hsk.LEVELS), arguments.least)
    except Refused as refused:
        raise SystemExit(f"error: {refused}") from None
    arguments.out.write_text("".join(f"{line}\n" for line in lines(words)), encoding="utf-8")
    print(f"{arguments.out}: {len(words)} words, {arguments.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
