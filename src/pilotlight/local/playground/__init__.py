"""The pages that the server has of its own: a form for each function at /, the OpenAPI document, their data."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

import pilotlight
from pilotlight import project
from pilotlight.events import Request, Response
from pilotlight.local import openapi
from pilotlight.local.describe import Description
from pilotlight.project import Function

_PAGE = Path(__file__).with_name("index.html")
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Playground:
    """Answers GET /, /openapi.json and /_pilotlight/functions; anything else is None."""

    def __init__(self, descriptions: Mapping[str, Description]) -> None:
        self._descriptions = descriptions
        self._functions: Sequence[Function] = ()

    def show(self, functions: Sequence[Function]) -> None:
        self._functions = functions

    def __call__(self, request: Request) -> Response | None:
        if request.method not in ("GET", "HEAD"):
            return None
        match request.path:
            case "/":
                headers = (("content-type", "text/html; charset=utf-8"), ("content-security-policy", _POLICY))
                return Response(200, headers, _PAGE.read_bytes())
            case "/openapi.json":
                return _json(self._document())
            case "/_pilotlight/functions":
                return _json([self._entry(function) for function in self._functions])
            case _:
                return None

    def _document(self) -> dict[str, object]:
        described = [
            (
                [(route.method, route.path) for route in function.served],
                function.name,
                {**description.schema, "needs_key": function.api_key},
            )
            for function in self._functions
            if (description := self._descriptions.get(function.key)) is not None and not description.error
        ]
        return openapi.document("Pilotlight", pilotlight.__version__, described)

    def _entry(self, function: Function) -> dict[str, object]:
        description = self._descriptions.get(function.key)
        found = description or Description({})
        return {
            "key": function.key,
            "routes": [str(route) for route in function.served],
            "ready": description is not None,
            "error": found.error,
            "hint": found.hint,
            "doc": found.schema.get("doc", ""),
            "input": found.schema.get("input"),
            "event": project.saved_event(function),
            "needs_key": function.api_key,
        }


def _json(value: object) -> Response:
    return Response(
        200, (("content-type", "application/json"), ("cache-control", "no-store")), msgspec.json.encode(value)
    )
