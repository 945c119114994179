"""Models in S3: folders and single objects of a store that checks signatures, and what may be wrong with them."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_servers import Cut, Request, answer, serving
from hub_server import cut, files, fresh, part
from pilotlight.errors import FetchError, FetchRefused, FetchUnreachable
from pilotlight.function import cache, credentials, s3, s3_folder, transfer
from pilotlight.function.cache import fetch
from pilotlight.function.cache_entries import name_of
from s3_store import BUCKET, Store, open_store

WEIGHTS = os.urandom(300_000)


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of models, which is not there yet."""
    monkeypatch.setattr(s3, "_regions", {})
    credentials.forget()
    return fresh(monkeypatch, tmp_path)


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with open_store() as opened:
        yield opened


@pytest.fixture
def owner(store: Store) -> Iterator[Store]:
    with mock.patch.dict(os.environ, store.owner):
        yield store


def settings(content: dict[str, bytes]) -> bytes:
    """A model.json with the digests of these files."""
    digests = {name: hashlib.sha256(each).hexdigest() for name, each in content.items()}
    return json.dumps({"format": 1, "sha256": digests}).encode()


def put(store: Store, prefix: str, content: dict[str, bytes]) -> None:
    for name, each in content.items():
        store.put(f"{prefix}/{name}", each)


MODEL = {"model.onnx": WEIGHTS, "vocab.txt": b"a\nb\n"}
WHOLE = {"model.json": settings(MODEL), **MODEL}


def test_a_folder(owner: Store, capsys: pytest.CaptureFixture[str]) -> None:
    put(owner, "models/qa", WHOLE)
    put(owner, "models/qa-large", {"model.onnx": b"another"})
    owner.put("models/qa/", b"")  # as consoles make folders
    folder = fetch(f"s3://{BUCKET}/models/qa")
    assert files(folder) == WHOLE
    assert fetch(f"s3://{BUCKET}/models/qa/") == folder
    assert capsys.readouterr().err.splitlines()[0] == f"fetching s3://{BUCKET}/models/qa: 3 files, 0.3 MB"


def test_parts_of_a_model_with_digests_of_their_own(owner: Store) -> None:
    parts = {f"{part}/{name}": each for part in ("encoder", "decoder") for name, each in WHOLE.items()}
    put(owner, "captioning", {"model.json": b"{}", **parts})
    assert files(fetch(f"s3://{BUCKET}/captioning")) == {"model.json": b"{}", **parts}


def test_one_object(owner: Store) -> None:
    owner.put("single/model.onnx", WEIGHTS)
    path = Path(fetch(f"s3://{BUCKET}/single/model.onnx"))
    assert (path.name, path.read_bytes()) == ("model.onnx", WEIGHTS)
    assert fetch(f"s3://{BUCKET}/single/model.onnx") == str(path)


def test_odd_keys(owner: Store) -> None:
    odd = {"a b/ü & <c>+%20?#'\".txt": b"odd", "model.onnx": b"m", "~.-_": b"plain"}
    put(owner, "odd keys/é&=", odd)
    assert files(fetch(f"s3://{BUCKET}/odd keys/é&=")) == odd


def test_more_objects_than_one_page_has(owner: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_folder, "PAGE", 3)
    many = {f"{number:04}": b"%d" % number for number in range(10)}
    put(owner, "many", many)
    assert files(fetch(f"s3://{BUCKET}/many")) == many


@pytest.mark.parametrize("name", ["model.onnx", "vocab.txt"])
def test_another_digest_than_the_folder_says(owner: Store, kept: Path, name: str) -> None:
    prefix = f"wrong-{name}"
    put(owner, prefix, {**WHOLE, name: MODEL[name][:-1] + b"!"})
    with pytest.raises(
        FetchError, match=f"fetching s3://{BUCKET}/{prefix}: {name}: the SHA-256 is .*, not "
    ) as refused:
        fetch(f"s3://{BUCKET}/{prefix}")
    assert "deleted" in refused.value.hint
    assert not list(kept.rglob(f"{name}*"))
    owner.put(f"{prefix}/{name}", MODEL[name])
    assert files(fetch(f"s3://{BUCKET}/{prefix}")) == WHOLE


def test_nothing_of_that_name(owner: Store) -> None:
    with pytest.raises(FetchError) as refused:
        fetch(f"s3://{BUCKET}/models/none")
    assert str(refused.value) == f"fetching s3://{BUCKET}/models/none: the bucket {BUCKET} has nothing of that name"
    assert "aws s3 cp --recursive" in refused.value.hint


def test_a_stranger(store: Store) -> None:
    put(store, "private", WHOLE)
    with mock.patch.dict(os.environ, store.stranger), pytest.raises(FetchRefused, match="AccessDenied") as refused:
        fetch(f"s3://{BUCKET}/private")
    assert "s3:ListBucket" in refused.value.hint
    with mock.patch.dict(os.environ, store.owner):
        assert files(fetch(f"s3://{BUCKET}/private")) == WHOLE


