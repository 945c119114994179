"""`tokenizer.load`: both types from a folder, the same for the same model; what cannot be loaded says why."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from pilotlight.errors import ModelError
from pilotlight.function import tokenizer
from pilotlight.optimize.wordpiece import vocabulary_text, wordpiece_settings

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cafe", "##s", "closed", "!", "Café"]


def content(**options: Any) -> dict[str, Any]:
    """A tokenizer.json of BERT, which cuts, pads and adds special tokens, with other options for its normalizer."""
    made = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(**options)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.decoder = decoders.WordPiece()
    made.add_special_tokens(VOCABULARY[:4])
    made.enable_truncation(4)
    made.enable_padding(length=8)
    return json.loads(made.to_str())


def with_wordpiece(folder: Path) -> dict[str, Any]:
    settings = wordpiece_settings(content())
    assert settings is not None
    (folder / "vocab.txt").write_text(vocabulary_text(content()), encoding="utf-8")
    return settings


def with_library(folder: Path) -> dict[str, Any]:
    (folder / "tokenizer.json").write_text(json.dumps(content()), encoding="utf-8")
    return {"type": "tokenizers", "file": "tokenizer.json"}


both = pytest.mark.parametrize("make", [with_wordpiece, with_library])


@both
def test_encoding(make: Any, tmp_path: Path) -> None:
    """The whole text: not cut at 4 tokens, not padded to 8, nothing around it."""
    loaded = tokenizer.load(str(tmp_path), make(tmp_path))
    assert loaded.encode("The Cafés, [SEP] closed!") == tokenizer.Encoding(
        ids=[4, 5, 6, 1, 3, 7, 8],
        offsets=[(0, 3), (4, 8), (8, 9), (9, 10), (11, 16), (17, 23), (23, 24)],
        words=[0, 1, 1, 2, 3, 4, 5],
    )
    assert loaded.encode("") == tokenizer.Encoding([], [], [])


@both
def test_a_lone_surrogate_counts_as_the_replacement_character(make: Any, tmp_path: Path) -> None:
    loaded = tokenizer.load(str(tmp_path), make(tmp_path))
    assert loaded.encode("\ud800the \U0001f600 \udfffclosed") == tokenizer.Encoding(
        ids=[4, 1, 7], offsets=[(1, 4), (5, 6), (8, 14)], words=[0, 1, 2]
    )


@both
def test_decoding(make: Any, tmp_path: Path) -> None:
    loaded = tokenizer.load(str(tmp_path), make(tmp_path))
    assert loaded.decode([2, 4, 5, 6, 7, 8, 3, 0, 99]) == "the cafes closed!"
    assert loaded.decode([]) == ""


@pytest.mark.parametrize(
    ("settings", "message", "hint"),
    [
        (
            {"type": "sentencepiece"},
            "'sentencepiece' is no type of tokenizer, it is one of: wordpiece, tokenizers",
            "type",
        ),
        ({}, "None is no type of tokenizer", "tokenizer.type in model.json"),
        (
            {"type": "wordpiece", "vocabulary": "none.txt"},
            "none.txt: there is no such file",
            "make the model folder again",
        ),
        ({"type": "wordpiece", "vocabulary": "bytes"}, "invalid start byte", "make the model folder again"),
        (
            {"type": "wordpiece", "vocabulary": "empty"},
            "empty: the vocabulary has no '[UNK]'",
            "make the model folder again",
        ),
        (
            {"type": "tokenizers", "file": "none.json"},
            "none.json: there is no such file",
            "make the model folder again",
        ),
        ({"type": "tokenizers", "file": "bytes"}, "the library tokenizers refused it", "make the model folder again"),
        ({"type": "tokenizers", "file": "empty"}, "the library tokenizers refused it", "make the model folder again"),
        (
            {"type": "tokenizers", "file": "cut.json"},
            "the library tokenizers refused it",
            "make the model folder again",
        ),
    ],
)
def test_what_cannot_be_loaded(settings: dict[str, str], message: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\n")
    (tmp_path / "empty").touch()
    (tmp_path / "cut.json").write_text(json.dumps(content())[:-9], encoding="utf-8")
    with pytest.raises(ModelError) as raised:
        tokenizer.load(str(tmp_path), settings)
    assert message in str(raised.value)
    assert hint in raised.value.hint


WITHOUT = """
import sys
sys.path.insert(0, sys.argv[1])
from pilotlight.errors import ModelError
from pilotlight.function import tokenizer
try:
    tokenizer.load(".", {"type": "tokenizers", "file": "tokenizer.json"})
except ModelError as error:
    print(error, error.hint, sep="|")
"""


def test_without_the_library(tmp_path: Path) -> None:
    """A Python without site-packages."""
    source = Path(tokenizer.__file__).parents[2]
    command = [sys.executable, "-I", "-S", "-c", WITHOUT, str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    reason = "it needs the library tokenizers, which is not installed"
    assert done.stdout == f'loading ./tokenizer.json: {reason}|pip install "pilotlight[text]"\n'


def test_the_settings_of_a_tokenizer_that_wordpiece_does() -> None:
    assert wordpiece_settings(content()) == {
        "type": "wordpiece",
        "vocabulary": "vocab.txt",
        "lowercase": True,
        "strip_accents": True,
        "chinese": True,
        "unknown": "[UNK]",
        "special": ["[PAD]", "[UNK]", "[CLS]", "[SEP]"],
    }
    cased = wordpiece_settings(content(lowercase=False, handle_chinese_chars=False))
    assert cased is not None
    assert (cased["lowercase"], cased["strip_accents"], cased["chinese"]) == (False, False, False)
    accents = wordpiece_settings(content(strip_accents=False))
    assert accents is not None
    assert (accents["lowercase"], accents["strip_accents"]) == (True, False)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["normalizer"], None),
        (["normalizer", "type"], "Lowercase"),
        (["normalizer", "clean_text"], False),
        (["pre_tokenizer"], None),
        (["pre_tokenizer", "type"], "Whitespace"),
        (["decoder"], None),
        (["decoder", "cleanup"], False),
        (["model", "type"], "BPE"),
        (["model", "continuing_subword_prefix"], "@@"),
        (["model", "max_input_chars_per_word"], 200),
        (["model", "unk_token"], "<unk>"),
        (["model", "vocab", "the"], 99),  # a number is left out
        (["model", "vocab", "two\nlines"], 10),
        (["model", "vocab", "space "], 10),
        (["added_tokens", 0, "special"], False),
        (["added_tokens", 0, "normalized"], True),
        (["added_tokens", 0, "lstrip"], True),
        (["added_tokens", 0, "rstrip"], True),
        (["added_tokens", 0, "single_word"], True),
        (["added_tokens", 0, "content"], "<pad>"),  # not in the vocabulary
        (["added_tokens", 0, "content"], ""),
        (["added_tokens", 0, "id"], 7),
    ],
)
def test_no_settings_for_what_wordpiece_does_not_do(path: list[Any], value: object) -> None:
    changed = content()
    *within, last = path
    place: Any = changed
    for name in within:
        place = place[name]
    place[last] = value
    assert wordpiece_settings(changed) is None
    assert wordpiece_settings({}) is None
