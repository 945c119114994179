"""Services in a real account: deployed, asked, broken, updated, destroyed, and nothing of them left.

`pytest -m aws -p no:xdist tests/aws` with credentials and a region in the environment, as for `pilotlight deploy`: the
tests of a file go on from one another. It takes about an hour, most of it for the network of the second service, and
costs cents. It makes two stacks, a repository, objects in the bucket of packages and a bucket with a model, all under
names of its own, and removes them also when it fails. It has not been run where the other tests run: there is no
account there.
"""

import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from conftest import write
from pilotlight import limits
from pilotlight.deploy import names, session, watch
from pilotlight.deploy.session import Session, absent

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
NETWORK = """
name = "NAME"

[cache]
folder = "/mnt/models"

[functions.size]
model = "s3://BUCKET/churn"
optimize = false
timeout = 30
memory = 512
"""
SIZE = """
import os

from pilotlight import Model

PLACE = os.environ["PILOTLIGHT_CACHE"]
model = Model(os.environ["PILOTLIGHT_MODEL"])


def handler(event, context):
    return {"inputs": len(model.inputs), "mounted": os.path.ismount(PLACE), "kept": sorted(os.listdir(PLACE)) != []}
"""
CHURN = Path(__file__).parents[2] / "examples" / "clothing" / "models" / "churn"
_SETTLED = 1800  # seconds until Lambda has given back its interfaces, and the API that finds by tags has forgotten


class Run(NamedTuple):
    code: int
    records: list[dict[str, Any]]
    err: str

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record.get("kind") == kind]


class Service:
    """A folder, and `pilotlight` run on it."""

    def __init__(self, root: Path, name: str, settings: str, **sources: str) -> None:
        self.root, self.name = root, name
        self.set(settings)
        for function, source in sources.items():
            self.write(function, source)
            write(root, {f"events/{function}.json": '{"name": "Ada"}'})

    def set(self, settings: str) -> None:
        write(self.root, {"pilotlight.toml": settings.replace("NAME", self.name)})

    def write(self, function: str, source: str) -> None:
        write(self.root, {f"inference/{function}.py": source})

    def run(self, command: str, *arguments: str) -> Run:
        done = subprocess.run(self.line(command, *arguments), capture_output=True, text=True, stdin=subprocess.DEVNULL)
        records = [json.loads(text) for text in done.stdout.splitlines() if text.startswith("{")]
        return Run(done.returncode, records, done.stderr)

    def line(self, command: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "pilotlight", command, "--dir", str(self.root), "--json", *arguments]

    def answer(self, done: Run, function: str) -> str:
        """What a saved event was answered with after a deployment that worked."""
        assert done.code == 0, done.err
        [text] = [str(record["text"]) for record in done.of("test") if record["function"] == function]
        return text


@pytest.fixture(scope="module")
def account() -> Session:
    return session.open()


@pytest.fixture(scope="module")
def name() -> str:
    return f"pl-test-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, name: str, account: Session) -> Iterator[Service]:
    made = Service(tmp_path_factory.mktemp("service"), name, TOML, hello=ECHO, image=ECHO)
    yield made
    done = made.run("destroy", "--yes", "--allow-data-loss")
    forget_tables(account, name)
    assert done.code == 0, done.err


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, name: str, account: Session) -> Iterator[Service]:
    """A service whose function fetches a model to EFS, from a bucket of its own."""
    name, s3 = name.replace("test", "test-net"), account.client("s3")
    bucket = f"{name}-{account.account}"
    where = {} if account.region == "us-east-1" else {"LocationConstraint": account.region}
    s3.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": where} if where else {}))
    try:
        for path in (CHURN / "model.onnx", CHURN / "model.json"):
            s3.put_object(Bucket=bucket, Key=f"churn/{path.name}", Body=path.read_bytes())
        made = Service(tmp_path_factory.mktemp("network"), name, NETWORK.replace("BUCKET", bucket), size=SIZE)
        yield made
        done = made.run("destroy", "--yes", "--allow-data-loss")
        assert done.code == 0, done.err
    finally:
        for each in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=each["Key"])
        s3.delete_bucket(Bucket=bucket)


