"""`Model` finds the file, and says what is wrong when it cannot."""

import array
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

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
    with pytest.raises(
        ModelError, match=f"loading {tmp_path}: the folder holds no model.onnx and no model.tflite"
    ) as caught:
        Model(tmp_path)
    assert not isinstance(caught.value, ModelNotInstalled)
    assert caught.value.hint == "name a folder that does, or an .onnx or .tflite file"


def test_a_damaged_model_is_refused(folder: Path) -> None:
    file = folder / "model.onnx"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(ModelError, match=f"loading {file}: "):
        Model(folder)


# model.json

SETTINGS: dict[str, Any] = {
    "format": 1,
    "task": "text-classification",
    "session": {"optimize": False, "options": {"session.disable_prepacking": "1"}},
    "labels": ["NEGATIVE", "POSITIVE"],
}


def test_the_settings_are_read_from_the_folder(folder: Path) -> None:
    assert Model(folder).settings == {}
    (folder / "model.json").write_text(json.dumps(SETTINGS))
    assert Model(folder).settings == SETTINGS
    assert Model(folder / "model.onnx").settings == {}


def test_options_of_the_session_come_from_the_settings_unless_given(folder: Path) -> None:
    (folder / "model.json").write_text(json.dumps({"format": 1, "session": {"options": {"": "no key"}}}))
    with pytest.raises(ModelError, match=r"loading .*model.onnx: .*[Cc]onfig key"):
        Model(folder)
    assert Model(folder, options={}).run({"x": array.array("f", [3])})["y"].tolist() == [6.0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is not JSON: Expecting value: line 1 column 1 (char 0)"),
        ('{"format": 1, "ta', "it is not JSON: Unterminated string starting at: line 1 column 15 (char 14)"),
        ("[" * 100_000, "it is not JSON: maximum recursion depth exceeded"),
        ("[1]", "it is not a JSON object"),
        ("{}", "its format is None, this version reads 1"),
        ('{"format": 2}', "its format is 2, this version reads 1"),
        ('{"format": 1, "session": []}', 'its "session" is not {"optimize": true or false, "options": '),
        ('{"format": 1, "session": {"optimize": 1}}', 'its "session" is not'),
        ('{"format": 1, "session": {"options": {"a": 1}}}', 'its "session" is not'),
    ],
)  # fmt: skip
def test_settings_that_are_damaged_or_of_another_format_are_refused(folder: Path, text: str, reason: str) -> None:
    file = folder / "model.json"
    file.write_text(text)
    with pytest.raises(ModelError) as caught:
        Model(folder)
    assert str(caught.value).startswith(f"loading {file}: {reason}")
    assert "again" in caught.value.hint


# weights

MAPPED = """
import sys
from pathlib import Path
from pilotlight import Model

def anonymous():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("Anonymous:"))

x = memoryview(bytes(4 * 2048)).cast("f", (1, 2048))
Model(sys.argv[1]).run({"x": x})
before = anonymous()
model = Model(sys.argv[2])
model.run({"x": x})
maps = Path("/proc/self/maps").read_text().splitlines()
print(sum(line.endswith("/model.onnx.data") for line in maps) > 0, anonymous() - before)
"""


def product(folder: Path, size: int) -> Path:
    """y = x . w, with the weights in a file of their own, as the optimiser writes models."""
    weights = numpy_helper.from_array(np.ones((2048, size), np.float32), "w")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2048])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", size])
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "graph", [x], [y], [weights])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    folder.mkdir()
    onnx.save(model, folder / "model.onnx", save_as_external_data=True, location="model.onnx.data", size_threshold=0)
    (folder / "model.json").write_text(json.dumps(SETTINGS))
    return folder


@pytest.mark.parametrize("implementation", ["", "module"])
def test_weights_are_mapped_and_take_no_memory_of_the_process(tmp_path: Path, implementation: str) -> None:
    small, large = product(tmp_path / "small", 8), product(tmp_path / "large", 8192)
    environ = {**os.environ, "PILOTLIGHT_ONNXRUNTIME": implementation}
    command = [sys.executable, "-c", MAPPED, str(small), str(large)]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=True)
    is_mapped, megabytes = done.stdout.split()
    assert (is_mapped, done.stderr) == ("True", "")
    assert int(megabytes) < 16  # of 64


def test_a_file_of_another_size_than_the_settings_say_is_refused(folder: Path) -> None:
    (folder / "vocab.txt").write_text("the\ncafe\n", encoding="utf-8")
    (folder / "model.json").write_text('{"format": 1, "files": {"vocab.txt": 9}}', encoding="utf-8")
    assert Model(folder).settings["files"] == {"vocab.txt": 9}
    (folder / "vocab.txt").write_text("the\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"vocab\.txt: it has 4 bytes, and model\.json says 9"):
        Model(folder)
    (folder / "vocab.txt").unlink()
    with pytest.raises(ModelError, match=r"vocab\.txt: there is no such file"):
        Model(folder)
