"""`onnx.Session` against models that onnx.helper writes: by ONNX Runtime's library, and by its Python module.

Both have to pass all that does not name one of them (`library_only`, `module_only`).
"""

import array
import ctypes
import gc
import os
import resource
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from onnx import TensorProto, helper, numpy_helper

from pilotlight.errors import ModelError
from pilotlight.function.onnx import Session, TensorInfo, default_threads, shaped
from pilotlight.function.ort import find_library

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
SOURCE = Path(__file__).parents[2] / "src"

tensor = helper.make_tensor_value_info
library_only = pytest.mark.parametrize("implementation", ["library"], indirect=True)


@pytest.fixture(autouse=True, scope="module", params=["library", "module"])
def implementation(request: pytest.FixtureRequest) -> Iterator[str]:
    """How ONNX Runtime is reached, here and in processes that a test starts."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        if request.param == "module":
            monkeypatch.setenv("PILOTLIGHT_ONNXRUNTIME", "module")
        yield request.param


def write(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Mapping[str, np.ndarray] = {},
) -> str:
    initializers = [numpy_helper.from_array(weight, name) for name, weight in weights.items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", 17)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
    return str(path)


def identity(folder: Path, element: int = FLOAT, shape: Sequence[int | str | None] = ("n",)) -> str:
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    return write(folder / "identity.onnx", nodes, [tensor("x", element, shape)], [tensor("y", element, shape)])


def two_sums(folder: Path) -> str:
    nodes = [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Sub", ["a", "b"], ["difference"])]
    inputs = [tensor("a", FLOAT, ["n"]), tensor("b", FLOAT, ["m"])]
    outputs = [tensor("sum", FLOAT, ["k"]), tensor("difference", FLOAT, ["k"])]
    return write(folder / "sums.onnx", nodes, inputs, outputs)


def convolutions(folder: Path) -> str:
    random = np.random.default_rng(0)
    weights = {
        "w1": random.standard_normal((8, 3, 3, 3), np.float32),
        "w2": random.standard_normal((16, 8, 3, 3), np.float32),
        "w3": random.standard_normal((16, 5), np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w1"], ["c1"], strides=[2, 2]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"]),
        helper.make_node("GlobalAveragePool", ["c2"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w3"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"]),
    ]
    inputs, outputs = [tensor("image", FLOAT, ["batch", 3, 32, 32])], [tensor("scores", FLOAT, ["batch", 5])]
    return write(folder / "convolutions.onnx", nodes, inputs, outputs, weights)


def python(code: str, *arguments: str, flags: Sequence[str] = (), **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *flags, "-c", code, *arguments]
    environ = {**os.environ, "PYTHONPATH": str(SOURCE), **environ}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


# What a model says of itself


def test_inputs_and_outputs_carry_fixed_named_and_free_sizes(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    inputs, outputs = [tensor("x", FLOAT, ["batch", None, 2])], [tensor("y", FLOAT, ["batch", None, 3])]
    path = write(tmp_path / "m.onnx", nodes, inputs, outputs, {"w": np.ones((2, 3), np.float32)})
    with Session(path) as session:
        assert session.inputs == (TensorInfo("x", "f", ("batch", None, 2)),)
        assert session.outputs == (TensorInfo("y", "f", ("batch", None, 3)),)


# Tensors in and out


@pytest.mark.parametrize(
    ("element", "dtype", "values"),
    [
        (TensorProto.FLOAT, "f", [1.5, -2.0, float("inf")]),
        (TensorProto.DOUBLE, "d", [0.1, -1e300, 0.0]),
        (TensorProto.INT8, "b", [-128, 0, 127]),
        (TensorProto.INT16, "h", [-32768, 0, 32767]),
        (TensorProto.INT32, "i", [-(2**31), 0, 2**31 - 1]),
        (TensorProto.INT64, "q", [-(2**63), 0, 2**63 - 1]),
        (TensorProto.UINT8, "B", [0, 1, 255]),
        (TensorProto.UINT16, "H", [0, 1, 65535]),
        (TensorProto.UINT32, "I", [0, 1, 2**32 - 1]),
        (TensorProto.UINT64, "Q", [0, 1, 2**64 - 1]),
        (TensorProto.BOOL, "?", [True, False, True]),
    ],
)
def test_every_dtype_comes_back_as_it_went_in(tmp_path: Path, element: int, dtype: str, values: list[float]) -> None:
    feed = memoryview(struct.pack(f"3{dtype}", *values)).cast(dtype)
    with Session(identity(tmp_path, element)) as session:
        assert session.inputs == (TensorInfo("x", dtype, ("n",)),)
        view = session.run({"x": feed})["y"]
    assert (view.format, view.shape, view.tolist()) == (dtype, (3,), values)


def test_float16_goes_in_as_it_is_or_as_bits_and_comes_back_as_bits(tmp_path: Path) -> None:
    halves = np.array([1.0, -0.5, 65504.0], np.float16)
    with Session(identity(tmp_path, TensorProto.FLOAT16)) as session:
        assert session.outputs == (TensorInfo("y", "e", ("n",)),)
        for feed in (halves, halves.view(np.uint16), array.array("H", [0x3C00, 0xB800, 0x7BFF])):
            view = session.run({"x": feed})["y"]
            assert (view.format, view.tolist()) == ("H", [0x3C00, 0xB800, 0x7BFF])
            assert np.asarray(view).view(np.float16).tolist() == [1.0, -0.5, 65504.0]


@pytest.mark.parametrize(
    "feed",
    [
        array.array("q", [1, 2, 3]),
        array.array("l", [1, 2, 3]),
        np.array([1, 2, 3]),
        np.arange(1, 4, dtype="<i8"),
        (ctypes.c_int64 * 3)(1, 2, 3),
        memoryview(struct.pack("3q", 1, 2, 3)).cast("q"),
    ],
    ids=lambda feed: type(feed).__name__,
)
def test_anything_with_the_buffer_protocol_is_an_input(tmp_path: Path, feed: memoryview) -> None:
    with Session(identity(tmp_path, INT64)) as session:
        assert session.run({"x": feed})["y"].tolist() == [1, 2, 3]


def test_bytes_are_uint8(tmp_path: Path) -> None:
    with Session(identity(tmp_path, TensorProto.UINT8)) as session:
        assert bytes(session.run({"x": b"pixels"})["y"]) == b"pixels"


@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 4), (2, 0), (2, 0, 3), (2, 3), (1, 2, 3, 4)])
def test_every_shape_comes_back(tmp_path: Path, shape: tuple[int, ...]) -> None:
    feed = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    with Session(identity(tmp_path, shape=[f"d{axis}" for axis in range(len(shape))])) as session:
        view = session.run({"x": feed})["y"]
    assert (view.format, view.shape, view.tolist()) == ("f", shape, feed.tolist())
    np.testing.assert_array_equal(np.asarray(view), feed)


def test_matrix_product_with_a_dynamic_axis(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    weights = {"w": np.array([[1, 2, 3], [4, 5, 6]], np.float32)}
    path = write(tmp_path / "m.onnx", nodes, [tensor("x", FLOAT, ["n", 2])], [tensor("y", FLOAT, ["n", 3])], weights)
    with Session(path, threads=1) as session:
        one = memoryview(struct.pack("2f", 1, 10)).cast("f", (1, 2))
        two = memoryview(struct.pack("4f", 1, 0, 0, -1)).cast("f", (2, 2))
        assert session.run({"x": one})["y"].tolist() == [[41.0, 52.0, 63.0]]
        assert session.run({"x": two})["y"].tolist() == [[1.0, 2.0, 3.0], [-4.0, -5.0, -6.0]]


def test_outputs_may_be_chosen_and_feeds_come_in_any_order(tmp_path: Path) -> None:
    a, b = array.array("f", [5, 7]), array.array("f", [1, 2])
    with Session(two_sums(tmp_path)) as session:
        every = session.run({"b": b, "a": a})
        chosen = session.run({"a": a, "b": b}, ["difference"])
        swapped = session.run({"a": a, "b": b}, ("difference", "sum"))
    assert {name: view.tolist() for name, view in every.items()} == {"sum": [6, 9], "difference": [4, 5]}
    assert {name: view.tolist() for name, view in chosen.items()} == {"difference": [4, 5]}
    assert {name: view.tolist() for name, view in swapped.items()} == {"difference": [4, 5], "sum": [6, 9]}


@given(data=st.data())
@settings(max_examples=60)
def test_arrays_of_any_type_and_shape_survive(identities: dict[str, Session], data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(sorted(identities)))
    shapes = npst.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9)
    feed = data.draw(npst.arrays(np.dtype(dtype), shapes))
    given = np.asarray(identities[dtype].run({"x": feed})["y"])
    assert (given.dtype, given.shape, given.tobytes()) == (feed.dtype, feed.shape, feed.tobytes())


@pytest.fixture(scope="module")
def identities(implementation: str) -> Iterator[dict[str, Session]]:
    with tempfile.TemporaryDirectory() as folder:
        yield {
            dtype: Session(identity(Path(folder), helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), ("n", "m")))
            for dtype in ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")
        }


# Memory


def test_numpy_sees_an_output_without_a_copy(tmp_path: Path) -> None:
    with Session(identity(tmp_path)) as session:
        view = session.run({"x": array.array("f", [1, 2])})["y"]
    first, second = np.asarray(view), np.asarray(view)
    first[0] = 9
    assert (second.tolist(), view.tolist()) == ([9.0, 2.0], [9.0, 2.0])


def test_outputs_outlive_the_inputs_the_next_run_and_the_session(tmp_path: Path) -> None:
    feed = array.array("f", [1, 2])
    session = Session(identity(tmp_path))
    first = np.asarray(session.run({"x": feed})["y"])
    feed[0] = 3
    second = session.run({"x": feed})["y"]
    session.close()
    del session, feed
    gc.collect()
    assert (first.tolist(), second.tolist()) == ([1.0, 2.0], [3.0, 2.0])


def test_an_input_given_back_by_the_graph_is_not_the_callers_memory(tmp_path: Path) -> None:
    value = tensor("x", FLOAT, ["n"])
    feed = array.array("f", [1, 2])
    with Session(write(tmp_path / "nothing.onnx", [], [value], [value])) as session:
        view = session.run({"x": feed})["x"]
    feed[0] = 3
    assert view.tolist() == [1.0, 2.0]


def test_a_constant_output_is_the_callers_to_change(tmp_path: Path) -> None:
    weights = {"c": np.array([1, 2], np.float32)}
    path = write(tmp_path / "c.onnx", [], [tensor("x", FLOAT, [1])], [tensor("c", FLOAT, [2])], weights)
    feeds = {"x": array.array("f", [0])}
    with Session(path) as session:
        session.run(feeds)["c"][0] = 9
        assert session.run(feeds)["c"].tolist() == [1.0, 2.0]


def test_memory_of_outputs_and_sessions_is_released(tmp_path: Path) -> None:
    path, feed = identity(tmp_path), bytes(8_000_000)
    numbers = memoryview(feed).cast("f")
    Session(path).run({"x": numbers})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(40):
        Session(path).run({"x": numbers})
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 80_000  # KB; a leak would be 320,000


def test_a_buffer_is_let_go_after_a_run_and_after_a_failure(tmp_path: Path) -> None:
    feed = bytearray(8)
    with Session(identity(tmp_path)) as session:
        session.run({"x": memoryview(feed).cast("f")})
        feed.append(1)  # BufferError while a view of it is held
        with pytest.raises(ModelError):
            session.run({"x": feed})
        feed.append(1)


WITHOUT_A_COPY = """
import resource, sys
import numpy as np
from pilotlight.function.onnx import Session

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

