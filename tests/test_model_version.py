"""Which model a function has, as records carry it."""

from pathlib import Path

from conftest import write
from pilotlight import model_version

FILES = {"model.onnx": "graph", "model.json": "{}"}


def test_a_model_of_the_project_has_its_path_and_a_digest(tmp_path: Path) -> None:
    write(tmp_path / "models" / "qa", FILES)
    first = model_version.of(tmp_path, "models/qa")
    assert first.startswith("models/qa@")
    assert len(first) == len("models/qa@") + 12
    write(tmp_path / "models" / "qa", {"model.onnx": "graph of another training"})
    assert model_version.of(tmp_path, "models/qa") != first
    assert model_version.of(tmp_path, "models/none") == model_version.of(tmp_path, "") == ""


def test_what_a_uri_names_is_the_same_wherever_it_is_kept(tmp_path: Path) -> None:
    kept = [str(write(tmp_path / name / "files", FILES)) for name in ("here", "there")]
    [version] = {model_version.of(tmp_path, "hf://org/name", folder) for folder in kept}
    assert version.startswith("hf://org/name@")
    assert len(version) == len("hf://org/name@") + 12


def test_what_the_function_fetches_itself_is_its_uri(tmp_path: Path) -> None:
    assert model_version.of(tmp_path, "s3://bucket/qa") == "s3://bucket/qa"
