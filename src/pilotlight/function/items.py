"""Items of a table <-> DynamoDB's JSON, as which both stores keep them.

    str "S", int and float "N", bool "BOOL", bytes "B", None "NULL", list "L", dict "M"

Sets, which others may have written, are read as lists. A number that is whole comes back as an int: what was 2.0 is 2.
Sources: docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html, .../
Constraints.html, and .../CapacityUnitCalculations.html for the size of an item.
"""

from __future__ import annotations

import binascii
from math import isfinite

from pilotlight import limits
from pilotlight.errors import ItemError
from pilotlight.function import plain_json

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeAlias


Value: TypeAlias = "str | int | float | bool | bytes | list[Value] | dict[str, Value] | None"
Item: TypeAlias = "dict[str, Value]"

_WHOLE_END = 10**38  # a number has 38 digits at most
_LEAST, _END = 1e-130, 1e126  # of what is not whole


def dumps(value: object) -> str:
    """JSON as it is stored."""
    return plain_json.dumps(value, compact=True)


class _Unfit(Exception):
    """Why DynamoDB would refuse a value."""


def encode(item: Mapping[str, Value], key: str) -> str:
    """An item as JSON in ASCII. Raises `ItemError` for what DynamoDB would refuse."""
    doing = f"storing the item {key_of(item, key)!r}"
    try:
        text = dumps(_encode_map(item, 0))
    except _Unfit as unfit:
        raise ItemError(f"{doing}: {unfit}") from None
    if len(text) > limits.ITEM and (size := _size_of_map(item)) > limits.ITEM:  # the text is always the longer one
        raise ItemError(f"{doing}: it has {size} bytes, and DynamoDB allows {limits.ITEM}", "split it into several")
    return text


def key_of(item: Mapping[str, Value], key: str) -> str:
    """An item's key. Raises `ItemError`."""
    if key not in item:
        raise ItemError(f"storing an item: it lacks the key {key!r}", f"its attributes are {', '.join(item)}")
    return check_key(item[key], key)


def check_key(value: Value, key: str) -> str:
    """The value of a key, if it can be one. Raises `ItemError`."""
    if isinstance(value, str) and 1 <= len(value.encode("utf-8", "replace")) <= limits.ITEM_KEY and _is_text(value):
        return value
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:60]}..."
    raise ItemError(f"the key {key!r}: expected a text of 1 to {limits.ITEM_KEY} bytes of UTF-8, got {shown}")


def _is_text(value: str) -> bool:
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:  # half a surrogate pair
        return False


def _encode_map(values: Mapping[str, Value], depth: int) -> dict[str, Any]:
    encoded = {}
    for name, value in values.items():
        if not isinstance(name, str) or not name or not _is_text(name):
            raise _Unfit(f"{name!r} cannot be the name of an attribute: a name is a text and not empty")
        try:
            encoded[name] = _encode(value, depth)
        except _Unfit as unfit:
            raise _Unfit(f"{name}: {unfit}") from None
    return encoded


def _encode(value: Value, depth: int) -> dict[str, Any]:
    if depth > limits.ITEM_DEPTH:
        raise _Unfit(f"it is nested deeper than {limits.ITEM_DEPTH} levels")
    match value:
        case str():
            if not _is_text(value):
                raise _Unfit(f"{value[:40]!r} is not UTF-8")
            return {"S": value}
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int() | float():
            return {"N": _encode_number(value)}
        case bytes() | bytearray() | memoryview():
            return {"B": binascii.b2a_base64(value, newline=False).decode()}
        case list() | tuple():
            return {"L": [_encode(each, depth + 1) for each in value]}
        case dict():
            return {"M": _encode_map(value, depth + 1)}
    raise _Unfit(f"a value of type {type(value).__name__} cannot be stored")


def _encode_number(value: int | float) -> str:
    if value == 0:
        return "0"
    if isinstance(value, int) or (value.is_integer() and abs(value) < _WHOLE_END):
        if abs(value) >= _WHOLE_END:
            raise _Unfit("a whole number has at most 38 digits")
        return str(int(value))
    if not isfinite(value) or not _LEAST <= abs(value) < _END:
        raise _Unfit(f"{float(value)!r} is no number that can be stored: {_LEAST:g} to {_END:g}, of either sign")
    return repr(float(value))


def _size_of_map(values: Mapping[str, Value]) -> int:
    return sum(len(name.encode()) + _size(value) for name, value in values.items())


def _size(value: Value) -> int:
    match value:
        case str():
            return len(value.encode())
        case None | bool():
            return 1
        case int() | float():
            return (len(_encode_number(value).strip("-0.")) + 1) // 2 + 1
        case list() | tuple():
            return 3 + sum(1 + _size(each) for each in value)
        case dict():
            return 3 + len(value) + _size_of_map(value)
    return len(value)


def decode(attributes: Mapping[str, Any]) -> Item:
    """The item that DynamoDB's JSON says."""
    return {name: _decode(attribute) for name, attribute in attributes.items()}


def _decode(attribute: Mapping[str, Any]) -> Value:
    [(kind, value)] = attribute.items()
    return _DECODERS[kind](value)


def _decode_number(text: str) -> int | float:
    try:
        whole = int(text)
    except ValueError:
        return float(text)
    return whole if abs(whole) < _WHOLE_END else float(text)


def _same(value: Any) -> Value:
    return value  # type: ignore[no-any-return]


_DECODERS: dict[str, Callable[[Any], Value]] = {
    "S": _same,
    "N": _decode_number,
    "B": binascii.a2b_base64,
    "BOOL": _same,
    "NULL": lambda _: None,
    "L": lambda values: [_decode(each) for each in values],
    "M": decode,
    "SS": _same,
    "NS": lambda values: [_decode_number(each) for each in values],
    "BS": lambda values: [binascii.a2b_base64(each) for each in values],
}


def expiry(item: Mapping[str, Value], attribute: str) -> float | None:
    """The time, in seconds since the epoch, after which an item is gone, when `attribute` has one.

    As DynamoDB's TTL, which takes numbers alone.
    """
    value = item.get(attribute) if attribute else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
