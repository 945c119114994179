"""The REST API: what has API keys, binary media types or answers that stream through it; events of format 1.0."""

import hashlib
import json
from collections.abc import Sequence

from pilotlight.deploy import names, rest_body, rest_keys, routes
from pilotlight.deploy.cloudformation import Resource, ref, resource, sub
from pilotlight.deploy.unit import Deployment, Unit
from pilotlight.project import Route

STAGE = "prod"  # where the settings name none: a REST API has one in every path


def resources(deployment: Deployment) -> dict[str, Resource]:
    """Raises `ProjectError` for routes that a REST API cannot have."""
    units = _behind(deployment)
    if not units:
        return {}
    api = _api(deployment, units)
    keys = rest_keys.resources(deployment) if any(unit.function.api_key for unit in units) else {}
    return {"RestApi": api, **_stage(deployment, units, api), **keys, **_permissions(units)}


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
    """One document, which replaces the one before: what it has no longer, such as a binary media type, is gone.

    The type of endpoint is said again in `Parameters`, since those are what an import takes it from.
    """
    return resource(
        "ApiGateway::RestApi",
        Name=names.stack(deployment.project.name, deployment.stage),
        EndpointConfiguration={"Types": ["REGIONAL"]},
        Parameters={"endpointConfigurationTypes": "REGIONAL"},
        Mode="overwrite",
        FailOnWarnings=True,
        Body=rest_body.body(deployment, units),
    )


def _stage(deployment: Deployment, units: Sequence[Unit], api: Resource) -> dict[str, Resource]:
    """A deployment is a copy of the API as it is then: what has changed needs another one, of another name.

    It waits for the permissions, so that no route is there before its function may be called.
    """
    name = f"RestDeployment{_digest(deployment, units, api)}"
    awaited = sorted(_permissions(units))
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


def _digest(deployment: Deployment, units: Sequence[Unit], api: Resource) -> str:
    """Of the document as it will be. It names an alias by logical id, which kim_cnn and KimCnn share: what their ARNs
    differ in is the function's name. Account, region and partition are the same for the life of a stack."""
    named = {unit.id: names.function(unit.function, deployment.stage) for unit in units}
    text = json.dumps([api["Properties"]["Body"], named], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _limit(unit: Unit, route: Route) -> Resource:
    """A path in these settings begins with a slash, and has its own as ~1."""
    throttle = unit.function.throttle
    assert throttle is not None
    path = "/" if route.path == "/" else "/" + route.path.replace("/", "~1")
    limits_of_it = {"ThrottlingRateLimit": throttle.rate, "ThrottlingBurstLimit": throttle.burst}
    return {"ResourcePath": path, "HttpMethod": route.method, **limits_of_it}


def _permissions(units: Sequence[Unit]) -> dict[str, Resource]:
    return {f"{unit.id}RestPermission": routes.permission(unit, "RestApi") for unit in units}
