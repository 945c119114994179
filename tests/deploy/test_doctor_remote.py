"""What the doctor sees of an account and of what is deployed: by answers as AWS gives them, which botocore checks."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from conftest import MakeService
from pilotlight.cli import doctor_steps
from pilotlight.cli.place import Place
from pilotlight.deploy.doctor import account, deployed
from pilotlight.deploy.doctor.finding import Finding
from pilotlight.deploy.session import Session
from pilotlight.project import Function

NAME = "service--qa"
QUOTA = "ask for more in Service Quotas: AWS Lambda, Concurrent executions"
DEPLOY = "run `pilotlight deploy`"
HANDLER = "def handler(event, context):\n    return {}\n"

Asked = tuple[str, Mapping[str, Any], Mapping[str, Any] | tuple[str, str]]  # operation, parameters, answer or error
Answers = Mapping[str, Sequence[Asked]]


def session(answers: Answers) -> Session:
    """AWS, which is asked exactly so, in that order."""
    made = Session("123456789012", "eu-west-1")
    for service, calls in answers.items():
        client = boto3.client(service, "eu-west-1", aws_access_key_id="test", aws_secret_access_key="test")
        stubber = Stubber(client)
        for operation, given, answer in calls:
            if isinstance(answer, tuple):
                stubber.add_client_error(operation, answer[0], answer[1], expected_params=dict(given))
            else:
                stubber.add_response(operation, dict(answer), dict(given))
        stubber.activate()
        made.use(service, client)
    return made


@pytest.fixture
def make(make_service: MakeService) -> Callable[[str], Function]:
    return lambda toml: make_service({"inference/qa.py": HANDLER}, toml).functions[0]


MISSING = ("ResourceNotFoundException", "not there")


def limits(total: int, free: int) -> Asked:
    return (
        "get_account_settings",
        {},
        {"AccountLimit": {"ConcurrentExecutions": total, "UnreservedConcurrentExecutions": free}},
    )


def reserved(count: int | None) -> Asked:
    answer = MISSING if count is None else {"ReservedConcurrentExecutions": count} if count else {}
    return ("get_function_concurrency", {"FunctionName": NAME}, answer)


def quota(make: Callable[[str], Function], toml: str, total: int, free: int, own: int | None) -> Finding:
    asked = session({"lambda": [limits(total, free), reserved(own)]})
    return account.checks(asked, [make(toml)], "")[1]


def test_concurrency_of_an_account_as_most_have_it(make: Callable[[str], Function]) -> None:
    found = quota(make, "[functions.qa]\nconcurrency = 50\n", 1000, 900, None)
    assert found == Finding("concurrency quota", "", "ok", "1,000 at once, 900 not reserved")


def test_what_a_deployed_function_has_reserved_is_its_own(make: Callable[[str], Function]) -> None:
    toml = "[functions.qa]\nconcurrency = 100\n"
    assert quota(make, toml, 1000, 120, 80).status == "ok"
    found = quota(make, toml, 1000, 120, 70)
    seen = "the functions reserve 100, and 90 can be: 100 have to stay unreserved"
    assert found == Finding("concurrency quota", "", "failed", seen, f"lower concurrency, or {QUOTA}")


def test_a_new_account(make: Callable[[str], Function]) -> None:
    found = quota(make, "", 10, 10, None)
    seen = "the account runs 10 environments at once, as new ones do"
    assert found == Finding("concurrency quota", "", "warning", seen, QUOTA)
    found = quota(make, "[functions.qa]\nconcurrency = 5\n", 10, 10, None)
    assert (found.status, found.seen) == (
        "failed",
        f"the functions reserve 5, and 0 can be: 10 have to stay unreserved; {seen}",
    )
    found = quota(make, "[functions.qa]\nprovisioned = 1\n", 10, 10, None)
    assert (found.status, found.seen) == ("failed", f"1 provisioned environments, and 0 can be; {seen}")


def memory(make: Callable[[str], Function], *sizes: int, total: int = 1000) -> Finding:
    listed = [{"FunctionName": f"f{number}", "MemorySize": size} for number, size in enumerate(sizes)]
    calls = [limits(1000, 900), reserved(None), ("list_functions", {}, {"Functions": listed}), limits(total, 900)]
    return account.checks(session({"lambda": calls}), [make("[functions.qa]\nmemory = 4096\n")], "")[2]


def test_memory_above_that_of_new_accounts(make: Callable[[str], Function]) -> None:
    assert memory(make, 128, 3009) == Finding("memory of the account", "", "ok", "a function here has 3009 MB")
    seen = "4096 MB are asked for, and no function of the account has more than 3,008"
    remedy = "deploy with memory = 3008 first, or ask AWS Support for more memory for Lambda"
    assert memory(make, 3008) == Finding("memory of the account", "", "warning", seen, remedy)
    assert memory(make, total=10) == Finding("memory of the account", "", "failed", seen, remedy)


def test_an_account_that_may_not_be_asked(make: Callable[[str], Function]) -> None:
    text = "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: lambda:GetAccountSettings"
    refused = ("get_account_settings", {}, ("AccessDeniedException", text))
    found = account.checks(session({"lambda": [refused]}), [make("")], "")
    assert found[1].status == "not checked"
    assert found[1].seen == f"asking for the account's limits: {text} (AccessDeniedException)"
    assert found[1].remedy == "these credentials need lambda:GetAccountSettings: ask who gave them"


# one function

ALIAS = {"FunctionName": NAME, "Qualifier": "live"}


def configuration(**more: Any) -> Asked:
    usual = {
        "FunctionName": NAME,
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "MemorySize": 1769,
        "Timeout": 30,
        "Architectures": ["x86_64"],
    }
    return ("get_function_configuration", ALIAS, usual | more)


NO_URL: Asked = ("get_function_url_config", ALIAS, MISSING)
URL: Asked = (
    "get_function_url_config",
    ALIAS,
    {
        "FunctionUrl": "https://abc.lambda-url.eu-west-1.on.aws/",
        "FunctionArn": f"arn:aws:lambda:eu-west-1:123456789012:function:{NAME}:live",
        "AuthType": "NONE",
        "CreationTime": "2026-11-28T08:30:00.000Z",
        "LastModifiedTime": "2026-11-28T08:30:00.000Z",
    },
)


def policy(*actions: str) -> Asked:
    statements = [{"Effect": "Allow", "Principal": "*", "Action": action} for action in actions]
    return ("get_policy", ALIAS, {"Policy": json.dumps({"Statement": statements})})


def versions(*numbers: str, live: str = "7", weights: Mapping[str, float] | None = None) -> list[Asked]:
    alias = {"Name": "live", "FunctionVersion": live}
    routed = {**alias, "RoutingConfig": {"AdditionalVersionWeights": dict(weights)}} if weights else alias
    return [
        ("list_versions_by_function", {"FunctionName": NAME}, {"Versions": [{"Version": each} for each in numbers]}),
        ("list_aliases", {"FunctionName": NAME}, {"Aliases": [routed]}),
    ]


def checked(make: Callable[[str], Function], calls: Sequence[Asked], **more: Sequence[Asked]) -> dict[str, Finding]:
    found = deployed.checks(session({"lambda": calls, **more}), make("[functions.qa]\nfront = 'url'\n"), "", "x86_64")
    assert [each.check for each in found] == list(deployed.CHECKS)
    return {each.check: each for each in found}


def test_a_function_that_is_right(make: Callable[[str], Function]) -> None:
    calls = [configuration(), URL, policy(*deployed.ACTIONS), *versions("$LATEST", "7")]
    found = checked(make, calls)
    assert [(each.status, each.seen) for each in found.values()] == [
        ("ok", "service--qa is active"),
        ("ok", "x86_64"),
        ("ok", "both are granted to all"),
        ("ok", "it mounts none"),
        ("ok", "with nothing that it excludes"),
        ("ok", "1 published, each behind an alias"),
    ]


def test_a_function_that_is_not_there(make: Callable[[str], Function]) -> None:
    found = checked(make, [("get_function_configuration", ALIAS, MISSING)])
    first, *others = found.values()
    assert first == Finding("deployed", "qa", "not checked", "there is no service--qa in eu-west-1", DEPLOY)
    assert {(each.status, each.seen) for each in others} == {("not checked", "the function is not deployed")}


def test_a_function_that_failed_or_is_not_what_the_settings_say(make: Callable[[str], Function]) -> None:
    failed = configuration(State="Failed", StateReason="the image is gone", MemorySize=512, Architectures=["arm64"])
    found = checked(make, [failed, NO_URL, *versions("$LATEST", "7")])
    seen = "State is Failed: the image is gone; memory is 512, the settings say 1769"
    assert found["deployed"] == Finding("deployed", "qa", "failed", seen, DEPLOY)
    assert found["deployed architecture"].seen == "arm64, and [build] says x86_64"
    assert found["deployed URL permissions"].seen == "it has no function URL"


@pytest.mark.parametrize("granted", deployed.ACTIONS)
def test_a_url_with_one_permission(make: Callable[[str], Function], granted: str) -> None:
    found = checked(make, [configuration(), URL, policy(granted), *versions("$LATEST", "7")])
    [missing] = set(deployed.ACTIONS) - {granted}
    remedy = f"{DEPLOY}: both permissions are in the template; without them requests are answered with 403"
    assert found["deployed URL permissions"] == Finding(
        "deployed URL permissions", "qa", "failed", f"nobody may {missing}", remedy
    )


def test_a_url_without_any_policy(make: Callable[[str], Function]) -> None:
    found = checked(make, [configuration(), URL, ("get_policy", ALIAS, MISSING), *versions("$LATEST", "7")])
    assert found["deployed URL permissions"].status == "failed"


def test_stale_versions(make: Callable[[str], Function]) -> None:
    """Of those that a rollout sends requests to none is stale."""
    several = versions("$LATEST", "4", "5", "6", "7", weights={"6": 0.1})
    snapstart = {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}
    found = checked(make, [configuration(SnapStart=snapstart), NO_URL, *several])["stale versions"]
    assert (found.status, found.seen) == ("warning", "no alias names 4, 5, each with a snapshot that is billed")
    assert found.remedy.startswith(DEPLOY)


POINT = "fsap-0123456789abcdef0"
MOUNTED = {
    "FileSystemConfigs": [
        {
            "Arn": f"arn:aws:elasticfilesystem:eu-west-1:123456789012:access-point/{POINT}",
            "LocalMountPath": "/mnt/models",
        }
    ],
    "VpcConfig": {"VpcId": "vpc-1", "SubnetIds": ["subnet-0123456a", "subnet-0123456b"]},
}


def network(zones: Sequence[str], services: Sequence[str]) -> dict[str, list[Asked]]:
    subnets = [{"SubnetId": f"subnet-0123456{each}", "AvailabilityZone": f"eu-west-1{each}"} for each in "ab"]
    targets = [
        {
            "MountTargetId": f"fsmt-0123456{each}",
            "FileSystemId": "fs-01234567",
            "SubnetId": f"subnet-0123456{each}",
            "LifeCycleState": "available",
            "AvailabilityZoneName": f"eu-west-1{each}",
        }
        for each in zones
    ]
    endpoints = [{"ServiceName": f"com.amazonaws.eu-west-1.{each}", "State": "available"} for each in services]
    where = {"Filters": [{"Name": "vpc-id", "Values": ["vpc-1"]}]}
    return {
        "efs": [
            ("describe_access_points", {"AccessPointId": POINT}, {"AccessPoints": [{"FileSystemId": "fs-01234567"}]}),
            ("describe_mount_targets", {"FileSystemId": "fs-01234567"}, {"MountTargets": targets}),
        ],
        "ec2": [
            ("describe_subnets", {"SubnetIds": ["subnet-0123456a", "subnet-0123456b"]}, {"Subnets": subnets}),
            ("describe_vpc_endpoints", where, {"VpcEndpoints": endpoints}),
        ],
    }


@pytest.mark.parametrize(
    ("zones", "services", "status", "seen"),
    [
        ("ab", ("s3", "dynamodb"), "ok", "mount targets and gateway endpoints are there"),
        ("a", ("s3", "dynamodb"), "failed", "fs-01234567 has no mount target in eu-west-1b, where the function runs"),
        ("ab", ("dynamodb",), "failed", "vpc-1 has no endpoint for s3: requests to it never end"),
    ],
)
def test_efs(make: Callable[[str], Function], zones: str, services: tuple[str, ...], status: str, seen: str) -> None:
    calls = [configuration(**MOUNTED), NO_URL, *versions("$LATEST", "7")]
    found = checked(make, calls, **network(zones, services))["deployed EFS"]
    assert (found.status, found.seen) == (status, seen)


def test_snapstart_with_efs(make: Callable[[str], Function]) -> None:
    snapstart = {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    calls = [configuration(SnapStart=snapstart, **MOUNTED), NO_URL, *versions("$LATEST", "7")]
    found = checked(make, calls, **network("ab", ("s3", "dynamodb")))["deployed SnapStart"]
    assert (found.status, found.seen) == (
        "failed",
        "with EFS, which SnapStart excludes; it is asked for, and off for this version",
    )


def test_no_credentials(make_service: MakeService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    service = make_service({"inference/qa.py": HANDLER})
    first, *others = doctor_steps.remote(service, service.functions, Place(region="eu-west-1"))
    assert (first.check, first.status) == ("credentials", "failed")
    assert first.seen == "asking AWS who these credentials belong to: unable to locate credentials"
    assert first.remedy.startswith("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run `aws configure`")
    assert {(each.status, each.seen) for each in others} == {("not checked", "AWS does not know who asks")}
