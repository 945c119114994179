"""Images into a registry: what travels, what goes on after a cut, what is said when it cannot be."""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import images
import pytest
from memory_registry import MemoryRegistry

from http_servers import Cut, Request, answer, serving
from pilotlight.bundle import image, reference, registry, uploads
from pilotlight.bundle.blobs import Blobs, digest_of
from pilotlight.bundle.image import Image
from pilotlight.bundle.reference import Reference
from pilotlight.bundle.registry import Pushed
from pilotlight.bundle.transfers import Access
from pilotlight.errors import (
    ImageError,
    ImageNotFound,
    PilotlightError,
    RegistryRefused,
    RegistryThrottled,
    RegistryUnreachable,
)

PIECE = 30_000


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "cache")


@pytest.fixture
def store() -> MemoryRegistry:
    return MemoryRegistry()


@pytest.fixture
def to(store: MemoryRegistry) -> Iterator[Reference]:
    with serving(store) as server:
        yield Reference(f"127.0.0.1:{server.port}", "qa", "1")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "CHUNK", PIECE)


class Waits(list[float]):
    """A time in which nobody waits; what was waited for is in the list."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def access(waits: Waits | None = None) -> Access:
    return Access(keys=lambda registry: None, sleep=waits if waits is not None else Waits())


def holds(store: MemoryRegistry, made: Image, repository: str = "qa") -> bool:
    """Whether the registry has every byte of the image."""
    contents = {layer.digest: layer.path.read_bytes() for layer in made.layers} | {digest_of(made.config): made.config}
    has = {digest: data for (name, digest), data in store.blobs.items() if name == repository}
    manifest = store.manifests.get((repository, "1"), ("", b""))[1]
    return has == contents and manifest == made.manifest


def test_all_is_sent_in_pieces_and_then_named(store: MemoryRegistry, to: Reference, blobs: Blobs) -> None:
    made = images.make(blobs)
    sizes = sum(layer.size for layer in made.layers) + len(made.config)
    assert registry.push(made, to, blobs, access()) == Pushed(to._replace(digest=made.digest), sizes, 0, 0)
    assert holds(store, made)
    pieces = [request.headers["content-range"] for request in store.requests if request.method == "PATCH"]
    size = made.layers[0].size
    assert pieces == ["0-29999", "30000-59999", "60000-89999", f"90000-{size - 1}"]
    assert store.requests[-1].target == "/v2/qa/manifests/1"
    assert store.requests[-1].headers["content-type"] == "application/vnd.oci.image.manifest.v1+json"


def test_what_is_there_is_not_sent_again(store: MemoryRegistry, to: Reference, blobs: Blobs) -> None:
    made = images.make(blobs)
    registry.push(made, to, blobs, access())
    store.requests.clear()
    assert registry.push(made, to, blobs, access()).sent == 0
    assert Counter(request.method for request in store.requests) == {"HEAD": 4}  # three contents, and the manifest


def test_of_changed_code_the_code_alone_is_sent(store: MemoryRegistry, to: Reference, blobs: Blobs) -> None:
    registry.push(images.make(blobs), to, blobs, access())
    store.requests.clear()
    changed = images.make(blobs, code=b"handler = print\n")
    pushed = registry.push(changed, to, blobs, access())
    assert pushed.there == changed.layers[0].size
    assert pushed.sent == changed.layers[1].size + len(changed.config)
    assert sum(len(request.body) for request in store.requests) == pushed.sent + len(changed.manifest)


def pulled_base(store: MemoryRegistry, to: Reference, blobs: Blobs, repository: str = "base") -> Image:
    base = images.make(blobs)
    at = to._replace(repository=repository)
    registry.push(base, at, blobs, access())
    for path in (blobs.folder / "sha256").iterdir():
        path.unlink()
    store.requests.clear()
    return registry.pull(at, "x86_64", blobs, access())


def test_layers_of_a_base_are_mounted_from_its_repository(store: MemoryRegistry, to: Reference, blobs: Blobs) -> None:
    base = pulled_base(store, to, blobs)
    made = image.append(base, [], image.Config(cmd=("other.handler",)))
    pushed = registry.push(made, to, blobs, access())
    assert pushed.mounted == sum(layer.size for layer in base.layers)
    assert pushed.sent == len(made.config)
    assert store.count("PATCH") == 0
    mounts = {request.target for request in store.requests if "mount" in request.target}
    assert mounts == {
        f"/v2/qa/blobs/uploads/?mount={layer.digest.replace(':', '%3A')}&from=base" for layer in base.layers
    }


def test_a_mount_that_is_answered_with_an_upload_is_one(store: MemoryRegistry, to: Reference, blobs: Blobs) -> None:
    base = pulled_base(store, to, blobs)
    store.mounts = False
    pushed = registry.push(base, to, blobs, access())
    assert (pushed.mounted, pushed.sent) == (0, sum(layer.size for layer in base.layers) + len(base.config))
    assert store.count("POST") == 3
    assert holds(store, base)


def test_layers_of_a_base_elsewhere_are_fetched_and_sent(store: MemoryRegistry, to: Reference, blobs: Blobs) -> None:
    with serving(MemoryRegistry()) as other:
        base = images.make(blobs)
        at = Reference(f"127.0.0.1:{other.port}", "python", "3.13")
        registry.push(base, at, blobs, access())
        for path in (blobs.folder / "sha256").iterdir():
            path.unlink()
        registry.push(registry.pull(at, "x86_64", blobs, access()), to, blobs, access())
    assert holds(store, base)


def test_a_registry_that_takes_no_pieces_gets_all_at_once(store: MemoryRegistry, to: Reference, blobs: Blobs) -> None:
    store.takes_pieces = False
    made = images.make(blobs)
    registry.push(made, to, blobs, access())
    assert holds(store, made)
    assert store.count("PATCH") == 1


def test_a_registry_says_how_large_pieces_have_to_be(store: MemoryRegistry, to: Reference, blobs: Blobs) -> None:
    store.least_piece = 70_000
    made = images.make(blobs)
    registry.push(made, to, blobs, access())
    assert holds(store, made)
    assert next(len(request.body) for request in store.requests if request.method == "PATCH") == 70_000


@pytest.mark.parametrize("cut_at", [0, 1, 2, 29_999, 30_000, 45_000, 60_001, 100_020])
def test_an_upload_goes_on_where_it_was_cut(store: MemoryRegistry, to: Reference, blobs: Blobs, cut_at: int) -> None:
    """At one byte the registry's answer, `0-0`, is that to none: the digest tells, and it begins again."""
    made = images.make(blobs)
    registry.push(made._replace(layers=made.layers[1:]), to, blobs, access())
    store.requests.clear()
    store.cut_at = cut_at
    waits = Waits()
    registry.push(made, to, blobs, access(waits))
    assert store.cut_at is None
    assert holds(store, made)
    if cut_at != 1:
        sent = sum(len(request.body) for request in store.requests if request.method == "PATCH")
        assert sent <= made.layers[0].size + PIECE
    assert len(waits) <= 2


