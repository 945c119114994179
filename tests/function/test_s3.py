"""Objects of S3: read from a store that checks signatures, and asked for as botocore asks for them."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import boto3
import botocore.config
import pytest
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from http_servers import CERTIFICATE, Cut, Request, answer, serving
from pilotlight.errors import InputError, InputTooLarge, ObjectError, ObjectRefused, ObjectUnreachable
from pilotlight.function import credentials, http1, s3
from pilotlight.function.credentials import Credentials
from pilotlight.function.http1 import Endpoint
from pilotlight.function.s3 import Object, endpoint_of, get, get_for_request, parse
from pilotlight.function.signing import sign
from s3_store import Store, open_store

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # SHA-256 of nothing


@pytest.fixture(autouse=True)
def _environ(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(s3, "_regions", {})
    monkeypatch.setattr(s3, "_PAUSE", 0.001)
    credentials.forget()
    with mock.patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        yield


def become(environ: dict[str, str]) -> None:
    os.environ.update(environ)  # which `_environ` puts back


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with open_store() as opened:
        yield opened


# Names

LONG_KEY = "ü" * 512


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("s3://pictures/a.png", Object("pictures", "a.png")),
        ("s3://a.b-c.1/x/y z.png?a=b#c%20", Object("a.b-c.1", "x/y z.png?a=b#c%20")),
        ("s3://pictures//a//b/", Object("pictures", "/a//b/")),
        (f"s3://{'a' * 63}/{LONG_KEY}", Object("a" * 63, LONG_KEY)),
        ("s3://pictures/...", Object("pictures", "...")),
    ],
)
def test_a_uri(uri: str, place: Object) -> None:
    assert parse(uri) == place


FORM = "must be of the form s3://bucket/key"
NO_BUCKET = f"{FORM}, and this is no name of a bucket"
NO_KEY = "names a key that no object may have, or that has a segment . or .."


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        *((uri, FORM) for uri in ("", "s3://", "s3://pictures", "s3://pictures/", "S3://pictures/a", "s3:/pictures/a")),
        *((uri, FORM) for uri in ("http://pictures/a", "pictures/a", " s3://pictures/a")),
        *((f"s3://{bucket}/a", NO_BUCKET) for bucket in ("", "ab", "a" * 64, "Pictures", "a_b", "-ab", "ab-", "a..b")),
        *(
            (f"s3://{bucket}/a", NO_BUCKET)
            for bucket in ("evil.com#", "a@b.com", "a:80", "abc\n", "ä-b-c", "a%2eb", "a b")
        ),
        *(
            (f"s3://pictures/{key}", NO_KEY)
            for key in ("../secret/a", "a/../../secret/a", "a/./b", "..", f"{LONG_KEY}a")
        ),
        ("s3://pictures/\ud800", "names a key that is not text"),
    ],
)
def test_what_names_no_object(uri: str, reason: str) -> None:
    with pytest.raises(InputError) as refused:
        parse(uri)
    assert refused.value.problems == (("", reason),)


# Where to ask, and how


@pytest.mark.parametrize(
    ("bucket", "region", "endpoint"),
    [
        ("pictures", "eu-west-1", Endpoint("pictures.s3.eu-west-1.amazonaws.com", 443, "/a%20b", True)),
        ("pictures", "us-east-1", Endpoint("pictures.s3.us-east-1.amazonaws.com", 443, "/a%20b", True)),
        ("pictures", "cn-north-1", Endpoint("pictures.s3.cn-north-1.amazonaws.com.cn", 443, "/a%20b", True)),
        ("my.pictures", "eu-west-1", Endpoint("s3.eu-west-1.amazonaws.com", 443, "/my.pictures/a%20b", True)),
    ],
)
def test_the_host_of_a_bucket(bucket: str, region: str, endpoint: Endpoint) -> None:
    assert endpoint_of(Object(bucket, "a b"), region) == endpoint


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({"AWS_ENDPOINT_URL": "http://minio:9000"}, Endpoint("minio", 9000, "/pictures/a")),
        (
            {"AWS_ENDPOINT_URL": "http://no", "AWS_ENDPOINT_URL_S3": "https://store/s3/"},
            Endpoint("store", 443, "/s3/pictures/a", True),
        ),
    ],
)
def test_another_endpoint(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], endpoint: Endpoint) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert endpoint_of(Object("pictures", "a"), "eu-west-1") == endpoint


@functools.cache
def client(endpoint: str | None) -> Any:
    config = botocore.config.Config(response_checksum_validation="when_required")
    return boto3.client(
        "s3",
        "eu-west-1",
        endpoint_url=endpoint,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        aws_session_token="token",
        config=config,
    )


class Kept(Exception):
    """The request that boto3 would send."""


def botocore_asks(bucket: str, key: str, endpoint: str | None) -> Any:
    def keep(request: Any, **_: object) -> None:
        raise Kept(request)

    events = client(endpoint).meta.events
    events.register("before-send.s3.GetObject", keep, unique_id="keep")
    with pytest.raises(Kept) as kept:
        client(endpoint).get_object(Bucket=bucket, Key=key)
    events.unregister("before-send.s3.GetObject", unique_id="keep")
    return kept.value.args[0]


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60) | st.text(
    "abc/ +%?&=#~!*'();:@$,[]\\\"<>^`{}|.-_\t\n\x7fü€\U0001f600", min_size=1, max_size=30
)


@hypothesis_settings(max_examples=60)
@given(KEYS, st.sampled_from(["pictures", "my.pictures"]), st.sampled_from([None, "http://127.0.0.1:9"]))
def test_it_asks_as_botocore_does(key: str, bucket: str, url: str | None) -> None:
    assume(not {".", ".."} & {*key.split("/")})
    with pytest.MonkeyPatch.context() as patch:
        if url:
            patch.setenv("AWS_ENDPOINT_URL_S3", url)
        endpoint = endpoint_of(Object(bucket, key), "eu-west-1")
    theirs = botocore_asks(bucket, key, url)
    scheme = "https" if endpoint.is_secure else "http"
    if bucket == "pictures" and url:  # they would take a host below the one that is set, which is to be found nowhere
        assert theirs.url.startswith(f"{url}/{bucket}/")
    assert theirs.url == f"{scheme}://{endpoint.authority}{endpoint.path}"
    date = theirs.headers["X-Amz-Date"].decode()
    at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    headers = {"Host": endpoint.authority, "X-Amz-Content-SHA256": EMPTY}
    credentials = Credentials("AKIDEXAMPLE", "secret", "token")
    ours = sign(credentials, "eu-west-1", "s3", endpoint.path, headers, b"", at, method="GET")
    assert ours["Authorization"] == theirs.headers["Authorization"].decode()


@pytest.mark.parametrize("written", [None, "", "others", "others,pictures2", "picture", "pictures.,Pictures"])
def test_a_bucket_that_the_settings_do_not_open(monkeypatch: pytest.MonkeyPatch, written: str | None) -> None:
    if written is not None:
        monkeypatch.setenv("PILOTLIGHT_BUCKETS", written)
    with pytest.raises(InputError) as refused:
        get_for_request("s3://pictures/a.png", 100)
    assert refused.value.problems == (("", "names a bucket that is not open to requests"),)


# A store

ODD_KEYS = (
    *("a.png", "a b+c/ü%2F?x=1&y#z.jpg", "/lead//double/", "x'()*!~;:@$,=\\", "%", "%20", "+"),
    *("日本/\U0001f600.png", "a\tb", "~_-.", "..."),
)


@pytest.mark.parametrize("key", ODD_KEYS)
def test_an_object(store: Store, key: str) -> None:
    store.put(key, key.encode())
    become(store.owner)
    assert get(f"s3://pictures/{key}", 100) == key.encode()


@hypothesis_settings(max_examples=30)
@given(key=KEYS, content=st.binary(max_size=300))
def test_any_object(store: Store, key: str, content: bytes) -> None:
    assume(key.isprintable() and not {".", ".."} & {*key.split("/")})
    store.put(key, content)
    become(store.owner)
    assert get(f"s3://pictures/{key}", 300) == content


def test_an_object_of_a_bucket_that_the_settings_open(store: Store) -> None:
    store.put("a.png", b"a")
    become({**store.owner, "PILOTLIGHT_BUCKETS": "others,pictures"})
    assert get_for_request("s3://pictures/a.png", 1) == b"a"


def test_an_object_of_just_that_size_and_one_that_is_larger(store: Store) -> None:
    store.put("large", bytes(5_000_000))
    become(store.owner)
    assert get("s3://pictures/large", 5_000_000) == bytes(5_000_000)
    with pytest.raises(InputTooLarge) as error:
        get("s3://pictures/large", 4_999_999)
    assert error.value.problems == (("", "holds more than 4,999,999 bytes"),)


@pytest.mark.parametrize("uri", ["s3://pictures/nothing.png", "s3://no-such-bucket/a.png"])
def test_there_is_no_such_object(store: Store, uri: str) -> None:
    become(store.owner)
    with pytest.raises(InputError) as error:
        get(uri, 100)
    assert error.value.problems == (("", "names an object that does not exist"),)


def test_who_may_not_read_it(store: Store) -> None:
    store.put("a.png", b"a")
    become(store.stranger)
    with pytest.raises(ObjectRefused) as error:
        get("s3://pictures/a.png", 100)
    assert str(error.value) == "reading s3://pictures/a.png: S3 answered AccessDenied: Access Denied"
    assert error.value.hint == (
        "the role or user needs s3:GetObject on arn:aws:s3:::pictures/*; a missing object is told from a forbidden one "
        "only with s3:ListBucket on arn:aws:s3:::pictures"
    )


@pytest.mark.parametrize(
    ("variable", "code"),
    [("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch"), ("AWS_ACCESS_KEY_ID", "InvalidAccessKeyId")],
)
def test_credentials_that_are_wrong(store: Store, variable: str, code: str) -> None:
    become({**store.owner, variable: "another"})
    with pytest.raises(ObjectRefused, match=f"S3 answered {code}: ") as error:
        get("s3://pictures/a.png", 100)
    assert error.value.hint == "are the credentials those of the account, and is the clock right?"


# Answers that a store here does not give

ENVIRON = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}


def error(code: str, more: str = "") -> bytes:
    return f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>As told</Message>{more}</Error>'.encode()


def ask(*answers: bytes, uri: str = "s3://pictures/a.png", times: int = 1) -> tuple[list[bytes], list[Request]]:
    """Get the object from a store with these answers, the last of them again and again."""
    left = list(answers)

    def tell(_: Request) -> bytes:
        return Cut(left.pop(0) if len(left) > 1 else left[0])

    with serving(tell) as server:
        become({**ENVIRON, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.port}"})
        return [get(uri, 100) for _ in range(times)], server.requests


def test_the_request() -> None:
    os.environ["AWS_SESSION_TOKEN"] = "a token"
    bodies, [request] = ask(answer(200, b"a picture"))
    assert bodies == [b"a picture"]
    assert (request.method, request.target, request.body) == ("GET", "/pictures/a.png", b"")
    assert request.headers["x-amz-security-token"] == "a token"
    signed = "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token"
    assert signed in request.headers["authorization"]


@pytest.mark.parametrize(
    "elsewhere",
    [
        answer(301, error("PermanentRedirect"), "x-amz-bucket-region: ap-southeast-2\r\n"),
        answer(307, error("TemporaryRedirect"), "x-amz-bucket-region: ap-southeast-2\r\n"),
        answer(400, error("AuthorizationHeaderMalformed", "<Region>ap-southeast-2</Region>")),
    ],
)
def test_a_bucket_in_another_region(elsewhere: bytes) -> None:
    bodies, requests = ask(elsewhere, answer(200, b"a"), times=2)
    assert bodies == [b"a", b"a"]
    regions = [request.headers["authorization"].split("/")[2] for request in requests]
    assert regions == ["eu-west-1", "ap-southeast-2", "ap-southeast-2"]


@pytest.mark.parametrize("region", ["evil.com#", "eu-west-1", "", "EU", "a" * 1_000])
def test_a_region_that_is_none(region: str) -> None:
    with pytest.raises(ObjectError, match="S3 answered PermanentRedirect: As told") as raised:
        ask(answer(301, error("PermanentRedirect"), f"x-amz-bucket-region: {region}\r\n"))
    assert type(raised.value) is ObjectError
    assert s3._regions == {}


@pytest.mark.parametrize(
    "trouble",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        answer(500, error("InternalError")),
        answer(503, error("SlowDown")),
        answer(503, b"<html>"),
        answer(400, error("RequestTimeout")),
        answer(429, b""),
    ],
)
def test_it_is_tried_again(trouble: bytes) -> None:
    bodies, requests = ask(trouble, trouble, trouble, answer(200, b"a"))
    assert (bodies, len(requests)) == ([b"a"], 4)


@pytest.mark.parametrize(
    ("told", "kind", "message"),
    [
        (answer(503, error("SlowDown")), ObjectUnreachable, "S3 answered SlowDown: As told"),
        (answer(503, b""), ObjectUnreachable, "S3 answered 503"),
        (b"", ObjectUnreachable, "closed in the middle of an answer"),
        (b"SSH-2.0\r\n\r\n", ObjectUnreachable, "another status line"),
        (answer(400, error("ExpiredToken")), ObjectRefused, "S3 answered ExpiredToken: As told"),
        (answer(403, b""), ObjectRefused, "S3 answered 403"),
        (answer(403, error("RequestTimeTooSkewed")), ObjectRefused, "S3 answered RequestTimeTooSkewed: As told"),
        (answer(418, b"x" * 100_000), ObjectError, "S3 answered 418"),
        (answer(302, b"", "Location: http://169.254.169.254/\r\n"), ObjectError, "S3 answered 302"),
    ],
)
def test_what_stays_wrong(told: bytes, kind: type[ObjectError], message: str) -> None:
    with pytest.raises(ObjectError) as raised:
        ask(told)
    assert type(raised.value) is kind
    assert str(raised.value) == f"reading s3://pictures/a.png: {message}"


def test_an_object_that_is_archived() -> None:
    with pytest.raises(InputError, match=r"^names an object that is archived: it has to be restored first$"):
        ask(answer(403, error("InvalidObjectState")))


def test_https(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "_contexts", [])
    with serving(lambda _: answer(200, b"a picture"), is_secure=True) as server:
        become(
            {**ENVIRON, "AWS_ENDPOINT_URL_S3": f"https://localhost:{server.port}", "AWS_CA_BUNDLE": str(CERTIFICATE)}
        )
        assert get("s3://pictures/a.png", 100) == b"a picture"
        monkeypatch.setattr(http1, "_contexts", [])
        del os.environ["AWS_CA_BUNDLE"]
        with pytest.raises(ObjectUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
            get("s3://pictures/a.png", 100)


def test_a_size_that_is_told_is_not_read() -> None:
    with pytest.raises(InputTooLarge):
        ask(b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n")


def test_a_store_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(s3, "_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        become({**ENVIRON, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{silent.getsockname()[1]}"})
        with pytest.raises(ObjectUnreachable):
            get("s3://pictures/a.png", 100)


@pytest.mark.parametrize(
    ("environ", "kind", "message"),
    [
        ({"AWS_REGION": ""}, ObjectError, "reading s3://pictures/a.png: no region is set"),
        ({"AWS_ENDPOINT_URL_S3": "minio:9000"}, ObjectError, "connecting to S3: 'minio:9000' is not a URL"),
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_EC2_METADATA_DISABLED": "true"},
            ObjectRefused,
            "finding AWS credentials: none are",
        ),
    ],
)
def test_what_is_not_set(environ: dict[str, str], kind: type[ObjectError], message: str) -> None:
    become({**ENVIRON, **environ})
    with pytest.raises(ObjectError) as raised:
        get("s3://pictures/a.png", 100)
    assert type(raised.value) is kind
    assert message in str(raised.value)
    assert raised.value.hint


CODE = """
import contextlib, json, re, socket, sys, typing
from pilotlight.function import runtime
before = set(sys.modules)
from pilotlight.function.s3 import get
at_import = set(sys.modules) - before
assert get("s3://pictures/a.png", 100) == b"a picture"
print(json.dumps([sorted(at_import), sorted(set(sys.modules) - before - at_import)]))
"""


def test_what_is_imported() -> None:
    with serving(lambda _: answer(200, b"a picture")) as server:
        environ = {**ENVIRON, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.port}", "PATH": os.environ["PATH"]}
        done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=environ, check=True)
    at_import, later = ({name for name in names if name[0] != "_"} for names in json.loads(done.stdout))
    ours = {f"pilotlight.function.{name}" for name in ("credentials", "download", "s3", "signing")}
    assert at_import <= {*ours, "pilotlight.errors", "pilotlight.function.http1"}
    assert later == {"hashlib", "hmac"}
