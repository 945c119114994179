"""The translators that ship with the translation example."""

import json
from pathlib import Path

import pytest

from pilotlight.function.translate import Translator

MODELS = Path(__file__).parents[2] / "examples" / "translation" / "models"
SAID = {
    "en-zh": [
        ("Where is the library?", "图书馆在哪里？"),
        ("My brother works in a hospital.", "我哥哥在医院工作。"),
        ("Give me your phone number.", "给我你的电话号码。"),
    ],
    "zh-en": [("苹果", "apple"), ("他一个月赚多少？", "How much does he make a month?"), ("天气", "weather")],
}


@pytest.mark.parametrize("direction", SAID)
def test_a_translator_says_what_its_card_says(direction: str) -> None:
    texts, wanted = zip(*SAID[direction], strict=True)
    assert [each.text for each in Translator(MODELS / direction).translate(texts, beam=4)] == list(wanted)


@pytest.mark.parametrize("direction", SAID)
def test_a_translator_is_small(direction: str) -> None:
    files = json.loads((MODELS / direction / "model.json").read_text(encoding="utf-8"))["files"]
    assert sum(files.values()) < 6_000_000
    assert all((MODELS / direction / name).stat().st_size == size for name, size in files.items())
