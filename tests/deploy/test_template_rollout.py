"""Rollouts in steps in whole templates: who moves requests, what stops it, in which order all that is made."""

import re
from pathlib import Path
from typing import Any

import pytest
from iam import role
from modes import of_kind
from resolved import ACCOUNT, REGION
from wholes import deployment, direct, needs, whole

from pilotlight.deploy import rollout
from pilotlight.errors import ProjectError


def steps(how: str) -> str:
    return f'deploy.rollout = "{how}"\n'


def properties(made: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = made["Resources"][name]["Properties"]
    return found


def rollout_alarm(made: dict[str, Any], function: str) -> str:
    [found] = [name for name in made["Resources"] if re.fullmatch(f"{function}Version[0-9a-f]{{8}}RolloutAlarm", name)]
    return found


def test_all_at_once_takes_no_codedeploy(tmp_path: Path) -> None:
    made = whole(deployment(tmp_path, ""))
    assert not [each for each in made["Resources"].values() if "CodeDeploy" in each["Type"]]
    assert "UpdatePolicy" not in made["Resources"]["ShowAlias"]
    assert not [name for name in made["Resources"] if "Rollout" in name]


@pytest.mark.parametrize(
    ("how", "configuration"),
    [
        ("canary", "CodeDeployDefault.LambdaCanary10Percent5Minutes"),
        ("linear", "CodeDeployDefault.LambdaLinear10PercentEvery1Minute"),
    ],
)
def test_steps(tmp_path: Path, how: str, configuration: str) -> None:
    made = whole(deployment(tmp_path, steps(how), "show", "other"))
    assert properties(made, "RolloutApplication")["ComputePlatform"] == "Lambda"
    groups = of_kind(made, "CodeDeploy::DeploymentGroup")
    assert [*groups] == ["OtherRolloutGroup", "ShowRolloutGroup"]
    group = groups["ShowRolloutGroup"]["Properties"]
    assert group["DeploymentConfigName"] == configuration
    assert group["DeploymentStyle"] == {"DeploymentType": "BLUE_GREEN", "DeploymentOption": "WITH_TRAFFIC_CONTROL"}
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    assert group["AlarmConfiguration"] == {"Enabled": True, "Alarms": [{"Name": {"Ref": rollout_alarm(made, "Show")}}]}
    assert made["Resources"]["ShowAlias"]["UpdatePolicy"] == {
        "CodeDeployLambdaAliasUpdate": {
            "ApplicationName": {"Ref": "RolloutApplication"},
            "DeploymentGroupName": {"Ref": "ShowRolloutGroup"},
        }
    }


def test_only_errors_of_the_new_version_bring_the_old_one_back(tmp_path: Path) -> None:
    made = whole(deployment(tmp_path, steps("canary"), stage="beta"))
    [version] = of_kind(made, "Lambda::Version")
    alarm = properties(made, rollout_alarm(made, "Show"))
    assert (alarm["MetricName"], alarm["Dimensions"]) == (
        "Errors",
        [
            {"Name": "FunctionName", "Value": "service-beta--show"},
            {"Name": "Resource", "Value": "service-beta--show:live"},
            {"Name": "ExecutedVersion", "Value": {"Fn::GetAtt": [version, "Version"]}},
        ],
    )
    assert properties(made, "ShowAlias")["FunctionVersion"] == {"Fn::GetAtt": [version, "Version"]}


def test_the_alarm_is_there_before_the_alias_moves(tmp_path: Path) -> None:
    made = whole(deployment(tmp_path, steps("linear")))
    [version] = of_kind(made, "Lambda::Version")
    alarm = rollout_alarm(made, "Show")
    assert {alarm, "ShowRolloutGroup", "RolloutRole", version} <= needs(made, "ShowAlias")
    assert "ShowAlias" not in needs(made, alarm)
    assert version in direct(made, alarm)


def test_an_alarm_that_is_on_stops_no_later_version(tmp_path: Path) -> None:
    """A changed alarm keeps its state, so each version has another one; what is no version has the same."""
    first, second, third = (
        whole(deployment(tmp_path / name, f"{steps('canary')}{more}"))
        for name, more in (
            ("first", ""),
            ("second", "[defaults]\nmemory = 2048\n"),
            ("third", "[defaults]\nconcurrency = 7\n"),
        )
    )
    assert rollout_alarm(first, "Show") != rollout_alarm(second, "Show")
    assert rollout_alarm(first, "Show") == rollout_alarm(third, "Show")
    assert rollout_alarm(first, "Show") not in second["Resources"]


def test_there_is_such_an_alarm_without_those_for_people(tmp_path: Path) -> None:
    made = whole(deployment(tmp_path, f"{steps('canary')}deploy.alarms = false\n"))
    assert [*of_kind(made, "CloudWatch::Alarm")] == [rollout_alarm(made, "Show")]


def test_codedeploy_moves_these_aliases_and_does_nothing_else(tmp_path: Path) -> None:
    may = role(deployment(tmp_path, steps("canary")), "RolloutRole")
    function = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:service--"
    assert all(may(f"lambda:{action}", f"{function}show") for action in ("GetAlias", "UpdateAlias"))
    assert may("lambda:GetProvisionedConcurrencyConfig", f"{function}show:live")
    assert may("cloudwatch:DescribeAlarms", "*")
    assert not may("lambda:UpdateAlias", f"{function}another")
    for action in ("UpdateFunctionCode", "InvokeFunction", "DeleteFunction", "AddPermission"):
        assert not may(f"lambda:{action}", f"{function}show")


def test_codedeploy_alone_takes_on_its_role(tmp_path: Path) -> None:
    role = properties(whole(deployment(tmp_path, steps("canary"))), "RolloutRole")
    [trust] = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "codedeploy.amazonaws.com"}


def test_an_alias_with_provisioned_concurrency_has_one_version(tmp_path: Path) -> None:
    made = deployment(tmp_path, f"{steps('canary')}[functions.show]\nprovisioned = 1\n")
    with pytest.raises(ProjectError) as refused:
        rollout.resources(made)
    reason = "deploy.rollout: it is canary, and show has provisioned concurrency, whose alias cannot have two versions"
    assert str(refused.value) == f"{made.project.root / 'pilotlight.toml'}: {reason}"
    assert 'set rollout = "all-at-once"' in refused.value.hint
