"""The page at / and its data: its files, the functions that it shows, the OpenAPI document."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pilotlight
from pilotlight import project
from pilotlight.events import Request, Response
from pilotlight.local import openapi, pages, saved_events
from pilotlight.local.describe import Description
from pilotlight.local.pages import PREFIX, Page
from pilotlight.local.saved_events import SavedEvents
from pilotlight.project import Function

VIEWS = ("try", "live", "records", "cost", "reference")

_FOLDER = Path(__file__).parent
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def shell(views: Sequence[str]) -> Iterator[Page]:
    """The pages that are files: the document with those views, its scripts and its style."""
    document = (_FOLDER / "index.html").read_text().replace('data-views=""', f'data-views="{" ".join(views)}"')
    headers = (("content-security-policy", _POLICY), ("referrer-policy", "no-referrer"))
    for path in ("/", PREFIX):
        yield _file(path, "text/html; charset=utf-8", document.encode(), headers)
    for file in sorted(_FOLDER.iterdir()):
        if file.suffix in _TYPES:
            yield _file(PREFIX + file.name, _TYPES[file.suffix], file.read_bytes())


def _file(path: str, kind: str, content: bytes, headers: tuple[tuple[str, str], ...] = ()) -> Page:
    own = (("content-type", kind), ("cache-control", "no-cache"), ("x-content-type-options", "nosniff"))
    response = Response(200, (*own, *headers), content)
    return "GET", path, lambda request, parameters: response


class Playground:
    """What the page shows of the functions that are served."""

    def __init__(self, descriptions: Mapping[str, Description]) -> None:
        self._descriptions = descriptions
        self._functions: Sequence[Function] = ()
        self._events = SavedEvents()

    def show(self, functions: Sequence[Function]) -> None:
        self._functions = functions
        self._events.show(functions)

    def pages(self) -> Iterator[Page]:
        yield "GET", "/openapi.json", self._openapi
        yield "GET", f"{PREFIX}functions", self._list
        yield from self._events.pages()

    def _openapi(self, request: Request, parameters: Mapping[str, str]) -> Response:
        return pages.json(self._document())

    def _list(self, request: Request, parameters: Mapping[str, str]) -> Response:
        return pages.json([self._entry(function) for function in self._functions])

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
            "output": found.schema.get("output"),
            "raw": bool(found.schema.get("raw")),
            "streams": function.streams,
            "memory": function.memory,
            "timeout": function.timeout,
            "event": project.saved_event(function),
            "events": saved_events.names(function),
            "needs_key": function.api_key,
        }
