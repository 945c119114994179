"""One suite for every engine behind `Model`: ONNX Runtime and LiteRT, each by its library and by its Python module."""

import array
import ctypes
import gc
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tflite_files import Tensor, add, dense, softmax, subtract
from tflite_files import write as write_tflite

from pilotlight import Model
from pilotlight.errors import ModelError, ModelNotInstalled
from pilotlight.function.session import TensorInfo

SOURCE = Path(__file__).parents[2] / "src"
WIDTH = 48
WEIGHTS = np.random.default_rng(0).standard_normal((5, WIDTH), np.float32)

ENGINES = {
    "onnxruntime library": ("onnx", {}),
    "onnxruntime module": ("onnx", {"PILOTLIGHT_ONNXRUNTIME": "module"}),
    "litert library": ("tflite", {}),
    "litert module": ("tflite", {"PILOTLIGHT_LITERT": "module"}),
}


@pytest.fixture(autouse=True, scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """The kind of file; how its engine is reached is set, here and for processes that a test starts."""
    kind, environ = ENGINES[request.param]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.delenv("LAMBDA_TASK_ROOT", raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        yield kind


@pytest.fixture
def sums(tmp_path: Path, engine: str) -> str:
    """sum = a + b and difference = a - b, of [n, 2] each."""
    path = tmp_path / f"sums.{engine}"
    if engine == "tflite":
        tensors = [Tensor(name, "f", (None, 2)) for name in ("a", "b", "sum", "difference")]
        operators = [add(["a", "b"], "sum"), subtract(["a", "b"], "difference")]
        return write_tflite(path, tensors, operators, ["a", "b"], ["sum", "difference"])
    nodes = [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Sub", ["a", "b"], ["difference"])]
    a, b, *outputs = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in ("a", "b", "sum", "difference")
    )
    return write_onnx(path, helper.make_graph(nodes, "graph", [a, b], outputs))


@pytest.fixture
def scores(tmp_path: Path, engine: str) -> str:
    """softmax(x . weights), of x [n, WIDTH]."""
    path = tmp_path / f"scores.{engine}"
    if engine == "tflite":
        tensors = [
            Tensor("x", "f", (None, WIDTH)),
            Tensor("w", "f", WEIGHTS.shape, WEIGHTS),
            Tensor("bias", "f", (5,), np.zeros(5)),
            Tensor("logits", "f", (None, 5)),
            Tensor("scores", "f", (None, 5)),
        ]
        operators = [dense(["x", "w", "bias"], "logits"), softmax("logits", "scores")]
        return write_tflite(path, tensors, operators, ["x"], ["scores"])
    nodes = [helper.make_node("MatMul", ["x", "w"], ["l"]), helper.make_node("Softmax", ["l"], ["scores"], axis=-1)]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, WIDTH])
    y = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 5])
    weights = numpy_helper.from_array(np.ascontiguousarray(WEIGHTS.T), "w")
    return write_onnx(path, helper.make_graph(nodes, "graph", [x], [y], [weights]))


def double(folder: Path, engine: str, dtype: str) -> str:
    """y = x + x, of [3]."""
    path = folder / f"double.{engine}"
    if engine == "tflite":
        return write_tflite(path, [Tensor("x", dtype, (3,)), Tensor("y", dtype, (3,))], [add("xx", "y")], ["x"], ["y"])
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    x, y = (helper.make_tensor_value_info(name, element, [3]) for name in "xy")
    return write_onnx(path, helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "graph", [x], [y]))


def write_onnx(path: Path, graph: object) -> str:
    opsets = [helper.make_opsetid("", 17)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
    return str(path)


def floats(*rows: tuple[float, ...]) -> memoryview:
    flat = [value for row in rows for value in row]
    return memoryview(struct.pack(f"{len(flat)}f", *flat)).cast("f", (len(rows), len(rows[0])))


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, *arguments]
    environ = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


# What a model says of itself, and gives


def test_inputs_and_outputs_have_names_types_and_sizes(sums: str) -> None:
    model = Model(sums)
    assert model.path == sums
    assert model.inputs == (TensorInfo("a", "f", (None, 2)), TensorInfo("b", "f", (None, 2)))
    assert model.outputs == (TensorInfo("sum", "f", (None, 2)), TensorInfo("difference", "f", (None, 2)))
    assert model.load_seconds > 0


