"""Functions: code, configuration, a version of both, and the alias that everybody calls.

A version is called by a digest of what it holds. What has changed is a new one, to which the alias moves; the old one
is no more in the template, so CloudFormation deletes it when the update has worked, and no snapshot of SnapStart's is
left that costs money.
"""

import hashlib
import json
from typing import Any

import msgspec

from pilotlight.deploy import names, network, rollout, scaling, tables
from pilotlight.deploy.cloudformation import Resource, get, ref, resource, sub
from pilotlight.deploy.unit import Deployment, Unit
from pilotlight.function import cors
from pilotlight.function.model import VARIABLE as MODEL

_NOT_OF_A_VERSION = ("ReservedConcurrentExecutions",)  # it has an API of its own, as tags have


def resources(deployment: Deployment) -> dict[str, Resource]:
    """Of each function: logs, function, version, alias, and what becomes of asynchronous invocations."""
    return {name: each for unit in deployment.units for name, each in _of(deployment, unit).items()}


def outputs(deployment: Deployment) -> dict[str, Resource]:
    return {f"{unit.id}FunctionName": {"Value": ref(f"{unit.id}Function")} for unit in deployment.units}


def variables(deployment: Deployment, unit: Unit) -> dict[str, Any]:
    """Its environment variables: those of the package, where its tables are, and its models where they are mirrored."""
    function = unit.function
    models = {
        f"{MODEL}{'_' if name else ''}{name.upper()}": sub(unit.models[uri])
        for name, uri in function.named_models.items()
        if uri in unit.models
    }
    found = {**unit.artifact.environment, **models, **tables.variables(deployment, function), **_cors(deployment, unit)}
    return dict(sorted(found.items()))


def _cors(deployment: Deployment, unit: Unit) -> dict[str, str]:
    """A REST API passes the answers of functions on as they are, so the function itself gives these headers:
    docs.aws.amazon.com/apigateway/latest/developerguide/how-to-cors.html."""
    settings = deployment.project.cors
    if unit.function.front != "rest" or settings is None:
        return {}
    given = {name: getattr(settings, name) for name in ("origins", "expose", "credentials")}
    return {cors.VARIABLE: msgspec.json.encode(given).decode()}


def _of(deployment: Deployment, unit: Unit) -> dict[str, Resource]:
    function = _function(deployment, unit)
    digest = _digest(function["Properties"])
    function["Properties"]["Description"] = f"{unit.function.service} {unit.function.name} {digest}"
    version = f"{unit.id}Version{digest}"
    return {
        f"{unit.id}Logs": _logs(deployment, unit),
        f"{unit.id}Function": function,
        version: resource("Lambda::Version", FunctionName=ref(f"{unit.id}Function")),
        f"{unit.id}Alias": _alias(deployment, unit, version),
        f"{unit.id}Events": _events(unit),
        **rollout.of_version(deployment, unit, version),
    }


def _logs(deployment: Deployment, unit: Unit) -> Resource:
    name = f"/aws/lambda/{names.function(unit.function, deployment.stage)}"
    days = deployment.project.deploy.log_days
    logs = resource("Logs::LogGroup", LogGroupName=name, RetentionInDays=days)
    return {**logs, "DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete"}


def _function(deployment: Deployment, unit: Unit) -> Resource:
    function = unit.function
    reserved = {} if function.concurrency is None else {"ReservedConcurrentExecutions": function.concurrency}
    snapstart = "PublishedVersions" if function.snapstart else "None"  # said, since Lambda keeps what is not
    properties = {
        "FunctionName": names.function(function, deployment.stage),
        **_code(unit),
        "Role": get(f"{unit.id}Role", "Arn"),
        "Architectures": [unit.artifact.architecture],
        "MemorySize": function.memory,
        "Timeout": function.timeout,
        "EphemeralStorage": {"Size": function.tmp},
        "Environment": {"Variables": variables(deployment, unit)},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": ref(f"{unit.id}Logs")},
        "SnapStart": {"ApplyOn": snapstart},
        **reserved,
        **network.function_properties(deployment, unit),
    }
    awaited = network.depends_on(deployment, unit)
    return {**({"DependsOn": awaited} if awaited else {}), **resource("Lambda::Function", **properties)}


def _code(unit: Unit) -> Resource:
    artifact = unit.artifact
    if artifact.kind == "image":
        return {"PackageType": "Image", "Code": {"ImageUri": sub(names.image(artifact))}}
    code = {"S3Bucket": sub(names.bucket()), "S3Key": names.zip_key(artifact)}
    return {"PackageType": "Zip", "Code": code, "Runtime": artifact.runtime, "Handler": artifact.handler}


def _digest(properties: Resource) -> str:
    """Of what is of a version: docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html. Lambda makes none that
    differs from the last one in nothing, on which CloudFormation fails. Since the description has the digest, another
    digest is always a difference."""
    held = {name: each for name, each in properties.items() if name not in _NOT_OF_A_VERSION}
    return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()[:8]


def _alias(deployment: Deployment, unit: Unit, version: str) -> Resource:
    policy = rollout.update_policy(deployment, unit)
    alias = resource(
        "Lambda::Alias",
        Name=names.ALIAS,
        FunctionName=ref(f"{unit.id}Function"),
        FunctionVersion=get(version, "Version"),
        **scaling.alias_properties(deployment, unit),
    )
    return {**alias, **({"UpdatePolicy": policy} if policy else {})}


def _events(unit: Unit) -> Resource:
    """Asynchronous invocations."""
    config = resource(
        "Lambda::EventInvokeConfig",
        FunctionName=ref(f"{unit.id}Function"),
        Qualifier=names.ALIAS,
        MaximumRetryAttempts=unit.function.retries,
        MaximumEventAgeInSeconds=unit.function.max_event_age,
    )
    return {"DependsOn": [f"{unit.id}Alias"], **config}
