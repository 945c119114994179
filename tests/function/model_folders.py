"""Model folders whose answers are known exactly: graphs of a few nodes, a vocabulary of a few words."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
TEXTS = {"input_ids": ["batch", "tokens"], "attention_mask": ["batch", "tokens"], "token_type_ids": ["batch", "tokens"]}

tensor = helper.make_tensor_value_info
node = helper.make_node


def write(
    folder: Path,
    settings: Mapping[str, object],
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Mapping[str, np.ndarray],
) -> Path:
    """`model.onnx` and `model.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    initializers = [numpy_helper.from_array(weight, name) for name, weight in weights.items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    (folder / "model.json").write_text(json.dumps({"format": 1, **settings}), encoding="utf-8")
    return folder


def wordpiece(folder: Path, words: Sequence[str], max_length: int) -> dict[str, object]:
    """The settings of a tokenizer that knows `words`, whose numbers begin at 4."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *words]) + "\n", encoding="utf-8")
    return {
        "type": "wordpiece",
        "vocabulary": "vocab.txt",
        "lowercase": True,
        "strip_accents": True,
        "chinese": True,
        "unknown": "[UNK]",
        "special": SPECIAL,
        "max_length": max_length,
        "single": [[2], [3]],
        "pair": [[2], [3], [3]],
        "pair_types": [0, 1],
        "pad": 0,
    }


def reader(
    folder: Path, words: Mapping[str, tuple[float, float]], null: tuple[float, float] = (0.0, 0.0), max_length: int = 64
) -> Path:
    """Each word of a context has its logits as a start and as an end, wherever it stands; [CLS] has those of `null`.

    What the reader must not look at has a logit of 50: the question, [SEP] and the padding.
    """
    logits = [(50.0, 50.0), (-9.0, -9.0), null, (50.0, 50.0), *words.values()]
    nodes = [
        node("Cast", ["token_type_ids"], ["context"], to=TensorProto.BOOL),
        node("Equal", ["input_ids", "cls"], ["first"]),
        node("Or", ["context", "first"], ["counts"]),
        node("Cast", ["attention_mask"], ["present"], to=TensorProto.BOOL),
        node("And", ["counts", "present"], ["allowed"]),
    ]
    for name in ("start", "end"):
        nodes.append(node("Gather", [f"{name}s", "input_ids"], [f"{name}_each"]))
        nodes.append(node("Where", ["allowed", f"{name}_each", "decoy"], [f"{name}_logits"]))
    weights = {
        "starts": np.array([start for start, _ in logits], np.float32),
        "ends": np.array([end for _, end in logits], np.float32),
        "cls": np.array(2, np.int64),
        "decoy": np.array(50, np.float32),
    }
    settings = {"task": "question-answering", "tokenizer": wordpiece(folder, list(words), max_length)}
    outputs = [tensor(f"{name}_logits", FLOAT, ["batch", "tokens"]) for name in ("start", "end")]
    return write(folder, settings, nodes, text_inputs(), outputs, weights)


def means(folder: Path, task: str, output: str, rows: Mapping[str, Sequence[float]], **settings: object) -> Path:
    """Each word has a row of numbers, special tokens have zeros; the output is the mean of all rows."""
    width = len(next(iter(rows.values())))
    table = np.array([*[[0.0] * width] * len(SPECIAL), *rows.values()], np.float32)
    nodes = [
        node("Gather", ["table", "input_ids"], ["each"]),
        node("ReduceMean", ["each"], [output], axes=[1], keepdims=0),
    ]
    tokenizer = wordpiece(folder, list(rows), max_length=8)
    outputs = [tensor(output, FLOAT, ["batch", width])]
    return write(
        folder, {"task": task, "tokenizer": tokenizer, **settings}, nodes, text_inputs(), outputs, {"table": table}
    )


def text_inputs() -> list[onnx.ValueInfoProto]:
    return [tensor(name, INT64, shape) for name, shape in TEXTS.items()]
