"""A request or a bare event -> the arguments of the function.

Each parameter is looked for in the path, then in the body, then in the query string; then its default counts. Fields
that no parameter asks for are ignored. All that is wrong is reported together.
"""

from __future__ import annotations

from pilotlight.errors import InputError
from pilotlight.events import Request
from pilotlight.function import plain_json
from pilotlight.function.bodies import Given, Takers, given_by_body, given_by_json, given_by_texts
from pilotlight.function.decode import Decoder, decoder, gathered
from pilotlight.function.inputs import Body, Context
from pilotlight.function.shapes import Shape, shape, takes, takes_object
from pilotlight.function.signature import Parameter, parameters, unwrapped
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Arguments = tuple[list[Any], dict[str, Any]]


class Field(NamedTuple):
    """A parameter that the request gives; all but those annotated `Request` and `Context`."""

    parameter: Parameter
    shape: Shape
    decoder: Decoder


class Binding:
    """What is known of a function's parameters once and for all. Raises `FunctionError` for what cannot be bound."""

    def __init__(self, function: Callable[..., object]) -> None:
        self.parameters = parameters(unwrapped(function))
        self.fields = {p.name: _field(p) for p in self.parameters if p.annotation not in (Request, Context)}
        self.bodies = [name for name, field in self.fields.items() if takes(field.shape, "body")]
        self.takers = _takers(self.fields)

    def of_request(self, request: Request, context: object) -> Arguments:
        """The arguments behind HTTP. Raises `InputError`."""
        given = given_by_texts(request.query_pairs())
        if len(self.fields) > len(self.bodies):
            given |= given_by_body(request, self.takers)
        if request.body:
            body = Body(request.body, request.header("content-type"))
            given |= {name: Given(body, name) for name in self.bodies}
        given |= given_by_texts(list(request.path_parameters.items()))
        return self._arguments(given, lambda: request, context)

    def of_event(self, event: object, context: object) -> Arguments:
        """The arguments of a bare event; a `Request` is then a POST of the event to /. Raises `InputError`."""
        given = given_by_json(event, self.takers) if self.fields else {}
        return self._arguments(given, lambda: _request_of(event), context)

    def _arguments(self, given: Mapping[str, Given], request: Callable[[], Request], context: object) -> Arguments:
        def value(parameter: Parameter) -> Any:
            field = self.fields.get(parameter.name)
            if field:
                return self._value(field, given)
            return request() if parameter.annotation is Request else context

        values = gathered(value, self.parameters)
        positional = [v for p, v in zip(self.parameters, values, strict=True) if not p.keyword]
        return positional, {p.name: v for p, v in zip(self.parameters, values, strict=True) if p.keyword}

    def _value(self, field: Field, given: Mapping[str, Given]) -> Any:
        name = field.parameter.name
        if name in given:
            value, path, texts = given[name]
            return (field.decoder.text if texts else field.decoder.json)(value, path)
        if field.parameter.required:
            raise InputError((name, "missing" + self._near_miss(name, given)))
        return field.parameter.default

    def _near_miss(self, name: str, given: Mapping[str, Given]) -> str:
        unknown = [other for other in given if other not in self.fields]
        if not unknown:
            return ""
        from difflib import get_close_matches

        return "".join(f" ({near!r} was given: did you mean {name!r}?)" for near in get_close_matches(name, unknown, 1))


def _request_of(event: object) -> Request:
    return Request("POST", "/", "", (("content-type", "application/json"),), plain_json.dumps(event).encode())


def _field(parameter: Parameter) -> Field:
    of = shape(parameter.annotation)
    return Field(parameter, of, decoder(of))


def _takers(fields: Mapping[str, Field]) -> Takers:
    files = [name for name, field in fields.items() if takes(field.shape, "file") or takes(field.shape, "image")]
    file = files[0] if len(files) == 1 else ""
    if len(fields) != 1:
        return Takers(file=file)
    ((sole, field),) = fields.items()
    return Takers(sole, takes_object(field.shape), file)