ones, total = Session(sys.argv[1]), Session(sys.argv[2])
total.run({"x": np.zeros(1, np.float32)})
before = peak()
total.run({"x": np.zeros(1 << 26, np.float32)})  # 256 MB that take none until they are written
print(peak() - before < 64)
view = ones.run({"shape": np.array([1 << 26])})["y"]
before = peak()
print(total.run({"x": view})["y"].tolist(), peak() - before < 64)
"""


def test_numpy_arrays_and_outputs_are_fed_without_a_copy(tmp_path: Path) -> None:
    value = helper.make_tensor("value", FLOAT, [1], [1.0])
    nodes = [helper.make_node("ConstantOfShape", ["shape"], ["y"], value=value)]
    ones = write(tmp_path / "ones.onnx", nodes, [tensor("shape", INT64, [1])], [tensor("y", FLOAT, ["n"])])
    nodes = [helper.make_node("ReduceMax", ["x"], ["y"], keepdims=0)]
    total = write(tmp_path / "total.onnx", nodes, [tensor("x", FLOAT, ["n"])], [tensor("y", FLOAT, [])])
    done = python(WITHOUT_A_COPY, ones, total)
    assert (done.stderr, done.stdout) == ("", "True\n1.0 True\n")


def test_outputs_are_the_feeds_of_the_next_run_from_none_on(tmp_path: Path) -> None:
    """As the keys and values of a decoder are: `past` begins without elements and grows by a position a run."""
    nodes = [helper.make_node("Concat", ["past", "x"], ["present"], axis=2)]
    inputs = [tensor("past", FLOAT, [1, 2, "past", 2]), tensor("x", FLOAT, [1, 2, 1, 2])]
    path = write(tmp_path / "m.onnx", nodes, inputs, [tensor("present", FLOAT, [1, 2, "all", 2])])
    present = shaped(b"", "f", (1, 2, 0, 2))
    first = None
    with Session(path) as session:
        for step in range(300):
            x = shaped(array.array("f", [step, step, -step, -step]), "f", (1, 2, 1, 2))
            present = session.run({"past": present, "x": x})["present"]
            first = first or present
    gc.collect()
    expected = [[step, step] for step in range(300)]
    assert (present.shape, first.tolist()) == ((1, 2, 300, 2), [[[[0, 0]], [[0, 0]]]])
    assert present.tolist() == [[expected, [[-a, -b] for a, b in expected]]]


# Refusals


@pytest.mark.parametrize(
    ("feeds", "outputs", "reason"),
    [
        ({}, None, "input 'tokens' is missing"),
        ({"tokns": np.zeros((1, 3), int)}, None, "there is no input 'tokns'"),
        ({"tokens": np.zeros(3, "f4")}, None, "input 'tokens' takes int64 [1, n], got float32 [3]"),
        ({"tokens": np.zeros((1, 3), "i4")}, None, "input 'tokens' takes int64 [1, n], got int32 [1, 3]"),
        ({"tokens": np.zeros((2, 3), int)}, None, "input 'tokens' takes int64 [1, n], got int64 [2, 3]"),
        ({"tokens": np.zeros((), int)}, None, "input 'tokens' takes int64 [1, n], got int64 []"),
        ({"tokens": np.zeros((1, 3), ">i8")}, None, "input 'tokens' takes int64 [1, n], got >q [1, 3]"),
        ({"tokens": np.zeros((1, 6), int)[:, ::2]}, None, "takes int64 [1, n], got one that is not C-contiguous"),
        ({"tokens": [[1, 2, 3]]}, None, "input 'tokens' takes int64 [1, n], got an object of type list"),
        ({"tokens": "abc"}, None, "input 'tokens' takes int64 [1, n], got an object of type str"),
        ({"tokens": np.zeros((1, 3), int)}, ["y", "z"], "there is no output 'z'"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, feeds: dict[str, memoryview], outputs: list[str] | None, reason: str
) -> None:
    nodes = [helper.make_node("Identity", ["tokens"], ["y"])]
    path = write(tmp_path / "m.onnx", nodes, [tensor("tokens", INT64, [1, "n"])], [tensor("y", INT64, [1, "n"])])
    with Session(path) as session, pytest.raises(ModelError) as caught:
        session.run(feeds, outputs)
    assert str(caught.value).startswith(f"running {path}: ")
    assert str(caught.value).endswith(reason)
    assert caught.value.hint


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with Session(two_sums(tmp_path)) as session, pytest.raises(ModelError) as caught:
        session.run({"A": bytes(4), "b": bytes(4)})
    assert caught.value.hint == "the inputs are: a float32 [n], b float32 [m]"


def test_an_input_of_unknown_rank_takes_every_rank(tmp_path: Path) -> None:
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    path = write(tmp_path / "m.onnx", nodes, [tensor("x", FLOAT, None)], [tensor("y", FLOAT, None)])
    with Session(path) as session:
        assert session.inputs == (TensorInfo("x", "f", ()),)
        assert session.run({"x": np.ones((1, 2), "f4")})["y"].tolist() == [[1.0, 1.0]]


def test_a_failing_run_gives_the_runtimes_message_and_the_session_lives_on(tmp_path: Path) -> None:
    two, three = array.array("f", [1, 2]), array.array("f", [1, 2, 3])
    path = two_sums(tmp_path)
    with Session(path) as session:
        with pytest.raises(ModelError, match=r"running .*sums.onnx: .*2 by 3"):
            session.run({"a": two, "b": three})
        assert session.run({"a": two, "b": two})["sum"].tolist() == [2.0, 4.0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "No graph was found"),
        (bytes(range(256)), "Protobuf parsing failed"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Protobuf parsing failed"),
    ],
    ids=["empty", "bytes", "pointer of git-lfs"],
)
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "m.onnx"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=rf"loading {file}: .*{reason}"):
        Session(str(file))


@pytest.mark.parametrize("left", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, left: float) -> None:
    file = Path(convolutions(tmp_path))
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * left)])
    with pytest.raises(ModelError, match=r"loading .*: .*Protobuf parsing failed") as caught:
        Session(str(file))
    assert caught.value.hint == "the file is damaged or is no ONNX model: copy or export it again"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"loading .*absent.onnx: .*File doesn't exist") as caught:
        Session(str(tmp_path / "absent.onnx"))
    assert caught.value.hint == "check the path, and that the file is part of what is deployed"


@pytest.mark.parametrize(
    ("weights", "left", "named"),
    [
        ("m.onnx.data", 100, "{folder}/m.onnx.data is cut or absent"),
        ("m.onnx.data", 0, "{folder}/m.onnx.data is cut or absent"),
        ("m.onnx.data", None, "the file with its weights (usually m.onnx.data) is cut or absent"),
        ("weights", 100, "the file with its weights (usually m.onnx.data) is cut or absent"),
    ],
)
def test_cut_and_absent_weights_are_refused(tmp_path: Path, weights: str, left: int | None, named: str) -> None:
    path, file = tmp_path / "m.onnx", tmp_path / weights
    model = onnx.load(convolutions(tmp_path))
    onnx.save(model, path, save_as_external_data=True, location=weights, size_threshold=0)
    image = np.ones((1, 3, 32, 32), np.float32)
    with Session(str(path)) as session:
        assert session.run({"image": image})["scores"].shape == (1, 5)
    file.unlink() if left is None else os.truncate(file, left)
    with pytest.raises(ModelError, match=r"loading .*m.onnx: .*xternal") as caught:
        Session(str(path))
    assert caught.value.hint == f"{named.format(folder=tmp_path)}: install the model again, with all its files"


def test_an_operator_the_runtime_does_not_know_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Teleport", ["x"], ["y"])]
    path = write(tmp_path / "m.onnx", nodes, [tensor("x", FLOAT, [1])], [tensor("y", FLOAT, [1])])
    with pytest.raises(ModelError, match=r"loading .*m.onnx: .*Teleport"):
        Session(path)


def test_tensors_of_strings_are_refused(tmp_path: Path) -> None:
    path = identity(tmp_path, TensorProto.STRING)
    with pytest.raises(ModelError, match=r"loading .*: input 'x' is not a tensor of numbers") as caught:
        Session(path)
    assert caught.value.hint == "export the model with tensors of bool, int8 to uint64, float16, float32 or float64"


def test_outputs_that_are_no_tensors_are_refused(tmp_path: Path) -> None:
    sequence = helper.make_tensor_sequence_value_info("y", FLOAT, ["n"])
    nodes = [helper.make_node("SequenceConstruct", ["x"], ["y"])]
    path = write(tmp_path / "m.onnx", nodes, [tensor("x", FLOAT, ["n"])], [sequence])
    with pytest.raises(ModelError, match=r"loading .*: output 'y' is not a tensor of numbers"):
        Session(path)


# Options


def test_options_reach_the_runtime(tmp_path: Path) -> None:
    path = identity(tmp_path)
    with Session(path, options={"session.disable_prepacking": "1"}, optimize=False, threads=1) as session:
        assert session.run({"x": array.array("f", [1])})["y"].tolist() == [1.0]
    with pytest.raises(ModelError, match=r"loading .*: .*[Cc]onfig key"):
        Session(path, options={"": "1"})


@pytest.mark.parametrize(("memory", "vcpus"), [("128", 1), ("1769", 1), ("3008", 2), ("5307", 3), ("10240", 6)])
def test_threads_follow_the_vcpus_of_the_functions_memory(
    monkeypatch: pytest.MonkeyPatch, memory: str, vcpus: int
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory)
    assert default_threads() == min(vcpus, len(os.sched_getaffinity(0)))


def test_threads_are_all_cores_outside_lambda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", raising=False)
    with Session(identity(tmp_path)) as session:
        assert session.threads == len(os.sched_getaffinity(0))


# Life


def test_a_closed_session_is_refused(tmp_path: Path) -> None:
    session = Session(identity(tmp_path))
    session.close()
    session.close()
    with pytest.raises(ModelError, match="the session is closed"):
        session.run({"x": array.array("f", [1])})


def test_threads_run_one_session_together(tmp_path: Path) -> None:
    path = convolutions(tmp_path)
    images = np.random.default_rng(1).standard_normal((8, 1, 3, 32, 32), np.float32)
    with Session(path, threads=2) as session, ThreadPoolExecutor(8) as pool:
        alone = [bytes(session.run({"image": image})["scores"]) for image in images]
        for _ in range(20):
            together = pool.map(lambda image: bytes(session.run({"image": image})["scores"]), images)
            assert list(together) == alone


def test_closing_lets_runs_under_way_end(tmp_path: Path) -> None:
    session = Session(convolutions(tmp_path), threads=1)
    image = np.ones((64, 3, 32, 32), np.float32)

    def run_for_ever() -> None:
        while True:
            assert session.run({"image": image})["scores"].shape == (64, 5)

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(run_for_ever) for _ in range(4)]
        session.run({"image": image})
        session.close()
        for worker in workers:
            with pytest.raises(ModelError, match="the session is closed"):
                worker.result(timeout=30)


THREADS = """
import os, sys
from pilotlight.function.onnx import Session

