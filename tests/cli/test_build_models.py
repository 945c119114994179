"""`pilotlight build` with models on the hub: what is optimised is packed, what is not is fetched by the function."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import wheels

from conftest import write
from hub_server import FakeHub, files, open_hub
from pilotlight.function import cache_entries
from pilotlight.function.cache_entries import Manifest
from pilotlight.function.text import Reader
from pilotlight.optimize import environment
from pilotlight.optimize.progress import Progress

MAKER = Path(__file__).parents[1] / "optimize" / "make_checkpoint.py"
CODE = "def handler(event, context):\n    return event\n"
MADE = {"model.onnx": b"small", "model.json": b'{"format": 1}', "report.json": b"{}", "README.md": b"card"}
CHECKPOINT = {"config.json": b"{}", "model.safetensors": b"large"}
PLACE = "models/hf--org--reader@main-889ee3c2"


class Run(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


class Workshop:
    """A service whose function has the model `uri`, a hub, and a cache; `build` runs the command."""

    def __init__(self, folder: Path, hub: FakeHub) -> None:
        self.folder, self.hub = folder, hub
        self.models = folder / "cache" / "models"
        self.variables = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "huggingface"), "HF_TOKEN": ""}

    def write(self, uri: str, more: str = "") -> Path:
        toml = f'name = "service"\n[functions.ask]\nmodel = "{uri}"\n{more}'
        return write(self.folder / "service", {"inference/ask.py": CODE, "pilotlight.toml": toml})

    def build(self, *arguments: str) -> Run:
        command = [sys.executable, "-m", "pilotlight", "build", "--dir", str(self.folder / "service"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **self.variables})
        return Run(done.returncode, done.stdout, done.stderr)

    def keep(self, uri: str, task: str, size: int = 0) -> None:
        """As after the checkpoint was optimised, with a network of that size."""
        entry = cache_entries.entry(str(self.models), uri, task)
        for name, content in MADE.items():
            path = Path(entry.files, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if size:
            os.truncate(Path(entry.files, "model.onnx"), size)
        sizes = {name: Path(entry.files, name).stat().st_size for name in MADE}
        entry.write(Manifest(uri, "c0ffee", sizes, task=task))


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    wheels.use(monkeypatch, tmp_path / "wheels")
    for name, version in (("onnxruntime", "1.22.0"), ("tokenizers", "0.22.0")):
        wheels.wheel(tmp_path / "wheels", name, version)
    monkeypatch.setenv("PILOTLIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))  # without the target's interpreter
    with open_hub() as hub:
        yield Workshop(tmp_path, hub)


def packed(record: dict[str, Any]) -> dict[str, bytes]:
    """What the zip has below models/."""
    with zipfile.ZipFile(record["artifact"]["location"]) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.startswith("models/")}


def test_what_was_optimised_is_packed_and_named_to_the_function(workshop: Workshop) -> None:
    workshop.write("hf://org/reader", '[cache]\nfolder = "/mnt/models"\nsize = 100\n')
    workshop.keep("hf://org/reader@main", "question-answering")
    record = workshop.build("--json").record
    assert packed(record) == {f"{PLACE}/{name}": MADE[name] for name in ("model.json", "model.onnx")}
    environ = record["artifact"]["environment"]
    assert environ["PILOTLIGHT_MODEL"] == PLACE
    assert not {"PILOTLIGHT_CACHE", "PILOTLIGHT_CACHE_SIZE"} & environ.keys()  # nothing is fetched
    assert (record["packed"], record["fetched"]) == ({"hf://org/reader": PLACE}, [])
    assert {"part": "model", "what": PLACE, "size": 18} in record["contents"]
    assert workshop.hub.hub.requests == []
    assert f"optimised     hf://org/reader is {PLACE}\n" in workshop.build().out


def test_it_is_the_same_package_wherever_it_is_made(workshop: Workshop) -> None:
    workshop.write("hf://org/reader@main")
    digests = []
    for _ in range(2):
        shutil.rmtree(workshop.folder / "cache", ignore_errors=True)
        workshop.keep("hf://org/reader@main", "question-answering")
        digests.append(workshop.build("--json").record["artifact"]["digest"])
    assert digests[0] == digests[1]


def test_one_that_no_zip_can_hold_makes_an_image(workshop: Workshop) -> None:
    workshop.write("hf://org/reader")
    workshop.keep("hf://org/reader@main", "question-answering", size=262_144_001)
    assert workshop.build("--check", "--json").record["package"] == "image"
    refused = workshop.build("--package", "zip")
    assert "packing ask: it has 263 MB unpacked, and a zip may have 262 MB" in refused.err
    assert f"hint: the largest are {PLACE} 262 MB" in refused.err


def test_two_models_of_a_function_one_of_which_it_fetches(workshop: Workshop) -> None:
    toml = '[functions.ask.models]\none = "hf://org/reader"\ntwo = "hf://org/ready"\nthree = "s3://models-2026/b"\n'
    write(workshop.folder / "service", {"inference/ask.py": CODE, "pilotlight.toml": toml})
    workshop.keep("hf://org/reader@main", "question-answering")
    workshop.hub.add("org/ready", {"model.onnx": b"ready", "model.json": b"{}"})
    record = workshop.build("--json").record
    assert set(packed(record)) == {f"{PLACE}/model.json", f"{PLACE}/model.onnx"}
    assert record["artifact"]["environment"] == {
        "AWS_LAMBDA_EXEC_WRAPPER": "/var/task/pilotlight-runtime",
        "PILOTLIGHT_MODEL_ONE": PLACE,
        "PILOTLIGHT_MODEL_TWO": "hf://org/ready",
        "PILOTLIGHT_MODEL_THREE": "s3://models-2026/b",
    }
    assert record["fetched"] == ["hf://org/ready", "s3://models-2026/b"]


def test_without_optimising_the_function_fetches_it(workshop: Workshop) -> None:
    workshop.write("hf://org/reader", "optimize = false\n")
    workshop.keep("hf://org/reader@main", "question-answering")
    record = workshop.build("--json").record
    assert (packed(record), record["packed"], record["fetched"]) == ({}, {}, ["hf://org/reader"])
    assert record["artifact"]["environment"]["PILOTLIGHT_MODEL"] == "hf://org/reader"
    assert workshop.hub.hub.requests == []


def test_a_dry_run_says_what_would_be_optimised_and_does_nothing(workshop: Workshop) -> None:
    root = workshop.write("hf://org/reader")
    workshop.hub.add("org/reader", CHECKPOINT, pipeline_tag="question-answering")
    done = workshop.build("--dry-run")
    assert "  to be optimised, packed   hf://org/reader for question-answering\n" in done.out
    assert "fetched at start" not in done.out
    record = workshop.build("--dry-run", "--json").record
    assert (record["to_optimise"], record["packed"], record["fetched"]) == (
        {"hf://org/reader": "question-answering"},
        {},
        [],
    )
    assert sorted(path.name for path in root.iterdir()) == ["inference", "pilotlight.toml"]
    assert not (workshop.folder / "cache").exists()
    assert workshop.hub.downloads == []
    workshop.keep("hf://org/reader@main", "question-answering")
    record = workshop.build("--dry-run", "--json").record
    assert (record["to_optimise"], record["packed"]) == ({}, {"hf://org/reader": PLACE})


@pytest.mark.parametrize("option", ["--json", "--dry-run"])
@pytest.mark.parametrize(
    ("uri", "more", "error"),
    [
        ("hf://org/none", "", "fetching hf://org/none@main: the hub has no model of that name that you may read"),
        ("hf://org/odd", "", "optimising hf://org/odd@main: what it is for is not known, and the hub says text-to-"),
        (
            "hf://org/odd",
            'task = "image-classification"\n',
            "optimising hf://org/odd@main: models of pictures need pictures to compare answers on",
        ),
        ("hf://org/t5", "", "optimising hf://org/t5@main: it is a model of the kind t5, and translation is for marian"),
    ],
)
def test_what_cannot_be_optimised_is_one_sentence(
    workshop: Workshop, option: str, uri: str, more: str, error: str
) -> None:
    root = workshop.write(uri, more)
    workshop.hub.add("org/odd", {"config.json": b"{}", "model.safetensors": b""}, pipeline_tag="text-to-speech")
    workshop.hub.add("org/t5", CHECKPOINT, pipeline_tag="translation", config={"model_type": "t5"})
    done = workshop.build(option)
    assert done.code in (1, 2)
    assert error in done.err
    assert "hint: " in done.err
    assert "Traceback" not in done.err
    assert not (root / ".pilotlight").exists()


def test_what_is_wrong_with_another_function_is_said_before_a_model_is_optimised(workshop: Workshop) -> None:
    root = workshop.write("hf://org/reader", '[functions.other]\nmodel = "models/none"\n')
    write(root, {"inference/other.py": CODE})
    done = workshop.build()
    assert "packing other: its model is not at " in done.err
    assert workshop.hub.hub.requests == []


@pytest.mark.system
@pytest.mark.timeout(900)
def test_a_checkpoint_is_optimised_once_and_packed(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as own:
        own.delenv("PILOTLIGHT_CACHE")  # the exporter's environment is the machine's, and not made for this test
        own.setenv("PATH", os.defpath)
        python = environment.python("torch", Progress())
    subprocess.run([python, "-I", MAKER, "bert-qa", workshop.folder / "made"], check=True, capture_output=True)
    workshop.hub.add("org/reader", files(workshop.folder / "made"), pipeline_tag="question-answering")
    (workshop.folder / "cache").mkdir()
    (workshop.folder / "cache/exporters").symlink_to(python.parents[2])
    workshop.write("hf://org/reader")
    done = workshop.build("--json")
    assert done.code == 0, done.err
    assert "optimising hf://org/reader@main for question-answering, once" in done.err
    first = done.record
    with zipfile.ZipFile(first["artifact"]["location"]) as archive:
        archive.extractall(workshop.folder / "task")
    answer = Reader(workshop.folder / "task" / PLACE).answer("where is it ?", "the tower stands in paris.")
    assert answer.answer in "the tower stands in paris."
    assert not any(name.endswith(".safetensors") for name in packed(first))
    assert "tokenizers 0.22.0" in [row["what"] for row in first["contents"]]  # which the model's settings ask for
    asked = len(workshop.hub.hub.requests)
    again = workshop.build("--json")
    assert "optimising" not in again.err
    assert again.record["artifact"]["digest"] == first["artifact"]["digest"]
    assert len(workshop.hub.hub.requests) == asked
