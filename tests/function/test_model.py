"""`Model` finds the file, and says what is wrong when it cannot."""

import array
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from pilotlight import Model
from pilotlight.errors import ModelError, ModelNotInstalled
from pilotlight.function.onnx import TensorInfo


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """models/double/model.onnx: y = x + x."""
    node = helper.make_node("Add", ["x", "x"], ["y"])
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    model = helper.make_model(helper.make_graph([node], "graph", [x], [y]), ir_version=8)
    model.opset_import[0].version = 17
    folder = tmp_path / "models" / "double"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder


@pytest.fixture(autouse=True)
def outside_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAMBDA_TASK_ROOT", raising=False)


def test_a_folder_is_its_model_file(folder: Path) -> None:
    model = Model(folder)
    assert model.path == str(folder / "model.onnx")
    assert model.inputs == (TensorInfo("x", "f", ("n",)),)
    assert model.outputs == (TensorInfo("y", "f", ("n",)),)
    assert model.load_seconds > 0
    given = model.run({"x": array.array("f", [1, 2.5])})
    assert {name: view.tolist() for name, view in given.items()} == {"y": [2.0, 5.0]}
    assert list(model.run({"x": array.array("f", [1])}, ["y"])) == ["y"]


def test_a_file_is_taken_by_its_name(folder: Path) -> None:
    (folder / "model.onnx").rename(folder / "small.onnx")
    assert Model(str(folder / "small.onnx")).path == str(folder / "small.onnx")


def test_a_relative_path_begins_at_the_task_root(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(folder.parents[1]))
    monkeypatch.chdir("/")
    assert Model("models/double").path == str(folder / "model.onnx")


def test_a_relative_path_begins_at_the_working_directory_elsewhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parents[1])
    assert Model("models/double").path == str(folder / "model.onnx")


def test_settings_of_the_session_pass_through(folder: Path) -> None:
    model = Model(folder, threads=1, options={"session.disable_prepacking": "1"}, optimize=False)
    assert model.run({"x": array.array("f", [3])})["y"].tolist() == [6.0]


def test_a_missing_model_names_the_path_and_the_command_that_installs_it(tmp_path: Path) -> None:
    with pytest.raises(ModelNotInstalled, match=f"loading {tmp_path}/models/qa: there is no model") as caught:
        Model(tmp_path / "models" / "qa", install="make models")
    assert caught.value.hint == "make models"
    with pytest.raises(ModelNotInstalled) as caught:
        Model(tmp_path / "qa.onnx")
    assert caught.value.hint == "install it there, or correct the path"


def test_a_folder_without_a_model_names_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"loading {tmp_path}: the folder holds no model.onnx") as caught:
        Model(tmp_path)
    assert not isinstance(caught.value, ModelNotInstalled)
    assert caught.value.hint == "name a folder that does, or an .onnx file"


def test_a_damaged_model_is_refused(folder: Path) -> None:
    file = folder / "model.onnx"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(ModelError, match=f"loading {file}: "):
        Model(folder)
