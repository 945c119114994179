"""Where credentials come from, asked of real servers that answer as a container's endpoint and an instance's do."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from http_servers import Answers, Cut, HttpServer, Request, answer, serving
from pilotlight.errors import TableRefused
from pilotlight.function import credentials
from pilotlight.function.credentials import Credentials

START = Callable[[Answers], HttpServer]
HINT = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role gives some"
NAMES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    *("AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
    *("AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_DISABLED"),
)
NOW = 1_790_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """None of the shell's credentials, and a time that the test sets."""
    clock = Clock()
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(credentials, "_held", [])
    monkeypatch.setattr(time, "time", clock)
    return clock


@pytest.fixture
def start() -> Iterator[START]:
    with ExitStack() as ends:
        yield lambda answers: ends.enter_context(serving(answers))


def role(key: str, seconds: float) -> bytes:
    """An answer with credentials that are good for `seconds` from now."""
    fields = {
        "Code": "Success",
        "AccessKeyId": key,
        "SecretAccessKey": f"{key}-secret",
        "Token": f"{key}-token",
        "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW + seconds)),
    }
    return answer(200, json.dumps(fields).encode())


def held(key: str, seconds: float) -> Credentials:
    return Credentials(key, f"{key}-secret", f"{key}-token", NOW + seconds)


def test_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/")
    assert credentials.current() == Credentials("key", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    assert credentials.current() == Credentials("key", "secret", "token")


def test_a_container(monkeypatch: pytest.MonkeyPatch, start: START) -> None:
    server = start(lambda request: role("one", 3600))
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{server.port}/v1/role?id=7")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic abc")
    assert credentials.current() == held("one", 3600)
    assert credentials.current() == held("one", 3600)
    [request] = server.requests
    assert (request.method, request.target) == ("GET", "/v1/role?id=7")
    assert request.headers == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "pilotlight",
        "accept": "application/json",
        "authorization": "Basic abc",
        "connection": "close",
    }


def test_they_are_renewed_before_they_end(monkeypatch: pytest.MonkeyPatch, start: START, clock: Clock) -> None:
    answers = iter((role("one", 3600), role("two", 7200)))
    server = start(lambda request: next(answers))
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{server.port}/")
    for now, expected in ((0, "one"), (2999, "one"), (3001, "two"), (3600, "two")):
        clock.now = NOW + now
        assert credentials.current().access_key == expected
    assert len(server.requests) == 2


def test_while_none_are_given_the_old_ones_are_used(
    monkeypatch: pytest.MonkeyPatch, start: START, clock: Clock
) -> None:
    replies = [role("one", 3600)]
    server = start(lambda request: replies[-1])
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{server.port}/")
    assert credentials.current() == held("one", 3600)
    replies.append(answer(500, b""))
    clock.now = NOW + 3100
    assert credentials.current() == held("one", 3600)
    assert credentials.current() == held("one", 3600)  # and the server is not asked each time
    assert len(server.requests) == 4
    clock.now = NOW + 3601
    with pytest.raises(TableRefused):
        credentials.current()
    replies.append(role("two", 7200))
    assert credentials.current() == held("two", 7200)


def test_the_token_of_a_file_is_read_each_time(monkeypatch: pytest.MonkeyPatch, start: START, tmp_path: Path) -> None:
    server = start(lambda request: role("one", 60))
    file = tmp_path / "token"
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://localhost:{server.port}/")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(file))
    for token in ("first", "second"):
        file.write_text(token)
        credentials.forget()
        credentials.current()
    assert [request.headers["authorization"] for request in server.requests] == ["first", "second"]
    file.write_text("first\nHost: other")
    credentials.forget()
    with pytest.raises(TableRefused, match="has a line break in it"):
        credentials.current()


def instance(request: Request) -> bytes:
    """As the metadata service, version 2: what has no session token is refused."""
    match request.method, request.target, request.headers.get("x-aws-ec2-metadata-token"):
        case "PUT", "/latest/api/token", None:
            assert request.headers["x-aws-ec2-metadata-token-ttl-seconds"] == "21600"
            return answer(200, b"session")
        case "GET", "/latest/meta-data/iam/security-credentials/", "session":
            return answer(200, b"my-role\n")
        case "GET", "/latest/meta-data/iam/security-credentials/my-role", "session":
            return role("one", 3600)
    return answer(401, b"")


def test_an_instance(monkeypatch: pytest.MonkeyPatch, start: START) -> None:
    server = start(instance)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{server.port}/")
    assert credentials.current() == held("one", 3600)
    assert len(server.requests) == 3


def test_an_answer_that_was_cut_is_asked_for_again(monkeypatch: pytest.MonkeyPatch, start: START) -> None:
    begun = []

    def flaky(request: Request) -> bytes:
        begun.append(request)
        return (Cut(), answer(503, b""), instance(request))[(len(begun) - 1) % 3]

    server = start(flaky)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{server.port}")
    assert credentials.current() == held("one", 3600)
    assert len(server.requests) == 9


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (answer(404, b""), "GET /: 127.0.0.1:PORT answered 404"),
        (answer(500, b""), "GET /: 127.0.0.1:PORT answered 500"),
        (Cut(), "127.0.0.1:PORT: it closed the connection"),
        (answer(200, b"<html>"), "the answer has no credentials in it"),
        (answer(200, b"[]"), "the answer has no credentials in it"),
        (answer(200, b'{"AccessKeyId": "one"}'), "the answer has no credentials in it"),
    ],
)
def test_containers_that_give_none(monkeypatch: pytest.MonkeyPatch, start: START, reply: bytes, message: str) -> None:
    server = start(lambda request: reply)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{server.port}/")
    with pytest.raises(TableRefused) as refused:
        credentials.current()
    begin = "finding AWS credentials: none are in the environment; asking the container: "
    assert str(refused.value) == begin + message.replace("PORT", str(server.port))
    assert refused.value.hint == HINT


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/role"},
            "asking the container: AWS_CONTAINER_CREDENTIALS_FULL_URI: example.com may be asked by https only",
        ),
        (
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "/role"},
            "asking the container: '/role' is not a URL of the form http[s]://host[:port][/path]",
        ),
        ({"AWS_EC2_METADATA_DISABLED": "true"}, "asking the instance: AWS_EC2_METADATA_DISABLED says not to"),
    ],
)
def test_places_that_are_not_asked(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], message: str) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TableRefused) as refused:
        credentials.current()
    assert str(refused.value) == f"finding AWS credentials: none are in the environment; {message}"
