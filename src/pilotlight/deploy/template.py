"""A deployment as plain CloudFormation: pure, the same text for the same deployment.

Account, region and partition are pseudo parameters, so no account is needed to write or to read it.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pilotlight import limits
from pilotlight.deploy import (
    alarms,
    checks,
    dashboard,
    functions,
    http_api,
    names,
    network,
    rest_api,
    roles,
    rollout,
    scaling,
    tables,
    tags,
    urls,
)
from pilotlight.deploy.cloudformation import Resource
from pilotlight.deploy.unit import Deployment
from pilotlight.errors import ProjectError
from pilotlight.settings import FILE

_PARTS = (functions, roles, tables, http_api, rest_api, urls, network, scaling, alarms, dashboard, rollout)
_TOLD = (functions, tables, http_api, rest_api, urls)


def template(deployment: Deployment) -> dict[str, Any]:
    """The template, as JSON has it. Raises `ProjectError` for what Lambda, or CloudFormation, would not take."""
    checks.check(deployment)
    resources = _merged(deployment, "resources", [part.resources(deployment) for part in _PARTS])
    made = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": names.stack(deployment.project.name, deployment.stage),
        "Metadata": {"Pilotlight": deployment.version},
        "Resources": tags.tagged(deployment, resources),
        "Outputs": _merged(deployment, "outputs", [part.outputs(deployment) for part in _TOLD]),
    }
    _check_size(deployment, made)
    return made


def _merged(deployment: Deployment, what: str, parts: Iterable[Mapping[str, Resource]]) -> dict[str, Resource]:
    """Functions, tables and what gateways have are named by rules of their own, which may meet."""
    merged: dict[str, Resource] = {}
    for name, resource in [pair for part in parts for pair in part.items()]:
        if name in merged:
            reason = f"two {what} of its template would be called {name}"
            hint = "rename the file in inference/, the table or the usage plan that it is named for"
            raise ProjectError(f"{deployment.project.root / FILE}: {reason}", hint)
        merged[name] = resource
    return merged


def _check_size(deployment: Deployment, made: Mapping[str, Any]) -> None:
    sizes = (
        ("resources", len(made["Resources"]), limits.STACK_RESOURCES),
        ("outputs", len(made["Outputs"]), limits.STACK_OUTPUTS),
        ("bytes", len(json.dumps(made, separators=(",", ":"))), limits.TEMPLATE),
    )
    for what, size, most in sizes:
        if size > most:
            reason = f"the template has {size} {what}, and CloudFormation allows {most}"
            raise ProjectError(f"{deployment.project.root}: {reason}", "divide the functions among several services")
