"""What a handler takes and gives, for the playground, the OpenAPI document and the checks before a deployment.

    python -m pilotlight.function.describe inference/qa.handler

is run in the folder of the service, with the variables of its environments. It imports the file as Lambda's runtime
does and prints one line of JSON, the last on stdout: `{"ok": true, ...}` with what `describe` gives, or `{"ok": false,
"error", "hint", "type", "traceback"}`. What the function's own file prints goes to stderr.
"""

import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from functools import reduce
from operator import or_
from typing import Any, get_args, get_origin

from pilotlight.errors import PilotlightError
from pilotlight.events import Response
from pilotlight.function import failures, runtime
from pilotlight.function.binding import Binding
from pilotlight.function.bodies import FORM, MULTIPART
from pilotlight.function.encode import BINARY, JSON
from pilotlight.function.endpoint import Endpoint
from pilotlight.function.schema import input_schema, output_schema
from pilotlight.function.shapes import takes
from pilotlight.function.signature import ASYNC_GENERATOR, GENERATOR, annotated, unwrapped

_STREAMS = (AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator)
_ANYTHING = "*/*"
_PICTURE = "image/*"


def describe(handler: object) -> dict[str, Any]:
    """Of an `@endpoint`: `{"raw": False, "doc", "input", "output", "media", "answer", "streams"}`.

    `doc` is the first paragraph of the docstring of the function, else of its module. `input` and `output` are JSON
    Schemas, `media` the content types that a body may have (none for a function without fields), `answer` the one of
    the result, `streams` whether the function is a generator. A handler without @endpoint gives `{"raw": True, "doc"}`.

    Raises `errors.FunctionError` for annotations that no schema can be written for.
    """
    if not isinstance(handler, Endpoint):
        return {"raw": True, "doc": _doc(handler)}
    function = unwrapped(handler.function)
    result, streams = _result(annotated(function, result=True).get("return", object))
    return {
        "raw": False,
        "doc": _doc(handler),
        "input": input_schema(handler.binding),
        "output": {} if result is Response else output_schema(result),
        "media": _media(handler.binding),
        "answer": _answer(result),
        "streams": streams or bool(function.__code__.co_flags & (GENERATOR | ASYNC_GENERATOR)),
    }


def _doc(handler: object) -> str:
    module = sys.modules.get(getattr(handler, "__module__", None) or "")
    text = getattr(handler, "__doc__", None) or getattr(module, "__doc__", None) or ""
    return " ".join(text.strip().partition("\n\n")[0].split())


def _result(annotation: object) -> tuple[object, bool]:
    """The annotation of the result, of one chunk where it is an iterator; and whether it is.

    Of a result that may also be a `Response`, which can be anything, the others.
    """
    if get_origin(annotation) in _STREAMS:
        chunk = get_args(annotation)[0]
        return Response if Response in get_args(chunk) else chunk, True  # as a first chunk it gives the content type
    members = get_args(annotation)
    if Response not in members:
        return annotation, False
    return reduce(or_, (member for member in members if member is not Response)), False


def _media(binding: Binding) -> list[str]:
    shapes = [field.shape for name, field in binding.fields.items() if name not in binding.bodies]
    takers = binding.takers
    if not shapes:
        return [_ANYTHING] if binding.bodies else []
    kinds = {kind for shape in shapes for kind in (shape.kind, *(part.kind for part in shape.of))}
    if kinds & {"file", "image"}:
        return [MULTIPART, JSON, *([_whole(binding)] if takers.file else [])]
    if takers.takes_object:
        return [JSON]
    return [JSON, FORM, MULTIPART, *(["text/plain"] if takers.sole and takes(shapes[0], "str") else [])]


def _whole(binding: Binding) -> str:
    """What a body may be that is all for one parameter."""
    return _PICTURE if takes(binding.fields[binding.takers.file].shape, "image") else _ANYTHING


def _answer(result: object) -> str:
    if result is str:
        return "text/plain"
    if isinstance(result, type) and issubclass(result, bytes | bytearray | memoryview):
        return BINARY
    return _ANYTHING if result is Response else JSON


def main(arguments: list[str]) -> int:
    """Describe one handler, named as Lambda names it. 0 when it could be, else 1."""
    (name,) = arguments
    answer = os.dup(1)
    os.dup2(2, 1)
    try:
        described = {"ok": True, **describe(runtime.load(name, os.getcwd()))}
    except (Exception, SystemExit) as error:  # the boundary to user code: whatever its import raised is the answer
        described = _failure(error)
    sys.stdout.flush()
    with os.fdopen(answer, "w", encoding="utf-8") as output:
        output.write(json.dumps(described) + "\n")
    return 0 if described["ok"] else 1


def _failure(error: BaseException) -> dict[str, Any]:
    import traceback

    told = failures.describe(error)
    return {
        "ok": False,
        "error": " ".join(str(error).split()) or type(error).__name__,
        "hint": error.hint if isinstance(error, PilotlightError) else "",
        "type": told["errorType"],
        "traceback": "".join(traceback.format_exception(error)),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
