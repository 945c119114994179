"""The REST API: what has API keys, binary media types or answers that stream through it; events of format 1.0."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from pilotlight import limits
from pilotlight.deploy import names, rest_cors, rest_keys, rest_paths, routes
from pilotlight.deploy.cloudformation import Resource, ref, resource, sub
from pilotlight.deploy.unit import Deployment, Unit
from pilotlight.errors import ProjectError
from pilotlight.project import Route
from pilotlight.settings import FILE, Cors

STAGE = "prod"  # where the settings name none: a REST API has one in every path

# docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html
_BUFFERED = "2015-03-31/functions/${{{alias}}}/invocations"
_STREAMED = "2021-11-15/functions/${{{alias}}}/response-streaming-invocations"


def resources(deployment: Deployment) -> dict[str, Resource]:
    """Raises `ProjectError` for routes that a REST API cannot have."""
    units = _behind(deployment)
    if not units:
        return {}
    deployed = {
        "RestApi": _api(deployment, units),
        **rest_paths.resources(units),
        **{name: each for unit in units for name, each in _methods(unit).items()},
        **(_cors(deployment.project.cors, units) if deployment.project.cors else {}),
    }
    keys = rest_keys.resources(deployment) if any(unit.function.api_key for unit in units) else {}
    return {**deployed, **_stage(deployment, units, deployed), **keys, **_permissions(units)}


def outputs(deployment: Deployment) -> dict[str, Resource]:
    """The URL of the API, of each route, and the ids of the keys."""
    units = _behind(deployment)
    if not units:
        return {}
    base = "https://${RestApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/${RestStage}"
    found: dict[str, Resource] = {"RestApiUrl": {"Value": sub(base)}}
    for unit in units:
        found |= routes.outputs(unit, lambda path: f"{base}{path}")
    return {**found, **(rest_keys.outputs(deployment) if any(unit.function.api_key for unit in units) else {})}


def _behind(deployment: Deployment) -> list[Unit]:
    return [unit for unit in deployment.units if unit.function.front == "rest" and unit.function.routes]


def _api(deployment: Deployment, units: Sequence[Unit]) -> Resource:
    binary = list(units[0].function.binary_media_types)  # `checks` sees that they have the same
    return resource(
        "ApiGateway::RestApi",
        Name=names.stack(deployment.project.name, deployment.stage),
        EndpointConfiguration={"Types": ["REGIONAL"]},
        **({"BinaryMediaTypes": binary} if binary else {}),
    )


def _methods(unit: Unit) -> dict[str, Resource]:
    return {routes.of_route("RestMethod", route): _method(unit, route) for route in unit.function.routes}


def _method(unit: Unit, route: Route) -> Resource:
    return resource(
        "ApiGateway::Method",
        RestApiId=ref("RestApi"),
        ResourceId=rest_paths.ref_of(route.path),
        HttpMethod=route.method,
        AuthorizationType="AWS_IAM" if unit.function.auth == "iam" else "NONE",
        ApiKeyRequired=unit.function.api_key,
        Integration=_integration(unit),
    )


def _integration(unit: Unit) -> Resource:
    """API Gateway waits for 29 seconds, and 15 minutes for an answer that streams."""
    streams = unit.function.streams
    longest = {"ResponseTransferMode": "STREAM", "TimeoutInMillis": int(limits.REST_STREAM_TIMEOUT * 1000)}
    path = (_STREAMED if streams else _BUFFERED).format(alias=f"{unit.id}Alias")
    return {
        "Type": "AWS_PROXY",
        "IntegrationHttpMethod": "POST",
        "Uri": sub(f"arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}:lambda:path/{path}"),
        **(longest if streams else {}),
    }


def _cors(cors: Cors, units: Sequence[Unit]) -> dict[str, Resource]:
    """A preflight at each path. An OPTIONS of the service's own would be the same method: it is refused."""
    paths = [(each, route) for each in units for route in each.function.routes]
    for unit, route in paths:
        if route.method == "OPTIONS":
            reason = f"{str(route)!r}: with [cors] a REST API answers OPTIONS itself"
            file = unit.function.root / FILE
            hint = "leave the route out, or [cors]"
            raise ProjectError(f"{file}: functions.{unit.function.name}.route: {reason}", hint)
    preflights = {_preflight_id(route.path): rest_cors.preflight(cors, route.path) for _, route in paths}
    return {**preflights, **rest_cors.errors(cors)}


def _preflight_id(path: str) -> str:
    """That of a route of the service's own, since CloudFormation makes what is new before it deletes what is not: where
    [cors] comes or goes one becomes the other, and two methods OPTIONS of a path API Gateway refuses."""
    return routes.of_route("RestMethod", Route("OPTIONS", path))


def _stage(deployment: Deployment, units: Sequence[Unit], deployed: Mapping[str, Resource]) -> dict[str, Resource]:
    """A deployment is a copy of the API as it is then: what has changed needs another one, of another name."""
    digest = hashlib.sha256(json.dumps(deployed, sort_keys=True).encode()).hexdigest()[:8]
    name = f"RestDeployment{digest}"
    awaited = [each for each in deployed if each != "RestApi" and not each.startswith("RestPath")]
    copy = {"DependsOn": awaited, **resource("ApiGateway::Deployment", RestApiId=ref("RestApi"))}
    limited = [_limit(unit, route) for unit in units if unit.function.throttle for route in unit.function.routes]
    stage = resource(
        "ApiGateway::Stage",
        RestApiId=ref("RestApi"),
        DeploymentId=ref(name),
        StageName=deployment.project.stage or STAGE,
        **({"MethodSettings": limited} if limited else {}),
    )
    return {name: copy, "RestStage": stage}


def _limit(unit: Unit, route: Route) -> Resource:
    """A path in these settings begins with a slash, and has its own as ~1."""
    throttle = unit.function.throttle
    assert throttle is not None
    path = "/" if route.path == "/" else "/" + route.path.replace("/", "~1")
    limits_of_it = {"ThrottlingRateLimit": throttle.rate, "ThrottlingBurstLimit": throttle.burst}
    return {"ResourcePath": path, "HttpMethod": route.method, **limits_of_it}


def _permissions(units: Sequence[Unit]) -> dict[str, Resource]:
    return {f"{unit.id}RestPermission": routes.permission(unit, "RestApi") for unit in units}
