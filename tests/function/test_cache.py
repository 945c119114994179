"""Models that URIs name: what is fetched, where it is kept, and that it is asked for once."""

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from model_folders import FLOAT, node, tensor, write

from http_servers import CERTIFICATE, Request, answer
from hub_server import FakeHub, files, fresh, open_hub
from pilotlight import Model
from pilotlight.errors import CacheError, FetchError, FetchRefused, FetchUnreachable
from pilotlight.function import cache, cache_entries, cache_lock, http1
from pilotlight.function import hub as hub_client
from pilotlight.function.cache import fetch

WEIGHTS = bytes(range(256)) * 40
MODEL = {"model.onnx": WEIGHTS, "config.json": b"{}", "1_Pooling/config.json": b"[]"}


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of models, which is not there yet."""
    return fresh(monkeypatch, tmp_path)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with open_hub() as opened:
        monkeypatch.setenv("HF_ENDPOINT", opened.url)
        yield opened


# Paths


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("models/qa", "models/qa"),
        ("/srv/models/qa", "/srv/models/qa"),
        ("", ""),
        ("file:///srv/models/qa", "/srv/models/qa"),
        ("file://localhost/srv/my%20models/%C3%A4", "/srv/my models/ä"),
    ],
)
def test_a_path_is_itself(uri: str, path: str) -> None:
    assert fetch(uri) == path


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("file://host/srv", "this is no path of this machine"),
        ("file://", "this is no path of this machine"),
        ("file:///a%zz", "there is a % that begins no byte"),
        ("https://host/model", "nothing is fetched from https://"),
        ("HF://org/name", "nothing is fetched from HF://"),
        ("hf://", "this is no name on the hub"),
        ("hf://a/b/c", "this is no name on the hub"),
        ("hf://org/../name", "this is no name on the hub"),
        ("hf://org/name@", "this is no name on the hub"),
        ("hf://org/na me", "this is no name on the hub"),
        ("s3://", "it must be of the form s3://bucket/key"),
        ("s3://bucket", "it must be of the form s3://bucket/key"),
        ("s3://bucket/", "it must be of the form s3://bucket/key"),
        ("s3://bucket/../x", "it names a key that no object may have, or that has a segment . or .."),
    ],
)
def test_what_names_no_model(uri: str, reason: str) -> None:
    with pytest.raises(FetchError) as refused:
        fetch(uri)
    assert str(refused.value) == f"fetching {uri}: {reason}"
    assert refused.value.hint


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"PILOTLIGHT_CACHE": "/mnt/models"}, "/mnt/models/models"),
        ({"PILOTLIGHT_CACHE": "~/cache"}, "/home/ada/cache/models"),
        ({"AWS_LAMBDA_FUNCTION_NAME": "qa"}, "/tmp/pilotlight/models"),
        ({"AWS_LAMBDA_FUNCTION_NAME": "qa", "TMPDIR": "/tmp/own"}, "/tmp/own/pilotlight/models"),
        ({"XDG_CACHE_HOME": "/var/cache/ada"}, "/var/cache/ada/pilotlight/models"),
        ({}, "/home/ada/.cache/pilotlight/models"),
    ],
)
def test_where_models_are_kept(environ: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PILOTLIGHT_CACHE", "AWS_LAMBDA_FUNCTION_NAME", "TMPDIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/ada", **environ}.items():
        monkeypatch.setenv(name, value)
    assert cache.folder() == folder


# The hub


def test_a_repository_is_fetched_once_and_without_what_it_was_made_from(
    hub: FakeHub, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = {
        "pytorch_model.bin": b"pickled",
        "model.safetensors": WEIGHTS,
        ".gitattributes": b"*",
        "flax_model.msgpack": b"",
    }
    commit = hub.add("org/name", {**MODEL, **more})
    folder = fetch("hf://org/name")
    assert files(folder) == MODEL
    assert fetch("hf://org/name") == fetch("hf://org/name@main") == folder
    assert hub.downloads == ["1_Pooling/config.json", "config.json", "model.onnx"]
    assert capsys.readouterr().err.splitlines()[0] == "fetching hf://org/name@main: 3 files, 0.0 MB"
    [entry] = kept.iterdir()
    assert entry.name.startswith("hf--org--name@main-")
    assert json.loads((entry / "entry.json").read_text()) == {
        "uri": "hf://org/name@main",
        "revision": commit,
        "files": {"model.onnx": len(WEIGHTS), "config.json": 2, "1_Pooling/config.json": 2},
        "only": "",
        "task": "",
    }
    assert sorted(path.name for path in entry.iterdir()) == ["entry.json", "files", "lock", "used"]


def test_revisions_are_models_of_their_own(hub: FakeHub) -> None:
    commit = hub.add("org/name", {"model.onnx": b"old"}, "v1.0")
    hub.add("org/name", {"model.onnx": b"new"}, "refs/pr/1")
    found = [files(fetch(f"hf://org/name@{revision}")) for revision in ("v1.0", "refs/pr/1", commit)]
    assert found == [{"model.onnx": b"old"}, {"model.onnx": b"new"}, {"model.onnx": b"old"}]


def test_a_branch_is_what_it_was_until_it_is_removed(hub: FakeHub) -> None:
    hub.add("name", {"model.onnx": b"old"})
    assert files(fetch("hf://name")) == {"model.onnx": b"old"}
    hub.add("name", {"model.onnx": b"new"})
    assert files(fetch("hf://name")) == {"model.onnx": b"old"}
    hub_entry = cache_entries.entry(cache.folder(), "hf://name@main")
    hub_entry.discard()
    assert files(fetch("hf://name")) == {"model.onnx": b"new"}


def test_names_of_files_are_encoded(hub: FakeHub) -> None:
    odd = {"model.onnx": WEIGHTS, "a b/ü%20#?.txt": b"odd"}
    hub.add("org/name", odd)
    assert files(fetch("hf://org/name")) == odd


@pytest.mark.parametrize(
    "name", ["../model.onnx", "/model.onnx", "a//model.onnx", "a/./b", "a\0b", "x" * 300, "ü" * 121, "", "\ud800"]
)
def test_a_name_that_leads_elsewhere_is_refused(hub: FakeHub, tmp_path: Path, name: str) -> None:
    hub.add("org/name", {"model.onnx": WEIGHTS, name: b"evil"})
    with pytest.raises(FetchError, match="is no name for a file in a folder"):
        fetch("hf://org/name")
    assert not list(tmp_path.rglob("model.onnx"))


def test_a_checkpoint_is_no_model(hub: FakeHub) -> None:
    hub.add("org/name", {"config.json": b"{}", "model.safetensors": WEIGHTS})
    with pytest.raises(FetchError) as refused:
        fetch("hf://org/name")
    assert str(refused.value) == (
        "fetching hf://org/name: the repository holds no model folder, and no model.onnx or model.tflite"
    )
    assert "pilotlight optimize hf://org/name" in refused.value.hint
    assert hub.downloads == []


def test_the_token_goes_to_the_hub_alone(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/private", MODEL, token="hf_secret")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetch("hf://org/private")
    assert {request.headers.get("authorization") for request in hub.hub.requests} == {"Bearer hf_secret"}
    assert [request.headers.get("authorization") for request in hub.sent] == [None]


def test_the_token_that_the_hubs_own_command_has_saved(hub: FakeHub, tmp_path: Path) -> None:
    hub.add("org/private", MODEL, token="hf_saved")
    (tmp_path / "huggingface").mkdir()
    (tmp_path / "huggingface" / "token").write_text("hf_saved\n")
    assert files(fetch("hf://org/private")) == MODEL


def test_over_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "_contexts", [])
    monkeypatch.setenv("AWS_CA_BUNDLE", str(CERTIFICATE))
    with open_hub(is_secure=True) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.add("org/name", MODEL)
        assert files(fetch("hf://org/name")) == MODEL


def test_a_redirect_from_https_to_http_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "_contexts", [])
    monkeypatch.setenv("AWS_CA_BUNDLE", str(CERTIFICATE))
    with open_hub(is_secure=True) as hub, open_hub() as plain:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.add("org/name", MODEL)
        hub.cdn_url = plain.cdn_url
        with pytest.raises(FetchError, match="redirects from https to http"):
            fetch("hf://org/name")
        assert plain.sent == []


@pytest.mark.parametrize(
    ("add", "token", "kind", "text", "hint"),
    [
        ({}, "", FetchError, "the hub has no model of that name that you may read", "if it is private, set HF_TOKEN"),
        ({"token": "hf_other"}, "hf_mine", FetchError, "the hub has no model of that name", "check the name"),
        (
            {"token": "hf_other", "is_gated": True},
            "hf_mine",
            FetchRefused,
            "its owner has to admit you first",
            "ask at",
        ),
        ({"token": "hf_mine"}, "hf_expired", FetchRefused, "answered 401: Invalid credentials in", "may have expired"),
    ],
)
def test_what_may_not_be_read(
    hub: FakeHub,
    kept: Path,
    monkeypatch: pytest.MonkeyPatch,
    add: dict[str, str],
    token: str,
    kind: type[FetchError],
    text: str,
    hint: str,
) -> None:
    hub.expired = "hf_expired"
    if add:
        hub.add("org/name", MODEL, **add)  # type: ignore[arg-type]
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(kind, match=text) as refused:
        fetch("hf://org/name")
    assert type(refused.value) is kind
    assert hint in refused.value.hint
    if add:  # and it is there for who may
        monkeypatch.setenv("HF_TOKEN", add["token"])
        assert files(fetch("hf://org/name")) == MODEL


def test_a_revision_that_is_not_there(hub: FakeHub) -> None:
    hub.add("org/name", MODEL)
    with pytest.raises(FetchError, match=r"fetching hf://org/name@v9: there is no revision 'v9'"):
        fetch("hf://org/name@v9")


def test_the_tokenizer_of_a_translator_is_fetched(hub: FakeHub) -> None:
    hub.add("org/en-zh", {"model.onnx": WEIGHTS, "pieces.bin": b"pieces", "pytorch_model.bin": b"weights"})
    assert sorted(os.listdir(fetch("hf://org/en-zh"))) == ["model.onnx", "pieces.bin"]


@pytest.mark.parametrize(
    ("names", "holds"),
    [
        ({"model.onnx"}, True),
        ({"encoder/model.onnx", "encoder/model.json"}, True),
        ({"config.json", "model.safetensors", "onnx/model.onnx", "onnx/model_quantized.onnx"}, False),
    ],
)
def test_what_holds_a_model(names: set[str], holds: bool) -> None:
    assert hub_client.holds_model(names) is holds


@pytest.mark.parametrize("said", [b"<html>", b"[]", b'{"sha": "main", "siblings": []}', b'{"sha": "%s"}' % (b"a" * 40)])
def test_what_is_no_hub(hub: FakeHub, said: bytes) -> None:
    hub.on_api = lambda request: answer(200, said)
    with pytest.raises(FetchError, match="answers what is no repository") as refused:
        fetch("hf://org/name")
    assert refused.value.hint == "is HF_ENDPOINT a hub?"


@pytest.mark.parametrize("endpoint", ["huggingface.co", "ftp://hub", "http://hub:99999", "http://user@hub"])
def test_an_endpoint_that_is_none(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(FetchError, match="fetching hf://org/name: HF_ENDPOINT: "):
        fetch("hf://org/name")


def test_without_a_way_to_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
    with pytest.raises(FetchUnreachable) as refused:
        fetch("hf://org/name")
    assert str(refused.value).startswith(f"fetching hf://org/name: {hub.url[7:]}: ")
    assert "A function in a VPC without NAT reaches neither the hub nor any URL" in refused.value.hint
    assert "s3://bucket/prefix" in refused.value.hint


def test_a_network_that_drops_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a VPC without NAT does: nothing refuses the connection, and nothing answers."""
    monkeypatch.setattr(hub_client, "CONNECT", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first, socket.socket() as second:
        for each in (first, second):  # the kernel drops those that come after
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{full.getsockname()[1]}")
        with pytest.raises(FetchUnreachable, match="there was no answer in time") as refused:
            fetch("hf://org/name")
    assert "s3://bucket/prefix" in refused.value.hint


# Without the hub


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_nothing_is_asked_offline(hub: FakeHub, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    hub.add("org/name", MODEL)
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    with pytest.raises(FetchError, match="HF_HUB_OFFLINE is set, and the model is neither kept here nor in") as refused:
        fetch("hf://org/name")
    assert refused.value.hint == "unset it once, or set HF_HOME to a folder that has the model"
    assert hub.hub.requests == []
    monkeypatch.delenv("HF_HUB_OFFLINE")
    folder = fetch("hf://org/name")
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert fetch("hf://org/name") == folder


def library(home: Path, files: dict[str, bytes], revision: str = "main") -> Path:
    """What huggingface_hub leaves: blobs, links to them by their commit, a name for the commit."""
    commit = "c" * 40
    repository = home / "hub" / "models--org--name"
    for name, content in files.items():
        blob = repository / "blobs" / hashlib.sha256(content).hexdigest()
        link = repository / "snapshots" / commit / name
        for each in (blob, link):
            each.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        link.symlink_to(os.path.relpath(blob, link.parent))
    reference = repository / "refs" / revision
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(commit)
    return repository / "snapshots" / commit


def test_what_the_hubs_own_library_has_is_used_where_it_lies(hub: FakeHub, tmp_path: Path, kept: Path) -> None:
    folder = {"model.json": b'{"format": 1, "files": {"model.onnx": 10240}}', "model.onnx": WEIGHTS}
    snapshot = library(tmp_path / "huggingface", folder)
    assert fetch("hf://org/name") == fetch(f"hf://org/name@{'c' * 40}") == str(snapshot)
    assert not kept.exists()
    assert hub.hub.requests == []


def test_what_the_library_has_in_part_is_fetched(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {"model.json": b'{"format": 1, "files": {"model.onnx": 10240, "vocab.txt": 1}}', "model.onnx": WEIGHTS}
    snapshot = library(tmp_path / "huggingface", whole)
    hub.add("org/name", {**whole, "vocab.txt": b"a"})
    assert files(fetch("hf://org/name")) == {**whole, "vocab.txt": b"a"}
    bare = library(tmp_path / "elsewhere", {"model.onnx": WEIGHTS}, "v1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "elsewhere" / "hub"))
    hub.add("org/name", MODEL, "v1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # without a model.json nobody knows what else there is
    assert fetch("hf://org/name@v1") == str(bare) != str(snapshot)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert files(fetch("hf://org/name@v1")) == MODEL


# Room


def age(folder: str, seconds: float) -> None:
    """As if it was used last that long ago, by a process that has ended."""
    entry = cache_entries.Entry(os.path.dirname(folder))
    descriptor = cache_lock._kept.pop(entry.used, None)
    if descriptor is not None:
        os.close(descriptor)
    for file in (entry.used, entry.lock):
        when = os.stat(file).st_mtime - seconds
        os.utime(file, (when, when))


def test_what_was_used_longest_ago_makes_room(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PILOTLIGHT_CACHE_SIZE", "1")
    for number in range(4):
        hub.add(f"org/m{number}", {"model.onnx": bytes([number]) * 300_000})
    first, second, third = (fetch(f"hf://org/m{number}") for number in range(3))
    age(first, 8_000)
    age(second, 10_000)
    age(third, 9_000)
    fetch("hf://org/m0")  # which is used now, and kept by this process
    fetch("hf://org/m3")
    assert [Path(folder).is_dir() for folder in (first, second, third)] == [True, False, True]
    assert "removed hf://org/m1@main from" in capsys.readouterr().err


def test_what_is_in_use_stays_and_the_log_says_that_there_is_more(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kept: Path
) -> None:
    monkeypatch.setenv("PILOTLIGHT_CACHE_SIZE", "1")
    hub.add("org/m0", {"model.onnx": bytes(700_000)})
    hub.add("org/m1", {"model.onnx": bytes(800_000)})
    first = fetch("hf://org/m0")
    second = fetch("hf://org/m1")
    assert Path(first).is_dir()
    assert Path(second).is_dir()
    said = f"{kept} will have 0.5 MB more than size in [cache] allows: the rest of it is in use"
    assert said in capsys.readouterr().err.splitlines()


def test_a_model_larger_than_all_that_may_be_kept(hub: FakeHub, monkeypatch: pytest.MonkeyPatch, kept: Path) -> None:
    monkeypatch.setenv("PILOTLIGHT_CACHE_SIZE", "1")
    hub.add("org/name", {"model.onnx": bytes(2_000_000)})
    with pytest.raises(CacheError) as refused:
        fetch("hf://org/name")
    assert str(refused.value) == f"fetching hf://org/name: it takes 2.0 MB, and {kept} may have 1 MB"
    assert refused.value.hint == "let more be kept by size in [cache], or fetch a smaller model"
    assert hub.downloads == []


def test_a_size_that_is_no_number(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/name", MODEL)
    monkeypatch.setenv("PILOTLIGHT_CACHE_SIZE", "2 GB")
    with pytest.raises(FetchError, match="PILOTLIGHT_CACHE_SIZE: '2 GB' is no number of MB"):
        fetch("hf://org/name")


# What a function does with it


def test_a_model_of_the_hub_runs(hub: FakeHub, tmp_path: Path) -> None:
    ends = (tensor("x", FLOAT, [2]), tensor("y", FLOAT, [2]))
    folder = write(tmp_path / "made", {}, [node("Neg", ["x"], ["y"])], ends[:1], ends[1:], {})
    hub.add("org/name", files(folder))
    model = Model("hf://org/name")
    assert model.path == os.path.join(fetch("hf://org/name"), "model.onnx")
    assert [info.name for info in model.inputs] == [info.name for info in Model(folder).inputs]


def test_requests_tell_nothing_of_the_machine(hub: FakeHub) -> None:
    hub.add("org/name", MODEL)
    fetch("hf://org/name")
    names: set[str] = set()
    requests: list[Request] = [*hub.hub.requests, *hub.sent]
    for request in requests:
        names |= request.headers.keys()
    assert names == {"host", "user-agent", "accept-encoding", "connection"}


def test_two_uris_of_one_name_are_never_taken_for_one_another(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_entries, "name_of", lambda uri: "one")
    hub.add("org/a", {"model.onnx": b"a"})
    hub.add("org/b", {"model.onnx": b"b"})
    for name in ("a", "b", "a"):
        assert files(fetch(f"hf://org/{name}")) == {"model.onnx": name.encode()}


def test_what_a_start_imports_when_the_model_is_there(hub: FakeHub) -> None:
    hub.add("org/name", MODEL)
    fetch("hf://org/name")
    program = (
        "import json, sys; before = set(sys.modules); from pilotlight.function.cache import fetch; "
        "fetch('hf://org/name'); print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules = set(json.loads(done.stdout))
    own = {name for name in modules if name.startswith("pilotlight.function.")}
    assert own == {f"pilotlight.function.{name}" for name in ("cache", "cache_entries", "cache_lock", "trace")}
    assert not {"hashlib", "shutil", "socket", "ssl", "urllib", "pathlib"} & modules
