"""The models that ship with the question_answering example, and what its page asks them."""

import json
import re
from pathlib import Path

import pytest

from pilotlight.function.text import Generator, Reader

EXAMPLE = Path(__file__).parents[2] / "examples" / "question_answering"
MEGABYTE = 1_000_000
ANSWERS = {  # those that are right, of each question that the page offers
    "The harbour library": {
        "When did the library open?": {"1931", "in 1931"},
        "How long is the reading room?": {"62 metres", "62 metres long"},
        "When is the library closed?": {"Mondays", "on Mondays"},
    },
    "Cold starts": {
        "How many requests does an environment take at a time?": {"one", "one request"},
        "What is it called when Lambda starts another environment?": {"cold start", "a cold start"},
    },
    "Zoë's bakery": {
        "Where was the café?": {"Lwów", "in Lwów"},
        "How many croissants has Zoë baked by seven?": {"340", "340 croissants"},
        "What is the name of Zoë's brother?": {"Jan"},
    },
}
CONTINUED = [
    ("I don't know", " if I'm going to go."),
    ("Where can I", " go?"),
    ("She told me that", " she was sick."),
]


def samples() -> dict[str, tuple[str, list[str]]]:
    """The passages of the page by their names, each with its questions."""
    page = (EXAMPLE / "page.html").read_text(encoding="utf-8")
    listed = page.partition("const SAMPLES = [")[2].partition("\n];")[0]
    entry = re.compile(r"name: (.+?),\s*text: (.+?),\s*questions: \[(.+?)\],?\s*\}", re.DOTALL)
    found = {}
    for name, text, questions in entry.findall(listed):
        [name], text, questions = (re.findall(r'"([^"]*)"', each) for each in (name, text, questions))
        found[name] = ("".join(text), questions)
    return found


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(EXAMPLE / "models/qa", longest=30)


def test_the_page_offers_what_is_expected_here() -> None:
    assert {name: questions for name, (_, questions) in samples().items()} == {
        name: list(questions) for name, questions in ANSWERS.items()
    }


@pytest.mark.parametrize("sample", ANSWERS)
def test_what_the_page_asks_is_answered_right(reader: Reader, sample: str) -> None:
    context, questions = samples()[sample]
    for question in questions:
        answer = reader.answer(question, context)
        assert answer.answer == context[answer.start : answer.end]
        assert answer.answer in ANSWERS[sample][question]
        assert answer.score > 0.3


@pytest.mark.parametrize(("prompt", "continuation"), CONTINUED)
def test_the_generator_ends_a_sentence(prompt: str, continuation: str) -> None:
    assert "".join(Generator(EXAMPLE / "models/textgen").stream(prompt)) == continuation


@pytest.mark.parametrize(("name", "most"), [("qa", 24 * MEGABYTE), ("textgen", 3 * MEGABYTE)])
def test_the_models_are_as_small_as_their_cards_say_and_in_int8(name: str, most: int) -> None:
    folder = EXAMPLE / "models" / name
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert sum(file.stat().st_size for file in folder.iterdir()) < most
    assert report["precision"]["fp32"] == []
    assert f"weights in int8 in {len(report['precision']['int8'])} of" in card
    assert f"| agreement |  | {report['fidelity']['final']['agreement']:.3f} |" in card
