"""A new version that gets its requests step by step, and goes back when it fails.

CodeDeploy moves the weights of the function's alias; CloudFormation starts it when the alias gets another version, and
waits for it: docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-updatepolicy.html. What stops
it is an alarm of its own that counts errors of the new version alone: with one of all versions, a function that fails
could not be replaced by one that does not.
"""

from typing import Any

from pilotlight.deploy import names
from pilotlight.deploy.alarms import any_of, metric
from pilotlight.deploy.cloudformation import Resource, function_arn, get, ref, resource, sub
from pilotlight.deploy.unit import Deployment, Unit
from pilotlight.errors import ProjectError
from pilotlight.settings import FILE

# docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html
_STEPS = {
    "canary": "CodeDeployDefault.LambdaCanary10Percent5Minutes",
    "linear": "CodeDeployDefault.LambdaLinear10PercentEvery1Minute",
}
_STOPS = ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"]


def resources(deployment: Deployment) -> dict[str, Resource]:
    """The application of CodeDeploy and its role; none where all comes at once.

    Raises `ProjectError` where a function has provisioned concurrency.
    """
    if not _is_gradual(deployment):
        return {}
    for unit in deployment.units:
        _check(deployment, unit)
    return {
        "RolloutApplication": resource("CodeDeploy::Application", ComputePlatform="Lambda"),
        "RolloutRole": _role(deployment),
    }


def of_version(deployment: Deployment, unit: Unit, version: str) -> dict[str, Resource]:
    """How the version with that logical id comes, and the alarm that stops it.

    Each version has an alarm of its own: one that is changed stays in its state ("When you update an existing alarm,
    its state is left unchanged", docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html), so
    that of a version that fails would stop the one that does not. A new one begins as INSUFFICIENT_DATA.

    ExecutedVersion tells the two versions of an alias with weights apart:
    docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html.
    """
    if not _is_gradual(deployment):
        return {}
    called = f"{names.function(unit.function, deployment.stage)}:{names.ALIAS}"
    errors = metric(deployment, unit, "Errors", Resource=called, ExecutedVersion=get(version, "Version"))
    said = f"the newest version of {unit.function.name} raised, took too long or ran out of memory: it is taken back"
    alarm = f"{version}RolloutAlarm"
    return {
        alarm: resource("CloudWatch::Alarm", **any_of(errors, said)),
        f"{unit.id}RolloutGroup": _group(deployment, alarm),
    }


def update_policy(deployment: Deployment, unit: Unit) -> Resource:
    """UpdatePolicy of the alias."""
    if not _is_gradual(deployment):
        return {}
    group = {"ApplicationName": ref("RolloutApplication"), "DeploymentGroupName": ref(f"{unit.id}RolloutGroup")}
    return {"CodeDeployLambdaAliasUpdate": group}


def _is_gradual(deployment: Deployment) -> bool:
    return deployment.project.deploy.rollout in _STEPS


def _check(deployment: Deployment, unit: Unit) -> None:
    """Lambda answers "Alias with weights can not be used with Provisioned Concurrency"."""
    if unit.function.provisioned:
        how = deployment.project.deploy.rollout
        reason = f"deploy.rollout: it is {how}, and {unit.function.name} has provisioned concurrency, whose alias"
        hint = (
            f'set rollout = "all-at-once": Lambda itself leaves the old version in place until the new one\'s '
            f"environments are ready; or set provisioned = 0 for {unit.function.name}"
        )
        raise ProjectError(f"{deployment.project.root / FILE}: {reason} cannot have two versions", hint)


def _group(deployment: Deployment, alarm: str) -> Resource:
    return resource(
        "CodeDeploy::DeploymentGroup",
        ApplicationName=ref("RolloutApplication"),
        ServiceRoleArn=get("RolloutRole", "Arn"),
        DeploymentStyle={"DeploymentType": "BLUE_GREEN", "DeploymentOption": "WITH_TRAFFIC_CONTROL"},
        DeploymentConfigName=_STEPS[deployment.project.deploy.rollout],
        AutoRollbackConfiguration={"Enabled": True, "Events": _STOPS},
        AlarmConfiguration={"Enabled": True, "Alarms": [{"Name": ref(alarm)}]},
    )


def _role(deployment: Deployment) -> Resource:
    """What CodeDeploy does with these functions' aliases, of what docs.aws.amazon.com/aws-managed-policy/latest/
    reference/AWSCodeDeployRoleForLambda.html allows with all."""
    arns = [function_arn(names.function(unit.function, deployment.stage)) for unit in deployment.units]
    aliases = [sub(f"{arn['Fn::Sub']}:{names.ALIAS}") for arn in arns]
    shift = {
        "Effect": "Allow",
        "Action": ["lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig", "lambda:UpdateAlias"],
        "Resource": [*arns, *aliases],
    }
    look = {"Effect": "Allow", "Action": "cloudwatch:DescribeAlarms", "Resource": "*"}
    return resource(
        "IAM::Role",
        AssumeRolePolicyDocument=_policy(
            {"Effect": "Allow", "Principal": {"Service": "codedeploy.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ),
        Policies=[{"PolicyName": "rollout", "PolicyDocument": _policy(shift, look)}],
    )


def _policy(*statements: Resource) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [*statements]}