def test_an_upload_that_the_registry_forgot_begins_again(store: MemoryRegistry, to: Reference, blobs: Blobs) -> None:
    forgot = []

    def forgetful(request: Request) -> bytes:
        if request.method == "PATCH" and request.headers["content-range"].startswith("60000-") and not forgot:
            forgot.append(request)
            return answer(404, b'{"errors": [{"code": "BLOB_UPLOAD_UNKNOWN"}]}')
        return store(request)

    with serving(forgetful) as server:
        made = images.make(blobs)
        registry.push(made, to._replace(registry=f"127.0.0.1:{server.port}"), blobs, access())
    assert forgot
    assert holds(store, made)


def is_blob(method: str, end: str = "") -> Any:
    return lambda request: request.method == method and "/blobs/" in request.target and end in request.target


STAGES = {
    "asking whether a content is there": is_blob("HEAD"),
    "beginning an upload": is_blob("POST"),
    "sending a piece": is_blob("PATCH"),
    "ending an upload": is_blob("PUT"),
    "asking for the manifest": lambda request: request.method == "HEAD" and "/manifests/" in request.target,
    "putting the manifest": lambda request: request.method == "PUT" and "/manifests/" in request.target,
}


@contextlib.contextmanager
def failing(store: MemoryRegistry, stage: str, fault: str, times: int) -> Iterator[str]:
    """The registry whose first `times` requests of the stage fail."""
    left = [times]

    def fails(request: Request) -> bytes:
        if not STAGES[stage](request) or left[0] == 0:
            return store(request)
        left[0] -= 1
        if fault == "cut before":
            return Cut()
        if fault == "cut after":
            store(request)
            return Cut()
        status, _, header = fault.partition(" ")
        body = b"" if request.method == "HEAD" else b'{"errors": [{"code": "FAULT", "message": "of a test"}]}'
        return answer(int(status), body, f"{header}\r\n" if header else "")

    with serving(fails) as server:
        yield f"127.0.0.1:{server.port}"
    assert left[0] == 0 or times > 100


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("fault", ["cut before", "cut after", "500", "502", "503 Retry-After: 3", "429 Retry-After: 7"])
def test_a_push_goes_on_after_a_fault(store: MemoryRegistry, blobs: Blobs, stage: str, fault: str) -> None:
    waits = Waits()
    made = images.make(blobs)
    with failing(store, stage, fault, 2) as place:
        registry.push(made, reference.parse(f"{place}/qa:1"), blobs, access(waits))
    assert holds(store, made)
    if "Retry-After" in fault:
        assert all(seconds >= int(fault[-1]) for seconds in waits)
    assert waits


