"""What roles allow, evaluated offline: exactly what is listed, and nothing of a list of everything near it."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from iam import role
from modes import MIRRORED, MODES, Mode, of_example, of_mode
from resolved import ACCOUNT, REGION, resolved

from pilotlight.deploy.template import template

Asked = tuple[str, str]  # an action and a resource

LOGS = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda"
TABLES = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table"
ACTIONS = (
    *("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:GetLogEvents", "logs:DeleteLogGroup"),
    *("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:PutItem"),
    *("dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem", "dynamodb:DescribeTable"),
    *("dynamodb:DeleteTable", "dynamodb:PartiQLSelect", "dynamodb:ListTables"),
    *("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "s3:ListAllMyBuckets", "s3:GetObjectVersion"),
    *("elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite", "elasticfilesystem:ClientRootAccess"),
    *("lambda:InvokeFunction", "lambda:UpdateFunctionCode", "iam:PassRole", "sts:AssumeRole", "kms:Decrypt"),
    *("xray:PutTraceSegments", "ecr:BatchGetImage", "secretsmanager:GetSecretValue", "ec2:RunInstances"),
)
RESOURCES = (
    "*",
    f"{LOGS}/vision--qa:*",
    f"{LOGS}/vision--qa:log-stream:2026/11/28/x",
    f"{LOGS}/vision--qa-2:log-stream:x",
    f"{LOGS}/vision--page:log-stream:x",
    f"{TABLES}/vision-records",
    f"{TABLES}/vision-records/index/x",
    f"{TABLES}/vision-records-2",
    f"{TABLES}/vision-vectors",
    f"{TABLES}/vision-labels",
    "arn:aws:s3:::uploads",
    "arn:aws:s3:::uploads/a.png",
    "arn:aws:s3:::uploads-2/a.png",
    "arn:aws:s3:::models-2026",
    "arn:aws:s3:::models-2026/qa/v1",
    "arn:aws:s3:::models-2026/qa/v1/model.onnx",
    "arn:aws:s3:::models-2026/qa/v10/model.onnx",
    "arn:aws:s3:::models-2026/other",
    f"arn:aws:s3:::pilotlight-artifacts-{ACCOUNT}-{REGION}",
    f"arn:aws:s3:::pilotlight-artifacts-{ACCOUNT}-{REGION}/vision/zips/0.zip",
    f"arn:aws:s3:::pilotlight-artifacts-{ACCOUNT}-{REGION}/vision/models/{'89abcdef' * 8}/model.onnx",
    f"arn:aws:elasticfilesystem:{REGION}:{ACCOUNT}:file-system/fs-1",
    f"arn:aws:elasticfilesystem:{REGION}:{ACCOUNT}:file-system/fs-2",
    f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:vision--qa",
    f"arn:aws:iam::{ACCOUNT}:role/other",
)
OWN_LOGS = {
    (action, f"{LOGS}/vision--qa:{stream}")
    for action in ("logs:CreateLogStream", "logs:PutLogEvents")
    for stream in ("*", "log-stream:2026/11/28/x")
}


def allowed(may: Callable[..., bool], **conditions: str) -> set[Asked]:
    """Of all actions with all resources above, those that the role may do."""
    return {(action, on) for action, on in itertools.product(ACTIONS, RESOURCES) if may(action, on, **conditions)}


@pytest.fixture
def of(tmp_path: Path) -> Callable[[str], Callable[..., bool]]:
    return lambda mode: role(of_mode(mode, tmp_path))


@pytest.mark.parametrize(
    "mode", ["nothing set", "image", "rest with keys", "url", "snapstart", "provisioned", "linear"]
)
def test_a_function_writes_its_own_log_and_may_do_nothing_else(of: Any, mode: str) -> None:
    assert allowed(of(mode)) == OWN_LOGS


def test_who_records_invocations_stores_records_and_reads_none(of: Any) -> None:
    may = of("records that are kept")
    assert allowed(may) == {*OWN_LOGS, ("dynamodb:PutItem", f"{TABLES}/vision-records")}


def test_a_table_is_used_as_the_settings_allow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = """
        [tables.vectors]
        key = "word"
        allow = ["get"]

        [tables.labels]

        [functions.qa]
        tables = ["vectors", "labels"]
        records = true
    """
    monkeypatch.setitem(MODES, "tables of both kinds", Mode(toml))
    assert allowed(role(of_mode("tables of both kinds", tmp_path))) == {
        *OWN_LOGS,
        ("dynamodb:PutItem", f"{TABLES}/vision-records"),
        ("dynamodb:BatchGetItem", f"{TABLES}/vision-vectors"),
        ("dynamodb:BatchGetItem", f"{TABLES}/vision-labels"),
        ("dynamodb:PutItem", f"{TABLES}/vision-labels"),
        ("dynamodb:BatchWriteItem", f"{TABLES}/vision-labels"),
        ("dynamodb:Scan", f"{TABLES}/vision-labels"),
    }


def test_a_stage_has_tables_and_logs_of_its_own(of: Any) -> None:
    may = of("records")
    assert allowed(may) == set()
    assert may("dynamodb:PutItem", f"{TABLES}/vision-records-beta")
    assert may("logs:PutLogEvents", f"{LOGS}/vision-beta--qa:log-stream:x")


def test_objects_that_requests_name_are_read(of: Any) -> None:
    assert allowed(of("buckets")) == {*OWN_LOGS, ("s3:GetObject", "arn:aws:s3:::uploads/a.png")}


def test_a_model_in_s3_is_read_and_its_prefix_listed(of: Any) -> None:
    may = of("model in S3")
    objects = {("s3:GetObject", f"arn:aws:s3:::models-2026/qa/v1{rest}") for rest in ("", "/model.onnx")}
    assert allowed(may) == {*OWN_LOGS, *objects}
    listed = {
        prefix
        for prefix in ("", "qa", "qa/v1", "qa/v1/", "qa/v10")
        if may("s3:ListBucket", "arn:aws:s3:::models-2026", s3__prefix=prefix)
    }
    assert listed == {"qa/v1", "qa/v1/"}


def test_a_mirrored_model_is_read_where_it_is_mirrored(of: Any) -> None:
    may = of("model on the hub")
    bucket = f"arn:aws:s3:::pilotlight-artifacts-{ACCOUNT}-{REGION}"
    prefix = MIRRORED.partition("}/")[2].rpartition("}/")[2]
    assert allowed(may) == {*OWN_LOGS, ("s3:GetObject", f"{bucket}/{prefix}/model.onnx")}
    assert may("s3:ListBucket", bucket, s3__prefix=f"{prefix}/")
    assert not may("s3:ListBucket", bucket, s3__prefix="vision/zips/")


def test_signs_of_policies_in_a_key_stand_for_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODES, "signs", Mode('[functions.qa]\nmodel = "s3://models-2026/a*b?$c"\n'))
    made = template(of_mode("signs", tmp_path))
    statements = made["Resources"]["QaRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    assert resolved(made, statements[1]["Resource"]) == [
        "arn:aws:s3:::models-2026/a${*}b${?}${$}c",
        "arn:aws:s3:::models-2026/a${*}b${?}${$}c/*",
    ]


def test_a_file_system_is_mounted_by_its_access_point_alone(of: Any) -> None:
    may = of("EFS")
    files = f"arn:aws:elasticfilesystem:{REGION}:{ACCOUNT}:file-system/fs-1"
    point = f"arn:aws:elasticfilesystem:{REGION}:{ACCOUNT}:access-point/fsap-1"
    own = {(f"elasticfilesystem:{action}", files) for action in ("ClientMount", "ClientWrite")}
    found = allowed(may, elasticfilesystem__AccessPointArn=point)
    assert {each for each in found if each[0].startswith("elasticfilesystem:")} == own
    assert not may("elasticfilesystem:ClientMount", files)
    assert not may("elasticfilesystem:ClientMount", files, elasticfilesystem__AccessPointArn=f"{point}-2")


def test_lambda_makes_network_interfaces_with_the_role_and_the_code_does_not(of: Any) -> None:
    may = of("EFS")
    own = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:vision--qa"
    assert may("ec2:CreateNetworkInterface", "*")
    assert not may("ec2:CreateNetworkInterface", "*", lambda__SourceFunctionArn=own)
    assert not may("ec2:RunInstances", "*")


def test_functions_of_a_service_have_roles_of_their_own() -> None:
    deployed = of_example("question_answering")
    records = f"{TABLES}/question-answering-records"
    assert role(deployed, "QaRole")("dynamodb:PutItem", records)
    assert not role(deployed, "TextgenRole")("dynamodb:PutItem", records)
    assert not role(deployed, "QaRole")("logs:PutLogEvents", f"{LOGS}/question-answering--page:log-stream:x")


@pytest.mark.parametrize("mode", MODES)
def test_lambda_alone_takes_on_the_roles(mode: str, tmp_path: Path) -> None:
    made = template(of_mode(mode, tmp_path))["Resources"]
    roles = [each["Properties"] for name, each in made.items() if name.endswith("Role") and name != "RolloutRole"]
    for each in roles:
        assert each["AssumeRolePolicyDocument"] == {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
            ],
        }
