"""What is LiteRT's own; what it has in common with ONNX Runtime is in test_engines.py."""

import array
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tflite_files import Operator, Operators, Tensor, add, dense, softmax, subtract, write

from pilotlight.errors import ModelError
from pilotlight.function import litert_file
from pilotlight.function.litert import Session, find_library
from pilotlight.function.session import TensorInfo

SOURCE = Path(__file__).parents[2] / "src"
library_only = pytest.mark.parametrize("implementation", ["library"], indirect=True)


@pytest.fixture(autouse=True, scope="module", params=["library", "module"])
def implementation(request: pytest.FixtureRequest) -> Iterator[str]:
    """How LiteRT is reached, here and in processes that a test starts."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        if request.param == "module":
            monkeypatch.setenv("PILOTLIGHT_LITERT", "module")
        yield request.param


def double(folder: Path, dtype: str = "f") -> str:
    return write(folder / "m.tflite", [Tensor("x", dtype, (2,)), Tensor("y", dtype, (2,))], [add("xx", "y")], "x", "y")


def scores(folder: Path) -> str:
    """softmax(dense(x)), quantised: x stands for x / 2 - 4, the weights are +1, -1 and 0, the scores 1/256 each."""
    weights = [[1, 1], [-1, -1], [0, 0]]
    tensors = [
        Tensor("x", "b", (1, 2), scale=0.5, zero_point=8),
        Tensor("w", "b", (3, 2), weights, scale=1.0),
        Tensor("bias", "i", (3,), [0, 0, 0], scale=0.5),
        Tensor("logits", "b", (1, 3), scale=0.125, zero_point=-3),
        Tensor("scores", "b", (1, 3), scale=1 / 256, zero_point=-128),
    ]
    operators = [dense(["x", "w", "bias"], "logits"), softmax("logits", "scores")]
    return write(folder / "m.tflite", tensors, operators, ["x"], ["scores"])


def python(code: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    environ = {**os.environ, "PYTHONPATH": str(SOURCE), **environ}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


# Tensors


def test_what_the_integers_of_a_quantised_tensor_stand_for(tmp_path: Path) -> None:
    session = Session(scores(tmp_path))
    assert session.inputs == (TensorInfo("x", "b", (1, 2), 0.5, 8),)
    assert session.outputs == (TensorInfo("scores", "b", (1, 3), 0.00390625, -128),)
    x = np.array([[8 + 2, 8 + 1]], np.int8)  # 1 and 0.5: the logits are 1.5, -1.5 and 0
    found = session.run({"x": x})["scores"]
    assert found.format == "b"
    expected = np.exp([1.5, -1.5, 0]) / np.exp([1.5, -1.5, 0]).sum()
    np.testing.assert_allclose((np.asarray(found)[0] + 128.0) / 256, expected, atol=0.005)


def test_names_and_order_are_those_of_the_signature(tmp_path: Path) -> None:
    tensors = [Tensor(name, "f", (2,)) for name in ("t0", "t1", "t2")]
    signature = ({"minus": "t1", "from": "t0"}, {"difference": "t2"})
    path = write(tmp_path / "m.tflite", tensors, [subtract(["t0", "t1"], "t2")], ["t0", "t1"], ["t2"], signature)
    with Session(path) as session:
        assert {info.name for info in session.inputs} == {"minus", "from"}
        given = session.run({"minus": array.array("f", [1, 2]), "from": array.array("f", [5, 9])})
        assert given["difference"].tolist() == [4.0, 7.0]


def test_float16_comes_back_as_its_bits(tmp_path: Path) -> None:
    options = (0, None)
    cast = [Operator(Operators.CAST, ["x"], ["y"], *options), Operator(Operators.CAST, ["y"], ["z"], *options)]
    tensors = [Tensor("x", "f", (2,)), Tensor("y", "e", (2,)), Tensor("z", "f", (2,))]
    with Session(write(tmp_path / "m.tflite", tensors, cast, ["x"], ["y", "z"])) as session:
        given = session.run({"x": array.array("f", [1.0, -0.5])})
    assert (given["y"].format, given["y"].tolist()) == ("H", [0x3C00, 0xB800])


def test_tensors_of_strings_are_refused(tmp_path: Path) -> None:
    tensors = [Tensor("x", "S", (2,)), Tensor("y", "S", (2,))]
    reshape = Operator(Operators.RESHAPE, ["x"], ["y"])
    with pytest.raises(ModelError, match=r"loading .*m.tflite: input 'x' is not a tensor of numbers") as caught:
        Session(write(tmp_path / "m.tflite", tensors, [reshape], ["x"], ["y"]))
    assert caught.value.hint == "export the model with tensors of bool, int8 to uint64, float16, float32 or float64"


def test_an_operator_the_runtime_does_not_know_is_refused(tmp_path: Path) -> None:
    tensors = [Tensor("x", "f", (2,)), Tensor("y", "f", (2,))]
    path = write(tmp_path / "m.tflite", tensors, [Operator(Operators.CUSTOM, ["x"], ["y"])], ["x"], ["y"])
    with pytest.raises(ModelError, match=r"loading .*m.tflite: LiteRT: ") as caught:
        Session(path)
    assert "operators" in caught.value.hint


# Files


@library_only
@given(data=st.data())
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_cut_file_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    file = Path(scores(tmp_path))
    content = file.read_bytes()
    file.write_bytes(content[: data.draw(st.integers(0, len(content) - 9))])  # the last bytes may be padding
    with pytest.raises(ModelError, match=rf"loading {file}: "):
        litert_file.check(str(file))


@library_only
@given(data=st.data())
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_file_passes_or_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    file = Path(scores(tmp_path))
    content = bytearray(file.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=5)):
        content[place] = data.draw(st.integers(0, 255))
    file.write_bytes(content)
    with suppress(ModelError):
        litert_file.check(str(file))


@library_only
def test_memory_of_outputs_and_sessions_is_released(tmp_path: Path) -> None:
    tensors = [Tensor("x", "f", (None,)), Tensor("y", "f", (None,))]
    path = write(tmp_path / "m.tflite", tensors, [add("xx", "y")], "x", "y")
    numbers = memoryview(bytes(8_000_000)).cast("f")
    for _ in range(2):
        Session(path).run({"x": numbers})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(40):
        Session(path).run({"x": numbers})
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 80_000  # KB; a leak would be 640,000


# Which LiteRT


@library_only
@pytest.mark.parametrize(("version", "is_known"), [("2.3.0", True), ("2.3.1", True), ("2.2.0", False), ("3.0", False)])
def test_the_library_of_a_known_version_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, is_known: bool
) -> None:
    (tmp_path / "ai_edge_litert").mkdir()
    library = tmp_path / "ai_edge_litert" / "libLiteRt.so"
    library.touch()
    (tmp_path / f"ai_edge_litert-{version}.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "absent"), str(tmp_path)])
    assert find_library() == (str(library) if is_known else "")


@library_only
def test_where_no_known_library_is_the_module_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = double(tmp_path)
    import ai_edge_litert.interpreter  # noqa: F401  (so that the path is not needed for it)

    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert find_library() == ""
    with Session(path) as session:
        assert session.run({"x": array.array("f", [1, 2])})["y"].tolist() == [2.0, 4.0]


LOAD = """
import sys
from pilotlight.errors import ModelError
from pilotlight.function.litert import Session
try:
    Session(sys.argv[1])
except ModelError as error:
    print(error, error.hint, sep="\\n")
"""


def test_a_runtime_that_is_not_installed_is_named_with_the_remedy(tmp_path: Path) -> None:
    command = [sys.executable, "-S", "-c", LOAD, double(tmp_path)]
    environ = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == 'loading LiteRT: it is not installed\npip install "pilotlight[tflite]"\n'


@library_only
def test_the_library_may_be_chosen(tmp_path: Path) -> None:
    library = tmp_path / "libLiteRt.so"
    library.write_bytes(b"not a library")
    done = python(LOAD, double(tmp_path), PILOTLIGHT_LITERT=str(library))
    message = f"loading LiteRT: {library}: file too short"
    assert done.stdout == f'{message}\npip install --upgrade "pilotlight[tflite]"\n'


@library_only
def test_results_equal_those_of_the_python_module(tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    path = scores(tmp_path)
    with Session(path, threads=1) as session:
        for x in np.random.default_rng(2).integers(-128, 128, (20, 1, 2), np.int8):
            interpreter = Interpreter(model_path=path, num_threads=1)
            interpreter.allocate_tensors()
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
            interpreter.invoke()
            expected = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
            np.testing.assert_array_equal(np.asarray(session.run({"x": x})["scores"]), expected)
