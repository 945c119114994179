"""JSON by the C functions that `json` itself calls, without the import of `json`, of which most is `re` and `enum`.

What they do not take at once goes to `json`, so that every value, and every error, is that of the standard library.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any, NoReturn


class _Plain:
    """What a scanner is told, as `json.JSONDecoder` tells it."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int

    @staticmethod
    def parse_constant(name: str) -> NoReturn:
        raise ValueError(name)  # NaN and Infinity: `json` may take them


def loads(text: str | bytes, **options: Any) -> Any:
    """As `json.loads`; of its options `parse_constant` alone."""
    try:
        whole = (text if isinstance(text, str) else text.decode()).strip(" \t\r\n")
        value, end = _scan(whole, 0)
        if end == len(whole):
            return value
    except (ValueError, StopIteration, RecursionError, SystemError):
        pass  # the last is CPython's where `json`, whose error it would raise, is not loaded
    import json

    return json.loads(text, **options)


def dumps(value: object, *, ascii: bool = True, allow_nan: bool = True, compact: bool = False) -> str:
    """As `json.dumps`; `compact` is without spaces, `ascii` is `ensure_ascii`."""
    comma, colon = (",", ":") if compact else (", ", ": ")
    text = encode_basestring_ascii if ascii else encode_basestring
    encode = make_encoder({}, _refuse, text, None, colon, comma, False, False, allow_nan)
    return "".join(encode(value, 0))


def _refuse(value: object) -> NoReturn:
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


try:
    from _json import encode_basestring, encode_basestring_ascii, make_encoder, make_scanner

    _scan = make_scanner(_Plain)  # type: ignore[arg-type]
    if (loads("[1.5]"), dumps([1.5, "a"])) != ([1.5], '[1.5, "a"]'):
        raise TypeError
except (ImportError, AttributeError, TypeError):  # a Python whose functions are others: slower, and the same
    from json import dumps as _dumps
    from json import loads  # type: ignore[assignment]
    from json.encoder import encode_basestring_ascii

    def dumps(value: object, *, ascii: bool = True, allow_nan: bool = True, compact: bool = False) -> str:
        separators = (",", ":") if compact else None
        return _dumps(value, ensure_ascii=ascii, allow_nan=allow_nan, separators=separators)


quote = encode_basestring_ascii
"""A text as a JSON string of ASCII."""
