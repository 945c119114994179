"""A REST API as one document of OpenAPI 3.0 with API Gateway's extensions: paths, methods, who may call, CORS.

docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions.html
"""

from collections.abc import Sequence
from typing import Any

from pilotlight import limits
from pilotlight.deploy import names, rest_cors, rest_paths
from pilotlight.deploy.cloudformation import Resource, sub
from pilotlight.deploy.unit import Deployment, Unit
from pilotlight.errors import ProjectError
from pilotlight.project import Route
from pilotlight.settings import FILE, Cors

ANY = "x-amazon-apigateway-any-method"
INTEGRATION = "x-amazon-apigateway-integration"
_ANSWERED = {"200": {"description": "what the function answers"}}  # OpenAPI has one at least; a proxy passes on any

# docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html
_BUFFERED = "2015-03-31/functions/${{{alias}}}/invocations"
_STREAMED = "2021-11-15/functions/${{{alias}}}/response-streaming-invocations"

# .../api-gateway-swagger-extensions-authtype.html
_SCHEMES = {
    "api_key": {"type": "apiKey", "name": "x-api-key", "in": "header"},
    "sigv4": {
        "type": "apiKey",
        "name": "Authorization",
        "in": "header",
        "x-amazon-apigateway-authtype": "awsSigv4",
    },
}


def body(deployment: Deployment, units: Sequence[Unit]) -> dict[str, Any]:
    """The document, with Fn::Sub where it names a function. Raises `ProjectError` for routes that it cannot have."""
    rest_paths.check(units)
    cors = deployment.project.cors
    binary = list(units[0].function.binary_media_types)  # `checks` sees that they have the same
    schemes = {name: _SCHEMES[name] for name in sorted({each for unit in units for each in _security(unit)})}
    return {
        "openapi": "3.0.1",
        "info": {"title": names.stack(deployment.project.name, deployment.stage), "version": "1"},
        "paths": _paths(cors, units),
        **({"components": {"securitySchemes": schemes}} if schemes else {}),
        **({"x-amazon-apigateway-binary-media-types": binary} if binary else {}),
        **({"x-amazon-apigateway-gateway-responses": rest_cors.errors(cors)} if cors else {}),
    }


def _paths(cors: Cors | None, units: Sequence[Unit]) -> dict[str, dict[str, Resource]]:
    paths: dict[str, dict[str, Resource]] = {}
    for unit, route in [(each, route) for each in units for route in each.function.routes]:
        paths.setdefault(route.path, {})[_key(route.method)] = _operation(unit, route)
        if cors:
            _check_preflight(unit, route)
            paths[route.path]["options"] = {**_parameters(route.path), **rest_cors.preflight(cors)}
    return paths


def _key(method: str) -> str:
    return ANY if method == "ANY" else method.lower()


def _operation(unit: Unit, route: Route) -> Resource:
    required = _security(unit)
    return {
        **_parameters(route.path),
        **({"security": [{each: [] for each in required}]} if required else {}),
        "responses": _ANSWERED,
        INTEGRATION: _integration(unit),
    }


def _parameters(path: str) -> Resource:
    """OpenAPI has each parameter of a path declared. A greedy one is declared without its +."""
    declared = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in rest_paths.parameters(path)
    ]
    return {"parameters": declared} if declared else {}


def _security(unit: Unit) -> list[str]:
    """The schemes that a request has to satisfy, all of them."""
    key = ["api_key"] if unit.function.api_key else []
    return [*key, *(["sigv4"] if unit.function.auth == "iam" else [])]


def _integration(unit: Unit) -> Resource:
    """API Gateway waits for 29 seconds, and 15 minutes for an answer that streams."""
    streams = unit.function.streams
    longest = {"responseTransferMode": "STREAM", "timeoutInMillis": int(limits.REST_STREAM_TIMEOUT * 1000)}
    path = (_STREAMED if streams else _BUFFERED).format(alias=f"{unit.id}Alias")
    return {
        "type": "aws_proxy",
        "httpMethod": "POST",
        "uri": sub(f"arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}:lambda:path/{path}"),
        **(longest if streams else {}),
    }


def _check_preflight(unit: Unit, route: Route) -> None:
    """With [cors] each path has a preflight, and an OPTIONS of the service's own would be the same method."""
    if route.method == "OPTIONS":
        reason = f"{str(route)!r}: with [cors] a REST API answers OPTIONS itself"
        file = unit.function.root / FILE
        raise ProjectError(f"{file}: functions.{unit.function.name}.route: {reason}", "leave the route out, or [cors]")
