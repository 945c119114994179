"""JSON values and texts -> the values that annotations ask for, without any library for the plain types.

Two modes. `json` is strict: a bool is no int, an int is taken for a float, nothing else is converted. `text` reads what
came as text (path, query string, forms), where a name may come more than once:

    int, float   a number as JSON writes it: "3", "-2.5", "1e3"
    bool         "true", "false", "1", "0", in any case
    None         "null" or nothing, where no `str` is among the alternatives
    list, tuple  one item for each time the name came; all others take the last
    dict, NamedTuple, Struct, dataclass, TypedDict   JSON, then read strictly

Rich shapes (Struct, `Annotated` with `msgspec.Meta`, datetime, UUID, Enum, ...) go to `msgspec.convert`, which follows
the same two modes. Reasons are worded as msgspec words them, so that both read the same.
"""

from __future__ import annotations

import binascii

from pilotlight.errors import InputError
from pilotlight.function import plain_json
from pilotlight.function.inputs import Body, File, Image, ImageUrl
from pilotlight.function.shapes import Shape, arguments_of, most_items, takes
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, TypeVar

    _Item = TypeVar("_Item")
    Texts = Sequence[object]  # what came under one name: str, and File in a multipart form

_INFINITY = float("inf")
_NAMES = {type(None): "null", list: "array", dict: "object", File: "file"}


class Decoder(NamedTuple):
    """How to read one shape. Both readers take the value and its path (`items[2].name`), and raise `InputError`.

    `name` is how reasons call it; `starts` are the types of JSON value it may begin with, None for any.
    """

    name: str
    starts: frozenset[type] | None
    json: Callable[[Any, str], Any]
    text: Callable[[Texts, str], Any]


def decoder(of: Shape) -> Decoder:
    """The decoder of a shape. Raises `FunctionError` for a type that nothing can read."""
    return _BUILDERS[of.kind](of)


def gathered(read: Callable[[_Item], Any], items: Iterable[_Item]) -> list[Any]:
    """What is read of each item.

    Raises one `InputError` with the problems of all that failed, of the class of theirs where they are of one.
    """
    values: list[Any] = []
    errors: list[InputError] = []
    for item in items:
        try:
            values.append(read(item))
        except InputError as error:
            errors.append(error)
    if errors:
        kinds = {type(error) for error in errors}
        kind = kinds.pop() if len(kinds) == 1 else InputError
        raise kind(*(problem for error in errors for problem in error.problems))
    return values


def member(path: str, name: str) -> str:
    """The path of a field of the value at `path`."""
    return f"{path}.{name}" if path else name


def kind_of(value: object) -> str:
    """How reasons call the type of a JSON value."""
    return _NAMES.get(type(value), type(value).__name__)


def _refused(path: str, expected: str, value: object) -> InputError:
    return InputError((path, f"expected {expected}, got {kind_of(value)}"))


def _unreadable(path: str, expected: str, given: str | float) -> InputError:
    shown = given if len(text := str(given)) <= 40 else f"{text[:40]}…"
    return InputError((path, f"expected {expected}, got {shown!r}"))


def last(texts: Texts, path: str) -> str:
    """Of a repeated name, the last counts, as in API Gateway's `queryStringParameters`."""
    text = texts[-1]
    if not isinstance(text, str):
        raise _refused(path, "text", text)
    return text


def _exactly(kind: type, text: Callable[[Texts, str], Any]) -> Callable[[Shape], Decoder]:
    name = _NAMES.get(kind, kind.__name__)

    def read(value: Any, path: str) -> Any:
        if type(value) is not kind:
            raise _refused(path, name, value)
        return value

    return lambda _: Decoder(name, frozenset({kind}), read, text)


def _any(_: Shape) -> Decoder:
    return Decoder("any", None, lambda value, _: value, lambda texts, _: texts[-1])


def _float_of_json(value: Any, path: str) -> float:
    if type(value) is not float and type(value) is not int:
        raise _refused(path, "float", value)
    if not -_INFINITY < value < _INFINITY:
        raise InputError((path, "number out of range"))
    try:
        return float(value)
    except OverflowError:
        raise InputError((path, "number out of range")) from None


