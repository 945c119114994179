"""Bare models, timed in real processes."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pilotlight.artifacts import Timing
from pilotlight.errors import ModelError
from pilotlight.measure.model import Feed, time_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """y = x . w + ids, with the weights in a file of their own."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Cast", ["ids"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["product", "numbers"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", 1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 64])
    weights = numpy_helper.from_array(np.ones((64, 64), np.float32), "w")
    graph = helper.make_graph(nodes, "graph", [x, ids], [y], [weights])
    made = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    folder = tmp_path / "model"
    folder.mkdir()
    onnx.save(made, folder / "model.onnx", save_as_external_data=True, location="model.onnx.data", size_threshold=0)
    return folder


FEEDS = {"x": Feed("float32", (2, 64)), "ids": Feed("int64", (2, 1), 7)}


def test_a_folder_is_timed(model: Path) -> None:
    (model / "model.json").write_text('{"format": 1}')
    timing = time_model(model, FEEDS, runs=2)
    assert isinstance(timing, Timing)
    assert timing.cold_ms > timing.p95_ms >= timing.p50_ms > 0
    assert timing.bytes == sum(path.stat().st_size for path in model.iterdir()) > 64 * 64 * 4
    assert 5 < timing.pss_mb < 200


def test_a_file_is_as_large_as_it_is_with_its_weights(model: Path) -> None:
    file = model / "model.onnx"
    timing = time_model(file, FEEDS, runs=1)
    assert timing.bytes == file.stat().st_size + 64 * 64 * 4


def test_what_the_model_refuses_is_said_in_its_words(model: Path) -> None:
    with pytest.raises(ModelError, match="input 'ids' is missing") as caught:
        time_model(model, {"x": FEEDS["x"]}, runs=1)
    assert caught.value.hint == "the inputs are: x float32 [n, 64], ids int64 [n, 1]"


def test_a_damaged_model_is_refused(model: Path) -> None:
    (model / "model.onnx.data").write_bytes(b"")
    with pytest.raises(ModelError, match=r"loading .*model.onnx: ") as caught:
        time_model(model, FEEDS, runs=1)
    assert "model.onnx.data is cut or absent" in caught.value.hint
