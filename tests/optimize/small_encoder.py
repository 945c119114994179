"""A classifier of one transformer layer, as PyTorch would export it: large enough for weights that are worth int8."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = [f"word{number}" for number in range(251)]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
WIDTH, HEADS, INNER, POSITIONS, LABELS = 128, 4, 256, 32, 2


class Graph:
    """Nodes and weights, drawn from one seed."""

    def __init__(self, seed: int = 1) -> None:
        self.draw = np.random.default_rng(seed)
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []

    def node(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"/{output}", **attributes))
        return output

    def constant(self, name: str, values: object, kind: type = np.float32) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def random(self, name: str, *shape: int) -> str:
        return self.constant(name, self.draw.normal(0, 0.4 / np.sqrt(shape[0]), shape))

    def linear(self, given: str, name: str, inputs: int, outputs: int) -> str:
        product = self.node("MatMul", [given, self.random(f"{name}.weight", inputs, outputs)], f"{name}/MatMul")
        return self.node("Add", [self.random(f"{name}.bias", outputs), product], f"{name}/Add")

    def normal(self, given: str, name: str) -> str:
        parts = [given, self.constant(f"{name}.weight", np.ones(WIDTH)), self.random(f"{name}.bias", WIDTH)]
        return self.node("LayerNormalization", parts, f"{name}/LayerNormalization", axis=-1, epsilon=1e-12)

    def heads(self, given: str, name: str, permutation: list[int]) -> str:
        split = self.node("Reshape", [self.linear(given, name, WIDTH, WIDTH), "split"], f"{name}/Reshape")
        return self.node("Transpose", [split], f"{name}/Transpose", perm=permutation)

    def attention(self, given: str, mask: str) -> str:
        query = self.heads(given, "attention/query", [0, 2, 1, 3])
        key = self.heads(given, "attention/key", [0, 2, 3, 1])
        value = self.heads(given, "attention/value", [0, 2, 1, 3])
        scores = self.node("Div", [self.node("MatMul", [query, key], "scores"), "root"], "scaled")
        shares = self.node("Softmax", [self.node("Add", [scores, mask], "masked")], "shares", axis=-1)
        mixed = self.node("Transpose", [self.node("MatMul", [shares, value], "mixed")], "moved", perm=[0, 2, 1, 3])
        return self.linear(self.node("Reshape", [mixed, "joined"], "together"), "attention/output", WIDTH, WIDTH)

    def gelu(self, given: str) -> str:
        bell = self.node("Erf", [self.node("Div", [given, "root2"], "gelu_scaled")], "gelu_erf")
        half = self.node("Mul", [given, self.node("Add", [bell, "one"], "gelu_shifted")], "gelu_double")
        return self.node("Mul", [half, "half"], "gelu")


def graph(seed: int = 1) -> onnx.ModelProto:
    """logits [batch, 2] of input_ids and attention_mask [batch, tokens]."""
    build = Graph(seed)
    build.constant("split", [0, 0, HEADS, WIDTH // HEADS], np.int64)
    build.constant("joined", [0, 0, WIDTH], np.int64)
    for name, value in {
        "root": np.sqrt(WIDTH / HEADS),
        "root2": np.sqrt(2),
        "one": 1,
        "half": 0.5,
        "far": -1e4,
    }.items():
        build.constant(name, value)
    for name, axis in {"axis1": [1], "axis2": [2]}.items():
        build.constant(name, axis, np.int64)
    build.constant("first", 0, np.int64)
    table = build.constant("words", build.draw.normal(0, 1, (len(VOCABULARY), WIDTH)))
    found = build.normal(build.node("Gather", [table, "input_ids"], "embeddings/Gather"), "embeddings")
    wide = build.node("Unsqueeze", ["attention_mask", "axis1"], "mask1")
    number = build.node("Cast", [build.node("Unsqueeze", [wide, "axis2"], "mask2")], "mask3", to=TensorProto.FLOAT)
    mask = build.node("Mul", [build.node("Sub", ["one", number], "mask4"), "far"], "mask5")
    seen = build.node("Add", [build.attention(found, mask), found], "residual1")
    middle = build.normal(seen, "attention/norm")
    inner = build.gelu(build.linear(middle, "intermediate", WIDTH, INNER))
    last = build.node("Add", [build.linear(inner, "output", INNER, WIDTH), middle], "residual2")
    top = build.node("Gather", [build.normal(last, "output/norm"), "first"], "top", axis=1)
    product = build.node("MatMul", [top, build.random("classifier.weight", WIDTH, LABELS)], "classifier/MatMul")
    build.node("Add", [product, build.constant("classifier.bias", [0.0, 0.0])], "logits")
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", LABELS])]
    made = helper.make_graph(build.nodes, "classifier", inputs, outputs, build.weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def tokenizer() -> Tokenizer:
    """WordPiece over `VOCABULARY`, with [CLS] and [SEP] around a text."""
    made = Tokenizer(models.WordPiece({word: number for number, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def write(folder: Path, seed: int = 1) -> Path:
    """model.onnx with config.json and tokenizer.json beside it; gives the first."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(graph(seed), folder / "model.onnx")
    tokenizer().save(str(folder / "tokenizer.json"))
    config = {
        "model_type": "bert",
        "hidden_size": WIDTH,
        "num_attention_heads": HEADS,
        "num_hidden_layers": 1,
        "max_position_embeddings": POSITIONS,
        "id2label": {"0": "calm", "1": "loud"},
        "pad_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder / "model.onnx"


def samples(file: Path, count: int = 8) -> Path:
    """Texts of six words each, as JSON lines."""
    texts = [" ".join(WORDS[(7 * number + 31 * place) % len(WORDS)] for place in range(6)) for number in range(count)]
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return file
