"""`pilotlight vectors`: the words and word vectors of functions that read text."""

import click

from pilotlight.cli import output
from pilotlight.cli.vectors.convert import convert
from pilotlight.cli.vectors.get import get
from pilotlight.cli.vectors.upload import upload
from pilotlight.cli.vectors.words import frequent, vocab


@click.group(
    epilog=output.examples(
        "pilotlight vectors vocab train.toks --out words.txt",
        "pilotlight vectors upload glove.6B.300d.txt --words words.txt --dry-run",
        "pilotlight vectors upload glove.6B.300d.txt --words words.txt",
        "pilotlight vectors get film plot",
    )
)
def vectors() -> None:
    """Word vectors for functions: of which words, from which file, into which table.

    Lines that cannot be used are told by their numbers, and then nothing is written, unless --skip-broken leaves them
    out: what is not UTF-8, words that were there before or have a space, numbers that are none or not as many as in
    the other lines.
    """


for command in (vocab, frequent, convert, upload, get):
    vectors.add_command(command)
