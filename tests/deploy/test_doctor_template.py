"""The checks of templates: of those that are written here, and of the same with one thing taken away."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pilotlight import project
from pilotlight.cli import doctor_steps
from pilotlight.deploy.doctor import template_checks
from pilotlight.deploy.doctor.finding import Finding

PROJECTS = Path(__file__).parent / "doctor_projects"
REPORT = "this is a defect of Pilotlight: please report it with the output of `pilotlight template`"

Template = dict[str, Any]


def made(name: str) -> Template:
    found = doctor_steps.template_of(project.load(PROJECTS / name), "")
    assert isinstance(found, dict), found
    return copy.deepcopy(found)


def of(template: Template, kind: str) -> dict[str, Any]:
    found = {name: each for name, each in template["Resources"].items() if each["Type"] == kind}
    assert found
    return found


def test_what_is_written_here_is_right() -> None:
    assert template_checks.checks(made("timeout-long-behind-a-function-url")) == [
        Finding("function-URL permissions", "", "ok", "1 function URLs, with both permissions"),
        Finding("EFS without endpoint", "", "ok", "what is on EFS is reached, or nothing is"),
    ]
    assert [each.status for each in template_checks.checks(made("cache-folder-on-efs"))] == ["ok", "ok"]


@pytest.mark.parametrize("action", template_checks.URL_ACTIONS)
def test_a_url_without_one_of_its_permissions(action: str) -> None:
    template = made("timeout-long-behind-a-function-url")
    for name, each in of(template, "AWS::Lambda::Permission").items():
        if each["Properties"]["Action"] == action:
            del template["Resources"][name]
    assert template_checks.checks(template)[0] == Finding(
        "function-URL permissions",
        "",
        "failed",
        f"QaUrl: anybody may call it, and no permission grants {action}",
        REPORT,
    )


def test_permissions_on_the_function_do_not_hold_for_its_alias() -> None:
    template = made("timeout-long-behind-a-function-url")
    for each in of(template, "AWS::Lambda::Permission").values():
        each["Properties"]["FunctionName"] = {"Ref": "QaFunction"}
    assert template_checks.checks(template)[0].status == "failed"


def without_an_endpoint(template: Template) -> None:
    [name] = [name for name, each in of(template, "AWS::EC2::VPCEndpoint").items() if ".s3" in str(each["Properties"])]
    del template["Resources"][name]


def without_a_mount_target(template: Template) -> None:
    name = sorted(of(template, "AWS::EFS::MountTarget"))[0]
    del template["Resources"][name]
    template["Resources"]["QaFunction"]["DependsOn"].remove(name)


def without_waiting(template: Template) -> None:
    del template["Resources"]["QaFunction"]["DependsOn"]


def without_a_vpc(template: Template) -> None:
    del template["Resources"]["QaFunction"]["Properties"]["VpcConfig"]


@pytest.mark.parametrize(
    ("take", "seen"),
    [
        (without_an_endpoint, "no gateway endpoint for s3: models would never arrive"),
        (without_a_mount_target, "QaFunction: 2 subnets, and 1 mount targets"),
        (without_waiting, "QaFunction: it does not wait for its mount targets"),
        (without_a_vpc, "QaFunction: it mounts EFS and is in no VPC"),
    ],
)
def test_efs_without_what_it_needs(take: Callable[[Template], None], seen: str) -> None:
    template = made("cache-folder-on-efs")
    take(template)
    assert template_checks.checks(template)[1] == Finding("EFS without endpoint", "", "failed", seen, REPORT)


def test_no_template() -> None:
    assert [(each.status, each.seen) for each in template_checks.checks("why not")] == [("not checked", "why not")] * 2
