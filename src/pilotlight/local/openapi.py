"""The OpenAPI 3.1 document of a set of functions: spec.openapis.org/oas/v3.1.0."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Route = tuple[str, str]
Described = tuple[Sequence[Route], str, Mapping[str, Any]]

_WITHOUT_BODY = ("GET", "HEAD", "DELETE")
_ANY = ("GET", "POST")
_COMPONENTS = "#/components/schemas/"
_KEY = {"apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"}}
_ERROR = {
    "title": "Error",
    "type": "object",
    "properties": {
        "message": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "reason": {"type": "string"}},
                "required": ["field", "reason"],
            },
        },
        "requestId": {"type": "string"},
    },
    "required": ["message"],
}


def document(title: str, version: str, functions: Sequence[Described]) -> dict[str, object]:
    """The document of functions, each `(routes, name, description)`: routes are `(method, path)` in API Gateway's
    spelling, the description is `pilotlight.function.describe`'s, with "needs_key" where an API key is asked for. ANY
    stands for GET and POST.
    """
    schemas: dict[str, Any] = {"Error": _ERROR}
    paths: dict[str, dict[str, object]] = {}
    for routes, name, description in functions:
        parts = _parts(name, description, schemas)
        for method, path in _expanded(routes):
            operations = paths.setdefault(path.replace("+}", "}"), {})
            operations.setdefault(method.lower(), _operation(method, path, name, {**description, **parts}))
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {"schemas": schemas, **_security(description for _, _, description in functions)},
    }


def _security(descriptions: Iterable[Mapping[str, Any]]) -> dict[str, object]:
    needed = any(description.get("needs_key") for description in descriptions)
    return {"securitySchemes": _KEY} if needed else {}


def _expanded(routes: Sequence[Route]) -> list[Route]:
    return [(one, path) for method, path in routes for one in (_ANY if method == "ANY" else (method,))]


def _operation(method: str, path: str, name: str, description: Mapping[str, Any]) -> dict[str, object]:
    in_path = [part.strip("{+}") for part in path.split("/") if part.startswith("{")]
    schema = description.get("input", {})
    properties: Mapping[str, Any] = schema.get("properties", {})
    rest = {key: value for key, value in properties.items() if key not in in_path}
    parameters = [_parameter("path", key, properties.get(key, {"type": "string"}), True) for key in in_path]
    operation: dict[str, object] = {"operationId": _operation_id(method, path), "tags": [name]}
    if description.get("doc"):
        operation["summary"] = description["doc"]
    if method in _WITHOUT_BODY:
        required = schema.get("required", ())
        parameters += [_parameter("query", key, value, key in required) for key, value in rest.items()]
    elif body := _body(schema, rest, description):
        operation["requestBody"] = body
    if parameters:
        operation["parameters"] = parameters
    if description.get("needs_key"):
        operation["security"] = [{name: []} for name in _KEY]
    return {**operation, "responses": _responses(description)}


def _operation_id(method: str, path: str) -> str:
    return "_".join([method.lower(), *("".join(c if c.isalnum() else "_" for c in path).split("_"))]).rstrip("_")


def _parameter(place: str, name: str, schema: Any, required: bool) -> dict[str, object]:
    parameter: dict[str, object] = {"name": name, "in": place, "schema": schema}
    return {**parameter, "required": True} if required else parameter


def _body(schema: Mapping[str, Any], rest: Mapping[str, Any], description: Mapping[str, Any]) -> dict[str, object]:
    """What the path does not give. A raw handler says nothing of its body, so it may be anything."""
    media = ["*/*"] if description.get("raw") else description.get("media", [])
    if not media:
        return {}
    if "properties" in schema:
        required = [name for name in schema.get("required", ()) if name in rest]
        schema = {**schema, "properties": rest, "required": required}
        schema = schema if required else {key: value for key, value in schema.items() if key != "required"}
    body: dict[str, object] = {"content": {kind: _content(kind, schema) for kind in media}}
    return {**body, "required": True} if schema.get("required") else body


def _content(kind: str, schema: Mapping[str, Any]) -> dict[str, object]:
    """A form carries files as they are, JSON as base64; text is one string; of bytes there is nothing to say."""
    if kind == "multipart/form-data":
        return {"schema": _without_base64(schema)}
    if kind in ("*/*", "image/*", "application/octet-stream"):
        return {}
    return {"schema": {"type": "string"} if kind == "text/plain" else schema}


def _without_base64(schema: Any) -> Any:
    match schema:
        case dict():
            return {key: _without_base64(value) for key, value in schema.items() if key != "contentEncoding"}
        case list():
            return [_without_base64(value) for value in schema]
    return schema


def _responses(description: Mapping[str, Any]) -> dict[str, object]:
    kind = description.get("answer", "*/*")
    answered = _content(kind, description["output"]) if description.get("output") else {}
    error = {"application/json": {"schema": {"$ref": f"{_COMPONENTS}Error"}}}
    responses: dict[str, object] = {"200": {"description": "The function's answer.", "content": {kind: answered}}}
    if description.get("needs_key"):
        responses["403"] = {"description": "The API key is missing or wrong.", "content": error}
        responses["429"] = {"description": "The API key has made too many requests.", "content": error}
    if description.get("raw"):
        return responses
    if "image/*" in description.get("media", ()):
        responses["413"] = {"description": "The picture has too many bytes or pixels.", "content": error}
        responses["415"] = {"description": "It is no picture of a format that is read here.", "content": error}
    return {
        **responses,
        "400": {"description": "The request does not fit: which field, and why.", "content": error},
        "500": {"description": "The function failed; its log says why.", "content": error},
    }


def _parts(name: str, description: Mapping[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """The function's schemas, with what they define moved to the components of the document."""
    return {part: _moved(name, description[part], schemas) for part in ("input", "output") if part in description}


def _moved(name: str, schema: Mapping[str, Any], schemas: dict[str, Any]) -> Any:
    """A definition whose name is taken by a different one gets the function's name before its own, then a number."""
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    names = {key: key for key in definitions}
    moved = {key: _renamed(value, names) for key, value in definitions.items()}
    for key in definitions:
        number = 1
        while names[key] in schemas and schemas[names[key]] != moved[key]:
            names[key] = f"{name}_{key}" if number == 1 else f"{name}_{key}_{number}"
            number += 1
    for key, value in definitions.items():
        schemas[names[key]] = _renamed(value, names)
    return _renamed({key: value for key, value in schema.items() if key != "$defs"}, names)


def _renamed(schema: Any, names: Mapping[str, str]) -> Any:
    match schema:
        case {"$ref": str(target), **others} if target.startswith("#/$defs/"):
            return {"$ref": _COMPONENTS + names[target.removeprefix("#/$defs/")], **others}
        case dict():
            return {key: _renamed(value, names) for key, value in schema.items()}
        case list():
            return [_renamed(value, names) for value in schema]
    return schema