REFUSALS: dict[str, tuple[type[PilotlightError], str]] = {
    "401": (RegistryRefused, "log in first"),
    "403": (RegistryRefused, "these credentials may not do this here"),
    "404": (ImageNotFound, "see whether the name is right and the repository is there"),
    "429": (RegistryThrottled, "run this again later: what has been uploaded stays"),
    "429 Retry-After: 3600": (RegistryThrottled, "run this again later: what has been uploaded stays"),
    "500": (RegistryUnreachable, "see whether the registry is well, then run this again"),
    "cut before": (RegistryUnreachable, "see whether it is well and its name is right"),
}
HARMLESS = {  # what is asked there is known otherwise, or done in another way
    *(("asking whether a content is there", "404"), ("asking for the manifest", "404"), ("sending a piece", "404")),
    *(("asking for the manifest", "401"), ("asking for the manifest", "403")),
}


@pytest.mark.parametrize(("stage", "fault"), [(s, f) for s in STAGES for f in REFUSALS if (s, f) not in HARMLESS])
def test_a_push_that_cannot_be_says_why(store: MemoryRegistry, blobs: Blobs, stage: str, fault: str) -> None:
    kind, hint = REFUSALS[fault]
    with failing(store, stage, fault, 10_000) as place, pytest.raises(ImageError) as refused:
        registry.push(images.make(blobs), reference.parse(f"{place}/qa:1"), blobs, access())
    assert type(refused.value) is kind
    what = r"the (model|code|configuration|manifest of \S+)"
    told = "cannot be reached: the connection broke off" if fault == "cut before" else f"answered {fault[:3]}"
    said = "" if stage.startswith("asking") or fault == "cut before" else ": FAULT of a test"
    assert re.fullmatch(f"pushing {what}: {place} {told}{said}", str(refused.value))
    assert refused.value.hint.startswith(hint)
    assert ("qa", "1") not in store.manifests  # nothing is named that is not whole


@pytest.mark.parametrize(("stage", "fault"), sorted(HARMLESS))
def test_a_refusal_that_does_no_harm_is_passed_over(
    store: MemoryRegistry, blobs: Blobs, stage: str, fault: str
) -> None:
    made = images.make(blobs)
    with failing(store, stage, fault, 10_000) as place:
        registry.push(made, reference.parse(f"{place}/qa:1"), blobs, access())
    assert holds(store, made)


def test_a_push_that_failed_goes_on_where_it_was(store: MemoryRegistry, to: Reference, blobs: Blobs) -> None:
    made = images.make(blobs)
    with failing(store, "putting the manifest", "403", 10_000) as place, pytest.raises(RegistryRefused):
        registry.push(made, reference.parse(f"{place}/qa:1"), blobs, access())
    assert registry.push(made, to, blobs, access()).sent == 0
    assert holds(store, made)


def test_a_damaged_layer_is_not_taken(store: MemoryRegistry, to: Reference, blobs: Blobs) -> None:
    made = images.make(blobs)
    data = made.layers[1].path.read_bytes()
    made.layers[1].path.write_bytes(data[:-1] + b"?")
    with pytest.raises(ImageError, match=r"pushing the code: .* answered 400: DIGEST_INVALID"):
        registry.push(made, to, blobs, access())


def test_a_digest_that_is_not_the_image_s_is_refused_before_anything_is_sent(
    store: MemoryRegistry, to: Reference, blobs: Blobs
) -> None:
    other = f"sha256:{'0' * 64}"
    with pytest.raises(ImageError, match=f"its digest is sha256:.*, not {other}"):
        registry.push(images.make(blobs), to._replace(digest=other), blobs, access())
    assert store.requests == []


def test_a_tag_that_has_the_image_is_left_alone(store: MemoryRegistry, to: Reference, blobs: Blobs) -> None:
    """Tags of ECR may be immutable, and the same image is refused under the same tag."""
    made = images.make(blobs)
    registry.push(made, to, blobs, access())
    registry.push(made, to, blobs, access())
    assert [request.target for request in store.requests if request.method == "PUT"][-1] == "/v2/qa/manifests/1"
    assert sum("/manifests/" in request.target and request.method == "PUT" for request in store.requests) == 1


def test_progress_ends_with_all_bytes(store: MemoryRegistry, to: Reference, blobs: Blobs) -> None:
    told: list[tuple[str, int, int]] = []
    made = images.make(blobs)
    registry.push(made, to, blobs, access(), lambda *now: told.append(now))
    total = sum(layer.size for layer in made.layers) + len(made.config)
    assert told[-1] == ("pushing", total, total)
    assert {each[2] for each in told} == {total}
    assert [each[1] for each in told] == sorted(each[1] for each in told)


def test_a_registry_that_is_not_there_is_named(blobs: Blobs) -> None:
    with serving(lambda request: Cut()) as server:
        port = server.port
    with pytest.raises(RegistryUnreachable, match=f"127.0.0.1:{port} cannot be reached: Connection refused"):
        registry.push(images.make(blobs), reference.parse(f"127.0.0.1:{port}/qa"), blobs, access())
