"""A service in a real account: deployed, asked, broken, updated, destroyed, and nothing of it left.

`pytest -m aws tests/aws` with credentials and a region in the environment, as for `pilotlight deploy`. It takes about
twenty minutes and costs cents. It makes a stack, a repository and objects in the bucket of packages under a name of its
own, and removes them also when it fails. It has not been run where the other tests run: there is no account there.
"""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from conftest import write
from pilotlight.deploy import session, watch
from pilotlight.deploy.session import Session

pytestmark = [pytest.mark.aws, pytest.mark.timeout(3600)]

ECHO = """
def handler(event, context):
    body = event.get("body")
    import json
    name = (json.loads(body) if body else event)["name"]
    return {"greeting": GREETING + name}

GREETING = "Hello, "
"""
TOML = """
name = "NAME"

[tables.words]
key = "word"

[functions.image]
package = "image"

[functions.hello]
records = true
"""
_SETTLED = 600  # seconds until the API that finds resources by tags has forgotten those that are gone


class Run(NamedTuple):
    code: int
    records: list[dict[str, Any]]
    err: str

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record.get("kind") == kind]


class Service:
    """A folder, and `pilotlight` run on it."""

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name = root, name
        write(
            root,
            {"pilotlight.toml": TOML.replace("NAME", name), "inference/hello.py": ECHO, "inference/image.py": ECHO},
        )
        write(root, {"events/hello.json": '{"name": "Ada"}', "events/image.json": '{"name": "Ada"}'})

    def run(self, command: str, *arguments: str) -> Run:
        line = [sys.executable, "-m", "pilotlight", command, "--dir", str(self.root), "--json", *arguments]
        done = subprocess.run(line, capture_output=True, text=True, env=dict(os.environ), stdin=subprocess.DEVNULL)
        records = [json.loads(text) for text in done.stdout.splitlines() if text.startswith("{")]
        return Run(done.returncode, records, done.stderr)


@pytest.fixture(scope="module")
def account() -> Session:
    return session.open()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(tmp_path_factory.mktemp("service"), f"pl-test-{uuid.uuid4().hex[:8]}")
    yield made
    done = made.run("destroy", "--yes", "--allow-data-loss")
    assert done.code == 0, done.err


def test_1_a_service_is_deployed_and_answers(service: Service) -> None:
    done = service.run("deploy", "--yes")
    assert done.code == 0, done.err
    tests = {record["function"]: record for record in done.of("test")}
    assert tests.keys() == {"hello", "image"}
    assert all("Hello, Ada" in record["text"] for record in tests.values())


def test_2_the_same_again_changes_nothing(service: Service) -> None:
    done = service.run("deploy", "--yes", "--no-tests")
    assert done.code == 0, done.err
    assert f"no change: {service.name} is as it should be" in [record["text"] for record in done.of("note")]
    assert done.of("event") == []


def test_3_a_function_is_invoked_by_its_name(service: Service) -> None:
    line = [sys.executable, "-m", "pilotlight", "invoke", "hello", "--remote", "--dir", str(service.root), "--json"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["payload"] == {"greeting": "Hello, Ada"}


def test_4_what_breaks_is_explained_and_taken_back(service: Service, account: Session) -> None:
    """No account admits this much concurrency without being asked for it."""
    settings = TOML.replace("NAME", service.name) + "concurrency = 100000\n"
    write(service.root, {"pilotlight.toml": settings})
    done = service.run("deploy", "--yes")
    assert done.code == 1
    assert "HelloFunction (AWS::Lambda::Function): " in done.err
    assert "the account has too little concurrency" in done.err
    assert watch.state(account, service.name).status == "UPDATE_ROLLBACK_COMPLETE"


def test_5_and_mended_by_the_same_command(service: Service) -> None:
    write(service.root, {"pilotlight.toml": TOML.replace("NAME", service.name)})
    write(service.root, {"inference/hello.py": ECHO.replace('"Hello, "', '"Good day, "')})
    done = service.run("deploy", "--yes")
    assert done.code == 0, done.err
    [answer] = [record["text"] for record in done.of("test") if record["function"] == "hello"]
    assert "Good day, Ada" in answer


def test_6_a_deployment_that_is_broken_off_is_joined(service: Service) -> None:
    write(service.root, {"inference/hello.py": ECHO.replace('"Hello, "', '"Bonjour, "')})
    line = [sys.executable, "-m", "pilotlight", "deploy", "--yes", "--json", "--dir", str(service.root)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        next(text for text in process.stdout if '"event"' in text)
        process.kill()
    done = service.run("deploy", "--yes")
    assert done.code == 0, done.err
    [answer] = [record["text"] for record in done.of("test") if record["function"] == "hello"]
    assert "Bonjour, Ada" in answer


def test_7_status_names_the_live_versions(service: Service) -> None:
    done = service.run("status")
    assert done.code == 0, done.err
    [status] = done.of("status")
    assert {each["function"] for each in status["functions"]} == {f"{service.name}--hello", f"{service.name}--image"}


def test_8_nothing_is_left(service: Service, account: Session) -> None:
    refused = service.run("destroy", "--yes")
    assert refused.code == 1, "the records are data"
    kept = service.run("destroy", "--yes", "--keep-records")
    assert kept.code == 0, kept.err
    [table] = [line for line in kept.of("left")[0]["left"] if line.startswith("AWS::DynamoDB::Table")]
    name = table.split()[1].rstrip(":")
    account.client("dynamodb").delete_table(TableName=name)
    assert watch.state(account, service.name).status == ""
    end = time.monotonic() + _SETTLED
    while left := _tagged(account, service.name):
        assert time.monotonic() < end, left
        time.sleep(20)


def _tagged(account: Session, name: str) -> list[str]:
    """All of the account that carries the service's tag."""
    pages = account.client("resourcegroupstaggingapi").get_paginator("get_resources")
    wanted = [{"Key": "pilotlight:service", "Values": [name]}]
    return [
        each["ResourceARN"] for page in pages.paginate(TagFilters=wanted) for each in page["ResourceTagMappingList"]
    ]
