"""The fused graph gives what the plain one gives; the weights lie where ONNX Runtime maps them."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import small_encoder
from onnx import TensorProto, helper, numpy_helper

from pilotlight import Model
from pilotlight.errors import ModelError
from pilotlight.function import vocabulary
from pilotlight.optimize import graph, layout, outputs
from pilotlight.optimize.exporters import Export

FEEDS = [
    {"input_ids": np.array([[2, 9, 50, 7, 3]]), "attention_mask": np.array([[1, 1, 1, 1, 1]])},
    {"input_ids": np.array([[2, 9, 50, 7, 3]]), "attention_mask": np.array([[1, 0, 1, 1, 0]])},
    {"input_ids": np.array([[0, 0, 2, 9, 3]]), "attention_mask": np.array([[0, 0, 1, 1, 1]])},
]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_encoder.write(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def fused(plain: Path) -> onnx.ModelProto:
    return graph.fuse(plain, small_encoder.HEADS, small_encoder.WIDTH)


def test_a_transformer_layer_becomes_few_operators(fused: onnx.ModelProto) -> None:
    assert graph.operators(fused) == {
        "MatMul": 4,
        "Gather": 2,
        "SkipLayerNormalization": 2,
        "LayerNormalization": 1,
        "Cast": 1,
        "Attention": 1,
        "BiasGelu": 1,
        "Add": 1,
    }
    assert graph.has_fused(fused)


def test_heads_and_width_are_found_where_they_are_not_told(plain: Path, fused: onnx.ModelProto) -> None:
    assert graph.operators(graph.fuse(plain, 0, 0)) == graph.operators(fused)


def test_any_mask_gives_what_it_gave(plain: Path, fused: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(fused, tmp_path / "model.onnx")
    before = outputs.run(plain, FEEDS)
    assert outputs.difference(before, outputs.run(tmp_path / "model.onnx", FEEDS)).largest < 1e-5
    assert outputs.difference(before[:1], before[1:2]).largest > 1e-3  # the mask does matter


def test_what_holds_no_transformer_has_not_fused(tmp_path: Path) -> None:
    assert not graph.has_fused(_product(tmp_path, 8))


@pytest.mark.parametrize("prefer", ["cold", "warm"])
def test_the_folder_is_loaded_as_it_lies(plain: Path, fused: onnx.ModelProto, tmp_path: Path, prefer: str) -> None:
    made = Export(
        "text-classification", labels=("calm", "loud"), tokenizer={"type": "tokenizers", "file": "tokenizer.json"}
    )
    layout.folder(fused, made, plain.parent, tmp_path / "made", prefer)
    session = {
        "cold": {"optimize": False, "options": {"session.disable_prepacking": "1"}},
        "warm": {"optimize": False},
    }
    assert json.loads((tmp_path / "made/model.json").read_text()) == {
        "format": 1,
        "task": "text-classification",
        "tokenizer": {"type": "tokenizers", "file": "tokenizer.json"},
        "labels": ["calm", "loud"],
        "session": session[prefer],
        "files": {
            name: (tmp_path / "made" / name).stat().st_size
            for name in ("model.onnx", "model.onnx.data", "tokenizer.json")
        },
        "sha256": {
            name: hashlib.sha256((tmp_path / "made" / name).read_bytes()).hexdigest()
            for name in ("model.onnx", "model.onnx.data", "tokenizer.json")
        },
    }
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == [
        "model.json", "model.onnx", "model.onnx.data", "tokenizer.json"
    ]  # fmt: skip
    assert outputs.difference(outputs.run(plain, FEEDS), outputs.run(tmp_path / "made", FEEDS)).largest < 1e-5


def test_tensors_above_a_kilobyte_are_outside_and_aligned(plain: Path, fused: onnx.ModelProto, tmp_path: Path) -> None:
    layout.folder(
        fused, Export("text-classification", labels=("calm", "loud")), plain.parent, tmp_path / "made", "cold"
    )
    model = onnx.load(tmp_path / "made/model.onnx", load_external_data=False)
    outside = {each.name: each for each in model.graph.initializer if each.data_location == TensorProto.EXTERNAL}
    inside = [each for each in model.graph.initializer if each.name not in outside]
    assert all(len(numpy_helper.to_array(each).tobytes()) < 1024 for each in inside)
    entries = [{entry.key: entry.value for entry in each.external_data} for each in outside.values()]
    assert {entry["location"] for entry in entries} == {"model.onnx.data"}
    assert all(int(entry["offset"]) % 64 == 0 and int(entry["length"]) >= 1024 for entry in entries)
    assert list(outside["words"].dims) == [256, 128]


def test_a_tiny_graph_has_no_data_file(tmp_path: Path) -> None:
    layout.folder(_product(tmp_path, 2), Export("feature-extraction"), tmp_path, tmp_path / "made", "cold")
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["model.json", "model.onnx"]
    assert list(Model(tmp_path / "made").settings["files"]) == ["model.onnx"]


def test_a_vocabulary_gets_its_index(tmp_path: Path) -> None:
    """With the folder, or later, where an earlier version made it: the same."""
    (tmp_path / "vocab.txt").write_text("[UNK]\nthe\n", encoding="utf-8")
    settings = {"type": "wordpiece", "vocabulary": "vocab.txt"}
    made = tmp_path / "made"
    layout.folder(_product(tmp_path, 2), Export("feature-extraction", tokenizer=settings), tmp_path, made, "cold")
    whole = {path.name: path.read_bytes() for path in made.iterdir()}
    assert sorted(whole) == ["model.json", "model.onnx", "vocab.txt", "vocab.txt.index"]
    assert Model(made).settings["files"]["vocab.txt.index"] == len(whole["vocab.txt.index"])
    assert isinstance(vocabulary.load(str(made / "vocab.txt")), vocabulary.Indexed)

    earlier = Model(made).settings
    for each in (earlier["files"], earlier["sha256"]):
        del each["vocab.txt.index"]
    (made / "model.json").write_text(json.dumps(earlier), encoding="utf-8")
    (made / "vocab.txt.index").unlink()
    layout.add_index(made)
    assert {path.name: path.read_bytes() for path in made.iterdir()} == whole


def test_a_folder_without_a_vocabulary_gets_no_index(tmp_path: Path) -> None:
    layout.folder(_product(tmp_path, 2), Export("feature-extraction"), tmp_path, tmp_path / "made", "cold")
    with pytest.raises(ModelError, match="its tokenizer has no vocabulary of WordPiece"):
        layout.add_index(tmp_path / "made")


def test_labels_that_the_source_does_not_name_are_numbered(plain: Path, tmp_path: Path) -> None:
    layout.folder(onnx.load(plain), Export("text-classification"), plain.parent, tmp_path / "made", "cold")
    assert Model(tmp_path / "made").settings["labels"] == ["LABEL_0", "LABEL_1"]


def _product(folder: Path, size: int) -> onnx.ModelProto:
    """y = x times a constant matrix."""
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size]) for name in "xy"]
    weights = [numpy_helper.from_array(np.eye(size, dtype=np.float32), "w")]
    made = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "product", infos[:1], infos[1:], weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_what_libraries_print_does_not_reach_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with graph.quiet():
        print("failed in shape inference")
    assert capsys.readouterr().out == ""
