"""Rich shapes, by msgspec: a function that writes such an annotation pays for it in its init phase."""

from __future__ import annotations

from pilotlight.errors import FunctionError, InputError
from pilotlight.function.decode import Decoder, json_of_text, last, member
from pilotlight.function.shapes import Shape, takes_object

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from pilotlight.function.decode import Texts


def decoder(of: Shape) -> Decoder:
    """The decoder of a rich shape. Raises `FunctionError` for a type that msgspec does not know."""
    import msgspec

    annotation: Any = of.annotation
    try:
        msgspec.json.Decoder(annotation)
    except TypeError as error:
        raise FunctionError(
            f"reading the annotation {annotation}: {error}", "Use a type that msgspec supports."
        ) from error

    def read(value: Any, path: str, strict: bool = True) -> Any:
        try:
            return msgspec.convert(value, annotation, strict=strict)
        except msgspec.ValidationError as error:
            raise InputError(_problem(str(error), path)) from None

    def read_texts(texts: Texts, path: str) -> Any:
        if takes_object(of):
            return read(json_of_text(texts, path), path)
        return read(last(texts, path), path, strict=False)

    return Decoder("value", None, read, read_texts)


def _problem(message: str, path: str) -> tuple[str, str]:
    """msgspec's sentence as field and reason: "Expected `int`, got `str` - at `$.items[0]`"."""
    reason, _, place = message.partition(" - at ")
    if place.startswith("`$"):
        path = (path + place[2:-1]).removeprefix(".") if not path else path + place[2:-1]
    missing = reason.removeprefix("Object missing required field ")
    if missing != reason:
        return member(path, missing.strip("`")), "missing"
    return path, reason[:1].lower() + reason[1:].replace("`", "")
