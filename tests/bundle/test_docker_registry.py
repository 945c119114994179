"""Against docker-registry, skopeo and umoci: images of ours are everybody's, and theirs are a base for ours."""

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import images
import pytest
from registries import PASSWORD, USER, Tokens, basic, bearer, docker_registry, faulty

from http_servers import Request, serving
from pilotlight.bundle import archive, base, credentials, image, layout, reference, registry, uploads
from pilotlight.bundle.blobs import Blobs, digest_of
from pilotlight.bundle.credentials import Credentials
from pilotlight.bundle.files import Entry, Part
from pilotlight.bundle.image import Config, Image
from pilotlight.bundle.layers import layer
from pilotlight.bundle.reference import Reference
from pilotlight.bundle.transfers import Access
from pilotlight.errors import ImageError, RegistryRefused, RegistryThrottled, RegistryUnreachable

pytestmark = pytest.mark.system
ACCESS = Access(keys=credentials.anonymous, sleep=lambda seconds: None)
KNOWN = ACCESS._replace(keys=lambda registry: Credentials(USER, PASSWORD))


@pytest.fixture(scope="module")
def open_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("registry")) as place:
        yield place


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """One of the test's own."""
    return f"t{digest_of(request.node.nodeid.encode())[7:19]}"


@pytest.fixture
def to(open_registry: str, repository: str) -> Reference:
    return Reference(open_registry, repository, "1")


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "cache")


