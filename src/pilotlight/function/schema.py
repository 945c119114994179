"""JSON Schema (2020-12) of what a function takes and gives, from its annotations. Not part of answering a request."""

import json
from collections.abc import Sequence
from typing import Any, get_args

from pilotlight.errors import FunctionError
from pilotlight.function.binding import Binding
from pilotlight.function.encode import plain
from pilotlight.function.shapes import Shape, most_items, shape
from pilotlight.function.signature import Parameter, fields

JsonSchema = dict[str, Any]

BINARY = {"type": "string", "contentEncoding": "base64", "contentMediaType": "application/octet-stream"}
PICTURE = {**BINARY, "contentMediaType": "image/*"}
_FIXED: dict[str, JsonSchema] = {
    "any": {},
    "null": {"type": "null"},
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "str": {"type": "string"},
    "file": BINARY,
    "body": BINARY,
    "image": PICTURE,
    "image url": {"type": "string", "format": "uri"},
}


class _Schemas:
    """Builds schemas; those that msgspec has to write are filled in at the end, together, so that no names clash."""

    def __init__(self) -> None:
        self._rich: list[tuple[Any, JsonSchema]] = []

    def of(self, part: Shape) -> JsonSchema:
        schema = self._bare(part)
        if part.description:
            schema["description"] = part.description
        return schema

    def _bare(self, part: Shape) -> JsonSchema:
        match part.kind:
            case "list" | "tuple":
                most = most_items(part.of[0])
                return {"type": "array", "items": self.of(part.of[0]), **({"maxItems": most} if most else {})}
            case "object":
                return {"type": "object", "additionalProperties": self.of(part.of[0])}
            case "union":
                return {"anyOf": [self.of(member) for member in part.of]}
            case "literal":
                return {"enum": list(get_args(part.annotation))}
            case "record":
                return self._record(part)
            case "rich":
                self._rich.append((part.annotation, {}))
                return self._rich[-1][1]
        return dict(_FIXED[part.kind])

    def _record(self, part: Shape) -> JsonSchema:
        record: Any = part.annotation
        defaults = record._field_defaults
        entries = [
            Parameter(name, hint, name not in defaults, defaults.get(name)) for name, hint in fields(record).items()
        ]
        return {"title": record.__name__, **self.object_of(list(zip(entries, part.of, strict=True)))}

    def object_of(self, entries: Sequence[tuple[Parameter, Shape]]) -> JsonSchema:
        properties = {entry.name: _with_default(self.of(part), entry) for entry, part in entries}
        required = [entry.name for entry, _ in entries if entry.required]
        return {"type": "object", "properties": properties, **({"required": required} if required else {})}

    def completed(self, schema: JsonSchema) -> JsonSchema:
        """The schema with msgspec's parts, and in `$defs` what these refer to; a reference at the top is resolved."""
        if not self._rich:
            return schema
        import msgspec

        types = [annotation for annotation, _ in self._rich]
        try:
            found, components = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
        except TypeError as error:
            reason = str(error).splitlines()[-1]
            raise FunctionError(f"writing the JSON Schema: {reason}", "Use a type that msgspec supports.") from error
        for (_, part), filling in zip(self._rich, found, strict=True):
            part.update({**filling, **part})
        top = components.get(schema.get("$ref", "").removeprefix("#/$defs/"))
        return {**(top or schema), **({"$defs": components} if components else {})}


def input_schema(binding: Binding) -> JsonSchema:
    """An object with a property for each field; the object itself where the sole parameter takes the whole body."""
    schemas = _Schemas()
    takers = binding.takers
    if takers.sole and takers.takes_object:
        return schemas.completed(schemas.of(binding.fields[takers.sole].shape))
    entries = [(field.parameter, field.shape) for field in binding.fields.values()]
    return schemas.completed(schemas.object_of(entries))


def output_schema(result: object) -> JsonSchema:
    """Of a result annotation. One that JSON Schema has no words for, such as a numpy array, gives the empty schema."""
    schemas = _Schemas()
    try:
        return schemas.completed(schemas.of(shape(result)))
    except FunctionError:
        return {}


def _with_default(schema: JsonSchema, parameter: Parameter) -> JsonSchema:
    if parameter.required:
        return schema
    try:
        default = plain(parameter.default)
        json.dumps(default, allow_nan=False)
    except (TypeError, ValueError):
        return schema  # a default that no JSON can show
    schema["default"] = default
    return schema
