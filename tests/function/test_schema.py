"""The JSON Schema of what functions take and give."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

import jsonschema  # type: ignore[import-untyped]
import msgspec
import numpy
import pytest

from pilotlight.errors import FunctionError
from pilotlight.events import Request, Response
from pilotlight.function.describe import describe
from pilotlight.function.endpoint import endpoint
from pilotlight.function.inputs import Body, File


class Answer(NamedTuple):
    text: str
    score: float = 0.0


class Item(msgspec.Struct):
    """What is rated."""

    name: str
    stars: Annotated[int, msgspec.Meta(ge=0, le=5)] = 0


@endpoint
def plain(
    question: Annotated[str, "What to ask."],
    kind: Literal["a", "b"] = "a",
    top: int | None = None,
    weights: dict[str, list[float]] = {},  # noqa: B006
    point: Answer = Answer("x"),  # noqa: B008
) -> list[Answer]:
    """Answer a question
    from a passage.

    At length.
    """
    return []


@endpoint
def whole(item: Item) -> Item:
    return item


@endpoint
def rich(items: Annotated[list[Item], "What to rate."], low: Annotated[int, msgspec.Meta(ge=1)] = 1) -> dict[str, Item]:
    return {}


@endpoint
def picture(image: File, request: Request, top: int = 1) -> bytes:
    return b""


@endpoint
def upload(body: Body) -> Response:
    return Response()


@endpoint
def nothing():  # type: ignore[no-untyped-def]
    return None


@endpoint
def words(text: str) -> Iterator[str]:
    yield text


ANSWER = {
    "title": "Answer",
    "type": "object",
    "properties": {"text": {"type": "string"}, "score": {"type": "number", "default": 0.0}},
    "required": ["text"],
}
ITEM = {
    "title": "Item",
    "description": "What is rated.",
    "type": "object",
    "properties": {"name": {"type": "string"}, "stars": {"type": "integer", "minimum": 0, "maximum": 5, "default": 0}},
    "required": ["name"],
}
REFERENCE = {"$ref": "#/$defs/Item"}
FILE = {"type": "string", "contentEncoding": "base64", "contentMediaType": "application/octet-stream"}
MODULE_DOC = "The JSON Schema of what functions take and give."
FORMS = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]


@pytest.mark.parametrize(
    ("handler", "description"),
    [
        (
            plain,
            {
                "doc": "Answer a question from a passage.",
                "input": {
                    "type": "object",
                    "properties": {
                        "question": {"type": "string", "description": "What to ask."},
                        "kind": {"enum": ["a", "b"], "default": "a"},
                        "top": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
                        "weights": {
                            "type": "object",
                            "additionalProperties": {"type": "array", "items": {"type": "number"}},
                            "default": {},
                        },
                        "point": {**ANSWER, "default": {"text": "x", "score": 0.0}},
                    },
                    "required": ["question"],
                },
                "output": {"type": "array", "items": ANSWER},
                "media": FORMS,
                "answer": "application/json",
                "streams": False,
            },
        ),
        (
            whole,
            {
                "doc": MODULE_DOC,
                "input": {**ITEM, "$defs": {"Item": ITEM}},
                "output": {**ITEM, "$defs": {"Item": ITEM}},
                "media": ["application/json"],
                "answer": "application/json",
                "streams": False,
            },
        ),
        (
            rich,
            {
                "doc": MODULE_DOC,
                "input": {
                    "type": "object",
                    "properties": {
                        "items": {"type": "array", "items": REFERENCE, "description": "What to rate."},
                        "low": {"type": "integer", "minimum": 1, "default": 1},
                    },
                    "required": ["items"],
                    "$defs": {"Item": ITEM},
                },
                "output": {"type": "object", "additionalProperties": REFERENCE, "$defs": {"Item": ITEM}},
                "media": FORMS,
                "answer": "application/json",
                "streams": False,
            },
        ),
        (
            picture,
            {
                "doc": MODULE_DOC,
                "input": {
                    "type": "object",
                    "properties": {"image": FILE, "top": {"type": "integer", "default": 1}},
                    "required": ["image"],
                },
                "output": {"type": "string", "contentEncoding": "base64"},
                "media": ["multipart/form-data", "application/json", "*/*"],
                "answer": "application/octet-stream",
                "streams": False,
            },
        ),
        (
            upload,
            {
                "doc": MODULE_DOC,
                "input": {"type": "object", "properties": {"body": FILE}, "required": ["body"]},
                "output": {},
                "media": ["*/*"],
                "answer": "*/*",
                "streams": False,
            },
        ),
        (
            nothing,
            {
                "doc": MODULE_DOC,
                "input": {"type": "object", "properties": {}},
                "output": {},
                "media": [],
                "answer": "application/json",
                "streams": False,
            },
        ),
        (
            words,
            {
                "doc": MODULE_DOC,
                "input": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
                "output": {"type": "string"},
                "media": [*FORMS, "text/plain"],
                "answer": "text/plain",
                "streams": True,
            },
        ),
    ],
    ids=["plain", "whole", "rich", "picture", "upload", "nothing", "words"],
)
def test_describe(handler: Any, description: dict[str, Any]) -> None:
    described = describe(handler)
    assert described == {"raw": False, **description}
    jsonschema.Draft202012Validator.check_schema(described["input"])
    jsonschema.Draft202012Validator.check_schema(described["output"])


def test_the_schema_takes_what_the_function_takes() -> None:
    schema = describe(rich)["input"]
    jsonschema.validate({"items": [{"name": "a", "stars": 3}]}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"items": [{"name": "a", "stars": 6}]}, schema)


def test_a_result_without_a_schema_may_be_anything() -> None:
    @endpoint
    def vectors(texts: list[str]) -> "numpy.ndarray[Any, Any]":
        return numpy.zeros(3)

    assert describe(vectors)["output"] == {}


def test_a_parameter_without_a_schema_is_refused() -> None:
    @endpoint
    def wrong(value: complex) -> None: ...

    with pytest.raises(FunctionError, match=r"writing the JSON Schema: type <class 'complex'> is not supported"):
        describe(wrong)


def test_a_handler_without_endpoint_is_raw() -> None:
    def handler(event: Any, context: Any) -> Any:
        """As Lambda has it."""

    assert describe(handler) == {"raw": True, "doc": "As Lambda has it."}