def _number(text: str, path: str, expected: str) -> Any:
    if text[:1] not in "-0123456789":  # spares the JSON parser everything that is no number, nesting too
        raise _unreadable(path, expected, text)
    try:
        return plain_json.loads(text)
    except ValueError:
        raise _unreadable(path, expected, text) from None


def _int_of_text(texts: Texts, path: str) -> int:
    text = last(texts, path)
    value = _number(text, path, "int")
    if type(value) is not int:
        raise _unreadable(path, "int", text)
    return value


def _float_of_text(texts: Texts, path: str) -> float:
    return _float_of_json(_number(last(texts, path), path, "float"), path)


def _bool_of_text(texts: Texts, path: str) -> bool:
    text = last(texts, path)
    match text.lower():
        case "true" | "1":
            return True
        case "false" | "0":
            return False
    raise _unreadable(path, "bool", text)


def _null_of_text(texts: Texts, path: str) -> None:
    text = last(texts, path)
    if text not in ("", "null"):
        raise _unreadable(path, "null", text)


def _str(_: Shape) -> Decoder:
    return Decoder("str", frozenset({str}), _str_of_json, lambda texts, path: _str_of_json(last(texts, path), path))


def _str_of_json(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise _refused(path, "str", value)
    try:
        value.isascii() or value.encode()
    except UnicodeEncodeError:  # JSON can write half a surrogate pair, which no tokeniser or socket takes
        raise InputError((path, "not valid Unicode")) from None
    return value


def json_of_text(texts: Texts, path: str) -> Any:
    text = last(texts, path)
    try:
        return plain_json.loads(text)
    except (ValueError, RecursionError):
        raise _unreadable(path, "JSON", text) from None


def _sequence(of: Shape) -> Decoder:
    item = decoder(of.of[0])
    make, most = list if of.kind == "list" else tuple, most_items(of.of[0])

    def every(entries: list[Any], reader: Callable[[Any, str], Any], path: str) -> Any:
        if most and len(entries) > most:
            raise InputError((path, f"expected {most} at most, not {len(entries)}"))
        return make([reader(entry, f"{path}[{index}]") for index, entry in enumerate(entries)])

    def read(value: Any, path: str) -> Any:
        if type(value) is not list:
            raise _refused(path, "array", value)
        return every(value, item.json, path)

    return Decoder("array", frozenset({list}), read, lambda texts, path: every([[it] for it in texts], item.text, path))


def _object(of: Shape) -> Decoder:
    item = decoder(of.of[0])

    def read(value: Any, path: str) -> Any:
        if type(value) is not dict:
            raise _refused(path, "object", value)
        return {key: item.json(entry, member(path, key)) for key, entry in value.items()}

    return Decoder("object", frozenset({dict}), read, lambda texts, path: read(json_of_text(texts, path), path))


def _record(of: Shape) -> Decoder:
    """A NamedTuple from an object with its fields; what else the object holds is ignored."""
    record: Any = of.annotation
    entries = [(name, decoder(field)) for name, field in zip(record._fields, of.of, strict=True)]
    defaults = record._field_defaults

    def entry(value: dict[str, Any], path: str, field: tuple[str, Decoder]) -> Any:
        name, reader = field
        if name in value:
            return reader.json(value[name], member(path, name))
        if name in defaults:
            return defaults[name]
        raise InputError((member(path, name), "missing"))

    def read(value: Any, path: str) -> Any:
        if type(value) is not dict:
            raise _refused(path, "object", value)
        return record(*gathered(lambda field: entry(value, path, field), entries))

    return Decoder("object", frozenset({dict}), read, lambda texts, path: read(json_of_text(texts, path), path))


def _literal(of: Shape) -> Decoder:
    values = arguments_of(of.annotation)
    texts_of = {value if isinstance(value, str) else plain_json.dumps(value): value for value in values}
    name = " | ".join(map(repr, values))

    def read(value: Any, path: str) -> Any:
        for candidate in values:
            if type(candidate) is type(value) and candidate == value:
                return candidate
        raise _unreadable(path, name, value) if type(value) in (str, int, float) else _refused(path, name, value)

    def read_text(texts: Texts, path: str) -> Any:
        text = last(texts, path)
        if text not in texts_of:
            raise _unreadable(path, name, text)
        return texts_of[text]

    return Decoder(name, frozenset(map(type, values)), read, read_text)


def _union(of: Shape) -> Decoder:
    """The narrowest member first: an int stays an int beside float; str, which takes every text, is near the end."""
    ranks = {"float": 1, "str": 2, "null": 3}
    members = [decoder(shape) for shape in sorted(of.of, key=lambda shape: ranks.get(shape.kind, 0))]
    starts = None if takes(of, "any") else frozenset().union(*(member.starts or () for member in members))
    name = " | ".join(member.name for member in members)
    is_picture = {shape.kind for shape in of.of} in ({"image", "null"}, {"image url", "null"})

    def read(value: Any, path: str) -> Any:
        fitting = [member for member in members if member.starts is None or type(value) in member.starts]
        if len(fitting) == 1:
            return fitting[0].json(value, path)
        return _first([member.json for member in fitting], value, path, _refused(path, name, value))

    def read_texts(texts: Texts, path: str) -> Any:
        shown = texts[-1]
        if is_picture and shown not in ("", "null"):  # the reason why it is refused is its own
            return members[0].text(texts, path)
        refused = _unreadable(path, name, shown) if isinstance(shown, str) else _refused(path, name, shown)
        return _first([member.text for member in members], texts, path, refused)

    return Decoder(name, starts, read, read_texts)


def _first(readers: list[Callable[[Any, str], Any]], value: Any, path: str, refused: InputError) -> Any:
    for read in readers:
        try:
            return read(value, path)
        except InputError:
            continue
    raise refused


def _base64(value: Any, path: str) -> bytes:
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except (ValueError, TypeError):
        raise InputError((path, "expected a file as base64")) from None


def _file(_: Shape) -> Decoder:
    def read(value: Any, path: str) -> File:
        return value if isinstance(value, File) else File(_base64(value, path))

    def read_texts(texts: Texts, path: str) -> File:
        if not isinstance(texts[-1], File):
            raise _refused(path, "file", texts[-1])
        return texts[-1]

    return Decoder("file", frozenset({str, File}), read, read_texts)


def _image(_: Shape) -> Decoder:
    def read(value: Any, path: str) -> Image:
        return Image(value.content if isinstance(value, File) else _picture(value, path), path)

    return Decoder("picture", frozenset({str, File}), read, lambda texts, path: read(texts[-1], path))


def _picture(value: Any, path: str) -> bytes:
    if isinstance(value, str) and value[:5] == "s3://":
        from pilotlight import limits
        from pilotlight.function import s3

        try:
            return s3.get_for_request(value, limits.PICTURE)
        except InputError as error:
            raise error.at(path) from None
    if isinstance(value, str) and value[:5] == "data:":  # RFC 2397
        head, _, value = value.partition(",")
        if not head.endswith(";base64"):
            raise InputError((path, "expected a data: URL of base64"))
    try:
        return binascii.a2b_base64("".join(value.split()), strict_mode=True)
    except (AttributeError, ValueError):
        raise InputError((path, "expected a picture as base64, a data: URL or s3://bucket/key")) from None


def _image_url(_: Shape) -> Decoder:
    def read(value: Any, path: str) -> ImageUrl:
        if not isinstance(value, str):
            raise _refused(path, "the URL of a picture", value)
        return ImageUrl(value, path)

    return Decoder("URL of a picture", frozenset({str}), read, lambda texts, path: read(texts[-1], path))


def _body(_: Shape) -> Decoder:
    def read(value: Any, path: str) -> Body:
        return value if isinstance(value, Body) else Body(_base64(value, path))

    return Decoder("body", frozenset({str, Body}), read, lambda texts, path: read(texts[-1], path))


def _rich(of: Shape) -> Decoder:
    from pilotlight.function.decode_rich import decoder

    return decoder(of)


_BUILDERS: dict[str, Callable[[Shape], Decoder]] = {
    "any": _any,
    "null": _exactly(type(None), _null_of_text),
    "bool": _exactly(bool, _bool_of_text),
    "int": _exactly(int, _int_of_text),
    "float": lambda _: Decoder("float", frozenset({int, float}), _float_of_json, _float_of_text),
    "str": _str,
    "list": _sequence,
    "tuple": _sequence,
    "object": _object,
    "union": _union,
    "literal": _literal,
    "record": _record,
    "file": _file,
    "body": _body,
    "image": _image,
    "image url": _image_url,
    "rich": _rich,
}
