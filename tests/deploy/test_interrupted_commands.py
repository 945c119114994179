"""Ctrl-C in `pilotlight deploy` and `destroy` as processes: status 130, one line that says what is done and what the
same command will do, and at the second one the end at once. S3, STS and ECR are moto's, CloudFormation is a server here
that has one stack."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import httpx
import pytest
import wheels

from conftest import until, write
from http_servers import Cut, Request, answer, serving

pytestmark = pytest.mark.system  # for their time alone: each is a process that builds

ARN = "arn:aws:cloudformation:eu-west-1:123456789012:stack/service/1f2c3d40"
_TIME = "2026-11-28T18:45:00Z"
_PATIENCE = 100.0  # seconds


class Held:
    """A request that is answered when the test lets it, if ever."""

    def __init__(self) -> None:
        self.came, self.free = threading.Event(), threading.Event()

    def hold(self) -> None:
        self.came.set()
        self.free.wait(_PATIENCE)


class CloudFormation:
    """One stack, of which `status` is "" for none. Requests of the action `held` wait."""

    def __init__(self) -> None:
        self.status, self.held_action, self.held = "", "", Held()
        self.actions: list[str] = []

    def __call__(self, request: Request) -> bytes:
        action = parse_qs(request.body.decode())["Action"][0]
        self.actions.append(action)
        if action == self.held_action:
            self.held.hold()
        if action == "DescribeStacks" and not self.status:
            error = "<Code>ValidationError</Code><Message>Stack with id service does not exist</Message>"
            return answer(400, f"<ErrorResponse><Error>{error}</Error></ErrorResponse>".encode())
        result = f"<{action}Result>{getattr(self, f'_{action}')()}</{action}Result>"
        return answer(200, f"<{action}Response>{result}</{action}Response>".encode())

    def _DescribeStacks(self) -> str:
        tag = "<member><Key>pilotlight:service</Key><Value>service</Value></member>"
        named = f"<StackName>service</StackName><StackId>{ARN}</StackId><CreationTime>{_TIME}</CreationTime>"
        stack = f"{named}<StackStatus>{self.status}</StackStatus><Tags>{tag}</Tags>"
        return f"<Stacks><member>{stack}</member></Stacks>"

    def _DescribeStackEvents(self) -> str:
        named = f"<StackId>{ARN}</StackId><StackName>service</StackName><PhysicalResourceId>{ARN}</PhysicalResourceId>"
        of = "<LogicalResourceId>service</LogicalResourceId><ResourceType>AWS::CloudFormation::Stack</ResourceType>"
        how = f"<EventId>1</EventId><Timestamp>{_TIME}</Timestamp><ResourceStatus>{self.status}</ResourceStatus>"
        running = self.status.endswith("_IN_PROGRESS")
        return f"<StackEvents>{f'<member>{named}{of}{how}</member>' if running else ''}</StackEvents>"

    def _CreateChangeSet(self) -> str:
        return f"<Id>arn:aws:cloudformation:eu-west-1:123456789012:changeSet/x/1</Id><StackId>{ARN}</StackId>"

    def _DescribeChangeSet(self) -> str:
        change = "<Action>Add</Action><LogicalResourceId>HelloRole</LogicalResourceId>"
        made = f"{change}<ResourceType>AWS::IAM::Role</ResourceType>"
        changes = f"<member><Type>Resource</Type><ResourceChange>{made}</ResourceChange></member>"
        return f"<StackId>{ARN}</StackId><Status>CREATE_COMPLETE</Status><Changes>{changes}</Changes>"

    def _ExecuteChangeSet(self) -> str:
        self.status = "CREATE_IN_PROGRESS"
        return ""

    def _ListStackResources(self) -> str:
        return "<StackResourceSummaries/>"

    def _DeleteStack(self) -> str:
        self.status = "DELETE_IN_PROGRESS"
        return ""


class Buckets:
    """moto's S3, at which the second part of an upload waits."""

    def __init__(self, url: str) -> None:
        self._url, self.held = url, Held()

    def __call__(self, request: Request) -> bytes:
        if parse_qs(urlsplit(request.target).query).get("partNumber") == ["2"]:
            self.held.hold()
        if len(request.body) < int(request.headers.get("content-length", "0")):
            return Cut()  # who sent it has ended
        headers = {name: text for name, text in request.headers.items() if name not in ("connection", "expect")}
        url = f"{self._url}{request.target}"
        done = httpx.request(request.method, url, headers=headers, content=request.body, timeout=_PATIENCE)
        kept = ("etag", "x-amz-bucket-region", "content-type", "last-modified")
        lines = "".join(f"{name}: {done.headers[name]}\r\n" for name in kept if name in done.headers)
        if request.method == "HEAD":
            length = done.headers.get("content-length", "0")
            return f"HTTP/1.1 {done.status_code} Told\r\n{lines}Content-Length: {length}\r\n\r\n".encode()
        return answer(done.status_code, done.content, lines)


class Account(NamedTuple):
    """`start("deploy")` begins a command of a service of 20 MB."""

    start: Callable[..., "subprocess.Popen[str]"]
    stacks: CloudFormation
    buckets: Buckets
    url: str