def forget_tables(account: Session, name: str) -> None:
    """What --keep-records has left goes as well, whatever became of the test."""
    dynamodb = account.client("dynamodb")
    for table in tables(account, name):
        dynamodb.delete_table(TableName=table)
        dynamodb.get_waiter("table_not_exists").wait(TableName=table)


def tables(account: Session, name: str) -> list[str]:
    pages = account.client("dynamodb").get_paginator("list_tables").paginate()
    return [each for page in pages for each in page["TableNames"] if each.startswith(f"{name}-")]


def left(account: Session, name: str) -> list[str]:
    """All of the account that bears the service's name, or its tag. Names are asked for too: what somebody makes anew
    after it was deleted, as Lambda does with log groups, has no tag."""
    return [*_code(account, name), *_kept(account, name), *_seen(account, name), *_tagged(account, name)]


def _code(account: Session, name: str) -> Iterator[str]:
    """Functions and their roles, interfaces, APIs."""
    for page in account.client("lambda").get_paginator("list_functions").paginate():
        yield from (each["FunctionArn"] for each in page["Functions"] if each["FunctionName"].startswith(f"{name}--"))
    for page in account.client("iam").get_paginator("list_roles").paginate():
        yield from (each["Arn"] for each in page["Roles"] if each["RoleName"].startswith(f"{name}-"))
    filters = [{"Name": "description", "Values": [f"AWS Lambda VPC ENI-{name}--*"]}]
    for page in account.client("ec2").get_paginator("describe_network_interfaces").paginate(Filters=filters):
        yield from (f"{each['NetworkInterfaceId']}: {each['Description']}" for each in page["NetworkInterfaces"])


def _kept(account: Session, name: str) -> Iterator[str]:
    """Tables, packages, images."""
    yield from tables(account, name)
    bucket, s3, ecr = names.bucket(account.account, account.region), account.client("s3"), account.client("ecr")
    with absent("NoSuchBucket"):
        for kind in ("Versions", "DeleteMarkers"):
            found = s3.list_object_versions(Bucket=bucket, Prefix=f"{name}/").get(kind, [])
            yield from (f"{bucket}/{each['Key']}" for each in found)
        found = s3.list_multipart_uploads(Bucket=bucket, Prefix=f"{name}/").get("Uploads", [])
        yield from (f"{bucket}/{each['Key']}, an upload" for each in found)
    with absent("RepositoryNotFoundException"):
        ecr.describe_repositories(repositoryNames=[names.repository(name)])
        yield names.repository(name)


def _seen(account: Session, name: str) -> Iterator[str]:
    """Log groups, alarms, dashboards."""
    groups = account.client("logs").get_paginator("describe_log_groups")
    for page in groups.paginate(logGroupNamePrefix=f"/aws/lambda/{name}--"):
        yield from (each["logGroupName"] for each in page["logGroups"])
    cloudwatch = account.client("cloudwatch")
    for page in cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{name}-"):
        yield from (each["AlarmName"] for each in page["MetricAlarms"])
    for page in cloudwatch.get_paginator("list_dashboards").paginate(DashboardNamePrefix=name):
        yield from (each["DashboardName"] for each in page["DashboardEntries"])


def _tagged(account: Session, name: str) -> list[str]:
    pages = account.client("resourcegroupstaggingapi").get_paginator("get_resources")
    wanted = [{"Key": "pilotlight:service", "Values": [name]}]
    return [
        each["ResourceARN"] for page in pages.paginate(TagFilters=wanted) for each in page["ResourceTagMappingList"]
    ]


