"""The translator over small models of random weights, whose answers numpy works out again, and its refusals."""

import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import small_translation
from pilotlight.errors import InputError, InputTooLarge, ModelError, ModelNotInstalled
from pilotlight.function.seq2seq import Seq2Seq
from pilotlight.function.translate import Translation, Translator

TEXTS = ["the cat is in the house.", "a good dog", "He was good, it is good. 我是人", "to"]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    return lambda **options: small_translation.write(tmp_path_factory.mktemp("models") / "model", **options)


@pytest.fixture(scope="module")
def folder(make: Callable[..., Path]) -> Path:
    return make()


@pytest.fixture(scope="module")
def translator(folder: Path) -> Translator:
    return Translator(folder)


@pytest.mark.parametrize("beam", [1, 2, 3, 4, 5])
def test_texts_are_translated_together_as_alone(translator: Translator, beam: int) -> None:
    together = translator.translate(TEXTS, beam=beam)
    alone = [translator.translate([text], beam=beam)[0] for text in TEXTS]
    assert [each.text for each in together] == [each.text for each in alone]
    assert [each.score for each in together] == pytest.approx([each.score for each in alone], abs=1e-5)
    assert len({each.text for each in together}) > 1


def test_in_int8_a_text_of_a_batch_is_near_itself_alone(make: Callable[..., Path]) -> None:
    translator = Translator(make(int8=True))
    together = translator.translate(TEXTS, beam=2)
    assert [each.score for each in together] == pytest.approx(
        [translator.translate([text], beam=2)[0].score for text in TEXTS], abs=0.2
    )


class Numpy:
    """The same network, step by step over whole texts without a cache, in double precision."""

    def __init__(self, seed: int) -> None:
        numbers = small_translation.vocabulary(small_translation.sentencepiece())
        made = small_translation.network(len(numbers), seed=seed)
        self.weights = {name: each.astype(np.float64) for name, each in made.weights.items()}
        self.scale, self.heads, self.layers, self.pad = made.scale, made.encoder_heads, 2, numbers["<pad>"]

    def logits(self, read: Sequence[int], said: Sequence[int]) -> np.ndarray:
        """Logarithms of the probabilities of what comes after `said`, padding never."""
        seen = self._embedded("encoder", read)
        for layer in range(self.layers):
            seen = self._layer(f"model.encoder.layers.{layer}", seen, None)
        hidden = self._embedded("decoder", said)
        for layer in range(self.layers):
            hidden = self._layer(f"model.decoder.layers.{layer}", hidden, seen)
        logits = hidden[-1] @ self.weights["model.shared.weight"].T + self.weights["final_logits_bias"][0]
        likely = logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
        likely[self.pad] = -np.inf
        return np.asarray(likely)

    def embedding(self, read: Sequence[int]) -> np.ndarray:
        seen = self._embedded("encoder", read)
        for layer in range(self.layers):
            seen = self._layer(f"model.encoder.layers.{layer}", seen, None)
        mean = seen.mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean))

    def _embedded(self, part: str, numbers: Sequence[int]) -> np.ndarray:
        table = self.weights["model.shared.weight"][list(numbers)] * self.scale
        return np.asarray(table + self.weights[f"model.{part}.embed_positions.weight"][: len(numbers)])

    def _layer(self, name: str, hidden: np.ndarray, seen: np.ndarray | None) -> np.ndarray:
        causal = seen is not None
        hidden = self._normed(
            f"{name}.self_attn_layer_norm", hidden + self._attended(f"{name}.self_attn", hidden, hidden, causal)
        )
        if seen is not None:
            looked = self._attended(f"{name}.encoder_attn", hidden, seen, False)
            hidden = self._normed(f"{name}.encoder_attn_layer_norm", hidden + looked)
        inner = self._linear(f"{name}.fc1", hidden)
        return self._normed(
            f"{name}.final_layer_norm", hidden + self._linear(f"{name}.fc2", inner / (1 + np.exp(-inner)))
        )

    def _attended(self, name: str, asks: np.ndarray, of: np.ndarray, causal: bool) -> np.ndarray:
        query, key, value = (
            self._linear(f"{name}.{part}_proj", each) for part, each in (("q", asks), ("k", of), ("v", of))
        )
        found = []
        for one, other, values in zip(
            *(np.split(each, self.heads, axis=1) for each in (query, key, value)), strict=True
        ):
            scores = one @ other.T / math.sqrt(one.shape[1])
            if causal:
                scores = np.where(np.tri(*scores.shape, dtype=bool), scores, -np.inf)
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            found.append(weights / weights.sum(axis=1, keepdims=True) @ values)
        return self._linear(f"{name}.out_proj", np.concatenate(found, axis=1))

    def _linear(self, name: str, value: np.ndarray) -> np.ndarray:
        return np.asarray(value @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"])

    def _normed(self, name: str, value: np.ndarray) -> np.ndarray:
        centred = value - value.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
        return np.asarray(scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_greedy_is_what_the_network_says_token_after_token(make: Callable[..., Path], seed: int) -> None:
    model, network = Seq2Seq(make(seed=seed), "translation"), Numpy(seed)
    for read in ([5, 9, 12, 0], [7, 0], [20, 3, 20, 44, 8, 31, 2, 0]):
        [given] = model.generate([read], 1)
        said, total = [network.pad], 0.0
        for token in given.tokens:
            likely = network.logits(read, said)
            forced = len(said) == 23
            assert forced or token == int(likely.argmax())
            total += 0 if forced else float(likely[token])
            said.append(token)
        assert given.score == pytest.approx(total / len(given.tokens), abs=1e-4)
        assert given.tokens[-1] == 0


def test_embeddings_are_the_mean_of_the_encoder(make: Callable[..., Path]) -> None:
    translator, network = Translator(make(seed=3)), Numpy(3)
    rows = [[*translator._pieces.encode(text), 0] for text in TEXTS]
    for vector, row in zip(translator.embed(TEXTS), rows, strict=True):
        assert vector.typecode == "f"
        assert list(vector) == pytest.approx(network.embedding(row).tolist(), abs=1e-5)


def test_a_long_text_is_translated_in_parts(translator: Translator) -> None:
    sentence = "the cat is in the house and it was good."
    text = "\n".join([sentence] * 12)
    parts = translator.split(text)
    assert len(parts) > 1
    assert "\n".join(parts) == text
    [whole] = translator.translate([text], beam=2)
    said = translator.translate(parts, beam=2)
    assert whole.text == "\n".join(each.text for each in said)
    assert translator.split("a cat") == ["a cat"]
    assert len(translator.embed([text])[0]) == 16


def test_a_prefix_names_the_language(translator: Translator, folder: Path) -> None:
    plain = translator.translate(["a cat"], beam=1)
    coded = translator.translate(["a cat"], beam=1, prefix=">>cmn<<")
    assert plain != coded
    assert translator.translate([">>cmn<<a cat"], beam=1) == coded
    assert Translator(folder, prefix=">>cmn<<").translate(["a cat"], beam=1) == coded
    with pytest.raises(InputError, match=r"prefix: the model has no '>>deu<<'; it has >>cmn<<"):
        translator.translate(["a cat"], prefix=">>deu<<")
    with pytest.raises(ModelError, match=r"it has no >>deu<<"):
        Translator(folder, prefix=">>deu<<")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "text: must not be empty"),
        (" \n\t", "text: must not be empty"),
        ("\ud83d", "text: character 1 is half of a surrogate pair, which is no text"),
    ],
)
def test_what_is_no_text_is_refused(translator: Translator, text: str, message: str) -> None:
    for call in (translator.translate, translator.embed):
        with pytest.raises(InputError) as caught:
            call(["a cat", text])
        assert str(caught.value) == message


