"""An annotation taken apart: what the decoder, the schema and the binding rules all look at.

Only shapes that need no library are told apart; everything else is "rich" and left to msgspec as a whole.
"""

from __future__ import annotations

import sys
import types
from _collections_abc import Mapping

from pilotlight.function.inputs import Body, File, Image, ImageUrl
from pilotlight.function.signature import fields
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any, TypeGuard


class Shape(NamedTuple):
    """`kind` is one of any, null, bool, int, float, str, list, tuple, object, union, literal, record, file, body,
    image, image url, rich.

    `of` holds the item of a list, tuple or object (a JSON object with free keys), the members of a union, the fields
    of a record (a NamedTuple class). `annotation` is the type without what `Annotated` adds to it (a rich shape keeps
    that), `description` the first string of an `Annotated`.
    """

    kind: str
    annotation: object
    of: tuple[Shape, ...] = ()
    description: str = ""


_SCALARS: dict[object, str] = {
    object: "any",
    None: "null",
    type(None): "null",
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    File: "file",
    Body: "body",
    Image: "image",
    ImageUrl: "image url",
}
_CONTAINERS: dict[object, str] = {list: "list", tuple: "tuple", dict: "object"}
_FREE = Shape("any", object)
_OBJECT_MARKS = ("__struct_fields__", "__dataclass_fields__", "__attrs_attrs__", "__total__")


def shape(annotation: object) -> Shape:
    """Take an annotation apart."""
    if annotation is None or isinstance(annotation, type):
        kind = "any" if _is(annotation, "Any") else _SCALARS.get(annotation)
        if kind:
            return Shape(kind, annotation)
        if is_record(annotation):
            return Shape("record", annotation, tuple(map(shape, fields(annotation).values())))
    return _generic(annotation, origin_of(annotation) or annotation, arguments_of(annotation))


def _is(annotation: object, name: str) -> bool:
    """Whether this is `typing`'s form of that name. Where nobody has imported `typing`, nothing is."""
    typing = sys.modules.get("typing")
    return typing is not None and annotation is getattr(typing, name)


def origin_of(annotation: object) -> object:
    """As `typing.get_origin`: `list` of `list[int]`."""
    if typing := sys.modules.get("typing"):
        return typing.get_origin(annotation)
    return types.UnionType if isinstance(annotation, types.UnionType) else getattr(annotation, "__origin__", None)


def arguments_of(annotation: object) -> tuple[Any, ...]:
    """As `typing.get_args`: `(int,)` of `list[int]`."""
    if typing := sys.modules.get("typing"):
        return typing.get_args(annotation)  # type: ignore[no-any-return]
    return getattr(annotation, "__args__", ())


def most_items(item: Shape) -> int | None:
    """How many of these a list may hold; None is any number. A picture is work, and each URL of one is a fetch."""
    if item.kind not in ("image", "image url"):
        return None
    from pilotlight import limits

    return limits.PICTURES


def _generic(annotation: object, origin: object, arguments: tuple[Any, ...]) -> Shape:
    rich = Shape("rich", annotation)
    if _is(origin, "Annotated"):
        return _annotated(annotation, arguments)
    if _is(origin, "Literal"):
        return Shape("literal", annotation)
    if _is(origin, "Union") or origin is types.UnionType:
        members = tuple(map(shape, arguments))
        return rich if any(member.kind == "rich" for member in members) else Shape("union", annotation, members)
    if origin in (list, tuple, dict):
        return _container(annotation, origin, arguments) or rich
    return rich


def _annotated(annotation: object, arguments: tuple[Any, ...]) -> Shape:
    """Only msgspec's `Meta` constrains; a string describes; the metadata of others is not ours to read."""
    inner, *metadata = arguments
    if any(type(item).__module__.partition(".")[0] == "msgspec" for item in metadata):
        return Shape("rich", annotation)
    description = next((item for item in metadata if isinstance(item, str)), "")
    return shape(inner)._replace(description=description)


def _container(annotation: object, origin: Any, arguments: tuple[Any, ...]) -> Shape | None:
    if not arguments:
        return Shape(_CONTAINERS[origin], annotation, (_FREE,))
    if origin is dict and arguments[0] is not str:
        return None
    if origin is tuple and arguments[1:] != (...,):
        return None
    item = arguments[1] if origin is dict else arguments[0]
    return Shape(_CONTAINERS[origin], annotation, (shape(item),))


def is_record(annotation: object) -> TypeGuard[type]:
    """Whether this is a NamedTuple class: a JSON object with its fields, going in and coming out."""
    return isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_field_defaults")


def takes(outer: Shape, kind: str) -> bool:
    """Whether a value of this kind fits, directly or as a member of a union."""
    return outer.kind == kind or (outer.kind == "union" and any(takes(member, kind) for member in outer.of))


def takes_object(outer: Shape) -> bool:
    """Whether the annotation asks for a JSON object: a dict, Struct, TypedDict, dataclass or NamedTuple."""
    if outer.kind == "rich":
        return _is_rich_object(outer.annotation)
    return takes(outer, "object") or takes(outer, "record")


def _is_rich_object(annotation: object) -> bool:
    origin = origin_of(annotation)
    if _is(origin, "Annotated"):
        return _is_rich_object(arguments_of(annotation)[0])
    if _is(origin, "Union") or origin is types.UnionType:
        return any(_is_rich_object(member) for member in arguments_of(annotation))
    kind = origin or annotation
    return kind in (dict, Mapping) or any(hasattr(kind, mark) for mark in _OBJECT_MARKS)
