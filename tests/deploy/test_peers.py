"""docs/peers.md: its figures are those of the files, and the files are what they are said to be."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import moto_aws
import pytest
import yaml
from moto_aws import Aws

from pilotlight import project

ROOT = Path(__file__).parents[2]
PEERS = ROOT / "benchmarks" / "peers" / "deploy"
PAGE = (ROOT / "docs" / "peers.md").read_text(encoding="utf-8")
NAMES = ("pilotlight", "sam", "serverless", "cdk", "chalice")
NOT_DEPLOYED = ("commands.txt", "tools.txt")
WITH_A_HANDLER = ("sam", "serverless", "cdk/function")


def files(peer: str) -> list[Path]:
    found = [path for path in (PEERS / peer).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return [path for path in found if path.name not in NOT_DEPLOYED]


def lines(path: Path) -> int:
    """Those that are neither empty nor a comment."""
    return sum(bool(line.strip()) and not line.lstrip().startswith("#") for line in path.read_text().splitlines())


def listed(peer: str, file: str) -> list[str]:
    return (PEERS / peer / file).read_text().splitlines()


def row(name: str) -> list[str]:
    """The cells of a row of the table, Pilotlight's first."""
    [found] = re.findall(rf"^\| {name} \| (.+) \|$", PAGE, re.M)
    return [cell.strip() for cell in found.split(" | ")]


def test_files_and_lines_are_counted_right() -> None:
    assert row("files to write") == [str(len(files(peer))) for peer in NAMES]
    assert row("lines in them") == [str(sum(map(lines, files(peer)))) for peer in NAMES]


def test_commands_and_tools_are_those_listed() -> None:
    assert row("commands from a checkout") == [str(len(listed(peer, "commands.txt"))) for peer in NAMES]
    assert row("tools to install") == [", ".join(listed(peer, "tools.txt")) for peer in NAMES]


def test_what_the_peers_write_themselves_is_one_handler() -> None:
    assert len({(PEERS / peer / "handler.py").read_bytes() for peer in WITH_A_HANDLER}) == 1
    assert len({(PEERS / peer / "Dockerfile").read_bytes() for peer in WITH_A_HANDLER}) == 1


def test_pilotlight_reads_its_own_files() -> None:
    [function] = project.load(PEERS / "pilotlight").functions
    assert (function.name, function.defect, function.records is not None) == ("qa", "", True)


def test_the_template_of_sam_is_one() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "cfn-lint", PEERS / "sam" / "template.yaml"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, such as !Ref."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: loader.construct_scalar(node))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("file", ["serverless/serverless.yml", "chalice/resources.yaml", "sam/template.yaml"])
def test_they_have_the_same_table_and_alarms(file: str) -> None:
    found: dict[str, Any] = yaml.load((PEERS / file).read_text(), Loader)
    resources = found.get("resources", found).get("Resources", found.get("Resources"))
    [table] = [each for each in resources.values() if each["Type"] == "AWS::DynamoDB::Table"]
    assert table["Properties"]["KeySchema"] == [{"AttributeName": "primary_key", "KeyType": "HASH"}]
    alarms = [each["Properties"] for each in resources.values() if each["Type"] == "AWS::CloudWatch::Alarm"]
    assert [each["MetricName"] for each in alarms] == ["Errors", "Throttles", "Duration"]


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with moto_aws.running() as aws:
        yield aws


CALL = """
import json, sys
sys.path.insert(0, sys.argv[1])
from handler import handler

class Context:
    aws_request_id, function_name = "key", "qa"

for body in sys.argv[2:]:
    print(json.dumps(handler({"body": body}, Context())))
"""


def test_the_peers_handler_answers_and_records(aws: Aws) -> None:
    aws.client("dynamodb").create_table(
        TableName="records",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "primary_key", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "primary_key", "KeyType": "HASH"}],
    )
    event = (ROOT / "examples" / "question_answering" / "events" / "qa.json").read_text()
    done = subprocess.run(
        [sys.executable, "-c", CALL, str(PEERS / "sam"), event, "{}"],
        cwd=ROOT / "examples" / "question_answering",
        env={
            **aws.environ,
            "AWS_DEFAULT_REGION": moto_aws.REGION,
            "RECORDS_TABLE": "records",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    right, wrong = map(json.loads, done.stdout.splitlines())
    assert (right["statusCode"], wrong["statusCode"]) == (200, 400)
    assert json.loads(right["body"])["answer"]
    [item] = aws.client("dynamodb").scan(TableName="records")["Items"]
    assert json.loads(item["output"]["S"]) == json.loads(right["body"])


def test_the_others_are_python_and_json() -> None:
    for path in (PEERS / "cdk" / "app.py", PEERS / "chalice" / "app.py"):
        compile(path.read_text(), str(path), "exec")
    for path in (*PEERS.glob("*/*.json"), *PEERS.glob("chalice/.chalice/*.json")):
        json.loads(path.read_text())
