"""Model folders of a few kilobytes whose answers are known: what a word scores is a row of a table, nothing else."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
END = "<|endoftext|>"


def reader(folder: Path, words: Sequence[str], starts: Sequence[str], ends: Sequence[str], tokens: int = 64) -> None:
    """A reader to which an answer begins with one of `starts` and ends with one of `ends`, in windows of `tokens`."""
    vocabulary = [*SPECIAL, *dict.fromkeys(words)]
    tables = {
        "start_logits": [8.0 if word in starts else 0.0 for word in vocabulary],
        "end_logits": [8.0 if word in ends else 0.0 for word in vocabulary],
    }
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "tokens"]) for name in tables]
    nodes = [helper.make_node("Gather", [f"table of {name}", "input_ids"], [name]) for name in tables]
    weights = [numpy_helper.from_array(np.array(row, np.float32), f"table of {name}") for name, row in tables.items()]
    _write(folder, helper.make_graph(nodes, "reader", [ids], outputs, weights), {
        "task": "question-answering",
        "tokenizer": {
            "type": "wordpiece", "vocabulary": "vocab.txt", "lowercase": True, "strip_accents": True, "chinese": True,
            "unknown": "[UNK]", "special": list(SPECIAL), "max_length": tokens, "single": [[2], [3]],
            "pair": [[2], [3], [3]], "pair_types": [0, 1], "pad": 0,
        },
    })  # fmt: skip
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")


def generator(folder: Path, sentence: str, endless: str) -> None:
    """A generator to which each token of `sentence` is followed by its next, and the last by the end of the text.

    So it is for `endless`, but its last token is followed by its second. No token of the two may be there twice. The
    past is kept as a network's would be, and not looked at.
    """
    tokenizer = _byte_level(sentence, endless)
    table = np.zeros((tokenizer.get_vocab_size(),) * 2, np.float32)
    chain = [0, *tokenizer.encode(sentence).ids, 0]
    table[chain[:-1], chain[1:]] = 20.0
    circle = tokenizer.encode(endless).ids
    table[circle, [*circle[1:], circle[1]]] = 20.0
    past, present = (["batch", 1, length, 1] for length in ("past", "all"))
    inputs = {"input_ids": ["batch", "tokens"], "attention_mask": ["batch", "all"], "position_ids": ["batch", "tokens"]}
    nodes = [
        helper.make_node("Gather", ["input_ids", "last"], ["token"], axis=1),
        helper.make_node("Gather", ["table", "token"], ["logits"]),
        helper.make_node("Cast", ["input_ids"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["numbers", "axes"], ["new"]),
        *(helper.make_node("Concat", [f"past_key_values.0.{part}", "new"], [f"present.0.{part}"], axis=2)
          for part in ("key", "value")),
    ]  # fmt: skip
    parts = ("key", "value")
    graph = helper.make_graph(
        nodes,
        "generator",
        [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name, shape in inputs.items()]
        + [helper.make_tensor_value_info(f"past_key_values.0.{part}", TensorProto.FLOAT, past) for part in parts],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1, len(table)])]
        + [helper.make_tensor_value_info(f"present.0.{part}", TensorProto.FLOAT, present) for part in parts],
        [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(np.array([-1]), "last"),
            numpy_helper.from_array(np.array([1, 3]), "axes"),
        ],
    )
    _write(folder, graph, {
        "task": "text-generation",
        "tokenizer": {
            "type": "tokenizers", "file": "tokenizer.json", "max_length": 1_000_000,
            "single": [[], []], "pair": [[], [], []], "pair_types": [0, 0], "pad": 0,
        },
        "generation": {"eos": [0], "bos": 0, "max_positions": 1_000_000, "layers": 1},
    })  # fmt: skip
    tokenizer.save(str(folder / "tokenizer.json"))


def _byte_level(*sentences: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(sentences * 2, trainer)
    return tokenizer


def _write(folder: Path, graph: onnx.GraphProto, settings: Mapping[str, object]) -> None:
    folder.mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, folder / "model.onnx")
    (folder / "model.json").write_text(json.dumps({"format": 1, **settings}), encoding="utf-8")
