"""`pilotlight vectors vocab` and `frequent`: lists of words, one a line."""

import csv
import io
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import click

from pilotlight.cli import output
from pilotlight.cli.vectors.problems import Problems, all_option, skip_option
from pilotlight.vectors import target, words

_out = click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="The file to write.  [default: stdout]"
)


@click.command(
    epilog=output.examples(
        "pilotlight vectors vocab a.toks b.toks --out words.txt",
        "cut -d' ' -f2- labelled.txt | pilotlight vectors vocab - --lower",
        "pilotlight vectors vocab corpus.txt --counts --out frequencies.csv",
    )
)
@click.argument("files", type=click.File("rb"), nargs=-1, required=True)
@click.option("--counts", is_flag=True, help="Write CSV: word,count, the most frequent first.")
@click.option("--lower", is_flag=True, help="Count words in lower case.")
@click.option("--min-count", type=click.IntRange(1), default=1, show_default=True, help="Leave rarer words out.")
@_out
@skip_option
@all_option
def vocab(
    files: tuple[BinaryIO, ...],
    counts: bool,
    lower: bool,
    min_count: int,
    out: Path | None,
    skip_broken: bool,
    all_problems: bool,
) -> None:
    """List the words of FILES of tokens, one a line, in the order in which they first occur; - is stdin.

    White space separates tokens, and so does the end of a line.
    """
    found: Counter[str] = Counter()
    for file in files:
        problems = Problems(file.name, all_problems)
        words.count(file, found, problems, lower)
        problems.end(skip_broken)
    kept = {word: times for word, times in found.items() if times >= min_count}
    _write(_csv(kept) if counts else kept, out)


def _csv(counts: dict[str, int]) -> list[str]:
    """A table of frequencies, as `frequent` reads it."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["word", "count"])
    table.writerows(Counter(counts).most_common())
    return text.getvalue().splitlines()


@click.command(
    epilog=output.examples(
        "pilotlight vectors frequent unigrams.csv --top 50000 --out words.txt",
        "pilotlight vectors vocab corpus.txt --counts | pilotlight vectors frequent - --top 1000",
    )
)
@click.argument("file", type=click.File("rb"))
@click.option("--top", type=click.IntRange(1), required=True, metavar="N", help="How many words.")
@_out
@skip_option
@all_option
def frequent(file: BinaryIO, top: int, out: Path | None, skip_broken: bool, all_problems: bool) -> None:
    """List the most frequent words of FILE, CSV or TSV with a word and its count a line; - is stdin.

    Where the first line names columns, those called word (token, term) and count (frequency, freq) are read, else the
    first two.
    """
    problems = Problems(file.name, all_problems)
    found = words.most_frequent(file, top, problems)
    problems.end(skip_broken)
    _write([each.word for each in found], out)


def _write(lines: Iterable[str], out: Path | None) -> None:
    if out is not None:
        with target.replaced(out) as file:
            file.writelines(f"{line}\n".encode() for line in lines)
    elif text := "\n".join(lines):
        output.line(text)
