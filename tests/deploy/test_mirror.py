"""Models of the hub in the artefact bucket: what goes there, what travels again, what a function makes of it."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from conftest import write
from hub_server import FakeHub, files, fresh, open_hub
from pilotlight import project
from pilotlight.cli import models as cli_models
from pilotlight.deploy import mirror
from pilotlight.deploy.session import MULTIPART, Session
from pilotlight.errors import AwsUnreachable, DeployError, FetchError, ModelError
from pilotlight.function import cache, cache_entries, credentials, s3
from pilotlight.function.cache_entries import Manifest
from s3_store import BUCKET, REGION, Store, open_store

ACCOUNT = "123456789012"  # moto's
URI = "hf://org/name"
MODEL = {"model.onnx": b"weights" * 1000, "vocab.txt": b"a\nb\n"}
HANDLER = "def handler(event, context):\n    return event\n"


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with open_store() as opened:
        yield opened


class Bucket:
    """The artefact bucket, which counts what comes; `failing` is the name at whose turn the network is lost."""

    def __init__(self, store: Store) -> None:
        self.sent: list[str] = []
        self.failing = ""
        key, secret = store.owner["AWS_ACCESS_KEY_ID"], store.owner["AWS_SECRET_ACCESS_KEY"]
        boto = boto3.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name=REGION)
        client = boto.client("s3", endpoint_url=store.url)
        client.meta.events.register("before-call.s3", self._note)
        self.session = Session(ACCOUNT, REGION, boto=boto)
        self.session.use("s3", client)

    def _note(self, model: object, params: dict[str, str], **_: object) -> None:
        name = params["url_path"].rpartition("/")[2]
        if getattr(model, "name", "") in ("PutObject", "CompleteMultipartUpload"):
            if name == self.failing:
                raise EndpointConnectionError(endpoint_url="https://s3")
            self.sent.append(name)

    def upload(self, model: mirror.Model) -> int:
        return mirror.upload(self.session, BUCKET, "sentences", model)


@pytest.fixture
def bucket(store: Store) -> Bucket:
    return Bucket(store)


@pytest.fixture
def function(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process is as a function that may read the bucket, with an empty cache."""
    monkeypatch.setattr(s3, "_regions", {})
    credentials.forget()
    fresh(monkeypatch, tmp_path / "function")
    with mock.patch.dict(os.environ, store.owner):
        yield


def sums(content: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(each).hexdigest() for name, each in content.items()}


def settings(content: dict[str, bytes], **more: object) -> bytes:
    return json.dumps({"format": 1, **more, "sha256": sums(content)}).encode()


def folder(path: Path, content: dict[str, bytes]) -> Path:
    for name, each in content.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(each)
    return path


def uri_of(model: mirror.Model) -> str:
    return f"s3://{BUCKET}/{model.prefix('sentences')}"


def test_what_a_function_fetches_is_what_was_there(bucket: Bucket, function: None, tmp_path: Path) -> None:
    whole = {**MODEL, "model.json": settings(MODEL, task="translation"), "encoder/weights.onnx": b"e"}
    whole["encoder/model.json"] = settings({"weights.onnx": b"e"})
    model = mirror.read(URI, folder(tmp_path / "model", whole))
    assert bucket.upload(model) == model.size == sum(map(len, whole.values()))
    assert files(cache.fetch(uri_of(model))) == whole


def test_files_without_a_digest_get_one(bucket: Bucket, function: None, tmp_path: Path) -> None:
    given = {**MODEL, "model.json": b'{"format": 1, "outputs": ["logits"]}', "text/pieces.bin": b"pieces"}
    model = mirror.read(URI, folder(tmp_path / "model", given))
    bucket.upload(model)
    fetched = files(cache.fetch(uri_of(model)))
    assert json.loads(fetched.pop("model.json")) == {
        "format": 1,
        "outputs": ["logits"],
        "sha256": sums({**MODEL, "text/pieces.bin": b"pieces"}),
    }
    assert fetched == {**MODEL, "text/pieces.bin": b"pieces"}


def test_a_graph_alone_gets_a_digest(bucket: Bucket, store: Store, function: None, tmp_path: Path) -> None:
    model = mirror.read(URI, folder(tmp_path / "model", {"model.onnx": b"graph alone"}))
    assert [file.name for file in model.files] == ["model.json", "model.onnx"]
    bucket.upload(model)
    store.put(f"{model.prefix('sentences')}/model.onnx", b"graph alonf")
    with pytest.raises(FetchError, match=r"model\.onnx: the SHA-256 is .*, not "):
        cache.fetch(uri_of(model))


@pytest.mark.parametrize("said", [b"[]", b"not JSON", b'{"sha256": 3}'])
def test_a_model_json_that_nobody_can_read_goes_as_it_is(tmp_path: Path, said: bytes) -> None:
    model = mirror.read(URI, folder(tmp_path, {"model.onnx": b"m", "model.json": said}))
    assert {file.name: file.sha256 for file in model.files} == sums({"model.onnx": b"m", "model.json": said})


def test_nothing_travels_twice(bucket: Bucket, store: Store, tmp_path: Path) -> None:
    content = {"model.onnx": b"twice", "model.json": settings({"model.onnx": b"twice"}), "b.txt": b"b"}
    content["model.json"] = settings({name: content[name] for name in ("model.onnx", "b.txt")})
    model = mirror.read(URI, folder(tmp_path / "one", content))
    bucket.upload(model)
    assert bucket.sent == ["b.txt", "model.json", "model.onnx"]
    again = mirror.read("hf://org/copy", folder(tmp_path / "two", content))
    assert (again.digest, bucket.upload(again), len(bucket.sent)) == (model.digest, 0, 3)
    bucket.session.client("s3").delete_object(Bucket=BUCKET, Key=f"{model.prefix('sentences')}/b.txt")
    assert (bucket.upload(model), bucket.sent[3:]) == (1, ["b.txt"])