def test_outputs_may_be_chosen_and_feeds_come_in_any_order(sums: str) -> None:
    model = Model(sums)
    a, b = floats((5, 7)), floats((1, 2))
    every, chosen = model.run({"b": b, "a": a}), model.run({"a": a, "b": b}, ["difference"])
    assert {name: view.tolist() for name, view in every.items()} == {"sum": [[6, 9]], "difference": [[4, 5]]}
    assert {name: (view.format, view.tolist()) for name, view in chosen.items()} == {"difference": ("f", [[4, 5]])}


def test_a_free_size_changes_from_run_to_run(sums: str) -> None:
    model = Model(sums)
    for rows in (1, 3, 3, 2, 1):
        a, b = floats(*[(row, 10 * row) for row in range(rows)]), floats(*[(1, 1)] * rows)
        expected = [[row + 1, 10 * row + 1] for row in range(rows)]
        assert model.run({"a": a, "b": b})["sum"].tolist() == expected


@pytest.mark.parametrize(
    ("dtype", "values"), [("f", [1.5, -2.0, 0.25]), ("i", [-(2**30), 0, 2**30 - 1]), ("q", [-(2**62), 0, 2**62 - 1])]
)
def test_types_come_back_as_they_went_in(tmp_path: Path, engine: str, dtype: str, values: list[float]) -> None:
    model = Model(double(tmp_path, engine, dtype))
    assert model.inputs == (TensorInfo("x", dtype, (3,)),)
    view = model.run({"x": memoryview(struct.pack(f"3{dtype}", *values)).cast(dtype)})["y"]
    assert (view.format, view.shape, view.tolist()) == (dtype, (3,), [2 * value for value in values])


@pytest.mark.parametrize(
    "feed",
    [array.array("l", [1, 2, 3]), np.array([1, 2, 3]), (ctypes.c_int64 * 3)(1, 2, 3), np.arange(1, 4, dtype="<i8")],
    ids=lambda feed: type(feed).__name__,
)
def test_anything_with_the_buffer_protocol_is_an_input(tmp_path: Path, engine: str, feed: memoryview) -> None:
    assert Model(double(tmp_path, engine, "q")).run({"x": feed})["y"].tolist() == [2, 4, 6]


def test_products_are_those_of_numpy(scores: str) -> None:
    x = np.random.default_rng(1).standard_normal((4, WIDTH), np.float32)
    powers = np.exp((x @ WEIGHTS.T).astype(np.float64))
    given = np.asarray(Model(scores).run({"x": x})["scores"])
    np.testing.assert_allclose(given, powers / powers.sum(axis=1, keepdims=True), atol=1e-5)


# Memory


def test_outputs_outlive_the_inputs_the_next_run_and_the_model(sums: str) -> None:
    feed = np.array([[1, 2]], np.float32)
    model = Model(sums)
    first = np.asarray(model.run({"a": feed, "b": feed})["sum"])
    feed[0] = 3
    second = model.run({"a": feed, "b": feed})["sum"]
    del model, feed
    gc.collect()
    first[0, 0] = 9
    assert (first.tolist(), second.tolist()) == ([[9.0, 4.0]], [[6.0, 6.0]])


def test_a_buffer_is_let_go_after_a_run_and_after_a_failure(tmp_path: Path, engine: str) -> None:
    feed = bytearray(12)
    model = Model(double(tmp_path, engine, "f"))
    model.run({"x": memoryview(feed).cast("f")})
    feed.append(1)  # BufferError while a view of it is held
    with pytest.raises(ModelError):
        model.run({"x": feed})
    feed.append(1)


# Refusals


