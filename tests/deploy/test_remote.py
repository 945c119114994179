"""One suite over both sides of `values.Invoke`: the pool of this machine, and boto3 speaking to a running server."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
import uvloop

from conftest import RunningServer, write
from http_servers import Cut, Request, answer, serving
from pilotlight import project
from pilotlight.deploy.remote import AT_ONCE, WAIT, Remote
from pilotlight.deploy.session import Session
from pilotlight.errors import (
    AwsRefused,
    AwsUnreachable,
    DeployError,
    InvokeError,
    NotFound,
    PayloadTooLarge,
    PilotlightError,
    Throttled,
)
from pilotlight.local.pool import Pool
from pilotlight.local.streams import collected
from pilotlight.values import Call, Invoke, Result

T = TypeVar("T")

FILES = {
    "inference/echo.py": """
        import os

        def handler(event, context):
            if "fail" in event:
                raise RuntimeError(event["fail"])
            print("called with", sorted(event))
            custom = context.client_context and context.client_context.custom
            return {"event": event, "custom": custom, "trace": os.environ.get("_X_AMZN_TRACE_ID", "")}
    """,
    "inference/meet.py": """
        import pathlib, time

        def handler(event, context):
            folder = pathlib.Path(event["folder"])
            (folder / event["name"]).touch()
            while len(list(folder.iterdir())) < event["count"]:
                time.sleep(0.05)
            return event["name"]
    """,
    "inference/exit.py": """
        import os

        def handler(event, context):
            os._exit(3)
    """,
    "inference/words.py": """
        from collections.abc import Iterator

        from pilotlight import endpoint

        @endpoint
        def handler() -> Iterator[str]:
            yield "one "
            yield "two"
    """,
    "inference/one.py": """
        import pathlib, time

        def handler(event, context):
            folder = pathlib.Path(event["folder"])
            (folder / "began").touch()
            while not (folder / "end").exists():
                time.sleep(0.05)
    """,
    "pilotlight.toml": """
        [functions.one]
        concurrency = 1
        timeout = 100
    """,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "service", FILES)


Open = Callable[[], AbstractAsyncContextManager[Invoke]]


@pytest.fixture(params=["pool", "remote"])
def opened(request: pytest.FixtureRequest, folder: Path, start_server: Callable[..., RunningServer]) -> Open:
    """`async with opened() as invoke`."""
    if request.param == "pool":
        return lambda: in_pool(folder)
    url = start_server(folder, "--no-reload", "--isolation", "none").url
    return lambda: over_boto3(url)


@asynccontextmanager
async def in_pool(folder: Path) -> Any:
    pool = Pool(lambda key, line: None, 100_000)
    pool.deploy(project.load(folder).functions)

    async def invoke(call: Call) -> Result:
        return await collected(await pool(call))

    try:
        yield invoke
    finally:
        await pool.close()


@asynccontextmanager
async def over_boto3(url: str) -> Any:
    remote = Remote(client(url), qualifier="")  # aliases are on AWS alone
    try:
        yield remote
    finally:
        remote.close()


def client(url: str) -> Any:
    boto = boto3.Session("test", "test", region_name="us-east-1")
    original = boto.client
    boto.client = lambda service, **given: original(service, endpoint_url=url, **given)  # type: ignore[method-assign]
    return Session("000000000000", "us-east-1", boto=boto).once("lambda", WAIT, AT_ONCE)


def run(opened: Open, body: Callable[[Invoke], Awaitable[T]]) -> T:
    async def main() -> T:
        async with opened() as invoke:
            return await body(invoke)

    return uvloop.run(asyncio.wait_for(main(), 100))


def call(name: str, /, **event: object) -> Call:
    return Call(f"service--{name}", json.dumps(event).encode())


def once(opened: Open, call: Call) -> Result:
    async def body(invoke: Invoke) -> Result:
        return await invoke(call)

    return run(opened, body)


def test_an_answer(opened: Open) -> None:
    result = once(opened, call("echo", text="é"))
    assert json.loads(result.payload)["event"] == {"text": "é"}
    assert (result.error, result.log, result.stream) == ("", b"", None)
    assert len(result.request_id) == 36


def test_a_name_without_its_service(opened: Open) -> None:
    assert json.loads(once(opened, Call("echo", b"{}")).payload)["event"] == {}


def test_a_context_of_the_client_and_a_trace(opened: Open) -> None:
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"
    given = call("echo")._replace(client_context='{"custom": {"a": "b"}}', trace_id=trace)
    answer = json.loads(once(opened, given).payload)
    assert answer["custom"] == {"a": "b"}
    assert answer["trace"].startswith("Root=1-5759e988-bd862e3fe1be46a994272793;")


def test_the_log_of_a_request(opened: Open) -> None:
    result = once(opened, call("echo", a=1)._replace(tail=True))
    log = result.log.decode().splitlines()
    assert log[0] == f"START RequestId: {result.request_id} Version: $LATEST"
    assert log[1] == "called with ['a']"
    assert log[-1].startswith(f"REPORT RequestId: {result.request_id}\tDuration: ")


def test_a_function_that_fails(opened: Open) -> None:
    result = once(opened, call("echo", fail="no luck"))
    error = json.loads(result.payload)
    assert (result.error, error["errorType"], error["errorMessage"]) == ("Unhandled", "RuntimeError", "no luck")


def test_a_function_that_exits(opened: Open) -> None:
    result = once(opened, call("exit"))
    assert (result.error, json.loads(result.payload)["errorType"]) == ("Unhandled", "Runtime.ExitError")


def test_an_answer_that_is_streamed_comes_as_one(opened: Open) -> None:
    assert once(opened, call("words")).payload == b'"one two"'


def test_requests_run_at_once(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "met").mkdir()
    calls = [call("meet", folder=str(tmp_path / "met"), name=str(number), count=5) for number in range(5)]

    async def body(invoke: Invoke) -> list[Result]:
        return await asyncio.gather(*map(invoke, calls))

    assert [json.loads(result.payload) for result in run(opened, body)] == ["0", "1", "2", "3", "4"]


def refused(opened: Open, call: Call) -> PilotlightError:
    with pytest.raises(InvokeError) as caught:
        once(opened, call)
    return caught.value


def test_a_function_that_is_not_there(opened: Open) -> None:
    assert isinstance(refused(opened, call("nobody")), NotFound)


def test_a_payload_that_is_too_large(opened: Open) -> None:
    large = Call("service--echo", b'"%s"' % (b"x" * 6_291_556))
    assert isinstance(refused(opened, large), PayloadTooLarge)


def test_concurrency_that_is_used_up(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "met").mkdir()

    async def body(invoke: Invoke) -> str:
        first = asyncio.ensure_future(invoke(call("one", folder=str(tmp_path / "met"))))
        while not (tmp_path / "met" / "began").exists():
            await asyncio.sleep(0.05)
        try:
            await invoke(call("one"))
        except Throttled as error:
            return error.reason
        finally:
            (tmp_path / "met" / "end").touch()
            await first
        return "not throttled"

    assert run(opened, body) == "ReservedFunctionConcurrentInvocationLimitExceeded"


# What only AWS answers


def answered(status: int, kind: str, message: str = "as AWS says it") -> tuple[type[Exception], str, str, int]:
    """What a call raises that is answered so, and how often it was made."""
    body = json.dumps({"Message": message, "Type": "User"}).encode()
    return called(lambda request: answer(status, body, f"x-amzn-errortype: {kind}\r\n"))


def called(serve: Callable[[Request], bytes]) -> tuple[type[Exception], str, str, int]:
    with serving(serve) as server:
        with pytest.raises(PilotlightError) as caught:
            once(lambda: over_boto3(f"http://127.0.0.1:{server.port}"), call("qa"))
        return type(caught.value), str(caught.value), caught.value.hint, len(server.requests)


@pytest.mark.parametrize(
    ("status", "kind", "error", "hint"),
    [
        (502, "EFSMountFailureException", InvokeError, "elasticfilesystem:ClientMount"),
        (409, "SnapStartNotReadyException", InvokeError, "call it again in a minute"),
        (409, "ResourceConflictException", InvokeError, "`pilotlight status`"),
        (403, "AccessDeniedException", AwsRefused, "these credentials need"),
        (500, "ServiceException", DeployError, ""),
        (503, "ServiceUnavailable", AwsUnreachable, "AWS asks to wait"),
    ],
)
def test_errors_of_aws(status: int, kind: str, error: type[Exception], hint: str) -> None:
    raised, text, said, count = answered(status, kind)
    assert (raised, count) == (error, 1)
    assert text.startswith("invoking service--qa: ")
    assert "as AWS says it" in text
    assert hint in said


def test_a_call_that_was_cut_off_is_not_made_again() -> None:
    raised, _, _, count = called(lambda request: Cut(b""))
    assert (raised, count) == (AwsUnreachable, 1)


def test_the_alias_and_the_stage_are_called() -> None:
    paths: list[str] = []

    def serve(request: Request) -> bytes:
        paths.append(request.target)
        return answer(200, b"{}")

    async def body(url: str) -> None:
        remote = Remote(client(url), "beta")
        try:
            await remote(call("qa"))
        finally:
            remote.close()

    with serving(serve) as server:
        asyncio.run(body(f"http://127.0.0.1:{server.port}"))
    assert paths == ["/2015-03-31/functions/service-beta--qa/invocations?Qualifier=live"]