def test_what_was_broken_off_goes_on(bucket: Bucket, function: None, tmp_path: Path) -> None:
    content = {"a.txt": b"broken", "model.onnx": b"off"}
    model = mirror.read(URI, folder(tmp_path / "model", content))
    bucket.failing = "model.onnx"
    with pytest.raises(AwsUnreachable, match=r"mirroring hf://org/name: model\.onnx: ") as failed:
        bucket.upload(model)
    assert "the same command again" in failed.value.hint
    bucket.failing = ""
    assert bucket.upload(model) == 3
    assert bucket.sent == ["a.txt", "model.json", "model.onnx"]
    assert {name: each for name, each in files(cache.fetch(uri_of(model))).items() if name != "model.json"} == content


def test_other_bytes_or_names_are_another_place(tmp_path: Path) -> None:
    contents = [{"model.onnx": b"1"}, {"model.onnx": b"2"}, {"model.onnx": b"1", "b": b""}, {"a/model.onnx": b"1"}]
    places = [mirror.read(URI, folder(tmp_path / str(n), each)).prefix("s") for n, each in enumerate(contents)]
    assert len(set(places)) == 4
    assert all(place.startswith("s/models/") and len(place) == len("s/models/") + 64 for place in places)


def test_weights_of_frameworks_and_pickles_stay_here(tmp_path: Path) -> None:
    given = {**MODEL, "model.safetensors": b"s", "pytorch_model.bin": b"p", ".gitattributes": b"g", "x/a.pkl": b"k"}
    model = mirror.read(URI, folder(tmp_path, given))
    assert [file.name for file in model.files] == ["model.json", "model.onnx", "vocab.txt"]


def test_progress_of_a_large_file(bucket: Bucket, tmp_path: Path) -> None:
    content = {"model.onnx": os.urandom(MULTIPART + 1_000_000), "model.json": b"{}"}
    model, told = mirror.read(URI, folder(tmp_path, content)), list[int]()
    mirror.upload(bucket.session, BUCKET, "sentences", model, told.append)
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0, model.size)
    assert len(told) > 3  # within the file, too


def test_a_file_that_is_not_what_its_settings_say(tmp_path: Path) -> None:
    folder(tmp_path, {"part/model.onnx": b"other", "part/model.json": settings({"model.onnx": b"this"})})
    with pytest.raises(ModelError) as refused:
        mirror.read(URI, tmp_path)
    other, this = (hashlib.sha256(each).hexdigest() for each in (b"other", b"this"))
    said = f"the SHA-256 of part/model.onnx is {other}, and part/model.json says {this}"
    assert str(refused.value) == f"mirroring hf://org/name: {said}"
    assert refused.value.hint == "have it made or fetched anew: pilotlight cache remove hf://org/name"


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"mirroring hf://org/name: {tmp_path} holds no files of a model"):
        mirror.read(URI, tmp_path)


def test_a_bucket_that_is_not_there(bucket: Bucket, tmp_path: Path) -> None:
    model = mirror.read(URI, folder(tmp_path, MODEL))
    with pytest.raises(DeployError, match=r"mirroring hf://org/name: .*NoSuchBucket"):
        mirror.upload(bucket.session, "nowhere", "sentences", model)


# Which models


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with open_hub() as opened:
        fresh(monkeypatch, tmp_path / "here")
        monkeypatch.setenv("HF_ENDPOINT", opened.url)
        yield opened


def service(path: Path, toml: str) -> project.Function:
    [found] = project.load(write(path, {"pilotlight.toml": toml, "inference/show.py": HANDLER})).functions
    return found


def test_models_on_the_hub_are_mirrored_and_no_others(hub: FakeHub, tmp_path: Path) -> None:
    hub.add("org/name", {**MODEL, "model.json": settings(MODEL), "model.safetensors": b"large"})
    toml = """
        name = "sentences"
        [functions.show]
        model = "hf://org/name"
        models = {here = "models/qa", there = "s3://bucket/qa"}
    """
    found = mirror.models(service(tmp_path / "service", toml), cli_models.here)
    assert [*found] == [URI]
    assert [file.name for file in found[URI].files] == ["model.json", "model.onnx", "vocab.txt"]
    bucket = "pilotlight-artifacts-${AWS::AccountId}-${AWS::Region}"
    digest = found[URI].digest.removeprefix("sha256:")
    assert mirror.targets("sentences", found) == {URI: f"s3://{bucket}/sentences/models/{digest}"}


def test_a_checkpoint_that_was_optimised_is_in_the_package_and_not_mirrored(hub: FakeHub, tmp_path: Path) -> None:
    hub.add("org/name", {"config.json": b"{}", "model.safetensors": b"large"}, pipeline_tag="translation")
    made = cache_entries.entry(cache.folder(), f"{URI}@main", "translation")
    folder(Path(made.files), MODEL)
    made.write(Manifest(f"{URI}@main", "0" * 40, {name: len(each) for name, each in MODEL.items()}, task="translation"))
    function = service(tmp_path / "service", f'[functions.show]\nmodel = "{URI}"\n')
    assert mirror.models(cli_models.ready(function), cli_models.here) == {}
    assert hub.downloads == []
