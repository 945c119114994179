"""Function URLs: no gateway in between, the function's own timeout, and answers that stream."""

from collections.abc import Callable

from pilotlight.deploy import names, routes
from pilotlight.deploy.cloudformation import Resource, get, ref, resource
from pilotlight.deploy.unit import Deployment, Unit
from pilotlight.settings import Cors


def resources(deployment: Deployment) -> dict[str, Resource]:
    return {name: each for unit in _behind(deployment) for name, each in _of(deployment, unit).items()}


def outputs(deployment: Deployment) -> dict[str, Resource]:
    """The URL of each route."""
    return {name: each for unit in _behind(deployment) for name, each in routes.outputs(unit, _url(unit)).items()}


def _url(unit: Unit) -> Callable[[str], str]:
    """AWS's URL ends with a slash."""
    return lambda path: f"${{{unit.id}Url.FunctionUrl}}{path[1:]}"


def _behind(deployment: Deployment) -> list[Unit]:
    return [unit for unit in deployment.units if unit.function.front == "url" and unit.function.routes]


def _of(deployment: Deployment, unit: Unit) -> dict[str, Resource]:
    function, cors = unit.function, deployment.project.cors
    is_open = function.auth == "none"
    url = resource(
        "Lambda::Url",
        TargetFunctionArn=get(f"{unit.id}Function", "Arn"),
        Qualifier=names.ALIAS,
        AuthType="NONE" if is_open else "AWS_IAM",
        InvokeMode="RESPONSE_STREAM" if function.streams else "BUFFERED",
        **({"Cors": _cors(cors)} if cors else {}),
    )
    permissions = _permissions(unit) if is_open else {}
    return {f"{unit.id}Url": {"DependsOn": [f"{unit.id}Alias"], **url}, **permissions}


def _permissions(unit: Unit) -> dict[str, Resource]:
    """Both are needed since October 2025: docs.aws.amazon.com/lambda/latest/dg/urls-auth.html. Who signs requests needs
    neither, but the same two actions in a policy of theirs."""
    anyone = {"FunctionName": ref(f"{unit.id}Alias"), "Principal": "*"}
    url = resource("Lambda::Permission", Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE", **anyone)
    invoke = resource("Lambda::Permission", Action="lambda:InvokeFunction", InvokedViaFunctionUrl=True, **anyone)
    return {f"{unit.id}UrlPermission": url, f"{unit.id}UrlInvokePermission": invoke}


def _cors(cors: Cors) -> Resource:
    """A URL answers preflights itself, and takes no OPTIONS among the methods."""
    lists = {
        "AllowOrigins": cors.origins,
        "AllowMethods": [each for each in cors.methods if each != "OPTIONS"],
        "AllowHeaders": cors.headers,
        "ExposeHeaders": cors.expose,
    }
    given: Resource = {name: list(values) for name, values in lists.items() if values}
    return {**given, "MaxAge": cors.max_age, "AllowCredentials": cors.credentials}