@pytest.mark.parametrize(
    ("feeds", "outputs", "reason"),
    [
        ({}, None, "input 'x' is missing"),
        ({"y": np.zeros(3, "f4")}, None, "there is no input 'y'"),
        ({"x": np.zeros(2, "f4")}, None, "input 'x' takes float32 [3], got float32 [2]"),
        ({"x": np.zeros((1, 3), "f4")}, None, "input 'x' takes float32 [3], got float32 [1, 3]"),
        ({"x": np.zeros(3, "f8")}, None, "input 'x' takes float32 [3], got float64 [3]"),
        ({"x": np.zeros(6, "f4")[::2]}, None, "input 'x' takes float32 [3], got one that is not C-contiguous"),
        ({"x": [1, 2, 3]}, None, "input 'x' takes float32 [3], got an object of type list"),
        ({"x": np.zeros(3, "f4")}, ["y", "z"], "there is no output 'z'"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, engine: str, feeds: dict[str, memoryview], outputs: list[str] | None, reason: str
) -> None:
    model = Model(double(tmp_path, engine, "f"))
    with pytest.raises(ModelError) as caught:
        model.run(feeds, outputs)
    assert str(caught.value) == f"running {model.path}: {reason}"
    assert caught.value.hint


def test_a_failing_run_is_an_error_and_the_model_lives_on(sums: str) -> None:
    model = Model(sums)
    with pytest.raises(ModelError, match=rf"running {sums}: "):
        model.run({"a": floats((1, 2), (3, 4), (5, 6)), "b": floats((1, 2), (3, 4))})
    assert model.run({"a": floats((1, 2)), "b": floats((3, 4))})["sum"].tolist() == [[4.0, 6.0]]


@pytest.mark.parametrize(
    "content",
    [b"", bytes(range(256)), b"version https://git-lfs.github.com/spec/v1\n", b"\x00\x00\x00\x00TFL3"],
    ids=["empty", "bytes", "pointer of git-lfs", "head alone"],
)
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, engine: str, content: bytes) -> None:
    file = tmp_path / f"m.{engine}"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=rf"loading {file}: "):
        Model(file)


@pytest.mark.parametrize("left", [0.1, 0.5, 0.9, 0.99])
def test_a_cut_file_is_refused(scores: str, left: float) -> None:
    content = Path(scores).read_bytes()
    Path(scores).write_bytes(content[: int(len(content) * left)])
    with pytest.raises(ModelError, match=rf"loading {scores}: ") as caught:
        Model(scores)
    assert "again" in caught.value.hint


def test_a_missing_model_is_named(tmp_path: Path, engine: str) -> None:
    with pytest.raises(ModelNotInstalled, match=r"loading .*absent\..*: there is no model"):
        Model(tmp_path / f"absent.{engine}")


def test_a_file_that_may_not_be_read_is_refused(sums: str) -> None:
    os.chmod(sums, 0)
    if os.access(sums, os.R_OK):  # root reads everything
        Path(sums).unlink()
        Path(sums).mkdir()
    with pytest.raises(ModelError, match=rf"loading {sums}: "):
        Model(sums)


# Life


def test_threads_run_one_model_together(scores: str) -> None:
    feeds = np.random.default_rng(1).standard_normal((8, 1, WIDTH), np.float32)
    model = Model(scores, threads=2)
    alone = [bytes(model.run({"x": x})["scores"]) for x in feeds]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            assert list(pool.map(lambda x: bytes(model.run({"x": x})["scores"]), feeds)) == alone


FORK = """
import os, sys
from pilotlight import Model
model = Model(sys.argv[1], threads=int(sys.argv[2]))
feeds = {"x": memoryview(bytes(64 * 48 * 4)).cast("f", (64, 48))}
before = bytes(model.run(feeds)["scores"])
for _ in range(5):
    child = os.fork()
    if not child:
        another = Model(sys.argv[1], threads=2)
        print(before == bytes(model.run(feeds)["scores"]) == bytes(another.run(feeds)["scores"]), flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
print(before == bytes(model.run(feeds)["scores"]))
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_child_of_a_fork_goes_on_with_the_model(scores: str, threads: str) -> None:
    assert python(FORK, scores, threads).stdout == "True\n" * 6


COLD = """
import sys
from pilotlight import Model
print(Model(sys.argv[1]).run({"x": memoryview(bytes(12)).cast("f")})["y"].tolist())
heavy = {"numpy", "onnxruntime", "ai_edge_litert", "dataclasses", "inspect", "http", "urllib", "logging", "pathlib"}
print(sorted(heavy & sys.modules.keys()))
"""


def test_a_cold_run_imports_nothing_heavy_where_the_library_is_used(tmp_path: Path, engine: str) -> None:
    done = python(COLD, double(tmp_path, engine, "f"))
    if "module" in (os.environ.get("PILOTLIGHT_ONNXRUNTIME"), os.environ.get("PILOTLIGHT_LITERT")):
        assert "'numpy'" in done.stdout
    else:
        assert done.stdout == "[0.0, 0.0, 0.0]\n[]\n"
