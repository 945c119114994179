"""The OpenAPI document, checked by a validator of the specification."""

import json
from typing import Annotated, Any

import msgspec
import openapi_spec_validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from pilotlight.function.describe import describe
from pilotlight.function.endpoint import endpoint
from pilotlight.function.inputs import File, Image, ImageUrl
from pilotlight.local import openapi


class Answer(msgspec.Struct):
    text: str


def other() -> type[msgspec.Struct]:
    class Answer(msgspec.Struct):
        score: float

    return Answer


Other = other()


@endpoint
def qa(question: str, tags: list[str] | None = None, top: Annotated[int, "How many."] = 1) -> list[Answer]:
    """Answer a question."""
    return []


@endpoint
def look(image: Image | None = None, url: ImageUrl | None = None) -> str:
    return ""


@endpoint
def caption(image: File) -> str:
    return ""


@endpoint
def score(answer: Answer) -> Other:  # type: ignore[valid-type]
    return Other(0.5)


def raw(event: object, context: object) -> object:
    return event


REFERENCE = {"$ref": "#/components/schemas/Answer"}
ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
RESPONSES = {
    "200": {
        "description": "The function's answer.",
        "content": {"application/json": {"schema": {"type": "array", "items": REFERENCE}}},
    },
    "400": {"description": "The request does not fit: which field, and why.", "content": ERROR},
    "500": {"description": "The function failed; its log says why.", "content": ERROR},
}
TAGS = {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}], "default": None}
TOP = {"type": "integer", "description": "How many.", "default": 1}


def document(*functions: Any) -> dict[str, Any]:
    built: dict[str, Any] = openapi.document("Pilotlight", "1.2.3", functions)
    openapi_spec_validator.validate(built, cls=OpenAPIV31SpecValidator)
    return json.loads(json.dumps(built))  # type: ignore[no-any-return]


def test_a_body_and_a_query_and_a_path() -> None:
    built = document(([("POST", "/qa"), ("GET", "/qa/{question+}")], "qa", describe(qa)))
    body = {
        "type": "object",
        "properties": {"question": {"type": "string"}, "tags": TAGS, "top": TOP},
        "required": ["question"],
    }
    kinds = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]
    assert (built["openapi"], built["info"]) == ("3.1.0", {"title": "Pilotlight", "version": "1.2.3"})
    assert built["paths"] == {
        "/qa": {
            "post": {
                "operationId": "post__qa",
                "tags": ["qa"],
                "summary": "Answer a question.",
                "requestBody": {"content": {kind: {"schema": body} for kind in kinds}, "required": True},
                "responses": RESPONSES,
            }
        },
        "/qa/{question}": {
            "get": {
                "operationId": "get__qa__question",
                "tags": ["qa"],
                "summary": "Answer a question.",
                "parameters": [
                    {"name": "question", "in": "path", "schema": {"type": "string"}, "required": True},
                    {"name": "tags", "in": "query", "schema": TAGS},
                    {"name": "top", "in": "query", "schema": TOP},
                ],
                "responses": RESPONSES,
            }
        },
    }
    assert built["components"]["schemas"]["Answer"] == {
        "title": "Answer",
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
    }


def test_a_file_is_itself_in_a_form_and_base64_in_json() -> None:
    built = document(([("ANY", "/caption")], "caption", describe(caption)))
    assert sorted(built["paths"]["/caption"]) == ["get", "post"]
    content = built["paths"]["/caption"]["post"]["requestBody"]["content"]
    image = {"type": "string", "contentMediaType": "application/octet-stream"}
    form = {"type": "object", "properties": {"image": image}, "required": ["image"]}
    encoded = {**form, "properties": {"image": {**image, "contentEncoding": "base64"}}}
    assert content == {"multipart/form-data": {"schema": form}, "application/json": {"schema": encoded}, "*/*": {}}


def test_a_picture_is_a_body_of_its_own_too() -> None:
    operation = document(([("POST", "/look")], "look", describe(look)))["paths"]["/look"]["post"]
    null = {"type": "null"}
    image = {"type": "string", "contentMediaType": "image/*"}
    url = {"anyOf": [{"type": "string", "format": "uri"}, null], "default": None}
    form = {"type": "object", "properties": {"image": {"anyOf": [image, null], "default": None}, "url": url}}
    encoded = {"anyOf": [{**image, "contentEncoding": "base64"}, null], "default": None}
    assert operation["requestBody"]["content"] == {
        "multipart/form-data": {"schema": form},
        "application/json": {"schema": {**form, "properties": {"image": encoded, "url": url}}},
        "image/*": {},
    }
    assert sorted(operation["responses"]) == ["200", "400", "413", "415", "500"]


def test_two_definitions_of_one_name() -> None:
    built = document(([("POST", "/qa")], "qa", describe(qa)), ([("POST", "/score")], "score", describe(score)))
    assert set(built["components"]["schemas"]) == {"Answer", "Error", "score_Answer"}
    answer = built["paths"]["/score"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer["properties"] == {"score": {"type": "number"}}


def test_a_raw_handler_takes_and_gives_anything() -> None:
    built = document(([("POST", "/raw")], "raw", {"ok": True, **describe(raw)}))
    assert list(built["paths"]) == ["/raw"]
    assert built["paths"]["/raw"]["post"]["requestBody"] == {"content": {"*/*": {}}}
    assert built["paths"]["/raw"]["post"]["responses"] == {
        "200": {"description": "The function's answer.", "content": {"*/*": {}}}
    }


def test_nothing_is_served() -> None:
    assert document()["paths"] == {}


def test_a_key_is_asked_for_where_a_function_needs_one() -> None:
    functions = [
        ([("POST", "/qa")], "qa", {**describe(qa), "needs_key": True}),
        ([("POST", "/raw")], "raw", describe(raw)),
    ]
    document: Any = openapi.document("a", "1", functions)
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    assert document["components"]["securitySchemes"] == {
        "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"}
    }
    guarded, unguarded = document["paths"]["/qa"]["post"], document["paths"]["/raw"]["post"]
    assert (guarded["security"], unguarded.get("security")) == ([{"apiKey": []}], None)
    assert [sorted(each["responses"]) for each in (guarded, unguarded)] == [
        ["200", "400", "403", "429", "500"],
        ["200"],
    ]
