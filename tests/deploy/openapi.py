"""What is wrong with a document of OpenAPI 3.0 that a REST API is imported from."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "x-amazon-apigateway-any-method"}
RESOURCES = 300  # docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
SIZE = 6 * 1024 * 1024  # ibid.: of a document that is imported

Body = Mapping[str, Any]


def faults(body: Body) -> list[str]:
    """One line for each thing."""
    return [*_whole(body), *_tree(body), *(line for each in operations(body) for line in _operation(body, *each))]


def operations(body: Body) -> Iterator[tuple[str, str, Body]]:
    for path, item in body["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def _whole(body: Body) -> Iterator[str]:
    if not re.fullmatch(r"3\.0\.\d", body["openapi"]) or not {"title", "version"} <= body["info"].keys():
        yield "it is no OpenAPI 3.0"
    if len(json.dumps(body)) > SIZE:
        yield "it is too large"
    schemes = set(body.get("components", {}).get("securitySchemes", {}))
    used = {name for *_, each in operations(body) for one in each.get("security", ()) for name in one}
    if schemes != used:
        yield f"it has the schemes {sorted(schemes)} and uses {sorted(used)}"


def _tree(body: Body) -> Iterator[str]:
    children: dict[str, str] = {}
    resources = {"/"}
    for path in body["paths"]:
        parts = path.strip("/").split("/") if path != "/" else []
        for number, part in enumerate(parts):
            parent = "/" + "/".join(parts[:number])
            resources.add("/" + "/".join(parts[: number + 1]))
            if part.startswith("{") and children.setdefault(parent, part) != part:
                yield f"{parent} has {children[parent]} and {part} below it"
            if not re.fullmatch(r"[A-Za-z0-9._:-]+|{[A-Za-z0-9_]+\+?}", part):
                yield f"{path} has {part!r}"
    if len(resources) > RESOURCES:
        yield f"it has {len(resources)} resources"


def _operation(body: Body, path: str, method: str, operation: Body) -> Iterator[str]:
    where = f"{method} {path}"
    integration = operation.get("x-amazon-apigateway-integration", {})
    if method not in METHODS:
        yield f"{where} is no method"
    if not operation.get("responses"):
        yield f"{where} answers nothing"
    declared = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "path" and each["required"]]
    if declared != re.findall(r"{(\w+)\+?}", path):
        yield f"{where} declares {declared}"
    match integration.get("type"):
        case "aws_proxy":
            yield from _proxy(where, integration)
        case "mock":
            yield from _mock(where, operation, integration)
        case other:
            yield f"{where} has the integration {other}"


def _proxy(where: str, integration: Body) -> Iterator[str]:
    """docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html."""
    streams = integration.get("responseTransferMode") == "STREAM"
    end = "/response-streaming-invocations" if streams else "/invocations"
    longest = 900_000 if streams else 29_000
    if integration["httpMethod"] != "POST" or not integration["uri"]["Fn::Sub"].endswith(end):
        yield f"{where} calls {integration['httpMethod']} {integration['uri']}"
    if not 50 <= integration.get("timeoutInMillis", 29_000) <= longest:
        yield f"{where} waits {integration['timeoutInMillis']}"


def _mock(where: str, operation: Body, integration: Body) -> Iterator[str]:
    """An integration gives headers that the method's response declares, and takes binary requests as text."""
    if integration.get("contentHandling") != "CONVERT_TO_TEXT":
        yield f"{where} answers no preflight where requests are binary"
    if "security" in operation:
        yield f"{where} asks preflights for what browsers do not send"
    for answer in integration["responses"].values():
        given = {name.removeprefix("method.response.header.") for name in answer["responseParameters"]}
        if given != set(operation["responses"][answer["statusCode"]].get("headers", {})):
            yield f"{where} gives headers that it does not declare"
