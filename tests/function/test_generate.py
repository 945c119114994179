"""`Generator` on graphs whose next token is known: a table, and a sum over all that the cache holds."""

import json
from pathlib import Path

import model_folders
import numpy as np
import onnx
import pytest
from model_folders import FLOAT, INT64, node, tensor
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from pilotlight.errors import InputError, ModelError
from pilotlight.function.text import Generator

BYTES = Tokenizer(models.BPE({letter: n for n, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, []))
BYTES.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
BYTES.decoder = decoders.ByteLevel()
END = 256


def folder(path: Path, nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], **settings: object) -> Path:
    """A decoder with one layer, whose cache holds the token ids themselves."""
    path.mkdir(parents=True, exist_ok=True)
    BYTES.save(str(path / "tokenizer.json"))
    tokenizer = {"type": "tokenizers", "file": "tokenizer.json", "max_length": 64, "pad": 0}
    tokenizer |= {"single": [[], []], "pair": [[], [], []], "pair_types": [0, 0]}
    kinds = ("key", "value")
    cached = [
        node("Cast", ["input_ids"], ["floats"], to=FLOAT),
        node("Reshape", ["floats", "shape"], ["new"]),
        *[node("Concat", [f"past_key_values.0.{kind}", "new"], [f"present.0.{kind}"], axis=2) for kind in kinds],
    ]
    inputs = [tensor(name, INT64, [1, None]) for name in ("input_ids", "attention_mask", "position_ids")]
    inputs += [tensor(f"past_key_values.0.{kind}", FLOAT, ["batch", 1, "past", 1]) for kind in kinds]
    outputs = [tensor("logits", FLOAT, [1, None, END + 1])]
    outputs += [tensor(f"present.0.{kind}", FLOAT, ["batch", 1, "length", 1]) for kind in kinds]
    generation = {"eos": [END], "bos": None, "max_positions": 64, "layers": 1, **settings}
    values = {"task": "text-generation", "tokenizer": tokenizer, "generation": generation}
    weights = {"shape": np.array([1, 1, -1, 1], np.int64), **weights}
    return model_folders.write(path, values, [*cached, *nodes], inputs, outputs, weights)


def following(path: Path, text: str, **settings: object) -> Path:
    """After each byte of `text` the next is most probable, and the end after the last. All positions have logits."""
    ids = BYTES.encode(text).ids
    table = np.zeros((END + 1, END + 1), np.float32)
    for byte, after in zip(ids, [*ids[1:], END], strict=True):
        table[byte, after] = 3
    return folder(path, [node("Gather", ["table", "input_ids"], ["logits"])], {"table": table}, **settings)


def summing(path: Path) -> Path:
    """The next token is `summed` of all so far. The last position alone has logits."""
    nodes = [
        node("ReduceSum", ["present.0.key"], ["keys"], keepdims=0),
        node("ReduceSum", ["present.0.value"], ["values"], keepdims=0),
        node("ReduceSum", ["attention_mask"], ["length"], keepdims=0),
        node("ReduceMax", ["position_ids"], ["last"], keepdims=0),
        node("Cast", ["length"], ["length_float"], to=FLOAT),
        node("Cast", ["last"], ["last_float"], to=FLOAT),
        node("Mul", ["values", "three"], ["values3"]),
        node("Mul", ["last_float", "five"], ["last5"]),
        node("Sum", ["keys", "values3", "length_float", "last5"], ["sum"]),
        node("Cast", ["sum"], ["whole"], to=INT64),
        node("Mod", ["whole", "modulus"], ["next"]),
        node("Reshape", ["next", "row"], ["next_row"]),
        node("OneHot", ["next_row", "depth", "off_on"], ["logits"]),
    ]
    weights = {
        "three": np.array(3, np.float32),
        "five": np.array(5, np.float32),
        "modulus": np.array(256, np.int64),
        "row": np.array([1, 1], np.int64),
        "depth": np.array(END + 1, np.int64),
        "off_on": np.array([0, 1], np.float32),
    }
    return folder(path, nodes, weights)


def summed(ids: list[int]) -> int:
    """Of all keys once and all values three times, of the length of the mask, of the last position five times."""
    return (4 * sum(ids) + len(ids) + 5 * (len(ids) - 1)) % 256


def test_the_text_comes_in_pieces_of_whole_characters(tmp_path: Path) -> None:
    generator = Generator(following(tmp_path, "aé灯!😀"))
    assert list(generator.stream("a")) == ["é", "灯", "!", "😀"]
    assert list(generator.stream("灯")) == ["!", "😀"]
    assert list(generator.stream("xyza")) == ["é", "灯", "!", "😀"]


