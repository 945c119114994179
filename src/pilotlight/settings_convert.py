"""One table of `pilotlight.toml` into one struct of `settings`: what msgspec says of it becomes an
`errors.ProjectError` with the file, the dotted key, the reason and the nearest right name or an example.
"""

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct

from pilotlight.errors import ProjectError
from pilotlight.settings import (
    Build,
    Cache,
    Cors,
    Defaults,
    Deploy,
    FunctionSettings,
    Inputs,
    Jwt,
    Network,
    Records,
    Settings,
    Table,
    Throttle,
    UsagePlan,
    toml,
)

_Table = TypeVar("_Table", bound=Struct)

_PLACES: dict[str, type[Struct]] = {
    "at the top": Settings,
    "in [cors]": Cors,
    "in [defaults]": Defaults,
    "in [functions.NAME]": FunctionSettings,
    "in [defaults.throttle]": Throttle,
    "in [usage_plans.NAME]": UsagePlan,
    "in [tables.NAME]": Table,
    "in [inputs]": Inputs,
    "in [records]": Records,
    "in [cache]": Cache,
    "in [build]": Build,
    "in [jwt]": Jwt,
    "in [deploy]": Deploy,
    "in [network]": Network,
}


def as_table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def refuse(file: Path, key: str, reason: str, hint: str = "") -> NoReturn:
    raise ProjectError(f"{file}: {key}: {reason}", hint)


def lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def convert(file: Path, table: str, value: object, kind: type[_Table]) -> _Table:
    """One table, which has no other in it: a path of msgspec's is "", ".field" or ".field[index]" then."""
    for name in as_table(value):
        if name not in kind.__struct_fields__:
            refuse(file, f"{table}.{name}".lstrip("."), "there is no such setting", _hint_unknown(name, kind))
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        text, path = _split(str(error))
        reason = lower(text).replace("object", "table").replace("array", "list")
        if not path:
            refuse(file, table, reason, f"write [{table}] and its settings below it{_needed(kind)}")
        refuse(file, (table + path).lstrip("."), *_explain(reason, _at(value, path), _field(kind, path)))


def _needed(kind: type[Struct]) -> str:
    names = [field.name for field in msgspec.structs.fields(kind) if field.required]
    return f": {' and '.join(names)}" if names else ""


def _split(error: str) -> tuple[str, str]:
    """Text and path of msgspec's "Expected `int`, got `str` - at `$.max_age`"; the top has no path.

    The text may quote what the user wrote, " - at " included: the last one is msgspec's.
    """
    text, place, path = error.rpartition(" - at `$")
    return (text if place else error).replace("`", ""), path.rstrip("`") if place else ""


def _hint_unknown(name: str, kind: type[Struct]) -> str:
    places = [place for place, table in _PLACES.items() if name in table.__struct_fields__]
    if places:
        return f"{name!r} belongs {' or '.join(places)}"
    guess = nearest(name, kind.__struct_fields__)
    return f"did you mean {guess!r}?" if guess else f"the settings here are {', '.join(kind.__struct_fields__)}"


def _at(value: object, path: str) -> object:
    """What stands at ".field" or ".field[index]" of a table."""
    field, _, index = path[1:].rstrip("]").partition("[")
    found = as_table(value)[field]
    return found[int(index)] if index and isinstance(found, list) else found


def _field(kind: type[Struct], path: str) -> msgspec.structs.FieldInfo:
    name = path[1:].partition("[")[0]
    return next(field for field in msgspec.structs.fields(kind) if field.name == name)


def _explain(reason: str, value: object, field: msgspec.structs.FieldInfo) -> tuple[str, str]:
    """The reason and the hint for a value of `field` of which msgspec says `reason`."""
    parts = list(_parts(field.type))
    meta = next(part for part in parts if isinstance(part, Meta) and part.description)
    choices = [part for part in parts if isinstance(part, str | int)]
    example = f" Example: {field.name} = {toml(meta.examples[0])}" if meta.examples else ""
    hint = f"{meta.description}{example}"
    if "enum" in reason:
        guess = _closest(value, choices)
        reason, hint = f"expected one of {', '.join(map(str, choices))}", f"did you mean {guess!r}?" if guess else hint
    elif "regex" in reason and meta.extra:
        reason = f"expected {meta.extra['form']}"
    return reason if ", got " in reason else f"{reason}, got {toml(value)}", hint


def _parts(kind: object) -> Iterator[object]:
    """A type, what it is made of, and its annotations."""
    yield kind
    for part in get_args(kind):
        yield from _parts(part)


def _closest(value: object, choices: Iterable[str | int]) -> str | int:
    numbers = [each for each in choices if isinstance(each, int)]
    if numbers and isinstance(value, int):
        return min(numbers, key=lambda number: abs(number - value))
    return nearest(str(value), map(str, choices))


def nearest(name: str, known: Iterable[str]) -> str:
    """The one of `known` that `name` may be a misspelling of, in whatever case; "" for none."""
    spelled = {each.lower(): each for each in known}
    found = difflib.get_close_matches(name.lower(), spelled, n=1)
    return spelled[found[0]] if found else ""
