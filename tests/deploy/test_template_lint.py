"""Every example and every mode, held to cfn-lint, to what cfn-lint misses, and to mistakes that are planted."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import ManualArgs, lint
from invariants import violations
from modes import EXAMPLES, MODES, of_example, of_kind, of_mode

from pilotlight.deploy.template import template

REGIONS = ["us-east-1"]


def warnings(made: dict[str, Any]) -> list[str]:
    """What cfn-lint has to say, its hints as well."""
    found = lint(json.dumps(made), config=ManualArgs(regions=REGIONS, include_checks=["I"]))
    return sorted(f"{each.rule.id}: {each.message} at {'/'.join(map(str, each.path or ()))}" for each in found)


def is_right(made: dict[str, Any]) -> None:
    assert warnings(made) == []
    assert violations(made) == []


@pytest.mark.parametrize("kind", ["zip", pytest.param("image", marks=pytest.mark.system)])  # for the time of all
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_has_a_template_without_a_fault(name: str, kind: str) -> None:
    is_right(template(of_example(name, kind)))


@pytest.mark.parametrize("name", MODES)
def test_every_mode_has_a_template_without_a_fault(name: str, tmp_path: Path) -> None:
    is_right(template(of_mode(name, tmp_path)))


def of(made: dict[str, Any], name: str) -> dict[str, Any]:
    properties: dict[str, Any] = made["Resources"][name]["Properties"]
    return properties


def first(made: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(iter(of_kind(made, kind).values()))


def operation(made: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    found: dict[str, Any] = of(made, "RestApi")["Body"]["paths"][path][method]
    return found


def image_of_a_zip(made: dict[str, Any]) -> None:
    of(made, "QaFunction")["Code"] = {"ImageUri": "registry/qa@sha256:0"}


def without_authorizer(made: dict[str, Any]) -> None:
    routes = [each["Properties"] for each in of_kind(made, "ApiGatewayV2::Route").values()]
    next(each for each in routes if each["AuthorizationType"] == "JWT").pop("AuthorizerId")


def two_targets_in_one_zone(made: dict[str, Any]) -> None:
    of(made, "SubnetB")["AvailabilityZone"] = of(made, "SubnetA")["AvailabilityZone"]


def variables_too_large(made: dict[str, Any]) -> None:
    of(made, "QaFunction")["Environment"]["Variables"]["TEXT"] = "x" * 4096


PLANTED: dict[str, tuple[str, str, Callable[[dict[str, Any]], object]]] = {
    "image of a zip": ("nothing set", "package", image_of_a_zip),
    "runtime of an image": ("image", "package", lambda made: of(made, "QaFunction").update(Runtime="python3.13")),
    "memory too large": ("nothing set", "sizes", lambda made: of(made, "QaFunction").update(MemorySize=20_000)),
    "tmp too large": (
        "nothing set",
        "sizes",
        lambda made: of(made, "QaFunction").update(EphemeralStorage={"Size": 20_000}),
    ),
    "variables too large": ("nothing set", "sizes", variables_too_large),
    "no such runtime": ("nothing set", "E3030", lambda made: of(made, "QaFunction").update(Runtime="python3.99")),
    "no such property": ("nothing set", "E3002", lambda made: of(made, "QaFunction").update(Memory=512)),
    "no such resource": ("nothing set", "E1010", lambda made: made["Resources"].pop("QaRole")),
    "a version of nobody": (
        "nothing set",
        "versions",
        lambda made: of(made, "QaAlias").update(FunctionVersion={"Fn::GetAtt": ["QaRole", "Arn"]}),
    ),
    "no alias to wait for": ("url", "versions", lambda made: made["Resources"]["QaUrl"].update(DependsOn=[])),
    "one permission of two": ("url", "permissions", lambda made: made["Resources"].pop("QaUrlInvokePermission")),
    "permission of an API": ("rest", "permissions", lambda made: made["Resources"].pop("QaRestPermission")),
    "any API": ("nothing set", "permissions", lambda made: of(made, "QaHttpPermission").pop("SourceArn")),
    "EFS without a VPC": ("EFS", "file_systems", lambda made: of(made, "QaFunction").pop("VpcConfig")),
    "EFS that is not awaited": ("EFS", "file_systems", lambda made: made["Resources"]["QaFunction"].pop("DependsOn")),
    "two targets in one zone": ("EFS", "file_systems", two_targets_in_one_zone),
    "SnapStart with EFS": (
        "EFS",
        "snapstart",
        lambda made: of(made, "QaFunction").update(SnapStart={"ApplyOn": "PublishedVersions"}),
    ),
    "TTL of nothing": (
        "records",
        "tables",
        lambda made: of(made, "RecordsTable").update(TimeToLiveSpecification={"Enabled": True}),
    ),
    "a key of no attribute": (
        "records",
        "tables",
        lambda made: of(made, "RecordsTable").update(AttributeDefinitions=[]),
    ),
    "a table in the open": ("records", "tables", lambda made: of(made, "RecordsTable").pop("SSESpecification")),
    "throttles of no route": (
        "http with throttles",
        "routes",
        lambda made: of(made, "HttpStage").update(RouteSettings={"POST /q": {"ThrottlingRateLimit": 1}}),
    ),
    "jwt of nobody": ("http with jwt", "routes", without_authorizer),
    "a copy that is too early": (
        "rest",
        "deployments",
        lambda made: first(made, "ApiGateway::Deployment").update(DependsOn=[]),
    ),
    "a document beside another": ("rest", "bodies", lambda made: of(made, "RestApi").update(Mode="merge")),
    "a method without an integration": (
        "rest with routes",
        "bodies",
        lambda made: operation(made, "/a", "options").pop("x-amazon-apigateway-integration"),
    ),
    "a parameter that is not declared": (
        "rest with routes",
        "bodies",
        lambda made: operation(made, "/a/{b}", "options").pop("parameters"),
    ),
    "two parameters in one place": (
        "rest with routes",
        "bodies",
        lambda made: of(made, "RestApi")["Body"]["paths"].update({"/a/{x}/d": {}}),
    ),
    "headers that are not declared": (
        "rest with routes",
        "bodies",
        lambda made: operation(made, "/a", "options")["responses"]["204"].pop("headers"),
    ),
    "a key that is not asked for": (
        "rest with keys",
        "bodies",
        lambda made: operation(made, "/qa", "post").pop("security"),
    ),
    "a stream that is buffered": (
        "rest with a stream",
        "bodies",
        lambda made: operation(made, "/textgen", "post")["x-amazon-apigateway-integration"].pop("responseTransferMode"),
    ),
    "everything allowed": (
        "records",
        "roles",
        lambda made: of(made, "QaRole")["Policies"][0]["PolicyDocument"]["Statement"][1].update(Resource="*"),
    ),
    "logs of another": ("nothing set", "logs", lambda made: of(made, "QaLogs").update(LogGroupName="/aws/lambda/qa")),
    "a region": ("nothing set", "account", lambda made: of(made, "QaFunction")["Code"].update(S3Bucket="a-us-east-1")),
    "a tag twice": ("nothing set", "tags", lambda made: of(made, "QaRole")["Tags"].extend(of(made, "QaRole")["Tags"])),
    "no tag": ("nothing set", "tags", lambda made: of(made, "HttpApi").pop("Tags")),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_found(name: str, tmp_path: Path) -> None:
    """By the check that the second column names: a rule of cfn-lint, or one of `invariants`."""
    mode, check, plant = PLANTED[name]
    made = copy.deepcopy(template(of_mode(mode, tmp_path)))
    plant(made)
    found = warnings(made) if check.startswith("E") else violations(made)
    assert {line.partition(":")[0] for line in found} == {check}
