"""Provisioned concurrency of a function's alias, and how much of it there is at which time.

What is in the template is where scaling begins: a new version has that many environments again, until their use asks
for more. Lambda brings the alias to a new version when its environments are ready.
"""

from pilotlight.deploy import names
from pilotlight.deploy.cloudformation import Resource, ref, resource
from pilotlight.deploy.unit import Deployment, Unit
from pilotlight.errors import ProjectError
from pilotlight.project import Function
from pilotlight.settings import FILE

_USE = 0.7  # of LambdaProvisionedConcurrencyUtilization, .../lambda/latest/dg/provisioned-concurrency.html


def resources(deployment: Deployment) -> dict[str, Resource]:
    """What scales each function's provisioned concurrency, where that may grow. Raises `ProjectError` for what
    Lambda would refuse."""
    for unit in deployment.units:
        _check(unit.function)
    scaled = [unit for unit in deployment.units if unit.function.provisioned_max > unit.function.provisioned]
    return {name: each for unit in scaled for name, each in _scaling(deployment, unit).items()}


def alias_properties(deployment: Deployment, unit: Unit) -> Resource:
    """ProvisionedConcurrencyConfig of the alias."""
    number = unit.function.provisioned
    return {"ProvisionedConcurrencyConfig": {"ProvisionedConcurrentExecutions": number}} if number else {}


def _check(function: Function) -> None:
    """docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html and .../snapstart.html."""
    least, most, reserved = function.provisioned, function.provisioned_max, function.concurrency
    if most and not 0 < least <= most:
        reason = f"it is the most environments that are kept ready, and provisioned, the least, is {least}"
        _refuse(function, "provisioned_max", reason, "set provisioned to 1 or more, up to it, or leave it out")
    if least and function.snapstart:
        reason = "Lambda keeps environments ready or restores them from snapshots, and snapstart is true"
        _refuse(function, "provisioned", reason, "leave one of the two out")
    if reserved is not None and max(least, most) > reserved:
        reason = f"it is {max(least, most)}, and concurrency reserves {reserved} environments in all"
        _refuse(function, "provisioned_max" if most else "provisioned", reason, "lower it, or raise concurrency")


def _refuse(function: Function, key: str, reason: str, hint: str) -> None:
    raise ProjectError(f"{function.root / FILE}: functions.{function.name}.{key}: {reason}", hint)


def _scaling(deployment: Deployment, unit: Unit) -> dict[str, Resource]:
    name = names.function(unit.function, deployment.stage)
    target = resource(
        "ApplicationAutoScaling::ScalableTarget",
        ServiceNamespace="lambda",
        ScalableDimension="lambda:function:ProvisionedConcurrency",
        ResourceId=f"function:{name}:{names.ALIAS}",
        MinCapacity=unit.function.provisioned,
        MaxCapacity=unit.function.provisioned_max,
    )
    policy = resource(
        "ApplicationAutoScaling::ScalingPolicy",
        PolicyName="use",
        PolicyType="TargetTrackingScaling",
        ScalingTargetId=ref(f"{unit.id}ScalingTarget"),
        TargetTrackingScalingPolicyConfiguration=_tracking(),
    )
    return {
        f"{unit.id}ScalingTarget": target | {"DependsOn": [f"{unit.id}Alias"]},
        f"{unit.id}ScalingPolicy": policy,
    }


def _tracking() -> Resource:
    metric = {"PredefinedMetricType": "LambdaProvisionedConcurrencyUtilization"}
    return {"PredefinedMetricSpecification": metric, "TargetValue": _USE}
