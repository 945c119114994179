"""Functions of examples as their templates deploy them, on tables as the templates make them, when DynamoDB has a bad
day: right answers, one record for each invocation, and not one operation that the function's role does not allow."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from iam import allows
from lambda_environments import Deployed, deployed, environment
from resolved import REGION, arn

from conftest import write
from dynamodb_stores import ENVIRON, FAULTS, Faults, dynalite
from http_servers import HttpServer, serving
from pilotlight.function.items import Item
from pilotlight.function.table import connect_uri
from pilotlight.function.vectors import to_item

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]  # libraries are fetched

EXAMPLES = Path(__file__).parents[2] / "examples"
_APART = ("SSESpecification", "PointInTimeRecoverySpecification", "TimeToLiveSpecification")
"""Properties that other calls set, or in other words; none changes what is read and written."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where packages are built, from libraries that are fetched once."""
    return tmp_path_factory.mktemp("bench")


def example(name: str, folder: Path) -> Path:
    return shutil.copytree(EXAMPLES / name, folder / name, ignore=shutil.ignore_patterns(".pilotlight", "train"))


def make_table(url: str, properties: Mapping[str, Any]) -> str:
    """The table of a template in the store at `url`; its name."""
    client = boto3.client("dynamodb", REGION, endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="a")
    client.create_table(**{key: value for key, value in properties.items() if key not in (*_APART, "Tags")})
    name = str(properties["TableName"])
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    return name


@contextlib.contextmanager
def troubled(url: str, delay: float) -> Iterator[tuple[str, HttpServer, Faults]]:
    """The store where every other answer is late, broken, or none; what it was asked; what went wrong."""
    faults = Faults(url, delay)
    with serving(faults) as proxy:
        yield f"http://127.0.0.1:{proxy.port}", proxy, faults


def operations(proxy: HttpServer) -> set[tuple[str, str]]:
    """The actions that were asked for, each with its table."""
    asked = [(each.headers["x-amz-target"].rpartition(".")[2], json.loads(each.body)) for each in proxy.requests]
    return {
        (f"dynamodb:{name}", table)
        for name, body in asked
        for table in ([body["TableName"]] if "TableName" in body else body["RequestItems"])
    }


def check_rights(made: Deployed, function: str, asked: set[tuple[str, str]]) -> None:
    """What the function asked for, its role allows; and of tables it allows nothing else."""
    may = allows(made.template, f"{function}Role")
    tables = [each for each in made.template["Resources"].values() if each["Type"] == "AWS::DynamoDB::Table"]
    places = {each["Properties"]["TableName"]: arn(each) for each in tables}
    assert all(may(action, places[table]) for action, table in asked), asked
    [policy] = made.template["Resources"][f"{function}Role"]["Properties"]["Policies"]
    actions = [action for each in policy["PolicyDocument"]["Statement"] for action in each["Action"]]
    assert {each for each in actions if each.startswith("dynamodb:")} == {action for action, _ in asked}


def all_vectors(folder: Path) -> list[Item]:
    """Those that the example's other model holds, from which `kim_cnn_static` was made."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(folder / "model.onnx").graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    rows = (stored["embedding.rows"] * stored["embedding.scales"]).tolist()
    words = (folder / "vocabulary.txt").read_text(encoding="utf-8").split("\n")
    return [to_item(word, row, "f2", "word") for word, row in zip(words, rows, strict=False) if word.isalpha()]


def test_vectors_are_read(trixie: Path, bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = example("sentences", tmp_path)
    settings = (service / "pilotlight.toml").read_text(encoding="utf-8")
    settings = settings.replace('model = "models/kim_cnn"', 'model = "models/kim_cnn_static"')
    write(service, {"pilotlight.toml": settings})
    made = deployed(service, bench, trixie)
    items = all_vectors(EXAMPLES / "sentences" / "models" / "kim_cnn")
    words = [str(item["word"]) for item in items]
    events = [{"input": " ".join(words[start : start + 250])} for start in range(0, 5_000, 250)]
    events.append({"input": "A warm, funny and wonderfully acted film that is a joy from start to finish."})
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    with dynalite() as url:
        place = make_table(url, made.only("DynamoDB::Table"))
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", url)
        with contextlib.closing(connect_uri(f"dynamodb://{place}?key=word")) as table:
            table.put(items)
        with environment(trixie, made, "KimCnn", tmp_path / "calm", AWS_ENDPOINT_URL_DYNAMODB=url) as calm:
            expected = [calm.invoke(event)[1]["output"] for event in events]
        with (
            troubled(url, 1.0) as (proxied, proxy, faults),
            environment(trixie, made, "KimCnn", tmp_path / "bad", AWS_ENDPOINT_URL_DYNAMODB=proxied) as bad,
        ):
            answers = [bad.invoke(event)[1] for event in events]
    assert [answer["output"] for answer in answers] == expected
    assert answers[-1]["label"] == "positive"
    assert len({tuple(output) for output in expected}) == len(events)
    assert faults.counts.keys() == {*FAULTS, ""}
    check_rights(made, "KimCnn", operations(proxy))


def test_each_invocation_is_recorded(
    trixie: Path, bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = deployed(example("question_answering", tmp_path), bench, trixie)
    event = json.loads((EXAMPLES / "question_answering" / "events" / "qa.json").read_bytes())
    properties = made.only("DynamoDB::Table")
    with dynalite() as url:
        place = make_table(url, properties)
        with (
            troubled(url, 2.0) as (proxied, proxy, faults),
            environment(trixie, made, "Qa", tmp_path / "qa", AWS_ENDPOINT_URL_DYNAMODB=proxied) as qa,
        ):
            asked = [{**event, "question": f"{event['question']} {'?' * number}"} for number in range(40)]
            answered = [qa.invoke(each) for each in asked]
            qa.settle(len(asked))
        for name, value in {**ENVIRON, "AWS_ENDPOINT_URL_DYNAMODB": url}.items():
            monkeypatch.setenv(name, value)
        uri = f"dynamodb://{place}?key={properties['KeySchema'][0]['AttributeName']}"
        stored = scanned(uri)
        command = [sys.executable, "-m", "pilotlight", "records", "recover", "--log", str(qa.log), "--table", uri]
        subprocess.run(command, check=True, timeout=60, env=os.environ, capture_output=True)
        records = scanned(uri)
    assert 0 < len(stored) <= len(records)
    assert faults.counts.keys() == {*FAULTS, ""}
    expires = properties["TimeToLiveSpecification"]["AttributeName"]
    assert records.keys() == {request_id for request_id, _ in answered}
    for each, (request_id, answer) in zip(asked, answered, strict=True):
        record = records[request_id]
        assert answer["answer"].startswith("62 metres")
        assert json.loads(str(record["output"])) == answer
        assert json.loads(str(record["input"]))["question"] == each["question"]
        assert event["context"] not in str(record)
        assert isinstance(record[expires], int)
    check_rights(made, "Qa", operations(proxy))


def scanned(uri: str) -> dict[str, Item]:
    with contextlib.closing(connect_uri(uri)) as table:
        return {str(item["primary_key"]): item for item in table.scan()}