def threads():
    return len(os.listdir("/proc/self/task"))

Session(sys.argv[1], threads=1).close()
before = threads()
with Session(sys.argv[1]) as session:
    print(session.threads, threads() - before)
print(threads() - before)
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_threads_of_two_vcpus_go_with_the_session(tmp_path: Path) -> None:
    done = python(THREADS, convolutions(tmp_path), AWS_LAMBDA_FUNCTION_MEMORY_SIZE="3008")
    assert (done.stderr, done.stdout) == ("", "2 1\n0\n")


FORK = """
import os, sys
from pilotlight.function.onnx import Session
session = Session(sys.argv[1], threads=int(sys.argv[2]))
feeds = {"image": memoryview(bytes(64 * 3 * 32 * 32 * 4)).cast("f", (64, 3, 32, 32))}
before = bytes(session.run(feeds)["scores"])
for _ in range(5):
    child = os.fork()
    if not child:
        with Session(sys.argv[1], threads=2) as another:
            same = before == bytes(session.run(feeds)["scores"]) == bytes(another.run(feeds)["scores"])
        workers = len(os.listdir("/proc/self/task"))
        session.close()
        print(same, workers, flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
print(before == bytes(session.run(feeds)["scores"]))
"""


@pytest.mark.parametrize(("threads", "workers"), [("1", 1), ("2", 2)])
def test_a_child_of_a_fork_runs_the_session_with_threads_of_its_own(tmp_path: Path, threads: str, workers: int) -> None:
    done = python(FORK, convolutions(tmp_path), threads, flags=["-W", "ignore::DeprecationWarning"])
    assert (done.stderr, done.stdout) == ("", f"True {workers}\n" * 5 + "True\n")