@pytest.fixture
def account(environ: None, moto_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    wheels.use(monkeypatch, tmp_path / "wheels")
    for name, version in (("msgspec", "0.22.0"), ("multipart", "2.0.1")):
        wheels.wheel(tmp_path / "wheels", name, version)
    monkeypatch.setenv("PILOTLIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    root = write(tmp_path / "service", {"inference/hello.py": "def handler(event, context):\n    return event\n"})
    (root / "noise").write_bytes(random.Random(0).randbytes(20_000_000))  # which goes up in two parts
    stacks, buckets = CloudFormation(), Buckets(moto_url)
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "pilotlight", *arguments, "--dir", str(root)]
        piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        processes.append(subprocess.Popen(command, text=True, env=dict(os.environ), **piped))
        return processes[-1]

    with serving(stacks) as first, serving(buckets) as second:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", f"http://127.0.0.1:{first.port}")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{second.port}")
        yield Account(start, stacks, buckets, moto_url)
        for process in processes:
            process.kill()
            process.communicate()
        stacks.held.free.set()
        buckets.held.free.set()


def waits(process: "subprocess.Popen[str]") -> bool:
    """Whether its main thread sleeps (proc_pid_stat(5))."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].startswith("S")


def interrupted(process: "subprocess.Popen[str]", held: Held | None = None) -> tuple[int, str, str]:
    """Its status and what it wrote from the signal on, to stdout and to stderr."""
    process.send_signal(signal.SIGINT)
    if held:
        held.free.set()
    out, err = process.communicate(timeout=_PATIENCE)
    return process.returncode, out, err


SENDING = "the stack is as it was: the same command sends what is not there yet"


def test_an_upload_is_gone_on_with(account: Account) -> None:
    process = account.start("deploy", "--yes")
    assert account.buckets.held.came.wait(_PATIENCE)
    status, _, err = interrupted(process, account.buckets.held)
    assert (status, err.splitlines()[-1]) == (130, SENDING)
    assert err.count("the same command") == 1
    assert account.stacks.actions == []
    account.stacks.held_action = "CreateChangeSet"
    again = account.start("deploy", "--yes")
    assert account.stacks.held.came.wait(_PATIENCE)  # all that it needs is in the bucket
    status, _, err = interrupted(again, account.stacks.held)
    assert status == 130
    assert err.splitlines()[-1].startswith("no change was begun: the same command looks at the stack")


def test_the_second_interrupt_ends_an_upload_that_hangs(account: Account) -> None:
    process = account.start("deploy", "--yes")
    assert account.buckets.held.came.wait(_PATIENCE)
    process.send_signal(signal.SIGINT)
    _until(process, SENDING)
    status, _, err = interrupted(process)
    assert (status, err) == (-signal.SIGINT, "")  # a shell says 130 of it
    assert not account.buckets.held.free.is_set()


def _until(process: "subprocess.Popen[str]", text: str) -> str:
    assert process.stderr is not None
    return next(line for line in process.stderr if text in line)


def test_waiting_is_gone_on_with(account: Account) -> None:
    account.buckets.held.free.set()
    process = account.start("deploy", "--yes", "--json")
    assert process.stdout is not None
    next(line for line in process.stdout if json.loads(line).get("kind") == "event")
    status, out, err = interrupted(process)
    text = "CloudFormation goes on: the same command waits for it and does the rest"
    assert status == 130
    assert text not in err
    assert [json.loads(line) for line in out.splitlines()] == [{"kind": "note", "text": text}]
    joined = account.start("deploy", "--yes")
    _until(joined, "service is CREATE_IN_PROGRESS: waiting until that has ended")


def test_building_sends_nothing(account: Account) -> None:
    process = account.start("deploy", "--yes")
    _until(process, "resolving and installing")
    status, _, err = interrupted(process)
    said = "nothing was sent, the stack is as it was: the same command begins with the build"
    assert (status, err.splitlines()[-1]) == (130, said)
    with urlopen(f"{account.url}/", timeout=60) as response:
        assert b"pilotlight-artifacts" not in response.read()


def test_a_question_that_is_not_answered_changes_nothing(account: Account) -> None:
    account.buckets.held.free.set()
    process = account.start("deploy")
    assert process.stderr is not None
    while not "".join(iter(lambda: process.stderr.read(1), " ")).endswith("service?"):
        continue
    until(lambda: waits(process))  # for the answer; a moment before, it would find that there is none
    status, _, err = interrupted(process)
    assert status == 130
    assert "nothing was changed: the same command asks anew" in err
    assert account.stacks.actions[-1] == "DeleteStack"  # that of the name alone, which the change set had made


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("ListStackResources", "nothing was removed: the same command looks anew"),
        ("DescribeStackEvents", "CloudFormation goes on with what was begun: the same command does the rest"),
    ],
    ids=["planning", "removing"],
)
def test_what_destroy_does_is_gone_on_with(account: Account, action: str, said: str) -> None:
    account.stacks.status, account.stacks.held_action = "UPDATE_COMPLETE", action
    process = account.start("destroy", "--yes")
    assert account.stacks.held.came.wait(_PATIENCE)
    status, _, err = interrupted(process, account.stacks.held)
    assert (status, err.splitlines()[-1]) == (130, said)
    assert err.count("the same command") == 1