def run(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def skopeo(*arguments: object) -> str:
    command, *rest = arguments
    return run("skopeo", "--insecure-policy", command, *rest)


PULLED, BOTH = "--src-tls-verify=false", ("--src-tls-verify=false", "--dest-tls-verify=false")
FILES = {
    "inference/qa.py": (b"handler = None\n", 0o644),
    "bin/run": (b"#!/bin/sh\n", 0o755),
    "models/\u00fc" + "n" * 120: (b"long", 0o644),
}


def of_files(blobs: Blobs) -> Image:
    entries = tuple(Entry(path, data, mode) for path, (data, mode) in FILES.items())
    config = Config(("inference/qa.handler",), ("/bin/run",), {"A": "b"}, "/var/task", "993:990", "x86_64")
    return image.append(image.scratch("x86_64"), [layer(Part("code", entries), blobs)], config)


def test_what_is_pushed_is_what_others_pull(to: Reference, blobs: Blobs, tmp_path: Path) -> None:
    made = of_files(blobs)
    pushed = registry.push(made, to, blobs, ACCESS)
    seen = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{to}"))
    assert seen["Digest"] == made.digest == pushed.reference.digest
    assert seen["Layers"] == [made.layers[0].digest]
    assert (seen["Os"], seen["Architecture"], seen["Env"]) == ("linux", "amd64", ["A=b"])
    skopeo("copy", PULLED, f"docker://{to}", f"oci:{tmp_path}/copy:v1")
    images.recomputed(tmp_path / "copy")
    umoci_unpacks(tmp_path / "copy", "v1", tmp_path / "bundle")


def umoci_unpacks(folder: Path, tag: str, bundle: Path) -> None:
    run("umoci", "unpack", "--rootless", "--image", f"{folder}:{tag}", bundle)
    task = bundle / "rootfs" / "var" / "task"
    found = {str(path.relative_to(task)): path for path in task.rglob("*") if path.is_file()}
    assert {name: (path.read_bytes(), path.stat().st_mode & 0o777) for name, path in found.items()} == FILES
    config = json.loads((bundle / "config.json").read_text())
    assert config["process"]["args"] == ["/bin/run", "inference/qa.handler"]
    assert config["process"]["cwd"] == "/var/task"
    assert "A=b" in config["process"]["env"]


def test_layouts_and_archives_are_what_others_read(blobs: Blobs, tmp_path: Path) -> None:
    made = of_files(blobs)
    layout.write(made, tmp_path / "layout", "v1")
    archive.write(made, tmp_path / "image.tar", reference.parse("localhost/qa:v1"))
    umoci_unpacks(tmp_path / "layout", "v1", tmp_path / "bundle")
    for name in (f"oci:{tmp_path}/layout:v1", f"oci-archive:{tmp_path}/image.tar:v1"):
        assert json.loads(skopeo("inspect", name))["Digest"] == made.digest
    skopeo("copy", f"docker-archive:{tmp_path}/image.tar:localhost/qa:v1", f"oci:{tmp_path}/loaded:v1")
    umoci_unpacks(tmp_path / "loaded", "v1", tmp_path / "loaded bundle")


@pytest.mark.parametrize("kind", ["oci", "v2s2"])
def test_an_image_of_others_is_a_base(kind: str, to: Reference, blobs: Blobs, tmp_path: Path) -> None:
    """skopeo writes OCI's documents and Docker's own."""
    layout.write(of_files(blobs), tmp_path / "layout", "v1")
    skopeo("copy", *BOTH, "--format", kind, f"oci:{tmp_path}/layout:v1", f"docker://{to}")
    below = base.load(str(to), "x86_64", Blobs(tmp_path / "empty"), ACCESS)
    made = images.make(blobs, base=below)
    registry.push(made, to._replace(tag="2"), blobs, ACCESS)
    skopeo("copy", PULLED, f"docker://{to._replace(tag='2')}", f"oci:{tmp_path}/copy:v2")
    run("umoci", "unpack", "--rootless", "--image", f"{tmp_path}/copy:v2", tmp_path / "bundle")
    assert (tmp_path / "bundle/rootfs/var/task/bin/run").read_bytes() == b"#!/bin/sh\n"
    assert (tmp_path / "bundle/rootfs/var/task/models/qa/model.onnx").stat().st_size == 100_000
    assert json.loads(made.config)["config"]["Entrypoint"] == ["/bin/run"]
    with pytest.raises(ImageError, match="it is for linux/amd64, not linux/arm64"):
        base.load(str(to), "arm64", blobs, ACCESS)


def test_docker_s_own_archive_is_a_base(blobs: Blobs, tmp_path: Path) -> None:
    """Its layers are plain tars."""
    layout.write(of_files(blobs), tmp_path / "layout", "v1")
    skopeo("copy", f"oci:{tmp_path}/layout:v1", f"docker-archive:{tmp_path}/saved.tar:localhost/qa:v1")
    found = base.load(f"docker-archive:{tmp_path}/saved.tar", "x86_64", Blobs(tmp_path / "empty"))
    assert found.layers[0][:3] == of_files(blobs).layers[0][:3]  # the tar that we made, and so our gzip of it


def test_a_layer_in_zstd_is_refused(to: Reference, blobs: Blobs, tmp_path: Path) -> None:
    """Its content is no other test's: skopeo would take the gzip that it knows to be in the registry."""
    layout.write(images.make(blobs, code=b"in zstd", model=70_001), tmp_path / "layout", "v1")
    skopeo("copy", "--dest-decompress", f"oci:{tmp_path}/layout:v1", f"dir:{tmp_path}/plain")
    zstd = ("--dest-compress-format", "zstd", "--format", "oci")
    skopeo("copy", *BOTH, *zstd, f"dir:{tmp_path}/plain", f"docker://{to}")
    with pytest.raises(ImageError, match="is compressed with zstd, and Lambda takes gzip") as refused:
        base.load(str(to), "x86_64", blobs, ACCESS)
    assert f"skopeo copy --dest-compress-format gzip docker://{to} oci:base" in refused.value.hint


def test_of_an_index_the_architecture_is_taken(to: Reference, blobs: Blobs) -> None:
    made = {name: of_files(blobs) for name in ("x86_64",)}
    arm = image.append(image.scratch("arm64"), made["x86_64"].layers, Config(("arm.handler",)))
    registry.push(made["x86_64"], to._replace(tag="amd"), blobs, ACCESS)
    registry.push(arm, to._replace(tag="arm"), blobs, ACCESS)
    listed = images.index((made["x86_64"].manifest, "linux", "amd64"), (arm.manifest, "linux", "arm64"))
    path = blobs.store([listed]).path
    kind = "application/vnd.oci.image.index.v1+json"
    url = f"http://{to.registry}/v2/{to.repository}/manifests/1"
    run("curl", "--fail", "--silent", "-X", "PUT", "-H", f"Content-Type: {kind}", "--data-binary", f"@{path}", url)
    assert base.load(str(to), "x86_64", blobs, ACCESS).config == made["x86_64"].config
    found = base.load(str(to), "arm64", blobs, ACCESS)
    assert (found.config, found.name) == (arm.config, f"{to}@{arm.digest}")


def test_of_changed_code_less_than_a_megabyte_travels(open_registry: str, repository: str, blobs: Blobs) -> None:
    """Counted before the registry, with a model as large as the reader that ships with the examples."""
    with faulty(open_registry) as (place, proxy):
        to = Reference(place, repository, "1")
        first = registry.push(images.make(blobs, model=22_000_000), to, blobs, ACCESS)
        assert first.sent > 22_000_000
        assert proxy.sent >= first.sent
        proxy.requests.clear()
        changed = images.make(blobs, code=b"handler = print\n", model=22_000_000)
        second = registry.push(changed, to._replace(tag="2"), blobs, ACCESS)
        assert proxy.sent == second.sent + len(changed.manifest) < 2_000
        assert second.there == changed.layers[0].size
        assert registry.pull(to._replace(tag="2"), "x86_64", blobs, ACCESS).manifest == changed.manifest


def test_layers_of_a_base_in_the_registry_do_not_travel(open_registry: str, repository: str, blobs: Blobs) -> None:
    with faulty(open_registry) as (place, proxy):
        below = images.make(blobs, model=1_000_000)
        registry.push(below, Reference(place, f"{repository}-base", "1"), blobs, ACCESS)
        found = base.load(f"{place}/{repository}-base:1", "x86_64", Blobs(blobs.folder / "empty"), ACCESS)
        proxy.requests.clear()
        pushed = registry.push(found, Reference(place, repository, "1"), Blobs(blobs.folder / "empty"), ACCESS)
        assert pushed.mounted == sum(each.size for each in below.layers)
        assert proxy.sent == pushed.sent + len(found.manifest)


STAGES: dict[str, Callable[[Request], bool]] = {
    "asking for a content": lambda request: request.method == "HEAD" and "/blobs/" in request.target,
    "beginning": lambda request: request.method == "POST",
    "a piece": lambda request: request.method == "PATCH",
    "the end": lambda request: request.method == "PUT" and "/blobs/" in request.target,
    "asking for the manifest": lambda request: request.method == "HEAD" and "/manifests/" in request.target,
    "the manifest": lambda request: request.method == "PUT" and "/manifests/" in request.target,
}
PASSING = ("cut", "cut within", "cut after", "cut short", "500", "503 Retry-After: 1", "429 Retry-After: 1")


def plan(stage: str, fault: str, numbers: Callable[[int], bool]) -> Callable[[Request], str]:
    """The fault for those requests of the stage, counted from 1, whose number is chosen."""
    count = 0

    def planned(request: Request) -> str:
        nonlocal count
        count += STAGES[stage](request)
        return fault if STAGES[stage](request) and numbers(count) else ""

    return planned


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("fault", PASSING)
def test_a_push_goes_on_after_a_fault(
    stage: str, fault: str, open_registry: str, repository: str, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "CHUNK", 40_000)
    made = images.make(blobs, model=150_000)
    with faulty(
        open_registry, plan(stage, fault, lambda number: number in (2, 3) or ("manifest" in stage and number == 1))
    ) as (
        place,
        proxy,
    ):
        registry.push(made, Reference(place, repository, "1"), blobs, ACCESS)
        assert proxy.faults[fault] >= 1
    found = registry.pull(Reference(open_registry, repository, "1"), "x86_64", Blobs(blobs.folder / "empty"), ACCESS)
    assert found.manifest == made.manifest
    assert registry.fetch(found, Blobs(blobs.folder / "empty"), ACCESS).unpacked == made.unpacked


def test_an_upload_goes_on_where_it_was(
    open_registry: str, repository: str, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docker-registry 2.8 keeps an upload that it saw whole pieces of: what comes before is not sent again."""
    monkeypatch.setattr(uploads, "CHUNK", 40_000)
    made = images.make(blobs, model=400_000)
    with faulty(open_registry, plan("a piece", "cut", lambda number: number in (3, 6, 9))) as (place, proxy):
        registry.push(made, Reference(place, repository, "1"), blobs, ACCESS)
        ranges = [each.headers["content-range"] for each in proxy.requests if each.method == "PATCH"]
    assert proxy.methods()["POST"] == 3
    assert len(ranges) == len(set(ranges)) + 3


REFUSED = [
    ("401", RegistryRefused),
    ("403", RegistryRefused),
    ("429", RegistryThrottled),
    ("500", RegistryUnreachable),
    ("cut", RegistryUnreachable),
]


@pytest.mark.parametrize("stage", ["asking for a content", "beginning", "a piece", "the end", "the manifest"])
@pytest.mark.parametrize(("fault", "kind"), REFUSED)
def test_a_push_that_cannot_be_names_nothing(
    stage: str,
    fault: str,
    kind: type[ImageError],
    open_registry: str,
    repository: str,
    blobs: Blobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uploads, "CHUNK", 40_000)
    made = images.make(blobs, model=150_000)
    with faulty(open_registry, plan(stage, fault, lambda number: True)) as (place, proxy):
        with pytest.raises(kind, match=r"^pushing the .*: 127\.0\.0\.1:\d+ "):
            registry.push(made, Reference(place, repository, "1"), blobs, ACCESS)
        with pytest.raises(ImageError, match="answered 404"):
            registry.pull(Reference(open_registry, repository, "1"), "x86_64", blobs, ACCESS)
        proxy.plan = lambda request: ""
        registry.push(made, Reference(place, repository, "1"), blobs, ACCESS)
    assert registry.pull(Reference(open_registry, repository, "1"), "x86_64", blobs, ACCESS).config == made.config


@pytest.mark.parametrize("fault", ["cut", "cut after", "cut short", "500"])
def test_a_pull_goes_on_after_a_fault(fault: str, open_registry: str, repository: str, blobs: Blobs) -> None:
    made = images.make(blobs, model=1_000_000)
    registry.push(made, Reference(open_registry, repository, "1"), blobs, ACCESS)
    count = 0

    def every_other(request: Request) -> str:
        nonlocal count
        count += 1
        return fault if count % 2 else ""

    empty = Blobs(blobs.folder / "empty")
    with faulty(open_registry, every_other) as (place, proxy):
        found = registry.fetch(registry.pull(Reference(place, repository, "1"), "x86_64", empty, ACCESS), empty, ACCESS)
        assert proxy.faults[fault] >= 3
    assert found.manifest == made.manifest
    assert [each.path.read_bytes() for each in found.layers] == [each.path.read_bytes() for each in made.layers]


def test_a_password_as_ecr_has_it(tmp_path: Path, blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `docker login` keeps is enough."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    access = ACCESS._replace(keys=credentials.find)
    made = images.make(blobs)
    with docker_registry(tmp_path / "registry", basic(tmp_path / "registry")) as place:
        to = Reference(place, "qa", "1")
        with pytest.raises(RegistryRefused, match=f"{place} answered 401"):
            registry.push(made, to, blobs, access)
        login(tmp_path, place, "wrong")
        with pytest.raises(RegistryRefused, match=f"{place} answered 401"):
            registry.push(made, to, blobs, access)
        login(tmp_path, place, PASSWORD)
        registry.push(made, to, blobs, access)
        assert registry.pull(to, "x86_64", blobs, access).config == made.config


def login(folder: Path, place: str, password: str) -> None:
    entry = {"auth": base64.b64encode(f"{USER}:{password}".encode()).decode()}
    (folder / "config.json").write_text(json.dumps({"auths": {place: entry}}))


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    return Tokens(tmp_path_factory.mktemp("tokens"))


@pytest.fixture(scope="module")
def with_tokens(tokens: Tokens, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("guarded")
    with serving(tokens) as server, docker_registry(folder, bearer(tokens, server.port)) as place:
        yield place


def test_a_registry_with_tokens(with_tokens: str, tokens: Tokens, repository: str, blobs: Blobs) -> None:
    made = images.make(blobs)
    to = Reference(with_tokens, repository, "1")
    tokens.asked.clear()
    registry.push(made, to, blobs, KNOWN)
    assert [scopes[0] for scopes in tokens.asked] == [f"repository:{repository}:pull,push"]
    identity = ACCESS._replace(keys=lambda registry: Credentials(identity_token="an identity token"))
    found = registry.pull(to, "x86_64", blobs, identity)
    assert found.config == made.config
    tokens.asked.clear()
    pushed = registry.push(found, to._replace(repository=f"{repository}-other"), Blobs(blobs.folder / "empty"), KNOWN)
    assert pushed.mounted == sum(each.size for each in made.layers)
    assert len(tokens.asked) == 1


def test_tokens_that_are_not_enough(with_tokens: str, tokens: Tokens, repository: str, blobs: Blobs) -> None:
    to = Reference(with_tokens, repository, "1")
    tokens.granted = lambda name, actions: ["pull"]
    try:
        with pytest.raises(RegistryRefused, match="answered 401: UNAUTHORIZED authentication required"):
            registry.push(images.make(blobs), to, blobs, KNOWN)
    finally:
        tokens.granted = lambda name, actions: actions
    wrong = ACCESS._replace(keys=lambda registry: Credentials(USER, "wrong"))
    with pytest.raises(RegistryRefused, match=r"asking http://127\.0\.0\.1:\d+/token for a token: .* answered 401"):
        registry.push(images.make(blobs), to, blobs, wrong)


def test_a_token_that_ends_during_a_push(
    with_tokens: str, tokens: Tokens, repository: str, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry takes no old token any more from the third piece on: the proxy takes it out of the request."""
    monkeypatch.setattr(uploads, "CHUNK", 40_000)
    made = images.make(blobs, model=150_000)
    ended: list[str] = []

    with faulty(with_tokens) as (place, proxy):
        forward = proxy._forward

        def forgetting(request: Request, length: int) -> bytes:
            token = request.headers.get("authorization", "")
            if request.headers.get("content-range", "").startswith("80000-") and not ended:
                ended.append(token)
            if token in ended:
                request.headers["authorization"] = "Bearer ended"
            return forward(request, length)

        proxy._forward = forgetting  # type: ignore[method-assign]
        registry.push(made, Reference(place, repository, "1"), blobs, KNOWN)
    assert ended
    assert registry.pull(Reference(with_tokens, repository, "1"), "x86_64", blobs, KNOWN).config == made.config