def test_without_credentials(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", store.url)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    with pytest.raises(FetchRefused, match=r"finding AWS credentials: none are in the environment"):
        fetch(f"s3://{BUCKET}/models/qa")


# A server that answers as told


def listing(content: dict[str, bytes], prefix: str = "qa/") -> bytes:
    found = "".join(
        f"<Contents><Key>{escape(prefix + name)}</Key><ETag>&quot;{tag(each)}&quot;</ETag><Size>{len(each)}</Size>"
        "</Contents>"
        for name, each in content.items()
    )
    return answer(200, f"<ListBucketResult>{found}</ListBucketResult>".encode())


def tag(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def said(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>As told</Message></Error>".encode()


ENVIRON = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}


class Told:
    """S3 with one folder, which can be replaced, or do wrong."""

    def __init__(self, content: dict[str, bytes]) -> None:
        self.content = content
        self.troubles: list[bytes] = []

    def __call__(self, request: Request) -> bytes:
        if self.troubles and not ("?" in request.target and self.troubles[0].startswith(b"cut")):
            return self.troubles.pop(0)
        if "?" in request.target:
            return listing(self.content)
        name = request.target.removeprefix("/bucket/qa/")
        if request.headers["if-match"] != f'"{tag(self.content[name])}"':
            return answer(412, said("PreconditionFailed"))
        return part(request, self.content[name])


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    told = Told(WHOLE)
    with serving(told) as server:
        for name, value in {**ENVIRON, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.port}"}.items():
            monkeypatch.setenv(name, value)
        told.requests = server.requests  # type: ignore[attr-defined]
        yield told


@pytest.mark.parametrize(
    "trouble",
    [answer(503, said("SlowDown")), answer(500, b""), Cut(b""), b"SSH-2.0\r\n\r\n"],
)
def test_it_is_tried_again(told: Told, trouble: bytes) -> None:
    told.troubles = [answer(503, said("SlowDown")), trouble]
    assert files(fetch("s3://bucket/qa")) == WHOLE


def test_a_listing_that_is_none_of_s3(told: Told) -> None:
    told.troubles = [answer(200, b"<Contents><Key>qa/model.onnx</Key><Size>many</Size></Contents>")]
    with pytest.raises(FetchError, match="fetching s3://bucket/qa: S3 lists an object without a size"):
        fetch("s3://bucket/qa")


def test_credentials_that_have_expired(told: Told, kept: Path) -> None:
    """Those of the environment, which nobody renews: it is said at once, and not after all attempts."""
    told.troubles = [answer(400, said("ExpiredToken"))] * 100
    with pytest.raises(FetchRefused) as refused:
        fetch("s3://bucket/qa")
    assert str(refused.value) == "fetching s3://bucket/qa: S3 answered ExpiredToken: As told"
    assert refused.value.hint.startswith("those of AWS_ACCESS_KEY_ID are for a time: sign in again")
    assert len(told.troubles) == 99
    told.troubles = []
    assert files(fetch("s3://bucket/qa")) == WHOLE


def test_credentials_that_expire_while_it_is_fetched_are_renewed(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    given = iter(range(100))

    def container(request: Request) -> bytes:
        keys = {"AccessKeyId": f"key{next(given)}", "SecretAccessKey": "secret", "Token": "token"}
        return answer(200, json.dumps({**keys, "Expiration": "2100-01-01T00:00:00Z"}).encode())

    with serving(container) as server:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{server.port}/creds")
        told.troubles = [listing(WHOLE), answer(400, said("ExpiredToken"))]
        assert files(fetch("s3://bucket/qa")) == WHOLE
        assert len(server.requests) == 2


def test_a_model_that_is_replaced_while_it_is_fetched(told: Told) -> None:
    new = {"model.onnx": b"new", "vocab.txt": b"c\n"}
    old, told.content = listing(WHOLE), {"model.json": settings(new), **new}
    told.troubles = [old]  # what was listed is there no longer
    assert files(fetch("s3://bucket/qa")) == told.content


def test_a_model_that_never_stays_as_it_is(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "TURNS", 3)
    told.troubles = [listing(WHOLE), answer(412, said("PreconditionFailed"))] * 5
    with pytest.raises(FetchError, match="fetching s3://bucket/qa: what is there changes all the time"):
        fetch("s3://bucket/qa")


def test_a_cut_connection(told: Told) -> None:
    whole = answer(200, WEIGHTS)
    told.content = {"model.onnx": WEIGHTS}
    told.troubles = [listing(told.content), cut(whole, 100_000), cut(whole, 0)]
    told.troubles[2:] = []
    assert files(fetch("s3://bucket/qa")) == told.content
    ranges = [request.headers.get("range") for request in told.requests]  # type: ignore[attr-defined]
    assert ranges == [None, None, "bytes=100000-"]


def test_without_a_way_to_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda _: b"") as server:
        port = server.port
    for name, value in {**ENVIRON, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(FetchUnreachable, match="fetching s3://bucket/qa: ") as refused:
        fetch("s3://bucket/qa")
    assert "A VPC without NAT needs a gateway endpoint for S3" in refused.value.hint


@pytest.mark.parametrize("name", ["../x", "a/../x", "a//x", "/x"])
def test_a_key_that_leads_elsewhere(told: Told, tmp_path: Path, name: str) -> None:
    told.content = {name: b"evil"}
    with pytest.raises(FetchError, match="is no name for a file in a folder"):
        fetch("s3://bucket/qa")
    assert not list(tmp_path.rglob("x"))


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_text_of_xml(text: str) -> None:
    assert s3_folder.unescaped(escape(text, {'"': "&quot;", "'": "&#39;"})) == text


@given(st.text(alphabet="&#x;amplt0123456789", max_size=20))
def test_whatever_looks_like_an_entity_is_text(text: str) -> None:
    assert isinstance(s3_folder.unescaped(text), str)
    assert s3_folder.unescaped("&#9999999;&#x110000;&nbsp;&amp;amp;") == "&#9999999;&#x110000;&nbsp;&amp;"


def test_names_in_the_cache_are_of_one_uri_alone() -> None:
    uris = ["s3://bucket/a/b", "s3://bucket/a--b", "s3://bucket/a?b", "s3://bucket/a_b", "hf://bucket/a"]
    assert len({name_of(uri) for uri in uris}) == len(uris)
    assert cache.normal("s3://bucket/a/") == "s3://bucket/a"
