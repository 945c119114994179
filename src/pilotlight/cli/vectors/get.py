"""`pilotlight vectors get`: what a table has for a word."""

from contextlib import closing
from pathlib import Path

import click

from pilotlight.cli import output
from pilotlight.cli.vectors.tables import dir_option, find, table_option
from pilotlight.function.items import Item
from pilotlight.function.table import connect_uri
from pilotlight.function.vectors import from_item

_SHOWN = 5  # numbers of a vector


@click.command(
    epilog=output.examples(
        "pilotlight vectors get film plot",
        "pilotlight vectors get film --table 'dynamodb://glove-300?key=word' --json",
    )
)
@click.argument("words", nargs=-1, required=True)
@table_option
@dir_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a word, with all numbers.")
def get(words: tuple[str, ...], name: str, folder: Path, as_json: bool) -> int:
    """Look up WORDS in a table. The exit code is 1 when one of them is not there."""
    with closing(connect_uri(str(find(name, folder)))) as table:
        found = table.get(words)
    for word in words:
        _show(word, found.get(word), as_json)
    return 0 if all(word in found for word in words) else 1


def _show(word: str, item: "Item | None", as_json: bool) -> None:
    vector = [] if item is None else from_item(word, item).tolist()
    kind = str(item.get("type", "list")) if item is not None else None
    if as_json:
        output.record(word=word, known=item is not None, type=kind, vector=vector)
    elif item is None:
        output.line(f"{word}: not in the table")
    else:
        numbers = ", ".join(f"{value:.6g}" for value in vector[:_SHOWN])
        output.line(f"{word}: {len(vector)} numbers of type {kind}: {numbers}{', ...' * (len(vector) > _SHOWN)}")
