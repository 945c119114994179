"""What runs on this machine and would not, or not alike, on AWS: refused before anything is made."""

from collections.abc import Mapping
from typing import Any, NoReturn

from pilotlight import limits
from pilotlight.deploy import functions
from pilotlight.deploy.unit import Deployment, Unit, camel
from pilotlight.errors import ProjectError
from pilotlight.settings import FILE
from pilotlight.settings_checks import measured

_OWN = ("HttpApi", "RestApi")
_ACCOUNT, _REGION = "123456789012", "ap-southeast-1"  # one of the longest regions


def check(deployment: Deployment) -> None:
    """Raises `ProjectError` at the first thing that does not fit."""
    _check_ids(deployment)
    for unit in deployment.units:
        _check_runs(unit)
        _check_variables(deployment, unit)
    _check_binary(deployment)


def _check_ids(deployment: Deployment) -> None:
    project = deployment.project
    named = {
        "functions": [unit.function.name for unit in deployment.units],
        "tables": list(project.tables),
        "usage plans": list(project.usage_plans),
        "API keys": [key for plan in project.usage_plans.values() for key in plan.keys],
    }
    for unit in deployment.units:
        if unit.id in _OWN:
            reason = f"the output {unit.id}Url is the URL of the whole API, and would be that of {unit.function.name}"
            raise ProjectError(f"{unit.function.file}: {reason}", "rename the file")
    for what, names in named.items():
        taken: dict[str, str] = {}
        for name in names:
            if taken.setdefault(camel(name), name) != name:
                reason = f"the {what} {taken[camel(name)]} and {name} are one to CloudFormation"
                hint = "rename one of them, so that they differ in more than _, - and the case of letters"
                raise ProjectError(f"{project.root / FILE}: {reason}", hint)


def refuse(unit: Unit, key: str, reason: str, hint: str) -> NoReturn:
    """Raises the `ProjectError` of a function's setting."""
    raise ProjectError(f"{unit.function.root / FILE}: functions.{unit.function.name}.{key}: {reason}", hint)


def _check_runs(unit: Unit) -> None:
    function = unit.function
    if function.defect:
        raise ProjectError(f"{function.file}: {function.defect}", function.hint)
    if function.environment_concurrency > 1:
        reason = "only environments of Lambda Managed Instances take several invocations at once, and this deploys none"
        refuse(unit, "environment_concurrency", reason, "leave it out: Lambda starts as many environments as it needs")


def _check_variables(deployment: Deployment, unit: Unit) -> None:
    variables = functions.variables(deployment, unit)
    size = measured({name: _longest(value) for name, value in variables.items()})
    if size > limits.ENVIRONMENT_VARIABLES:
        reason = f"with those of Pilotlight, they take {size} bytes as JSON, and Lambda allows "
        hint = "move what is long into a file of the project"
        refuse(unit, "environment", f"{reason}{limits.ENVIRONMENT_VARIABLES}", hint)


def _longest(value: str | Mapping[str, Any]) -> str:
    """A value as it will be, in the account and the region that make it the longest."""
    text = value if isinstance(value, str) else str(value["Fn::Sub"])
    return text.replace("${AWS::AccountId}", _ACCOUNT).replace("${AWS::Region}", _REGION)


def _check_binary(deployment: Deployment) -> None:
    """A REST API has its binary media types once, for all of its methods."""
    behind = [unit for unit in deployment.units if unit.function.front == "rest" and unit.function.routes]
    for unit in behind:
        first, own = behind[0].function, unit.function
        if set(own.binary_media_types) != set(first.binary_media_types):
            reason = f"a REST API has one list of them, and that of {first.name} is another"
            refuse(unit, "binary_media_types", reason, "set it in [defaults], for all functions behind the REST API")
