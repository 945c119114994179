"""`pilotlight tune --remote`: functions made, changed and deleted on moto's Lambda.

What they answer has REPORT lines in the form of AWS's, since moto runs functions in Docker alone.
"""

import base64
import hashlib
import http.client
import io
import itertools
import json
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from subprocess import PIPE
from typing import Any, NamedTuple

import click
import pytest

from conftest import write
from http_servers import Request, answer, serving
from pilotlight import project
from pilotlight.cli import cli, tune_remote
from pilotlight.cli.place import Place
from pilotlight.cli.tune_remote import Options
from pilotlight.deploy import session as sessions
from pilotlight.deploy import tuning
from pilotlight.deploy.session import Session
from pilotlight.errors import AwsUnreachable, DeployError, FunctionError, UsageError
from pilotlight.measure.sweep import Plan
from pilotlight.measure.tune import Pricing

NAME, BUCKET = "service--echo", "pilotlight-artifacts-123456789012-eu-west-1"
ELF = {"x86_64": b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\x3e\x00", "arm64": b"\x7fELF" + bytes(14) + b"\xb7\x00"}
REPORT = (
    "START RequestId: {id} Version: $LATEST\nEND RequestId: {id}\nREPORT RequestId: {id}\tDuration: {duration:.2f} ms\t"
    "Billed Duration: {billed} ms\tMemory Size: {memory} MB\tMax Memory Used: 57 MB\t{more}\n"
)
OUT_OF_MEMORY = "Status: error\tError Type: Runtime.OutOfMemory"
KILLED = {
    "errorType": "Runtime.ExitError",
    "errorMessage": "RequestId: 1 Error: Runtime exited with error: signal: killed",
}


class Lambda:
    """moto's, but for invocations: a function of 64 MB, whose time is that of a processor at its share.

    `broken` is what each of them answers with, `invoked` is called before. `asked` are the method and path of each
    request, `events` what the function was given."""

    def __init__(self, moto_url: str) -> None:
        self.begin_anew()
        self._host = moto_url.removeprefix("http://").rstrip("/")
        self._is_cold: set[str] = set()

    def begin_anew(self) -> None:
        self.asked: list[str] = []
        self.events: list[Any] = []
        self.broken: dict[str, str] | None = None
        self.invoked: Callable[[], None] = lambda: None

    def __call__(self, request: Request) -> bytes:
        path = request.target.partition("?")[0]
        self.asked.append(f"{request.method} {path}")
        found = re.fullmatch(r"/2015-03-31/functions/([^/]+)/(invocations|configuration)", path)
        if found and found[2] == "invocations":
            self.events.append(json.loads(request.body))
            self.invoked()
            return self._invoked(found[1])
        if found and request.method == "PUT":
            self._is_cold.add(found[1])
        return self._forwarded(request)

    def _forwarded(self, request: Request) -> bytes:
        connection = http.client.HTTPConnection(self._host)
        connection.request(request.method, request.target, request.body, request.headers)
        got = connection.getresponse()
        head = "".join(f"{name}: {value}\r\n" for name, value in got.getheaders() if name.lower().startswith("x-amz"))
        body = got.read()
        connection.close()
        return answer(got.status, body, head)

    def _invoked(self, name: str) -> bytes:
        memory = int(name.split("-")[3])
        init = "Init Duration: 240.00 ms\t" if name in self._is_cold else ""
        self._is_cold.discard(name)
        duration = 9.5 * 1769 / min(memory, 1769)
        error, payload, more = "", {"answer": 1}, init
        if memory < 256:
            error, payload, more = "Unhandled", KILLED, OUT_OF_MEMORY
        elif self.broken:
            error, payload = "Unhandled", self.broken
        billed = int(duration + (240 if init else 0)) + 1
        log = REPORT.format(id="5d2f8f0a-5f61", duration=duration, billed=billed, memory=memory, more=more)
        head = f"X-Amz-Log-Result: {base64.b64encode(log.encode()).decode()}\r\n"
        return answer(200, json.dumps(payload).encode(), head + (f"X-Amz-Function-Error: {error}\r\n" if error else ""))


class Account(NamedTuple):
    session: Session
    served: Lambda
    root: Path

    def functions(self) -> list[str]:
        found = self.session.client("lambda").list_functions()["Functions"]
        return [each["FunctionName"] for each in found]

    def tune(self, *arguments: str) -> int:
        command = ["tune", "echo", "--dir", str(self.root), "--remote", *arguments]
        return int(cli.main(command, "pilotlight", standalone_mode=False) or 0)


def package(**files: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in {"inference/echo.py": b"def handler(event, context): return 1", **files}.items():
            archive.writestr(name, content)
    return made.getvalue()


def deploy(session: Session, code: bytes) -> None:
    """As `pilotlight deploy` leaves it, as far as moto goes."""
    s3, iam, client = (session.client(name) for name in ("s3", "iam", "lambda"))
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    key = f"service/zips/{hashlib.sha256(code).hexdigest()}.zip"
    s3.put_object(Bucket=BUCKET, Key=key, Body=code)
    trust = {
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}]
    }
    role = iam.create_role(RoleName="echo", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    client.create_function(
        FunctionName=NAME,
        Runtime="python3.13",
        Role=role,
        Handler="inference/echo.handler",
        Code={"S3Bucket": BUCKET, "S3Key": key},
        Timeout=20,
        MemorySize=1769,
        EphemeralStorage={"Size": 1024},
        Environment={"Variables": {"STAGE": "", "PILOTLIGHT_RECORDS": "{}", "WORDS": "words"}},
        Publish=True,
    )
    client.create_alias(FunctionName=NAME, Name="live", FunctionVersion="1")


@pytest.fixture(scope="module")
def served(moto_url: str) -> Iterator[tuple[Lambda, str]]:
    """It, and its URL."""
    made = Lambda(moto_url)
    with serving(made) as server:
        yield made, f"http://127.0.0.1:{server.port}"


opened = cache(lambda url: sessions.open())  # once for each URL: clients of boto3 take a while


@pytest.fixture
def account(environ: None, served: tuple[Lambda, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    files = {
        "inference/echo.py": "def handler(event, context): return 1",
        "events/echo.json": '{"text": "a film"}',
        "pilotlight.toml": "[functions.echo]\nmemory = 1769\ntimeout = 20\n",
    }
    root = write(tmp_path / "service", files)
    made, url = served
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", url)
    session: Session = opened(url)
    monkeypatch.setattr(Place, "session", lambda place, service: session)
    deploy(session, package())
    made.begin_anew()
    return Account(session, made, root)


SMALL = ("--memory", "128,512,1769", "--runs", "2", "--requests", "3")


def test_settings_are_measured_and_nothing_is_left(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    assert account.tune(*SMALL, "--yes", "--json", "--write") == 0
    assert account.functions() == [NAME]
    records = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    found = records[-1]
    settings = [(each["memory"], each["architecture"], each["reason"], each["requests"]) for each in found["settings"]]
    assert settings == [(128, "x86_64", "out of memory", 0), (512, "x86_64", "", 6), (1769, "x86_64", "", 6)]
    smaller, larger = found["settings"][1:]
    assert (larger["warm_p50"], larger["billed"], larger["init"], larger["cold_p50"]) == (9.5, 10.0, 240.0, 249.5)
    assert (larger["billed_cold"], larger["peak"]) == (250.0, 57.0)
    assert smaller["warm_p50"] == pytest.approx(9.5 * 1769 / 512, abs=0.01)
    assert (found["target"], found["is_whole"], found["assumed"]) == ("in eu-west-1", True, [])
    assert found["choices"]["x86_64"]["fastest"]["memory"] == 1769
    assert (account.root / "pilotlight.toml").read_text().endswith("memory = 1769\ntimeout = 20\n")


def test_what_is_live_is_not_touched(account: Account) -> None:
    account.tune(*SMALL, "--yes", "--json")
    asked = {each for each in account.served.asked if NAME in each}
    assert asked == {f"GET /2015-03-31/functions/{NAME}"}
    assert account.served.events == [{"text": "a film"}] * 17  # two rounds of four for each of two, one out of memory


def test_a_temporary_function_is_like_the_live_one(account: Account) -> None:
    like = tuning.original(account.session, NAME)
    name = tuning.called(NAME, 512, "arm64")
    code = tuning.code(account.session, like, "service", "arm64", account.root / "none.zip")
    tuning.create(account.session, like, name, 512, "arm64", code)
    client = account.session.client("lambda")
    made, live = (client.get_function(FunctionName=each)["Configuration"] for each in (name, NAME))
    same = ("Role", "Runtime", "Handler", "Timeout", "EphemeralStorage", "CodeSha256")
    assert {field: made[field] for field in same} == {field: live[field] for field in same}
    assert (made["MemorySize"], made["Architectures"]) == (512, ["arm64"])
    assert made["Environment"]["Variables"] == {"STAGE": "", "WORDS": "words", "PILOTLIGHT_TUNE": "0"}
    assert client.list_tags(Resource=made["FunctionArn"])["Tags"] == {"pilotlight:tune": NAME}
    tuning.renew(account.session, like, name, 7)
    changed = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    assert changed == {"STAGE": "", "WORDS": "words", "PILOTLIGHT_TUNE": "7"}
    assert tuning.left(account.session, NAME) == [name]


def test_a_dry_run_makes_nothing(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    assert account.tune(*SMALL, "--dry-run") == 0
    err = capsys.readouterr().err
    assert "3 temporary functions made like service--echo, removed at the end: 128 MB x86_64, 512 MB x86_64" in err
    assert "each has 2 cold starts and at most 6 warm requests: $0.000 where a request takes a second" in err
    assert {each.split()[0] for each in account.served.asked} == {"GET"}


def test_somebody_has_to_agree(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(click, "confirm", lambda question, err: False)
    assert account.tune(*SMALL) == 1
    assert {each.split()[0] for each in account.served.asked} == {"GET"}


def test_a_function_that_fails_leaves_nothing(account: Account) -> None:
    account.served.broken = {"errorType": "ValueError", "errorMessage": "no luck"}
    with pytest.raises(FunctionError, match="at 512 MB it failed: ValueError: no luck"):
        account.tune("--memory", "512", "--yes")
    assert account.functions() == [NAME]


def test_both_architectures(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    assert account.tune("--memory", "512", "--runs", "1", "--requests", "1", "--architecture", "both", "--yes") == 0
    out, err = capsys.readouterr()
    assert [line.split()[-1] for line in out.splitlines() if "$ per million" in line] == ["x86_64", "arm64"]
    assert "arm64 costs less as long as it takes less than 1.25 times as long as x86_64." in err
    assert account.functions() == [NAME]


def test_machine_code_needs_a_package_of_its_own(account: Account) -> None:
    code = package(**{"libort.so": ELF["x86_64"]})
    key = f"service/zips/{hashlib.sha256(code).hexdigest()}.zip"
    s3 = account.session.client("s3")
    s3.put_object(Bucket=BUCKET, Key=key, Body=code)
    like = tuning.original(account.session, NAME)
    digest = base64.b64encode(hashlib.sha256(code).digest()).decode()
    like = like._replace(configuration={**like.configuration, "CodeSha256": digest})
    built = account.root / "echo.zip"
    with pytest.raises(UsageError, match="has machine code, and none for arm64 was built") as error:
        tuning.code(account.session, like, "service", "arm64", built)
    assert error.value.hint == f"`pilotlight build echo --target arm64 --out {account.root}`"
    built.write_bytes(code)
    with pytest.raises(UsageError, match=r"libort\.so is not for arm64"):
        tuning.code(account.session, like, "service", "arm64", built)
    built.write_bytes(package(**{"libort.so": ELF["arm64"]}))
    sent = tuning.code(account.session, like, "service", "arm64", built)
    assert s3.get_object(Bucket=BUCKET, Key=sent["S3Key"])["Body"].read() == built.read_bytes()


def test_an_image_is_of_one_architecture(account: Account) -> None:
    like = tuning.original(account.session, NAME)
    image = {"ImageUri": "1.dkr.ecr/echo:1", "ResolvedImageUri": "1.dkr.ecr/echo@sha256:00"}
    like = like._replace(configuration={**like.configuration, "PackageType": "Image"}, code=image)
    assert tuning.code(account.session, like, "service", "x86_64", Path()) == {"ImageUri": image["ResolvedImageUri"]}
    with pytest.raises(UsageError, match="service--echo is an image for x86_64"):
        tuning.code(account.session, like, "service", "arm64", Path())


def test_what_is_not_deployed(account: Account) -> None:
    with pytest.raises(UsageError, match="there is no function 'service-beta--echo' in eu-west-1"):
        account.tune("--stage", "beta", "--dry-run")


def test_what_a_killed_run_left_is_told_and_removed(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    like = tuning.original(account.session, NAME)
    code = tuning.code(account.session, like, "service", "x86_64", Path())
    names = [tuning.called(NAME, memory, "x86_64") for memory in (512, 1769)]
    for name in names:
        tuning.create(account.session, like, name, 512, "x86_64", code)
    account.session.client("logs").create_log_group(logGroupName=f"/aws/lambda/{names[0]}")
    foreign = tuning.called(NAME, 128, "x86_64")
    tuning.create(account.session, like._replace(name="other--echo"), foreign, 128, "x86_64", code)
    with pytest.raises(UsageError, match="temporary functions of another run for service--echo are there") as error:
        account.tune(*SMALL, "--yes")
    assert "--clean removes them" in error.value.hint
    assert account.tune("--clean") == 0
    assert account.functions() == [NAME, foreign]
    assert account.session.client("logs").describe_log_groups()["logGroups"] == []
    assert account.tune("--clean") == 0
    assert "nothing is left of `tune` for service--echo" in capsys.readouterr().err


def test_an_interrupt_shows_what_was_measured_and_leaves_nothing(account: Account) -> None:
    command = [sys.executable, "-m", "pilotlight", "tune", "echo", "--remote", "--yes", "--memory", "512,1769"]
    with subprocess.Popen(command, cwd=account.root, stdout=PIPE, stderr=PIPE, text=True) as process:

        def interrupt() -> None:
            if len(account.served.events) == 30:
                process.send_signal(signal.SIGINT)

        account.served.invoked = interrupt
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "  balanced   " in out
    assert err.endswith("Interrupted: these are the rounds that were whole before.\n")
    assert account.functions() == [NAME]


class Breaks:
    """Requests to Lambda, of which the one with a number fails: before it is made, or after."""

    def __init__(self, session: Session, number: int, error: BaseException, event: str) -> None:
        self._client, self._event = session.client("lambda"), event
        self._left, self._error = number, error
        self.broke = ""

    def __enter__(self) -> "Breaks":
        self._client.meta.events.register(self._event, self._call)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.meta.events.unregister(self._event, self._call)

    def _call(self, model: Any, **_: object) -> None:
        self._left -= 1
        if self._left < 0 and not self.broke:
            self.broke = str(model.name)
            raise self._error


@pytest.mark.parametrize("event", ["before-call.lambda", "after-call.lambda"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), AwsUnreachable("gone")], ids=["Ctrl-C", "no network"])
def test_broken_off_at_any_request_it_leaves_nothing(account: Account, error: BaseException, event: str) -> None:
    service = project.load(account.root)
    options = Options(Place(), "", False, True, True)
    told = []
    for number in itertools.count():
        with Breaks(account.session, number, error, event) as breaks:
            try:
                outcome = tune_remote.run(
                    service, service.functions[0], b"{}", [512], Plan(1, 1), options, Pricing(), 0.5
                )
            except (DeployError, KeyboardInterrupt):
                outcome = tune_remote.Outcome()
        told.append(breaks.broke)
        if breaks.broke == "DeleteFunction" and event.startswith("before"):
            assert account.functions() != [NAME]  # said, and removed by --clean
            assert tune_remote.clean(service, service.functions[0], options) == 0
        assert account.functions() == [NAME]
        if not breaks.broke:
            assert outcome.is_whole
            break
    assert {"CreateFunction", "UpdateFunctionConfiguration", "DeleteFunction", ""} <= set(told)
