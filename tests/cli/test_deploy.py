"""`pilotlight deploy`, `status` and `destroy` as they are run: without an account, and with one whose CloudFormation
answers what AWS has answered, whose S3, ECR and STS are moto's, and whose registry is a real one."""

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
import click.testing
import pytest
import wheels
from botocore.stub import ANY
from memory_registry import MemoryRegistry

import http_servers
from cloudformation import NO_CHANGE, SET, Script, change
from conftest import write
from pilotlight.bundle.blobs import digest_of
from pilotlight.cli import cli
from pilotlight.deploy import session
from pilotlight.deploy.session import Session
from pilotlight.errors import StackError, UsageError

EXAMPLES = Path(__file__).parents[2] / "examples"
OUTPUTS = shutil.ignore_patterns("locks", ".pilotlight")  # of builds that somebody has tried
HELLO = """
def handler(event, context):
    return {"greeting": "Hello, " + event["name"]}
"""
ARN = "arn:aws:cloudformation:eu-west-1:123456789012:stack/service/1f2c3d40"
THEN = datetime(2026, 11, 28, 18, 45, tzinfo=UTC)
BUCKET = "pilotlight-artifacts-123456789012-eu-west-1"


class Run(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    def record(self, kind: str) -> dict[str, Any]:
        [found] = [record for record in self.records if record.get("kind") == kind]
        return found


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small service whose package needs nothing from the network."""
    wheels.use(monkeypatch, tmp_path / "wheels")
    for name, version in (("msgspec", "0.22.0"), ("multipart", "2.0.1")):
        wheels.wheel(tmp_path / "wheels", name, version)
    monkeypatch.setenv("PILOTLIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return write(tmp_path / "service", {"inference/hello.py": HELLO, "events/hello.json": '{"name": "Ada"}'})


def run(*arguments: str) -> Run:
    """In a process of its own, as from a shell where nobody is there to answer."""
    command = [sys.executable, "-m", "pilotlight", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), stdin=subprocess.DEVNULL)
    return Run(done.returncode, done.stdout, done.stderr)


def test_a_dry_run_needs_no_account(service: Path, no_aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    done = run("deploy", "--dry-run", "--dir", str(service), "--stage", "beta")
    assert done.code == 0, done.err
    assert "stack service-beta: " in done.out
    assert "AWS::Lambda::Function                        HelloFunction" in done.out
    assert "AWS::ApiGatewayV2::Api                       HttpApi" in done.out
    assert "not known without an account" in done.out
    assert "a month" not in done.out
    assert done.out.endswith("nothing was sent: `pilotlight deploy` sends it, shows what would change, and asks\n")
    assert "  not run       imports, handler, test events, writable paths: no python3.13 on PATH" in done.out
    assert (service / ".pilotlight/build/hello.zip").is_file()


def test_a_dry_run_as_json(service: Path, no_aws: None) -> None:
    done = run("deploy", "--dry-run", "--dir", str(service), "--json")
    assert done.code == 0, done.err
    record = done.record("dry run")
    assert record["stack"] == "service"
    assert record["resources"]["HelloFunction"] == "AWS::Lambda::Function"
    assert record["monthly"] == 0
    [package] = record["packages"]
    assert (package["kind"], package["runtime"], package["architecture"]) == ("zip", "python3.13", "x86_64")


def test_a_dry_run_says_what_a_nat_costs(service: Path, no_aws: None, tmp_path: Path) -> None:
    wheels.wheel(tmp_path / "wheels", "onnxruntime", "1.22.0")
    toml = """
    [network]
    nat = true

    [cache]
    folder = "/mnt/models"

    [functions.hello]
    model = "s3://bucket/model"
    optimize = false
    """
    write(service, {"pilotlight.toml": toml})
    done = run("deploy", "--dry-run", "--dir", str(service))
    assert done.code == 0, done.err
    assert "the network costs about $36.50 a month before any traffic" in done.out


def test_a_dry_run_of_an_example(service: Path, no_aws: None, tmp_path: Path) -> None:
    """Its libraries are small stand-ins of the same names, so that nothing is fetched."""
    example = shutil.copytree(EXAMPLES / "minimal", tmp_path / "minimal", ignore=OUTPUTS)
    done = run("deploy", "--dry-run", "--dir", str(example), "--json")
    assert done.code == 0, done.err
    resources = done.record("dry run")["resources"]
    assert {name: kind for name, kind in resources.items() if name.startswith("Hello")}.keys() >= {
        "HelloFunction",
        "HelloRole",
        "HelloLogs",
        "HelloAlias",
        "HelloHttpIntegration",
        "HelloHttpPermission",
    }


@pytest.mark.parametrize(
    ("arguments", "code", "error", "hint"),
    [
        (["deploy", "--region", "eu-west-1"], 1, "unable to locate credentials", "aws sso login"),
        (["deploy"], 2, "there is no region", "--region eu-west-1"),
        (["deploy", "--region", "eu-wset-1"], 2, "there is no region 'eu-wset-1'", "did you mean 'eu-west-1'?"),
        (["deploy", "--profile", "work"], 2, "there is no profile 'work'", "~/.aws/config has none"),
        (["deploy", "--stage", "no stage"], 2, "this is no name for a stage", "letters, digits and dashes"),
        (["deploy", "--stage", "s" * 60], 2, "Lambda allows 64", "shorten the name"),
        (["deploy", "--allow-replace"], 2, "--allow-replace is for --yes", ""),
        (["status", "--region", "eu-west-1"], 1, "unable to locate credentials", "aws sso login"),
        (["destroy", "--region", "eu-west-1"], 1, "unable to locate credentials", "aws sso login"),
        (["destroy", "--stage", "no stage"], 2, "this is no name for a stage", "letters, digits and dashes"),
        (["destroy", "--allow-data-loss"], 2, "--allow-data-loss is for --yes", ""),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_built(
    service: Path, no_aws: None, arguments: list[str], code: int, error: str, hint: str
) -> None:
    done = run(*arguments, "--dir", str(service))
    assert (done.code, done.out) == (code, "")
    assert error in done.err
    assert hint in done.err
    assert not (service / ".pilotlight").exists()


def test_a_function_that_cannot_run_is_not_deployed(service: Path, no_aws: None) -> None:
    write(service, {"inference/broken.py": "def handler(event, context:\n"})
    done = run("deploy", "--region", "eu-west-1", "--dir", str(service))
    assert done.code == 1
    assert "inference/broken.py" in done.err


# with an account


@pytest.fixture
def script(aws: Session, service: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """An account whose CloudFormation is written here."""
    monkeypatch.setattr(session, "open", lambda profile, region: aws)
    return Script(aws)


@pytest.fixture
def front() -> Iterator[str]:
    """The URL of an API that is live, as far as its clients see."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            answer = json.dumps({"greeting": f"Hello, {body['name']}"}).encode()
            self.send_response(200 if body["name"] == "Ada" else 502)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hello"
        server.shutdown()
        thread.join()


def command(*arguments: str, answers: str = "") -> Run:
    done = click.testing.CliRunner().invoke(cli, arguments, input=answers, standalone_mode=False)
    if done.exception:
        raise done.exception
    return Run(done.return_value or 0, done.stdout, done.stderr)


STACK = ("service", "AWS::CloudFormation::Stack")
TAGS = [{"Key": "pilotlight:service", "Value": "service"}]


def state(script: Script, asked: str, status: str, **outputs: str) -> None:
    found = {
        "StackName": "service",
        "StackId": ARN,
        "CreationTime": THEN,
        "StackStatus": status,
        "Tags": TAGS,
        "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()],
    }
    script.answer("describe_stacks", {"Stacks": [found]}, {"StackName": asked})


def event(number: int, of: tuple[str, str], status: str, reason: str = "") -> dict[str, Any]:
    return {
        "StackId": ARN,
        "EventId": f"{number}",
        "StackName": "service",
        "LogicalResourceId": of[0],
        "PhysicalResourceId": ARN,
        "ResourceType": of[1],
        "ResourceStatus": status,
        "Timestamp": THEN,
        "ResourceStatusReason": reason,
    }


def created(script: Script, *changes: dict[str, Any]) -> None:
    """No stack yet, and a change set that makes it."""
    script.no_stack("service")
    asked = {
        "StackName": "service",
        "ChangeSetName": ANY,
        "ClientToken": ANY,
        "ChangeSetType": "CREATE",
        "TemplateURL": ANY,
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
        "Tags": TAGS,
        "ImportExistingResources": False,
    }
    script.answer("create_change_set", {"Id": SET, "StackId": ARN}, asked)
    script.described("CREATE_COMPLETE", *changes)


def executed(script: Script, url: str) -> None:
    script.answer("describe_stack_events", {"StackEvents": []})
    script.execute()
    state(script, ARN, "CREATE_COMPLETE", HelloUrl=url, HelloFunctionName="service--hello")
    found = [event(2, STACK, "CREATE_COMPLETE"), event(1, STACK, "CREATE_IN_PROGRESS")]
    script.answer("describe_stack_events", {"StackEvents": found})


ROLE = change(("HelloRole", "AWS::IAM::Role"), "Add")


@pytest.fixture
def versions(aws: Session) -> Callable[..., None]:
    """Lambda answers with these versions, and one alias on the last."""
    from botocore.stub import Stubber

    stub = Stubber(aws.client("lambda"))
    stub.activate()

    def answer(*found: str) -> None:
        aliases = [{"Name": "live", "FunctionVersion": found[-1]}]
        stub.add_response("list_aliases", {"Aliases": aliases}, {"FunctionName": "service--hello"})
        listed = [{"Version": version} for version in ("$LATEST", *found)]
        stub.add_response("list_versions_by_function", {"Versions": listed}, {"FunctionName": "service--hello"})

    return answer


def test_a_service_is_deployed(
    script: Script, service: Path, front: str, versions: Callable[..., None], aws: Session
) -> None:
    created(script, ROLE)
    executed(script, front)
    versions("1")
    done = command("deploy", "--dir", str(service), answers="y\n")
    script.done()
    assert done.code == 0
    assert "service (new): 1 changes\n  add       HelloRole                        AWS::IAM::Role\n" in done.out
    assert "CREATE_COMPLETE              service (AWS::CloudFormation::Stack)" in done.err
    curl = f"curl -s '{front}' -H 'content-type: application/json' -d '{{\"name\": \"Ada\"}}'"
    assert f"  {curl}\n" in done.out
    assert f"passed hello.json by {front} in " in done.out
    assert '{"greeting": "Hello, Ada"}' in done.out
    kept = [each["Key"] for each in aws.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert sorted(key.rpartition("/")[0] for key in kept) == ["service/templates", "service/zips"]


def test_the_same_again_is_no_change_and_sends_nothing(
    script: Script, service: Path, front: str, versions: Callable[..., None], aws: Session
) -> None:
    for status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        state(script, "service", status)
        script.answer("create_change_set", {"Id": SET, "StackId": ARN}, None)
        script.answer("list_change_sets", {"Summaries": []}, {"StackName": ARN})
        script.described("FAILED", StatusReason=NO_CHANGE)
        script.answer("delete_change_set", {}, {"ChangeSetName": SET})
        state(script, "service", status, HelloUrl=front)
        versions("1", "2")
    first = command("deploy", "--dir", str(service), "--json", "--yes")
    there = aws.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    second = command("deploy", "--dir", str(service), "--json", "--yes")
    script.done()
    assert aws.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"] == there
    for done in (first, second):
        notes = [record["text"] for record in done.records if record.get("kind") == "note"]
        assert "no change: service is as it should be" in notes
        assert "versions service--hello 1: no alias leads there: --prune deletes them" in notes
        assert done.record("outputs")["outputs"] == {"HelloUrl": front}
        assert done.record("test")["error"] == ""


def test_an_answer_of_no_changes_nothing(script: Script, service: Path) -> None:
    created(script, ROLE)
    script.answer("delete_stack", {}, {"StackName": ARN})
    done = command("deploy", "--dir", str(service), answers="n\n")
    script.done()
    assert done.code == 1
    assert "nothing was changed" in done.err


def test_where_nobody_answers_nothing_stays(script: Script, service: Path) -> None:
    created(script, ROLE)
    script.answer("delete_stack", {}, {"StackName": ARN})
    with pytest.raises(UsageError, match="nobody is there to answer") as caught:
        command("deploy", "--dir", str(service))
    script.done()
    assert caught.value.hint == "--yes answers for you"


@pytest.mark.parametrize(
    ("arguments", "answers", "code"),
    [
        (["--yes"], "", 1),
        (["--yes", "--allow-replace"], "", 0),
        ([], "y\nn\n", 1),
        ([], "y\ny\n", 0),
    ],
)
def test_lost_data_needs_a_yes_of_its_own(
    script: Script,
    service: Path,
    front: str,
    versions: Callable[..., None],
    arguments: list[str],
    answers: str,
    code: int,
) -> None:
    table = ("RecordsTable", "AWS::DynamoDB::Table")
    created(script, change(table, "Remove", PolicyAction="Delete"))
    if code == 0:
        executed(script, front)
        versions("1")
    else:
        script.answer("delete_stack", {}, None)
    done = command("deploy", "--dir", str(service), *arguments, answers=answers)
    script.done()
    assert done.code == code
    assert "what is in it is lost" in done.out
    if arguments == ["--yes"]:
        assert "refused: RecordsTable: what is in it is lost: --allow-replace allows that" in done.err


def test_a_zip_that_becomes_an_image_is_refused_before_anything_is_changed(script: Script, service: Path) -> None:
    function = ("HelloFunction", "AWS::Lambda::Function")
    created(script, change(function, "Modify", Replacement="True", PhysicalResourceId="service--hello"))
    script.answer("delete_stack", {}, None)
    with pytest.raises(StackError) as caught:
        command("deploy", "--dir", str(service), "--yes", "--allow-replace")
    script.done()
    assert str(caught.value) == "changing service--hello: AWS makes no image of a zip, nor a zip of an image"
    assert caught.value.hint == "rename the function's file, or keep `package` as it was; nothing was changed"


def test_a_table_with_another_key_is_refused_before_anything_is_changed(script: Script, service: Path) -> None:
    details = [{"Target": {"Attribute": "Properties", "Name": "KeySchema"}}]
    table = ("WordsTable", "AWS::DynamoDB::Table")
    created(script, change(table, "Modify", Replacement="True", PhysicalResourceId="service-words", Details=details))
    script.answer("delete_stack", {}, None)
    with pytest.raises(StackError, match="changing service-words: a table's key stays what it is") as caught:
        command("deploy", "--dir", str(service), "--yes", "--allow-replace")
    script.done()
    assert caught.value.hint.endswith("or keep its `key`; nothing was changed")


def test_an_image_that_would_become_a_zip_is_refused_before_anything_is_sent(
    script: Script, service: Path, aws: Session
) -> None:
    from botocore.stub import Stubber

    with Stubber(aws.client("lambda")) as stub:
        asked = {"FunctionName": "service--hello"}
        stub.add_response("get_function_configuration", {"PackageType": "Image"}, asked)
        with pytest.raises(StackError) as caught:
            command("deploy", "--dir", str(service), "--yes", "--allow-replace")
        stub.assert_no_pending_responses()
    script.done()
    assert str(caught.value) == "changing service--hello: AWS makes no zip of an image; nothing was sent"
    assert aws.client("s3").list_buckets()["Buckets"] == []


def test_a_test_event_that_fails_is_told(
    script: Script, service: Path, front: str, versions: Callable[..., None]
) -> None:
    write(service, {"events/hello.json": '{"name": "Bob"}'})
    created(script, ROLE)
    executed(script, front)
    versions("1")
    done = command("deploy", "--dir", str(service), "--yes")
    assert done.code == 1
    assert "failed hello.json by " in done.out
    assert "HTTP 502" in done.out


def test_status(script: Script, service: Path, aws: Session) -> None:
    state(script, "service", "UPDATE_ROLLBACK_COMPLETE", HelloUrl="https://x")
    found = [
        event(3, STACK, "UPDATE_ROLLBACK_COMPLETE"),
        event(2, ("HelloFunction", "AWS::Lambda::Function"), "UPDATE_FAILED", "Rate exceeded"),
        event(1, STACK, "UPDATE_IN_PROGRESS"),
    ]
    script.answer("describe_stack_events", {"StackEvents": found})
    from botocore.stub import Stubber

    with Stubber(aws.client("lambda")) as stub:
        stub.add_response("get_alias", {"FunctionVersion": "7"}, {"FunctionName": "service--hello", "Name": "live"})
        configuration = {"State": "Active", "MemorySize": 1769, "LastModified": "2026-11-28T18:45:00.000+0000"}
        stub.add_response("get_function_configuration", configuration, None)
        done = command("status", "--dir", str(service))
    script.done()
    assert done.code == 1
    assert done.out == (
        "service: UPDATE_ROLLBACK_COMPLETE, 2026-11-28 18:45:00 UTC\n"
        "  service--hello  version 7  Active  1769 MB  2026-11-28T18:45:00.000+0000\n"
        "  HelloUrl                     https://x\n"
        "  HelloFunction (AWS::Lambda::Function): Rate exceeded (AWS asked to wait: deploy again in a minute)\n"
    )


def test_status_says_what_an_update_has_left(script: Script, service: Path, aws: Session) -> None:
    state(script, "service", "UPDATE_COMPLETE")
    found = [
        event(4, STACK, "UPDATE_COMPLETE"),
        event(3, ("Vpc", "AWS::EC2::VPC"), "DELETE_FAILED", "The vpc has dependencies and cannot be deleted."),
        event(2, STACK, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
        event(1, STACK, "UPDATE_IN_PROGRESS"),
    ]
    script.answer("describe_stack_events", {"StackEvents": found})
    from botocore.stub import Stubber

    with Stubber(aws.client("lambda")) as stub:
        stub.add_client_error("get_alias", "ResourceNotFoundException", "no", 404)
        done = command("status", "--dir", str(service))
    script.done()
    assert done.code == 0
    assert "  these could not be deleted, and are in no stack now:\n  Vpc " in done.out
    assert "aws ec2 delete-vpc --vpc-id " in done.out


def test_status_of_nothing(script: Script, service: Path) -> None:
    script.no_stack("service")
    done = command("status", "--dir", str(service))
    assert (done.code, done.out) == (1, "")
    assert "there is no stack service in eu-west-1: `pilotlight deploy` makes it" in done.err


def test_destroy_shows_and_asks(script: Script, service: Path, aws: Session) -> None:
    for _ in range(2):
        state(script, "service", "UPDATE_COMPLETE")
        script.answer("list_stack_resources", {"StackResourceSummaries": []}, {"StackName": ARN})
        script.answer("describe_stacks", {"Stacks": []}, {})
    shown = command("destroy", "--dir", str(service), "--dry-run")
    assert shown.code == 0
    assert shown.out == "service: UPDATE_COMPLETE, 0 resources\n"
    refused = command("destroy", "--dir", str(service), answers="n\n")
    script.done()
    assert refused.code == 1
    assert "nothing was removed" in refused.err


def test_destroy(script: Script, service: Path, aws: Session) -> None:
    state(script, "service", "UPDATE_COMPLETE")
    script.answer("list_stack_resources", {"StackResourceSummaries": []}, {"StackName": ARN})
    script.answer("describe_stacks", {"Stacks": []}, {})
    script.answer("describe_stack_events", {"StackEvents": [event(1, STACK, "UPDATE_COMPLETE")]})
    script.answer("delete_stack", {}, None)
    state(script, ARN, "DELETE_COMPLETE")
    found = [
        event(3, STACK, "DELETE_COMPLETE"),
        event(2, STACK, "DELETE_IN_PROGRESS"),
        event(1, STACK, "UPDATE_COMPLETE"),
    ]
    script.answer("describe_stack_events", {"StackEvents": found})
    script.no_stack("service")
    done = command("destroy", "--dir", str(service), "--yes", "--json")
    script.done()
    assert done.code == 0
    assert [record["status"] for record in done.records if record["kind"] == "event"] == [
        "DELETE_IN_PROGRESS",
        "DELETE_COMPLETE",
    ]
    assert done.record("left") == {"kind": "left", "left": []}


def test_an_interrupt_of_an_upload_leaves_the_stack_as_it_was(
    script: Script, service: Path, aws: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(**_: object) -> None:
        raise KeyboardInterrupt

    aws.client("s3").meta.events.register("before-call.s3.PutObject", interrupt)
    done = click.testing.CliRunner().invoke(cli, ["deploy", "--yes", "--dir", str(service)], standalone_mode=False)
    script.done()
    assert isinstance(done.exception, click.Abort)
    assert "the stack is as it was: the same command sends what is not there yet" in done.stderr


def test_an_interrupt_leaves_cloudformation_at_work(
    script: Script, service: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the events come; the next run joins, as the tests of states show."""
    created(script, ROLE)
    script.answer("describe_stack_events", {"StackEvents": []})
    script.execute()
    state(script, ARN, "CREATE_IN_PROGRESS")
    script.answer("describe_stack_events", {"StackEvents": [event(1, STACK, "CREATE_IN_PROGRESS")]})

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pilotlight.cli.deploy_output.sleep", interrupt)
    done = click.testing.CliRunner().invoke(cli, ["deploy", "--yes", "--dir", str(service)], standalone_mode=False)
    script.done()
    assert isinstance(done.exception, click.Abort)
    assert "CloudFormation goes on: the same command waits for it and does the rest" in done.stderr


def test_an_image_goes_into_the_repository_of_the_service(
    script: Script, service: Path, front: str, versions: Callable[..., None], aws: Session
) -> None:
    """ECR says where images go: here to a registry of this machine."""
    write(service, {"pilotlight.toml": '[build]\nbase_image = "scratch"\n'})
    registry = MemoryRegistry()
    created(script, ROLE)
    executed(script, front)
    versions("1")
    with http_servers.serving(registry) as server:

        def to_this_machine(parsed: dict[str, Any], **_: object) -> None:
            parsed["authorizationData"][0]["proxyEndpoint"] = f"http://127.0.0.1:{server.port}"

        aws.client("ecr").meta.events.register("after-call.ecr.GetAuthorizationToken", to_this_machine)
        done = command("deploy", "--dir", str(service), "--yes")
    assert done.code == 0
    assert "made the repository pilotlight/service" in done.err
    artifact = json.loads((service / ".pilotlight/build/hello.json").read_text())
    tag = f"hello-{artifact['digest'].removeprefix('sha256:')[:12]}"
    assert ("pilotlight/service", tag) in registry.manifests
    assert digest_of(registry.manifests["pilotlight/service", tag][1]) == artifact["digest"]
    assert aws.client("ecr").get_repository_policy(repositoryName="pilotlight/service")["policyText"]
