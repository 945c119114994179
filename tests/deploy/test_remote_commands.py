"""`invoke --remote` and `records --remote` as their users call them."""

import json
import re
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import moto_aws
import pytest
from moto_aws import Aws, forwarding

from conftest import RunningServer, write
from http_servers import serving

TEMPLATE = {
    "Resources": {
        "RecordsTable": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "TableName": "service-beta-records",
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{"AttributeName": "primary_key", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "primary_key", "KeyType": "HASH"}],
            },
        }
    },
    "Outputs": {"RecordsTableName": {"Value": {"Ref": "RecordsTable"}}},
}
HANDLER = """
    def handler(event, context):
        print("asked", event)
        if event.get("fail"):
            raise ValueError("no luck")
        return {"asked": event}
"""


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with moto_aws.running() as aws:
        yield aws


@pytest.fixture
def service(tmp_path: Path) -> Path:
    return write(tmp_path / "service", {"inference/qa.py": HANDLER, "pilotlight.toml": "[defaults]\nrecords = true\n"})


@pytest.fixture
def live(service: Path, start_server: Callable[..., RunningServer], aws: Aws) -> Iterator[Aws]:
    """Lambda, as far as `pilotlight serve` is it."""
    port = int(start_server(service, "--no-reload", "--isolation", "none").url.rpartition(":")[2])
    with serving(forwarding(port)) as server:
        yield Aws({**aws.environ, "AWS_ENDPOINT_URL_LAMBDA": f"http://127.0.0.1:{server.port}"})


def test_a_deployed_function_answers(live: Aws, service: Path) -> None:
    code, out, err = live.run("invoke", "qa", "--remote", "--data", '{"a": 1}', cwd=service)
    lines = err.splitlines()
    assert (code, json.loads(out)) == (0, {"asked": {"a": 1}})
    assert lines[0].startswith("START RequestId: ")
    assert "asked {'a': 1}" in lines
    assert lines[-1].startswith("REPORT RequestId: ")


def test_a_deployed_function_fails(live: Aws, service: Path) -> None:
    code, out, err = live.run("invoke", "qa", "--remote", "--data", '{"fail": 1}', "--json", cwd=service)
    said = json.loads(out)
    assert (code, said["error"], said["payload"]["errorType"]) == (1, "qa: ValueError: no luck", "ValueError")
    assert "error: qa: ValueError: no luck" in err


def test_a_function_that_is_not_deployed(live: Aws, service: Path) -> None:
    write(service, {"inference/later.py": HANDLER})
    code, out, err = live.run("invoke", "later", "--remote", cwd=service)
    assert (code, out) == (1, "")
    assert err == (
        "error: invoking service--later: Function not found: "
        "arn:aws:lambda:us-east-1:000000000000:function:service--later\n"
        "hint: `pilotlight status` shows what is deployed, in which region and stage\n"
    )


def test_a_stage_is_of_deployed_functions(aws: Aws, service: Path) -> None:
    for command in (("invoke", "qa", "--stage", "beta"), ("records", "list", "--stage", "beta")):
        code, _, err = aws.run(*command, cwd=service)
        assert code == 2
        assert "--stage is for a deployed service: give --remote as well" in err


def record(number: int) -> dict[str, dict[str, str]]:
    """As DynamoDB has it."""
    now = time.strftime("%Y-%m-%dT%H:%M", time.gmtime())
    texts = {
        "primary_key": f"key-{number}",
        "createdAt": f"{now}:0{number}.000Z",
        "function": "service--qa",
        "input": '{"text": "harbour"}',
        "output": '{"label": "positive"}',
    }
    return {**{name: {"S": text} for name, text in texts.items()}, "status": {"N": "200"}}


@pytest.mark.system  # for its time
def test_records_of_a_deployed_service(aws: Aws, service: Path) -> None:
    code, _, err = aws.run("records", "--remote", "--stage", "beta", cwd=service)
    assert code == 2
    assert err == (
        "error: there is no stack 'service-beta' in eu-west-1\n"
        "hint: `pilotlight deploy` makes it; --stage and --region say where else to look\n"
    )
    aws.client("cloudformation").create_stack(StackName="service-beta", TemplateBody=json.dumps(TEMPLATE))
    for number in (1, 2):
        aws.client("dynamodb").put_item(TableName="service-beta-records", Item=record(number))
    code, out, err = aws.run("records", "--remote", "--stage", "beta", "--format", "jsonl", cwd=service)
    assert (code, err) == (0, "")
    assert [json.loads(line)["primary_key"] for line in out.splitlines()] == ["key-2", "key-1"]
    assert json.loads(out.splitlines()[0])["input"] == {"text": "harbour"}
    check_the_page(aws, service)


def check_the_page(aws: Aws, service: Path) -> None:
    with aws.start("records", "--ui", "--remote", "--stage", "beta", cwd=service) as process:
        assert process.stdout is not None
        said = re.fullmatch(r"Records of service at (\S+)/ \(Ctrl-C stops\)\n", process.stdout.readline())
        assert said
        records = f"{said[1]}/_pilotlight/records"
        while not (state := read(f"{records}/tables")[0]).get("runs"):
            time.sleep(0.05)
        assert (state["is_remote"], state["error"], state["done"]) == (True, "", 2)
        page = read(f"{records}/service/page")["rows"]
        assert [(row["primary_key"], row["class"]) for row in page] == [("key-2", "positive"), ("key-1", "positive")]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def read(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


@pytest.mark.system  # for its time
def test_a_stack_without_records(aws: Aws, service: Path) -> None:
    template = {"Resources": TEMPLATE["Resources"]}
    template = json.loads(json.dumps(template).replace("service-beta-records", "other"))
    aws.client("cloudformation").create_stack(StackName="service-gamma", TemplateBody=json.dumps(template))
    code, _, err = aws.run("records", "--remote", "--stage", "gamma", cwd=service)
    assert code == 2
    assert err == (
        "error: the stack 'service-gamma' has no table of records\n"
        "hint: set records = true for a function, and deploy\n"
    )


def test_a_table_and_a_deployed_service_exclude_each_other(aws: Aws, service: Path) -> None:
    code, _, err = aws.run("records", "--remote", "--table", "dynamodb://x?key=primary_key", cwd=service)
    assert code == 2
    assert "--remote and --table exclude each other" in err
