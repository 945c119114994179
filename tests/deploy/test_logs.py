"""`pilotlight logs` against moto's CloudWatch Logs: as its users call it."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import moto_aws
import pytest
from moto_aws import Aws

from conftest import write
from pilotlight.deploy.logs import pattern

ID, OTHER = "8f5e0d36-3c1e-4b4e-9d5f-2f0a4a6f7b11", "11111111-3c1e-4b4e-9d5f-2f0a4a6f7b11"
HANDLER = "def handler(event, context):\n    return {}\n"


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with moto_aws.running() as aws:
        yield aws


@pytest.fixture
def service(tmp_path: Path, aws: Aws) -> Iterator[Path]:
    """A service of two functions, the first of which has a log."""
    yield write(tmp_path / "service", {"inference/qa.py": HANDLER, "inference/page.py": HANDLER})
    for group in aws.client("logs").describe_log_groups()["logGroups"]:
        aws.client("logs").delete_log_group(logGroupName=group["logGroupName"])


class Log:
    """The log of one environment. Times are milliseconds before `now`."""

    def __init__(self, aws: Aws, function: str, stream: str = "2026/11/28/[7]0123", now: int = 0) -> None:
        self._client, self._group, self._stream = aws.client("logs"), f"/aws/lambda/{function}", stream
        self.now = now or int(time.time() * 1000)
        self._client.create_log_group(logGroupName=self._group)
        self._client.create_log_stream(logGroupName=self._group, logStreamName=stream)

    def put(self, *lines: tuple[int, str]) -> None:
        events = [{"timestamp": self.now - before, "message": text + "\n"} for before, text in lines]
        self._client.put_log_events(logGroupName=self._group, logStreamName=self._stream, logEvents=events)


def invocation(id: str, text: str, before: int, init: str = "") -> list[tuple[int, str]]:
    report = f"REPORT RequestId: {id}\tDuration: 12.34 ms\tBilled Duration: 13 ms\tMemory Size: 1769 MB\t"
    return [
        (before, f"START RequestId: {id} Version: 7"),
        (before - 1, text),
        (before - 2, f"END RequestId: {id}"),
        (before - 3, f"{report}Max Memory Used: 98 MB{init}"),
    ]


def shown(out: str) -> list[str]:
    """Lines without their times."""
    return [line.split(" ", 2)[2] for line in out.splitlines()]


def test_logs_for_people(aws: Aws, service: Path) -> None:
    log = Log(aws, "service--qa")
    log.put((9_000, "INIT_START Runtime Version: python:3.13.v42"))
    log.put(*invocation(ID, "first", 8_000, "\tInit Duration: 800.02 ms"), *invocation(OTHER, "second", 7_000))
    Log(aws, "service--page", now=log.now).put((7_500, "the page's own"))
    code, out, err = aws.run("logs", cwd=service)
    assert (code, err) == (0, "")
    assert shown(out) == [
        "qa INIT_START Runtime Version: python:3.13.v42",
        "qa first",
        f"qa {ID}: 12.3 ms, 13 ms billed, 98 of 1769 MB, cold start, init 800.0 ms",
        "page the page's own",
        "qa second",
        f"qa {OTHER}: 12.3 ms, 13 ms billed, 98 of 1769 MB",
    ]


def test_logs_for_programs(aws: Aws, service: Path) -> None:
    Log(aws, "service--qa").put((8_000, "first"), *invocation(ID, "second", 7_000)[3:])
    code, out, _ = aws.run("logs", "qa", "--json", cwd=service)
    first, last = map(json.loads, out.splitlines())
    assert code == 0
    assert (first["function"], first["stream"], first["message"]) == ("qa", "2026/11/28/[7]0123", "first")
    assert "report" not in first
    assert (last["report"]["request_id"], last["report"]["duration_ms"], last["report"]["peak_mb"]) == (ID, 12.34, 98)


def test_one_request(aws: Aws, service: Path) -> None:
    """What it printed does not name it, and is shown; what came before and after it is not."""
    log = Log(aws, "service-beta--qa")
    log.put(*invocation(OTHER, "before", 9_000), *invocation(ID, "of the request", 8_000))
    log.put(*invocation("last", "after", 7_000))
    code, out, err = aws.run("logs", "qa", "--request", ID, "--stage", "beta", cwd=service)
    assert (code, err) == (0, "")
    assert shown(out) == ["qa of the request", f"qa {ID}: 12.3 ms, 13 ms billed, 98 of 1769 MB"]


def test_a_request_that_is_not_there(aws: Aws, service: Path) -> None:
    Log(aws, "service--qa").put(*invocation(OTHER, "before", 9_000))
    code, out, err = aws.run("logs", "qa", "--request", ID, cwd=service)
    assert (code, out) == (1, "")
    assert err == (
        f"error: no log of qa has the request {ID}\n"
        "hint: a log is there some seconds after the answer; look further back: --since 1d\n"
    )


def test_a_filter_and_a_time(aws: Aws, service: Path) -> None:
    log = Log(aws, "service--qa")
    log.put((7_200_000, "ERROR two hours ago"), (8_000, "ERROR now"), (7_000, "fine"))
    assert shown(aws.run("logs", "qa", "--filter", "ERROR", cwd=service)[1]) == ["qa ERROR now"]
    long_ago = aws.run("logs", "qa", "--filter", "ERROR", "--since", "3h", cwd=service)[1]
    assert shown(long_ago) == ["qa ERROR two hours ago", "qa ERROR now"]
    code, out, err = aws.run("logs", "qa", "--filter", "nothing of it", cwd=service)
    assert (code, out, err) == (0, "", "Nothing since 10m.\n")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", ""),
        ("ERROR", '"ERROR"'),
        ('say "no" \\', '"say \\"no\\" \\\\"'),
        ('{ $.level = "ERROR" }', '{ $.level = "ERROR" }'),
        ("?WARN ?ERROR", "?WARN ?ERROR"),
        ('"as it is"', '"as it is"'),
    ],
)
def test_a_text_is_looked_for_as_it_is_written(text: str, written: str) -> None:
    assert pattern(text) == written


def test_following(aws: Aws, service: Path) -> None:
    """What comes later is shown once, also when its time is before that of others; Ctrl-C ends it."""
    log = Log(aws, "service--qa")
    log.put((8_000, "first"))
    process = aws.start("logs", "qa", "--follow", "--json", cwd=service)
    assert process.stdout is not None
    assert process.stderr is not None

    def following() -> Any:
        assert process.stdout is not None
        return json.loads(process.stdout.readline())["message"]

    assert following() == "first"
    log.put((6_000, "second"))
    assert following() == "second"
    log.put((7_000, "late"))
    assert following() == "late"
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=60)
    assert (process.returncode, rest, err) == (130, "", "\n")


def test_a_function_that_was_never_deployed(aws: Aws, service: Path) -> None:
    code, out, err = aws.run("logs", "qa", cwd=service)
    assert (code, out) == (1, "")
    assert err == (
        "error: there is no log of qa: /aws/lambda/service--qa is not there\n"
        "hint: `pilotlight deploy` makes it; --stage and --region say where else to look\n"
    )


def test_options_that_exclude_each_other(aws: Aws, service: Path) -> None:
    code, _, err = aws.run("logs", "qa", "--request", ID, "--follow", cwd=service)
    assert code == 2
    assert "--request excludes --filter and --follow" in err


def test_a_misspelt_function_a_time_and_a_region(aws: Aws, service: Path) -> None:
    code, _, err = aws.run("logs", "qaa", cwd=service)
    assert (code, "did you mean 'qa'?" in err) == (2, True)
    code, _, err = aws.run("logs", "--since", "yesterday", cwd=service)
    assert (code, "'yesterday' is no time" in err) == (2, True)
    code, _, err = aws.run("logs", "--region", "eu-wst-1", cwd=service)
    assert (code, "did you mean 'eu-west-1'?" in err) == (2, True)
