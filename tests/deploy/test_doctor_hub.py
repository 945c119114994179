"""What the doctor says of models on the hub, which a build packs where they are checkpoints: asked of a hub, of this
machine, and of neither."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from units import service

from hub_server import FakeHub, fresh, open_hub
from pilotlight.cli import doctor_models, doctor_steps
from pilotlight.deploy.doctor.finding import Finding
from pilotlight.errors import FetchError
from pilotlight.function import cache_entries
from pilotlight.function.cache_entries import Manifest

CHECKPOINT = {"config.json": b"{}", "model.safetensors": b"large"}
FOLDER = {"model.onnx": b"small", "model.json": b'{"format": 1}'}
URL = "from pilotlight import ImageUrl, endpoint\n\n@endpoint\ndef handler(picture: ImageUrl):\n    return 1\n"
EFS = '[cache]\nfolder = "/mnt/models"\n'
MODEL = '[functions.{}]\nmodel = "hf://org/{}"\nsnapstart = true\n'
CHECKS = ("SnapStart", "EFS", "internet without NAT", "template")


class Place(NamedTuple):
    hub: FakeHub
    folder: Path
    models: Path

    def found(self, toml: str, *names: str) -> dict[tuple[str, str], Finding]:
        made = service(self.folder / "service", toml, **dict.fromkeys(names or ("qa",), URL))
        found = doctor_steps.offline(made, made.functions, self.folder / "packages", "", "")
        return {(each.function, each.check): each for each in found}

    def statuses(self, toml: str) -> dict[str, str]:
        return {check: each.status for (_, check), each in self.found(toml).items() if check in CHECKS}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    models = fresh(monkeypatch, tmp_path)
    with open_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield Place(hub, tmp_path, models)


FETCHED = dict.fromkeys(("SnapStart", "internet without NAT", "template"), "failed") | {"EFS": "ok"}
PACKED = dict.fromkeys(CHECKS, "ok")
UNKNOWN = dict.fromkeys(("SnapStart", "internet without NAT", "template"), "not checked") | {"EFS": "ok"}


def test_a_checkpoint_is_packed_and_needs_no_network(place: Place) -> None:
    place.hub.add("org/qa", CHECKPOINT, pipeline_tag="question-answering")
    assert place.statuses(EFS + MODEL.format("qa", "qa")) == PACKED
    assert len(place.hub.hub.requests) == 1


def test_a_repository_that_holds_a_model_folder_is_fetched(place: Place) -> None:
    place.hub.add("org/qa", FOLDER)
    assert place.statuses(EFS + MODEL.format("qa", "qa")) == FETCHED


def test_without_optimize_it_is_fetched_and_nobody_is_asked(place: Place) -> None:
    assert place.statuses(EFS + MODEL.format("qa", "qa") + "optimize = false\n") == FETCHED
    assert place.hub.hub.requests == []


def test_what_this_machine_has_made_is_packed_and_nobody_is_asked(place: Place) -> None:
    entry = cache_entries.entry(str(place.models), "hf://org/qa@main", "question-answering")
    for name, content in FOLDER.items():
        path = Path(entry.files, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    sizes = {name: len(content) for name, content in FOLDER.items()}
    entry.write(Manifest("hf://org/qa@main", "c0ffee", sizes, task="question-answering"))
    assert place.statuses(EFS + MODEL.format("qa", "qa")) == PACKED
    assert place.hub.hub.requests == []


def test_where_models_are_kept_in_tmp_nobody_is_asked(place: Place) -> None:
    assert place.statuses(MODEL.format("qa", "qa")) == PACKED
    assert place.hub.hub.requests == []


def test_what_only_the_hub_knows_is_not_checked(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = place.found(EFS + MODEL.format("qa", "qa"))
    assert {check: each.status for (_, check), each in found.items() if check in CHECKS} == UNKNOWN
    seen = found["qa", "SnapStart"].seen
    assert seen.startswith(
        "not known without the hub, whether a model is packed, or fetched by the function: fetching hf://org/qa@main: "
        "HF_HUB_OFFLINE is set"
    )
    assert found["qa", "SnapStart"].remedy.startswith("unset it once")


def test_a_hub_that_is_away_is_asked_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(*arguments: object) -> None:
        asked.append(arguments)
        raise ConnectionRefusedError

    monkeypatch.setattr("pilotlight.function.hub.Download", refuse)
    found = place.found(EFS + MODEL.format("qa", "qa") + MODEL.format("page", "page"), "qa", "page")
    assert [found[name, "SnapStart"].status for name in ("qa", "page")] == ["not checked", "not checked"]
    assert len(asked) == 1


def test_what_is_wrong_in_both_cases_is_said() -> None:
    """Of two reasons the one that is there when the model is packed, too."""
    fetched = Finding("SnapStart", "qa", "failed", "with EFS at /mnt/models; with 2 provisioned environments")
    packed = Finding("SnapStart", "qa", "failed", "with 2 provisioned environments")
    assert doctor_models.merged([fetched], [packed], FetchError("the hub is away")) == [packed]


def test_one_unknown_model_says_nothing_of_another_function(place: Place) -> None:
    place.hub.add("org/qa", FOLDER)
    found = place.found(EFS + MODEL.format("qa", "qa") + MODEL.format("page", "none"), "qa", "page")
    assert (found["qa", "SnapStart"].status, found["page", "SnapStart"].status) == ("failed", "not checked")
