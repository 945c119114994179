"""int8 where it is asked for, near to what it was, and the choice of what stays in fp32."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import small_encoder
from onnx import TensorProto, helper, numpy_helper
from told import Told

from pilotlight.errors import FidelityError
from pilotlight.optimize import calibration, graph, outputs, quantize, search
from pilotlight.optimize.progress import Progress
from pilotlight.optimize.quantize import Part

DRAW = np.random.default_rng(3)
FEEDS = [
    {"input_ids": DRAW.integers(5, 256, (1, length)), "attention_mask": np.ones((1, length), np.int64)}
    for length in (4, 9, 16, 25)
]
EMBEDDING = Part("/embeddings/Gather", "embedding", 32768)
ATTENTION = Part("Attention_0", "attention", 49152)
OUTPUT = Part("/attention/output/MatMul", "attention", 16384)
UP = Part("/intermediate/MatMul", "feed-forward", 32768)
DOWN = Part("/output/MatMul", "feed-forward", 32768)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    source = small_encoder.write(tmp_path_factory.mktemp("source"))
    return graph.fuse(source, small_encoder.HEADS, small_encoder.WIDTH)


def run(model: onnx.ModelProto, folder: Path, feeds: Sequence[Mapping[str, np.ndarray]] = FEEDS) -> list[Any]:
    onnx.save(model, folder / "run.onnx")
    return outputs.run(folder / "run.onnx", feeds)


def test_parts_are_matrices_worth_it(model: onnx.ModelProto) -> None:
    assert quantize.parts(model) == (EMBEDDING, ATTENTION, OUTPUT, UP, DOWN)


def test_all_parts_in_int8(model: onnx.ModelProto, tmp_path: Path) -> None:
    parts = quantize.parts(model)
    small = quantize.quantized(model, parts, quantize.peaks(model, FEEDS))
    difference = outputs.difference(run(model, tmp_path), run(small, tmp_path))
    assert 0 < difference.relative < 0.1
    assert difference.cosine > 0.99
    kinds = {each.name: each.data_type for each in small.graph.initializer if np.prod(each.dims) >= quantize.SMALLEST}
    assert set(kinds.values()) == {TensorProto.INT8}
    assert len(kinds) == len(parts)


def test_products_have_a_scale_for_each_column(model: onnx.ModelProto) -> None:
    small = quantize.quantized(model, [UP], quantize.peaks(model, FEEDS))
    [weight] = [each for each in small.graph.initializer if each.data_type == TensorProto.INT8 and len(each.dims) == 2]
    [scale] = [each for each in small.graph.initializer if each.name == weight.name.replace("_quantized", "_scale")]
    assert (list(weight.dims), list(scale.dims)) == ([128, 256], [256])


def test_embeddings_are_off_by_half_a_step_at_most(model: onnx.ModelProto) -> None:
    small = quantize.quantized(model, [EMBEDDING], quantize.peaks(model, FEEDS))
    held = {each.name: numpy_helper.to_array(each) for each in small.graph.initializer}
    [table] = [numpy_helper.to_array(each) for each in model.graph.initializer if each.name == "words"]
    restored = held["words_rows"] * held["words_scales"]
    assert held["words_rows"].dtype == np.int8
    assert held["words_scales"].shape == (256, 1)
    assert np.all(np.abs(restored - table) <= held["words_scales"] * 0.501)
    assert "words" not in held


def test_what_is_not_chosen_stays(model: onnx.ModelProto, tmp_path: Path) -> None:
    assert outputs.difference(run(model, tmp_path), run(quantize.quantized(model, [], {}), tmp_path)).largest == 0


def test_a_channel_far_above_the_others_does_not_drown_them(tmp_path: Path) -> None:
    weights = np.random.default_rng(5).normal(0, 1, (128, 128)).astype(np.float32)
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 128]) for name in "xy"]
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="product")
    made = helper.make_graph([node], "product", infos[:1], infos[1:], [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    values = np.random.default_rng(6).normal(0, 1, (16, 128)).astype(np.float32)
    values[:, 7] *= 300
    feeds = [{"x": values}]
    parts = quantize.parts(model)
    smooth = quantize.quantized(model, parts, quantize.peaks(model, feeds))
    rough = quantize.quantized(model, parts, {})
    before = run(model, tmp_path, feeds)
    errors = [outputs.difference(before, run(each, tmp_path, feeds)).mean for each in (smooth, rough)]
    assert errors[0] < errors[1] / 3


def test_two_lookups_of_one_table_share_its_rows(tmp_path: Path) -> None:
    ids = [helper.make_tensor_value_info(name, TensorProto.INT64, ["n"]) for name in ("a", "b")]
    nodes = [helper.make_node("Gather", ["table", name], [f"{name}_row"], name=f"lookup_{name}") for name in ("a", "b")]
    nodes.append(helper.make_node("Add", ["a_row", "b_row"], ["y"]))
    table = np.random.default_rng(7).normal(0, 1, (512, 64)).astype(np.float32)
    given = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 64])
    made = helper.make_graph(nodes, "lookups", ids, [given], [numpy_helper.from_array(table, "table")])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    small = quantize.quantized(model, quantize.parts(model), {})
    assert sorted(each.name for each in small.graph.initializer) == ["table_rows", "table_scales"]
    [row] = run(small, tmp_path, [{"a": np.array([3, 500]), "b": np.array([4, 1])}])
    np.testing.assert_allclose(row["y"], table[[3, 500]] + table[[4, 1]], atol=0.03)


def has_int8(model: onnx.ModelProto, name: str) -> bool:
    return any(each.data_type == TensorProto.INT8 and name in each.name for each in model.graph.initializer)


def test_all_is_int8_when_the_gate_passes(model: onnx.ModelProto) -> None:
    choice = search.choose(model, FEEDS, quantize.peaks(model, FEEDS), lambda model: "", "auto", Progress())
    assert (choice.int8, choice.fp32) == ((EMBEDDING, ATTENTION, OUTPUT, UP, DOWN), ())


def test_the_worst_parts_stay_in_fp32_until_the_gate_passes(model: onnx.ModelProto) -> None:
    peaks = quantize.peaks(model, FEEDS)
    order = search.rank(model, quantize.parts(model), FEEDS, peaks, Progress())
    second = order[1]
    told = Told()

    def judge(tried: onnx.ModelProto) -> str:
        """Passes only where the second worst part has its fp32 weights."""
        floats = sum(int(np.prod(each.dims)) for each in tried.graph.initializer if each.data_type == TensorProto.FLOAT)
        return "" if floats > order[0].weights + second.weights else "too far"

    choice = search.choose(model, FEEDS, quantize.peaks(model, FEEDS), judge, "auto", told)
    assert choice.fp32 == order[:2]
    assert set(choice.int8) == set(order[2:])
    assert told.lines[0] == "all in int8 does not pass: too far"
    assert told.counts == [("error of each part", done, 5) for done in range(6)]
    assert "2 of 5 parts in fp32: passes" in told.lines
    assert "1 of 5 parts in fp32: too far" in told.lines


def test_when_nothing_passes_the_model_stays_as_it_is(model: onnx.ModelProto) -> None:
    choice = search.choose(model, FEEDS, quantize.peaks(model, FEEDS), lambda model: "too far", "auto", Progress())
    assert choice.int8 == ()
    assert choice.model == model


def test_int8_asked_for_by_name_is_all_or_an_error(model: onnx.ModelProto) -> None:
    with pytest.raises(FidelityError, match="quantising to int8: too far") as caught:
        search.choose(model, FEEDS, quantize.peaks(model, FEEDS), lambda model: "too far", "int8", Progress())
    assert caught.value.hint == "--precision auto leaves the worst parts in fp32"


def test_fp32_is_not_quantised(model: onnx.ModelProto) -> None:
    choice = search.choose(model, FEEDS, quantize.peaks(model, FEEDS), lambda model: "never asked", "fp32", Progress())
    assert choice.model is model
    assert choice.int8 == ()


def test_calibration_sees_the_whole_vocabulary(model: onnx.ModelProto) -> None:
    assert calibration.vocabulary(model) == 256
    given = [{"input_ids": np.array([[2, 9, 3]]), "attention_mask": np.array([[1, 1, 1]])}]
    first, *drawn = calibration.feeds(given, model, 32)
    assert first is given[0]
    assert given[0]["input_ids"].tolist() == [[2, 9, 3]]
    assert len(drawn) == calibration.DRAWN
    assert {feed["input_ids"].shape for feed in drawn} == {(1, 32)}
    assert {(feed["input_ids"][0, 0], feed["input_ids"][0, -1]) for feed in drawn} == {(2, 3)}
    assert all(feed["attention_mask"].all() for feed in drawn)
    assert len({int(number) for feed in drawn for number in feed["input_ids"][0]}) > 200