@pytest.mark.parametrize("beam", [0, -1, 17])
def test_beams_are_few(translator: Translator, beam: int) -> None:
    with pytest.raises(InputError, match=f"beam: must be from 1 to 16, got {beam}"):
        translator.translate(["a cat"], beam=beam)


def test_a_text_that_is_too_long_is_refused(folder: Path) -> None:
    with pytest.raises(InputTooLarge, match=r"text: 6 characters, and 5 are allowed"):
        Translator(folder, max_characters=5).translate(["a cats"])


def test_no_text_is_no_translation(translator: Translator) -> None:
    assert translator.translate([]) == []
    assert translator.embed([]) == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=150).filter(str.strip), max_size=3))
def test_any_text_has_a_translation(translator: Translator, texts: list[str]) -> None:
    if not all(translator.split(text) for text in texts):
        with pytest.raises(InputError, match="text: holds no character that the model can read"):
            translator.translate(texts, beam=1)
        return
    said = translator.translate(texts, beam=1)
    assert len(said) == len(texts)
    assert all(isinstance(each, Translation) and each.score <= 0 for each in said)


def test_folders_that_are_no_translator_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotInstalled):
        Translator(tmp_path / "nothing", install="make install")
    changed: list[tuple[dict[str, Any], str]] = [
        ({"task": "text-generation"}, "the model is for text-generation, and translation is asked of it"),
        ({"generation": None}, "its model.json has no 'generation'"),
        ({"tokenizer": None}, "its model.json has no 'tokenizer'"),
    ]
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    settings = json.loads((folder / "model.json").read_text())
    for change, reason in changed:
        (copy / "model.json").write_text(json.dumps(settings | change))
        with pytest.raises(ModelError, match=reason):
            Translator(copy)
    (copy / "model.json").write_text(json.dumps(settings))
    (copy / "encoder.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match=r"encoder\.onnx: it has 0 bytes"):
        Translator(copy)
    (copy / "model.json").unlink()
    with pytest.raises(ModelError, match=r"there is no model\.json beside it"):
        Translator(copy)


def test_a_cold_translator_imports_next_to_nothing(folder: Path) -> None:
    code = (
        "import sys; from pilotlight.function.translate import Translator\n"
        f"Translator({str(folder)!r}).translate(['the cat is in the house.'], beam=4)\n"
        "print(*sorted(name for name in sys.modules if not name.startswith(('pilotlight', '_'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {
        "numpy",
        "onnxruntime",
        "sentencepiece",
        "tokenizers",
        "dataclasses",
        "inspect",
        "logging",
        "urllib",
        "asyncio",
    }
    assert heavy.isdisjoint(done.stdout.split())