COLD = """
import sys
from pilotlight.function.model import Model
model = Model(sys.argv[1])
print(model.run({"x": memoryview(bytes(8)).cast("f")})["y"].tolist())
heavy = {"numpy", "onnxruntime", "dataclasses", "inspect", "http", "urllib", "ssl", "logging", "asyncio", "pathlib"}
print(sorted(heavy & sys.modules.keys()))
"""


@library_only
def test_a_cold_run_imports_nothing_heavy_and_ends_in_silence(tmp_path: Path) -> None:
    done = python(COLD, identity(tmp_path))
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "[0.0, 0.0]\n[]\n")


# The library

LOAD = """
import sys
from pilotlight.errors import ModelError
from pilotlight.function.onnx import Session
try:
    Session("model.onnx")
except ModelError as error:
    print(error, error.hint, sep="\\n")
"""


WHEELS = {
    "x86_64": ["onnxruntime_pybind11_state.cpython-311-x86_64-linux-gnu.so", "libonnxruntime.so.1.31.1"],
    "aarch64": ["onnxruntime_pybind11_state.cpython-311-aarch64-linux-gnu.so", "libonnxruntime.so.1.31.1"],
    "older": ["onnxruntime_pybind11_state.so", "libonnxruntime.so.1.22.0"],
}