def test_a_character_that_stays_incomplete_comes_at_the_end(tmp_path: Path) -> None:
    generator = Generator(following(tmp_path, "aé灯"))
    assert list(generator.stream("a", max_length=5)) == ["é", "\ufffd"]


def test_max_length_counts_the_prompt(tmp_path: Path) -> None:
    generator = Generator(following(tmp_path, "abcdefgh"))
    assert "".join(generator.stream("abc", max_length=5)) == "de"
    assert "".join(generator.stream("abc", max_length=8)) == "defgh"
    assert "".join(generator.stream("abc")) == "defgh"


def test_the_cache_holds_all_that_was_read_and_the_model_s_positions_end_it(tmp_path: Path) -> None:
    generator = Generator(summing(tmp_path))
    ids = BYTES.encode("Once").ids
    while len(ids) < 64:
        ids.append(summed(ids))
    assert "".join(generator.stream("Once", max_length=9999)) == BYTES.decode(ids)[4:]
    assert "".join(generator.stream("Once", max_length=9)) == BYTES.decode(ids[:9])[4:]


def test_two_streams_at_once_do_not_meet(tmp_path: Path) -> None:
    generator = Generator(summing(tmp_path))
    alone = ["".join(generator.stream(prompt)) for prompt in ("Once", "Twice")]
    pairs = list(zip(generator.stream("Once"), generator.stream("Twice"), strict=False))
    for index, text in enumerate(alone):
        assert text.startswith("".join(pair[index] for pair in pairs))


def test_sampling_repeats_with_its_seed_and_stays_among_the_most_probable(tmp_path: Path) -> None:
    generator = Generator(following(tmp_path, "abcdefgh"))

    def sample(seed: int, top_k: int = 50, temperature: float = 1.0) -> str:
        return "".join(generator.stream("a", temperature=temperature, top_k=top_k, seed=seed, max_length=30))

    assert sample(1) == sample(1)
    assert len({sample(seed) for seed in range(20)}) > 10
    assert {sample(seed, top_k=1) for seed in range(5)} == {"bcdefgh"}
    assert {sample(seed, temperature=1e-300) for seed in range(5)} == {"bcdefgh"}
    drawn = [next(generator.stream("a", temperature=1.0, top_k=2, seed=seed)) for seed in range(400)]
    assert set(drawn) == {"b", min(drawn)}
    assert 0.9 < drawn.count("b") / 400 < 0.99  # e^3 to 1: 0.953


def test_an_empty_prompt_begins_with_the_beginning_of_text(tmp_path: Path) -> None:
    [begin] = BYTES.encode("c").ids
    generator = Generator(following(tmp_path / "with", "abcd", bos=begin))
    assert "".join(generator.stream("")) == "d"
    with pytest.raises(InputError, match="prompt: must not be empty"):
        Generator(following(tmp_path / "without", "abcd")).stream("")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"prompt": "x" * 64}, "prompt: 64 tokens, and the model has 64 positions for them and what follows"),
        ({"prompt": "abc", "max_length": 3}, "max_length: must be above the 3 tokens of the prompt, got 3"),
        ({"prompt": "abc", "max_length": -1}, "max_length: must be above the 3 tokens of the prompt, got -1"),
        ({"prompt": "a", "temperature": -0.1}, "temperature: must be 0 or more, got -0.1"),
        ({"prompt": "a", "temperature": float("nan")}, "temperature: must be 0 or more, got nan"),
        ({"prompt": "a", "temperature": float("inf")}, "temperature: must be 0 or more, got inf"),
        ({"prompt": "a", "top_k": 0}, "top_k: must be 1 or more, got 0"),
        ({"prompt": "a\ud83d"}, "prompt: character 2 is half of a surrogate pair, which is no text"),
    ],
)
def test_what_is_out_of_bounds_is_said_before_anything_is_generated(
    tmp_path: Path, fields: dict[str, object], problem: str
) -> None:
    with pytest.raises(InputError) as caught:
        Generator(following(tmp_path, "abcd")).stream(**fields)
    assert str(caught.value) == problem


def test_a_graph_without_a_cache_is_refused(tmp_path: Path) -> None:
    path = following(tmp_path, "abcd")
    nodes = [node("Cast", ["input_ids"], ["logits"], to=FLOAT)]
    inputs, outputs = [tensor("input_ids", INT64, [1, None])], [tensor("logits", FLOAT, [1, None])]
    model_folders.write(path, json.loads((path / "model.json").read_text()), nodes, inputs, outputs, {})
    with pytest.raises(ModelError, match=r"has no past_key_values\.0\.key, so it has no cache"):
        Generator(path)