def nothing_is_left(account: Session, name: str) -> None:
    assert watch.state(account, name).status == ""
    end = time.monotonic() + _SETTLED
    while found := left(account, name):
        assert time.monotonic() < end, found
        time.sleep(20)


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
    """All that an account has at first: Lambda leaves a part of it to functions that reserve nothing."""
    service.set(TOML + f"concurrency = {limits.CONCURRENCY_ACCOUNT}\n")
    done = service.run("deploy", "--yes")
    assert done.code == 1
    assert "HelloFunction (AWS::Lambda::Function): " in done.err
    assert "the account has too little concurrency" in done.err
    assert watch.state(account, service.name).status == "UPDATE_ROLLBACK_COMPLETE"


def test_5_and_mended_by_the_same_command(service: Service) -> None:
    service.set(TOML)
    service.write("hello", ECHO.replace('"Hello, "', '"Good day, "'))
    assert "Good day, Ada" in service.answer(service.run("deploy", "--yes"), "hello")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_6_a_deployment_that_is_broken_off_is_joined(service: Service, number: int, status: int) -> None:
    service.write("hello", ECHO.replace('"Hello, "', f'"Bonjour {number}, "'))
    with subprocess.Popen(service.line("deploy", "--yes"), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any('"kind":"event"' in text for text in process.stdout)
        process.send_signal(number)
    assert process.returncode == status
    assert f"Bonjour {number}, Ada" in service.answer(service.run("deploy", "--yes"), "hello")


def test_7_one_version_is_there_and_live(service: Service, account: Session) -> None:
    done = service.run("status")
    assert done.code == 0, done.err
    [status] = done.of("status")
    live = {each["function"]: each["version"] for each in status["functions"]}
    assert live.keys() == {f"{service.name}--hello", f"{service.name}--image"}
    for function, version in live.items():
        found = account.client("lambda").list_versions_by_function(FunctionName=function)["Versions"]
        assert [each["Version"] for each in found] == ["$LATEST", version]


def recorded(service: Service) -> int:
    """How many records there are of the saved event."""
    line = [
        sys.executable,
        "-m",
        "pilotlight",
        "records",
        str(service.root),
        "--remote",
        "--format",
        "jsonl",
        "--limit",
        "0",
    ]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return sum("Ada" in text for text in done.stdout.splitlines())


def test_8_records_outlive_the_service_and_are_taken_over(service: Service, account: Session) -> None:
    before = recorded(service)
    assert before > 0
    refused = service.run("destroy", "--yes")
    assert refused.code == 1, "the records are data"
    kept = service.run("destroy", "--yes", "--keep-records")
    assert kept.code == 0, kept.err
    assert [line.partition(" ")[0] for line in kept.of("left")[0]["left"] if ": kept" in line] == [
        "AWS::DynamoDB::Table"
    ]
    assert tables(account, service.name) == [f"{service.name}-records"]
    service.set(TOML.replace("[functions.image]", "[tables.records]\nkeep = true\n\n[functions.image]"))
    again = service.run("deploy", "--yes", "--no-tests")
    assert again.code == 0, again.err
    assert recorded(service) >= before


def test_9_nothing_is_left(service: Service, account: Session) -> None:
    done = service.run("destroy", "--yes", "--allow-data-loss")
    assert done.code == 0, done.err
    assert tables(account, service.name) == [f"{service.name}-records"], "keep = true"
    forget_tables(account, service.name)
    nothing_is_left(account, service.name)


def test_a_function_in_a_network_fetches_its_model_to_efs(network: Service) -> None:
    answer = json.loads(network.answer(network.run("deploy", "--yes"), "size"))
    assert answer == {"inputs": 1, "mounted": True, "kept": True}


def test_b_nothing_is_left_of_a_network(network: Service, account: Session) -> None:
    refused = network.run("destroy", "--yes")
    assert refused.code == 1, "a file system holds files"
    done = network.run("destroy", "--yes", "--allow-data-loss")
    assert done.code == 0, done.err
    nothing_is_left(account, network.name)