@library_only
@pytest.mark.parametrize("wheel", WHEELS)
def test_the_library_is_found_in_the_wheels_of_linux(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wheel: str
) -> None:
    capi = tmp_path / "onnxruntime" / "capi"
    capi.mkdir(parents=True)
    for name in ["__init__.py", "libonnxruntime_providers_shared.so", *WHEELS[wheel]]:
        (capi / name).touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "absent"), str(tmp_path)])
    assert find_library() == str(capi / WHEELS[wheel][1])


@library_only
def test_where_the_wheel_has_no_library_its_module_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = identity(tmp_path)
    capi = tmp_path / "onnxruntime" / "capi"
    capi.mkdir(parents=True)
    (capi / "libonnxruntime_providers_shared.so").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])  # the module itself is imported already
    assert find_library() == ""
    with Session(path) as session:
        assert session.run({"x": array.array("f", [1])})["y"].tolist() == [1.0]
    assert [*session.inputs] == [TensorInfo("x", "f", ("n",))]


def test_a_runtime_that_is_not_installed_is_named_with_the_remedy() -> None:
    done = python(LOAD, flags=["-S"])
    assert done.stdout == 'loading ONNX Runtime: it is not installed\npip install "pilotlight[onnx]"\n'


@library_only
def test_the_library_may_be_chosen(tmp_path: Path) -> None:
    library = tmp_path / "libonnxruntime.so"
    library.write_bytes(b"not a library")
    done = python(LOAD, PILOTLIGHT_ONNXRUNTIME=str(library))
    message = f"loading ONNX Runtime: {library}: file too short"
    assert done.stdout == f'{message}\npip install --upgrade "pilotlight[onnx]"\n'


@library_only
def test_results_equal_those_of_the_python_module(tmp_path: Path) -> None:
    path = convolutions(tmp_path)
    images = np.random.default_rng(2).standard_normal((4, 3, 32, 32), np.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    (expected,) = onnxruntime.InferenceSession(path, options).run(None, {"image": images})
    with Session(path, threads=1) as session:
        np.testing.assert_array_equal(np.asarray(session.run({"image": images})["scores"]), expected)
