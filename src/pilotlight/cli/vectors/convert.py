"""`pilotlight vectors convert`: a file of vectors in another format."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click

from pilotlight.cli import output, progress
from pilotlight.cli.vectors.problems import Problems, all_option, read_list, skip_option, words_option
from pilotlight.errors import UsageError
from pilotlight.optimize.progress import Progress
from pilotlight.vectors import source, target
from pilotlight.vectors.source import FORMATS, Entry, Format, Read

file_argument = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
format_option = click.option(
    "--from", "format", type=click.Choice(FORMATS), help="The format of FILE.  [default: what it looks like]"
)
dim_option = click.option(
    "--dim", type=click.IntRange(1), metavar="N", help="Numbers of a vector.  [default: as in the first line]"
)


@click.command(
    epilog=output.examples(
        "pilotlight vectors convert GoogleNews-vectors-negative300.bin.gz vectors.txt --to word2vec-text",
        "pilotlight vectors convert glove.6B.50d.txt vectors.bin --to word2vec-binary --words words.txt",
    )
)
@file_argument
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--to", type=click.Choice(FORMATS), required=True, help="The format of OUT.")
@format_option
@dim_option
@words_option
@click.option("--force", is_flag=True, help="Replace OUT.")
@skip_option
@all_option
def convert(
    file: Path,
    out: Path,
    to: Format,
    format: Format | None,
    dim: int | None,
    listed: BinaryIO | None,
    force: bool,
    skip_broken: bool,
    all_problems: bool,
) -> None:
    """Write the vectors of FILE in another format to OUT; FILE may be compressed by gzip.

    word2vec-text and word2vec-binary are the formats of word2vec and gensim; glove is text without a first line of two
    numbers, as GloVe has it.
    """
    if out.exists() and not force:
        raise UsageError(f"writing {out}: it is there already", "--force replaces it")
    layout = source.survey(file, format, dim)
    wanted = read_list(listed, skip_broken, all_problems) if listed else None
    with progress.shown() as told:
        problems = Problems(str(file), all_problems, told.say, layout.unit)

        def good() -> Iterator[Entry]:
            """Ends in an error before OUT is there."""
            yield from source.entries(file, layout, problems, wanted, megabytes(told, "MB read"))
            problems.end(skip_broken)

        told.step(1, 1, f"converting {file}")
        count = target.write(out, to, layout.dim, good())
    output.line(f"Wrote {out}: {count} vectors of {layout.dim} numbers, {out.stat().st_size / 1e6:.1f} MB.")


def megabytes(told: Progress, what: str) -> Read:
    return lambda done, size: told.count(what, done // 1_000_000, size // 1_000_000)
