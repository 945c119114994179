"""Which table a command of `pilotlight vectors` means."""

from pathlib import Path

import click

from pilotlight import project
from pilotlight.errors import UsageError
from pilotlight.function.table import Address, parse
from pilotlight.local import tables
from pilotlight.settings_file import nearest

table_option = click.option(
    "--table",
    "name",
    default="vectors",
    show_default=True,
    metavar="NAME|URI",
    help="A table of the service's settings, or the URI of any table.",
)
dir_option = click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("."), help="The service's folder."
)


def find(name: str, folder: Path) -> Address:
    """Where the table is. Raises `UsageError`, `ProjectError`, or `TableError` for a URI that is none."""
    if "://" in name:
        return parse(name)
    service = project.load(folder)
    table = service.tables.get(name)
    if table is None:
        guess = nearest(name, service.tables)
        hint = f"did you mean {guess!r}?" if guess else f'write [tables.{name}] and key = "word" in pilotlight.toml'
        raise UsageError(f"{service.root} has no table {name!r}", hint)
    return tables.address(service.root, name, table)
