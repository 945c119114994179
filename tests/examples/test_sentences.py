"""The sentences example: its tokenizer, its function with the shipped model, and how its training reads the data."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

SERVICE = Path(__file__).parents[2] / "examples" / "sentences"


def _tokenizer() -> Callable[..., list[str]]:
    spec = importlib.util.spec_from_file_location("sentences_tokens", SERVICE / "tokens.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tokenize: Callable[..., list[str]] = module.tokenize
    return tokenize


tokenize = _tokenizer()


def in_service(script: str, *arguments: object) -> Any:
    """What a script prints as JSON, in a process that has the service folder as Lambda has its task root."""
    command = [sys.executable, "-c", script, *(json.dumps(argument) for argument in arguments)]
    done = subprocess.run(command, cwd=SERVICE, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("written", "treebank", "tokens"),
    [
        ("It wasn't good!", "it was n't good !", ["it", "was", "n't", "good", "!"]),
        ("I can't, won't and cannot.", "I ca n't , wo n't and can not .",
         ["i", "ca", "n't", ",", "wo", "n't", "and", "can", "not", "."]),
        ("The director's films' fans", "The director 's films ' fans", ["the", "director", "'s", "films", "'", "fans"]),
        ("(A “fine” film…)", "-LRB- A `` fine '' film ... -RRB-", ["(", "a", '"', "fine", '"', "film", "...", ")"]),
        ("They\u2019re well-acted\u2014mostly", "They 're well-acted -- mostly",
         ["they", "'re", "well", "acted", "--", "mostly"]),
        ("a cliché of the '70s", "a cliche of the '70s", ["a", "cliche", "of", "the", "'70s"]),
        ("and/or 1/2", "and\\/or 1\\/2", ["and", "/", "or", "1", "/", "2"]),
        ("J.R.R. Tolkien, 1,000 pages", "J.R.R. Tolkien , 1,000 pages", ["j.r.r.", "tolkien", ",", "1,000", "pages"]),
        ("o'clock joie d'vivre", "o'clock joie d'vivre", ["o'clock", "joie", "d'vivre"]),
        (" \t\n", "", []),
    ],
)  # fmt: skip
def test_prose_and_the_treebanks_form_give_the_same_tokens(written: str, treebank: str, tokens: list[str]) -> None:
    assert tokenize(written) == tokens
    assert tokenize(treebank) == tokens


@given(st.text(alphabet=st.sampled_from("abnt'\u2019`\"-./\\,()10 S\n…\u2014éЖ中_")) | st.text())
def test_tokens_joined_by_blanks_give_themselves_again(text: str) -> None:
    tokens = tokenize(text)
    assert tokenize(" ".join(tokens)) == tokens


@pytest.mark.parametrize("piece", ["good ", "n'", "a-", "u.", "1,", "-lrb-", "'", "can"])
def test_of_a_huge_text_the_first_thousand_tokens_count(piece: str) -> None:
    assert 1 <= len(tokenize(piece * 100_000)) <= 1000


CLEAR = {
    "A warm, funny and wonderfully acted film that is a joy from start to finish.": "positive",
    "One of the best movies of the year!": "positive",
    "An utterly charming and moving story.": "positive",
    "A dull, lifeless mess without a single laugh.": "negative",
    "The worst film I've seen: tedious, pointless and badly acted.": "negative",
    "It wasn't good.": "negative",
}
ANSWERS = """
import json, sys
from pilotlight.function.runtime import load
handler = load("inference/kim_cnn.handler", ".")
print(json.dumps([handler(event, None) for event in json.loads(sys.argv[1])]))
"""


@pytest.fixture(scope="module")
def answers() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = in_service(ANSWERS, [{"input": sentence} for sentence in CLEAR])
    return found


def test_clear_sentences_get_their_label(answers: list[dict[str, Any]]) -> None:
    assert {answer["input"]: answer["label"] for answer in answers} == CLEAR


def test_the_answer_is_the_old_clients(answers: list[dict[str, Any]]) -> None:
    times = ["t_overall", "t_sent_embedding", "t_load_model", "t_inference"]
    for answer in answers:
        assert list(answer) == ["input", "prediction", "label", "output", *times]
        assert answer["prediction"] == (answer["output"][1] > answer["output"][0])
        assert answer["label"] == ("negative", "positive")[answer["prediction"]]
        assert all(0 < answer[name] < 60 for name in times)


def test_one_word_and_a_thousand_get_an_answer_and_the_treebanks_form_gets_the_same() -> None:
    word, long, written, treebank = in_service(
        ANSWERS,
        [{"input": text} for text in ("superb", "dull " * 5000, "It wasn't good!", "It was n't good !")],
    )
    assert (word["label"], long["label"]) == ("positive", "negative")
    assert written["output"] == treebank["output"]


def test_the_saved_event_is_visibly_right() -> None:
    [answer] = in_service(ANSWERS, [json.loads((SERVICE / "events" / "kim_cnn.json").read_text(encoding="utf-8"))])
    assert answer["label"] == "positive"


def test_an_input_without_a_word_is_a_bad_request() -> None:
    event = {"version": "2.0", "rawPath": "/kim_cnn", "rawQueryString": "", "isBase64Encoded": False, "body": "",
             "headers": {"content-type": "application/json"},
             "requestContext": {"http": {"method": "POST", "path": "/kim_cnn"}, "stage": "$default"}}  # fmt: skip
    [answer] = in_service(ANSWERS, [{**event, "body": json.dumps({"input": " "})}])
    assert answer["statusCode"] == 400
    assert "must contain at least one word" in answer["body"]


TREE = "(3 (2 It) (4 (2 's) (3 (1 -LRB-) (3 (3 very) (2 good)))))"
READING = """
import json, sys
from pathlib import Path
from train import data
tree, folder = json.loads(sys.argv[1]), Path(json.loads(sys.argv[2]))
print(json.dumps({
    "phrases": list(data.phrases(tree)),
    "training": data.training_examples([tree, tree]),
    "sentences": data.sentences([tree, "(2 (2 So) (2 what))", "(0 (2 No) (1 way))"]),
    "labelled": data.labelled(data.read_lines(folder / "dev")),
    "apart": [len(part) for part in data.keep_apart([tree] * 10, 0.2)],
    "vocabulary": data.vocabulary(data.labelled(data.read_lines(folder / "dev"))),
}))
"""


def test_training_reads_trees_and_labelled_lines(tmp_path: Path) -> None:
    (tmp_path / "dev").write_text("1 it 's good\n0 it was n't\n", encoding="utf-8")
    assert in_service(READING, TREE, str(tmp_path)) == {
        "phrases": [
            ["2", "It"],
            ["2", "'s"],
            ["1", "-LRB-"],
            ["3", "very"],
            ["2", "good"],
            ["3", "very good"],
            ["3", "-LRB- very good"],
            ["4", "'s -LRB- very good"],
            ["3", "It 's -LRB- very good"],
        ],
        "training": [
            [["it"], 0.5],
            [["'s"], 0.5],
            [["("], 0.2],
            [["very"], 0.8],
            [["good"], 0.5],
            [["very", "good"], 0.8],
            [["(", "very", "good"], 0.8],
            [["'s", "(", "very", "good"], 0.98],
            [["it", "'s", "(", "very", "good"], 0.8],
        ],
        "sentences": [[["it", "'s", "(", "very", "good"], 1], [["no", "way"], 0]],
        "labelled": [[["it", "'s", "good"], 1], [["it", "was", "n't"], 0]],
        "apart": [8, 2],
        "vocabulary": ["<unk>", "it", "'s", "good", "n't", "was"],
    }
