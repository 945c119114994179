"""Tables: items under a string key, in SQLite on this machine and in DynamoDB on AWS.

    table = connect("vectors")               # tables = ["vectors"] in pilotlight.toml lets a function do so
    table.put([{"word": "red", "rank": 7}])
    table.get(["red", "green"])              # {"red": {"word": "red", "rank": 7}}

Which store it is says one environment variable, PILOTLIGHT_TABLE_VECTORS, whose value is a URI:

    sqlite:///srv/colours/.pilotlight/tables.sqlite?table=vectors&key=word&writer=127.0.0.1:41233
    dynamodb://colours-vectors?key=word&expires=until
"""

from __future__ import annotations

import os

from pilotlight.errors import TableError
from pilotlight.function.items import Item, Value
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Protocol
else:
    Protocol = object


__all__ = ["Address", "Item", "Table", "Value", "connect", "connect_uri", "parse", "variable"]

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/:")


class Table(Protocol):
    """Items under a string key. What was written has been stored when a method returns.

    For one thread at a time; a fork may go on using it. Methods raise `errors.TableError`; `put` and `delete` may have
    been done in part then, and can be repeated. Numbers come back as int when they are whole.
    """

    key: str

    def get(self, keys: Iterable[str]) -> dict[str, Item]:
        """The items of `keys`, as many as there are, each asked for once; those that are missing are left out."""
        ...

    def put(self, items: Iterable[Item]) -> None:
        """Store whole items in place of what was there, any number, in constant memory. Of two with one key the last
        one stays."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove items, where they are there."""
        ...

    def scan(self) -> Iterator[Item]:
        """All items, page by page, in no order that can be relied on."""
        ...

    def close(self) -> None: ...


class Address(NamedTuple):
    """What the URI of a table says. `place` is SQLite's file, or DynamoDB's name of the table.

    `expires` is the attribute with the time after which an item is gone; `table` the name within SQLite's file;
    `writer` the "host:port" that takes writes to it, "" for the file itself.
    """

    store: str
    place: str
    key: str = "id"
    expires: str = ""
    table: str = ""
    writer: str = ""

    def __str__(self) -> str:
        fields = self._asdict()
        store, place = fields.pop("store"), fields.pop("place")
        query = "&".join(f"{name}={_quote(value)}" for name, value in fields.items() if value)
        return f"{store}://{_quote(place)}?{query}"


def variable(name: str) -> str:
    """The environment variable that says where the table of that name is."""
    return f"PILOTLIGHT_TABLE_{name.upper().replace('-', '_')}"


def connect(name: str) -> Table:
    """The table that the settings call `name`. Raises `TableError` when this function has none of that name.

    Nothing is opened before it is needed.
    """
    uri = os.environ.get(variable(name))
    if uri is not None:
        return connect_uri(uri)
    prefix = variable("")
    known = [each.removeprefix(prefix).lower().replace("_", "-") for each in os.environ if each.startswith(prefix)]
    raise TableError(f"the table {name!r}: this function has no table of that name", _hint(name, known))


def _hint(name: str, known: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f'set tables = ["{name}"] in pilotlight.toml'


def connect_uri(uri: str) -> Table:
    """The table at `uri`; see the module. Raises `TableError` when it is none."""
    address = parse(uri)
    if address.store == "sqlite":
        from pilotlight.function.table_sqlite import SqliteTable

        return SqliteTable(address)
    from pilotlight.function.dynamodb import DynamoTable

    return DynamoTable(address)


def parse(uri: str) -> Address:
    """The address that `uri` says, as `str(address)` writes it. Raises `TableError`."""
    store, separator, rest = uri.partition("://")
    place, _, query = rest.partition("?")
    pairs = [field.partition("=")[::2] for field in query.split("&") if field]
    try:
        address = Address(store, _unquote(place), **{name: _unquote(value) for name, value in pairs})
    except (TypeError, ValueError):
        address = Address("", "")
    needed = {"sqlite": address.place.startswith("/") and address.table, "dynamodb": separator and address.place}
    if not needed.get(store):
        hint = "write sqlite:///absolute/file.sqlite?table=NAME&key=KEY or dynamodb://TABLE?key=KEY"
        raise TableError(f"{uri!r} is not the URI of a table", hint)
    return address


def _quote(text: str) -> str:
    return "".join(chr(each) if each in _PLAIN else f"%{each:02X}" for each in os.fsencode(text))


def _unquote(text: str) -> str:
    first, *rest = os.fsencode(text).split(b"%")
    return os.fsdecode(first + b"".join(bytes.fromhex(part[:2].decode()) + part[2:] for part in rest))
