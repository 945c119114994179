"""ONNX files that came from elsewhere: checked, and named as the task names its tensors."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import small_encoder
from onnx import TensorProto, helper, numpy_helper

from pilotlight.errors import ModelError
from pilotlight.function.text import Classifier
from pilotlight.optimize import layout
from pilotlight.optimize.exporters import Export, export
from pilotlight.optimize.progress import Progress
from pilotlight.optimize.source import resolve
from pilotlight.optimize.tasks import TASKS

WORDS = np.arange(4000, dtype=np.float32).reshape(2000, 2) / 1000


def graph(path: Path, ids: str, output: str, axes: tuple[str | int, ...] = ("texts", "words")) -> Path:
    """Two logits for a text: the sum of its words' rows. 4000 parameters and two of bias."""
    nodes = [
        helper.make_node("Gather", ["words", ids], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "axis"], ["summed"], keepdims=0),
        helper.make_node("Add", ["summed", "bias"], [output]),
    ]
    weights = [
        numpy_helper.from_array(WORDS, "words"),
        numpy_helper.from_array(np.array([1, -1], np.float32), "bias"),
        numpy_helper.from_array(np.array([1], np.int64), "axis"),
    ]
    given = helper.make_tensor_value_info(ids, TensorProto.INT64, list(axes))
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["texts", 2])]
    body = helper.make_graph(nodes, "sum", [given], outputs, weights)
    onnx.save(helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def exported(path: Path, task: str, out: Path) -> Export:
    out.mkdir(exist_ok=True)
    return export(resolve(str(path)), TASKS[task], out, Progress())


def refused(path: Path, task: str = "text-classification") -> ModelError:
    with pytest.raises(ModelError) as caught:
        exported(path, task, path.parent / "out")
    return caught.value


@pytest.mark.parametrize(
    ("ids", "output"), [("input_ids", "logits"), ("ids", "scores"), ("tokens", "dense_7"), ("input_ids", "words_sum")]
)
def test_names_become_those_of_the_task(ids: str, output: str, tmp_path: Path) -> None:
    path = graph(tmp_path / "sum.onnx", ids, output)
    done = exported(path, "text-classification", tmp_path / "out")
    assert done == Export("text-classification", parameters=4003)
    session = onnxruntime.InferenceSession(tmp_path / "out/model.onnx", providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == ["input_ids"]
    (logits,) = session.run(["logits"], {"input_ids": np.array([[0, 1], [2, 3]])})
    np.testing.assert_allclose(logits, [[1.002, -0.996], [1.010, -0.988]], atol=1e-6)


def test_what_lies_beside_it_is_read(tmp_path: Path) -> None:
    path = graph(tmp_path / "sum.onnx", "input_ids", "logits")
    (tmp_path / "config.json").write_text(
        '{"model_type": "bert", "hidden_size": 2, "num_attention_heads": 1, "num_hidden_layers": 3,'
        ' "id2label": {"0": "sad", "1": "glad"}}'
    )
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    done = exported(path, "text-classification", tmp_path / "out")
    assert (done.model_type, done.hidden_size, done.heads, done.layers) == ("bert", 2, 1, 3)
    assert (done.labels, done.license) == (("sad", "glad"), "mit")


def test_a_model_without_a_limit_is_read_all_the_same(tmp_path: Path) -> None:
    path = small_encoder.write(tmp_path / "source")
    config = json.loads((tmp_path / "source/config.json").read_text())
    del config["max_position_embeddings"]
    (tmp_path / "source/config.json").write_text(json.dumps(config))
    done = exported(path, "text-classification", tmp_path / "out")
    assert done.tokenizer["max_length"] == 1 << 20
    layout.folder(onnx.load(tmp_path / "out/model.onnx"), done, tmp_path / "out", tmp_path / "made", "cold")
    assert Classifier(tmp_path / "made").classify("word1 word2").label in ("calm", "loud")


def test_weights_beside_the_graph_are_taken_in(tmp_path: Path) -> None:
    path = graph(tmp_path / "sum.onnx", "input_ids", "logits")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="sum.data", size_threshold=100)
    exported(path, "text-classification", tmp_path / "out")
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == ["export.json", "model.onnx"]
    assert (tmp_path / "out/model.onnx").stat().st_size > 16_000

    (tmp_path / "sum.data").write_bytes(b"cut")
    assert str(refused(path)) == f"loading {path}: its weights {tmp_path}/sum.data are cut"
    (tmp_path / "sum.data").unlink()
    assert str(refused(path)) == f"loading {path}: its weights {tmp_path}/sum.data are missing"


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd"])
def test_weights_outside_its_folder_are_refused(location: str, tmp_path: Path) -> None:
    path = graph(tmp_path / "sum.onnx", "input_ids", "logits")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="sum.data", size_threshold=100)
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = location if entry.key == "location" else entry.value
    path.write_bytes(model.SerializeToString())
    assert str(refused(path)) == f"loading {path}: the weights 'words' lie outside its folder ({location!r})"


@pytest.mark.parametrize("offset", ["abc", "-1", "1.5", "", "٣"])
def test_weights_at_no_number_of_bytes_are_refused(offset: str, tmp_path: Path) -> None:
    path = graph(tmp_path / "sum.onnx", "input_ids", "logits")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="sum.data", size_threshold=100)
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = offset if entry.key == "offset" else entry.value
    path.write_bytes(model.SerializeToString())
    assert str(refused(path)) == f"loading {path}: the weights 'words' lie at no number of bytes ({offset}, 16000)"


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    path = graph(tmp_path / "sum.onnx", "input_ids", "logits")
    path.write_bytes(path.read_bytes()[:9000])
    cut = refused(path)
    assert str(cut) == f"loading {path}: it is no ONNX model, or cut (DecodeError)"
    path.write_bytes(b"")
    empty = refused(path)
    assert str(empty).startswith(f"loading {path}: not a valid ONNX model (")
    assert cut.hint == empty.hint == "export or copy it again"


def test_another_task_is_refused_with_what_the_graph_has(tmp_path: Path) -> None:
    path = graph(tmp_path / "sum.onnx", "input_ids", "logits")
    error = refused(path, "question-answering")
    assert str(error) == f"loading {path} for question-answering: no start_logits; no end_logits"
    assert error.hint.startswith(
        "it takes input_ids [texts, words] and gives logits [texts, 2]; question-answering takes"
    )


def test_an_input_of_unknown_meaning_is_refused(tmp_path: Path) -> None:
    path = graph(tmp_path / "sum.onnx", "pixels", "logits")
    assert str(refused(path)) == f"loading {path} for text-classification: no input_ids; unknown input 'pixels'"


def test_fixed_shapes_are_refused(tmp_path: Path) -> None:
    path = graph(tmp_path / "sum.onnx", "input_ids", "logits", axes=(1, 128))
    error = refused(path)
    shape = "its input 'input_ids' is input_ids [1, 128], where [batch, tokens] of any size is needed"
    assert str(error) == f"loading {path}: {shape}"
    assert error.hint == "export it with dynamic axes"
