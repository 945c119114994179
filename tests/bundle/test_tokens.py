"""Challenges of registries, and the tokens that answer them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import images
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_registry import MemoryRegistry

from http_servers import Request, answer, serving
from pilotlight.bundle import http, registry, transfers
from pilotlight.bundle.blobs import Blobs
from pilotlight.bundle.credentials import Credentials
from pilotlight.bundle.reference import Reference
from pilotlight.bundle.session import Session
from pilotlight.bundle.tokens import Challenge, challenges
from pilotlight.bundle.transfers import Access
from pilotlight.errors import RegistryRefused, RegistryUnreachable

SCOPE = "repository:a/b:pull,push"


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ('Basic realm="test"', [Challenge("basic", {"realm": "test"})]),
        ("basic", [Challenge("basic", {})]),
        (
            f'Bearer realm="https://auth.test/token",service="registry",scope="{SCOPE}"',
            [Challenge("bearer", {"realm": "https://auth.test/token", "service": "registry", "scope": SCOPE})],
        ),
        ("Bearer realm=x , service = y", [Challenge("bearer", {"realm": "x", "service": "y"})]),
        (
            'BEARER Realm="a, Basic b", error="invalid_token", Basic realm="\\"c\\""',
            [
                Challenge("bearer", {"realm": "a, Basic b", "error": "invalid_token"}),
                Challenge("basic", {"realm": '"c"'}),
            ],
        ),
        ("Negotiate", []),
        ("", []),
    ],
)
def test_a_challenge_is_taken_apart(header: str, found: list[Challenge]) -> None:
    assert challenges([header]) == found


@given(st.lists(st.text(st.characters(codec="latin-1"))))
def test_any_header_is_read(headers: list[str]) -> None:
    assert all(each.scheme in ("basic", "bearer") for each in challenges(headers))


words = st.text('abcXYZ:/,=. "\\', max_size=12)


@given(words, words)
def test_what_is_quoted_comes_back(realm: str, scope: str) -> None:
    def quoted(text: str) -> str:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'

    header = f"Bearer realm={quoted(realm)},scope={quoted(scope)}"
    assert challenges([header]) == [Challenge("bearer", {"realm": realm, "scope": scope})]


class Guarded:
    """A registry that answers those who bring its newest token, and the server that gives them out."""

    def __init__(self) -> None:
        self.store = MemoryRegistry()
        self.given = 0
        self.asked: list[dict[str, list[str]]] = []
        self.users: list[str] = []
        self.lives = 10_000  # requests
        self.answer: Callable[[str], bytes] = lambda token: json.dumps({"token": token}).encode()
        self.realm = ""
        self._used = 0

    def __call__(self, request: Request) -> bytes:
        if request.target.startswith("/token"):
            return self._token(request)
        self._used += 1
        if request.headers.get("authorization") != f"Bearer token-{self.given}" or self._used > self.lives:
            challenge = f'Bearer realm="{self.realm}/token",service="test",scope="repository:qa:pull"'
            return answer(401, b"", f"WWW-Authenticate: {challenge}\r\n")
        return self.store(request)

    def _token(self, request: Request) -> bytes:
        fields = request.body.decode() if request.body else urlsplit(request.target).query
        self.asked.append(parse_qs(fields))
        self.users.append(request.headers.get("authorization", ""))
        self.given, self._used = self.given + 1, 0
        return answer(200, self.answer(f"token-{self.given}"))


@contextmanager
def guarded() -> Iterator[tuple[Guarded, Reference]]:
    guard = Guarded()
    with serving(guard) as server:
        guard.realm = f"http://127.0.0.1:{server.port}"
        yield guard, Reference(f"127.0.0.1:{server.port}", "qa", "1")


def access(credentials: Credentials | None) -> Access:
    return Access(keys=lambda registry: credentials, sleep=lambda seconds: None)


def test_one_token_is_for_all_of_a_push(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    with guarded() as (guard, to):
        made = images.make(blobs)
        registry.push(made, to, blobs, access(Credentials("AWS", "p")))
        assert guard.store.manifests["qa", "1"][1] == made.manifest
        assert guard.asked == [{"service": ["test"], "scope": ["repository:qa:pull,push", "repository:qa:pull"]}]
        assert guard.users == [Credentials("AWS", "p").basic]


def test_a_token_that_ends_in_between_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "JOBS", 1)  # else others use a token up before it has been used once
    blobs = Blobs(tmp_path)
    with guarded() as (guard, to):
        guard.lives = 3
        made = images.make(blobs, model=200_000)
        registry.push(made, to, blobs, access(None))
        assert guard.store.manifests["qa", "1"][1] == made.manifest
        assert guard.given > 2
        assert set(guard.users) == {""}


def test_the_scopes_of_mounts_are_asked_for_too(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    with guarded() as (guard, to):
        registry.push(images.make(blobs), to._replace(repository="base"), blobs, access(None))
        base = registry.pull(to._replace(repository="base"), "x86_64", blobs, access(None))
        guard.asked.clear()
        assert registry.push(base, to, blobs, access(None)).mounted == sum(layer.size for layer in base.layers)
        assert guard.asked[0]["scope"] == [
            "repository:qa:pull,push", "repository:base:pull", "repository:qa:pull"
        ]  # fmt: skip


def test_an_identity_token_is_exchanged(tmp_path: Path) -> None:
    with guarded() as (guard, to):
        guard.answer = lambda token: json.dumps({"access_token": token}).encode()
        registry.push(images.make(Blobs(tmp_path)), to, Blobs(tmp_path), access(Credentials(identity_token="me")))
        assert guard.asked == [
            {
                "grant_type": ["refresh_token"],
                "refresh_token": ["me"],
                "service": ["test"],
                "scope": ["repository:qa:pull,push repository:qa:pull"],
                "client_id": ["pilotlight"],
            }
        ]
        assert guard.users == [""]


@pytest.mark.parametrize(
    "text", [b"<html>", b"[]", b"{}", b'{"token": 1}', '{"token": "ä"}'.encode(), b'{"token": "a\\r\\nb: c"}']
)
def test_an_answer_without_a_token_is_refused(text: bytes, tmp_path: Path) -> None:
    with guarded() as (guard, to):
        guard.answer = lambda token: text
        with pytest.raises(RegistryRefused, match=f"asking {guard.realm}/token for a token: its answer has none"):
            registry.pull(to, "x86_64", Blobs(tmp_path), access(None))


def test_a_token_that_does_not_help_is_the_end(tmp_path: Path) -> None:
    with guarded() as (guard, to):
        guard.lives = 0
        with pytest.raises(RegistryRefused, match="answered 401"):
            registry.pull(to, "x86_64", Blobs(tmp_path), access(None))
        assert guard.given == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(401, RegistryRefused), (403, RegistryRefused), (500, RegistryUnreachable)]
)
def test_a_server_of_tokens_that_refuses(status: int, kind: type[Exception], tmp_path: Path) -> None:
    def refuses(request: Request) -> bytes:
        if "/token" in request.target:
            return answer(status, b"")
        return answer(401, b"", f'WWW-Authenticate: Bearer realm="http://{request.headers["host"]}/token"\r\n')

    with serving(refuses) as server:
        place = f"127.0.0.1:{server.port}"
        with pytest.raises(kind, match=f"asking http://{place}/token for a token: {place} answered {status}"):
            registry.pull(Reference(place, "qa", "1"), "x86_64", Blobs(tmp_path), access(Credentials("u", "p")))


@pytest.mark.parametrize("realm", ["http://auth.test/token", "file:///etc/passwd", "ftp://auth.test", "token"])
def test_credentials_go_to_no_server_without_tls(realm: str, tmp_path: Path) -> None:
    with serving(lambda request: answer(401, b"", f'WWW-Authenticate: Bearer realm="{realm}"\r\n')) as server:
        to = Reference(f"127.0.0.1:{server.port}", "qa", "1")
        with pytest.raises(RegistryRefused, match="no credentials go there without TLS"):
            registry.pull(to, "x86_64", Blobs(tmp_path), access(Credentials("u", "p")))


def test_a_password_is_sent_where_it_is_asked_for_alone(tmp_path: Path) -> None:
    """The first request goes without; one without a user is refused at once."""
    store = MemoryRegistry()

    def basic(request: Request) -> bytes:
        if request.headers.get("authorization") != Credentials("AWS", "p").basic:
            return answer(401, b"", 'WWW-Authenticate: Basic realm="test"\r\n')
        return store(request)

    with serving(basic) as server:
        to = Reference(f"127.0.0.1:{server.port}", "qa", "1")
        blobs = Blobs(tmp_path)
        registry.push(images.make(blobs), to, blobs, access(Credentials("AWS", "p")))
        assert ("qa", "1") in store.manifests
        assert "authorization" not in server.requests[0].headers
        for wrong in (None, Credentials("AWS", "x")):
            with pytest.raises(RegistryRefused, match="answered 401"):
                registry.push(images.make(blobs), to, blobs, access(wrong))


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/v2/qa/blobs/uploads/1?a=b", "https://registry.test/v2/qa/blobs/uploads/1?a=b"),
        ("http://registry.test/v2/1", "https://registry.test/v2/1"),  # behind a proxy that ends TLS
        ("http://registry.test:5000/v2/1", "https://registry.test/v2/1"),
        ("https://storage.test/1", "https://storage.test/1"),
    ],
)
def test_where_an_upload_goes(location: str, url: str) -> None:
    session = Session(Reference("registry.test", "qa"), [], lambda registry: None)
    assert session.resolve(location, session.url("blobs/uploads/")) == url


def test_an_upload_does_not_leave_tls() -> None:
    session = Session(Reference("registry.test", "qa"), [], lambda registry: None)
    with pytest.raises(RegistryRefused, match=r"registry\.test sends an upload on to http://storage\.test"):
        session.resolve("http://storage.test/1", session.url("blobs/uploads/"))


def test_ecr_is_told_how_to_log_in() -> None:
    host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    with (
        serving(lambda request: answer(403 if request.method == "HEAD" else 404, b"")) as server,
        Session(Reference(f"127.0.0.1:{server.port}", "qa", "1"), [], lambda registry: None) as session,
    ):
        url = session.url("manifests/1")
        refused, missing = (session.ask(http.Request(method, url), "") for method in ("HEAD", "GET"))
    there = Session(Reference(host, "qa", "1"), [], lambda registry: None)
    login = there.error("pushing the code", refused)
    assert str(login) == f"pushing the code: {host} answered 403"
    assert login.hint == (
        "log in first, for twelve hours: aws ecr get-login-password --region eu-west-1"
        f" | docker login --username AWS --password-stdin {host}"
    )
    hint = "make the repository first: aws ecr create-repository --repository-name qa"
    assert there.error("pushing the code", missing).hint == hint
