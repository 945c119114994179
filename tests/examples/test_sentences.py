"""The sentences example: its tokenizer, its functions with the shipped models, and how its training reads the data."""

import contextlib
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from pilotlight.function.items import Item
from pilotlight.function.table import connect_uri
from pilotlight.function.vectors import to_item

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


def in_service(script: str, *arguments: object, **variables: str) -> Any:
    """What a script prints as JSON, in a process that has the service folder as Lambda has its task root."""
    environ = {**os.environ, **variables}
    command = [sys.executable, "-c", script, *(json.dumps(argument) for argument in arguments)]
    done = subprocess.run(command, cwd=SERVICE, env=environ, capture_output=True, text=True, timeout=60, check=False)
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


def test_words_keep_their_case_where_a_model_wants_it() -> None:
    text = "What's AIDS, the \u201cU.S.\u201d -LRB- CAN'T \xc9mile -RRB- ?"
    tokens = ["What", "'s", "AIDS", ",", "the", '"', "U.S.", '"', "(", "CA", "N'T", "Emile", ")", "?"]
    assert tokenize(text, cased=True) == tokens
    assert tokenize(text) == [token.lower() for token in tokens]


@given(st.text(alphabet="abnNtT'`\"-./\\,()10 Ss\nLRBlrbmM\xe9\xc9"))
def test_case_does_not_change_where_tokens_end(text: str) -> None:
    assert [token.lower() for token in tokenize(text, cased=True)] == tokenize(text)


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
handler = load(f"inference/{json.loads(sys.argv[2])}.handler", ".")
print(json.dumps([handler(event, None) for event in json.loads(sys.argv[1])]))
"""


def asked(function: str, *events: dict[str, Any], **variables: str) -> list[dict[str, Any]]:
    """What a function answers to bare events."""
    answers: list[dict[str, Any]] = in_service(ANSWERS, events, function, **variables)
    return answers


@pytest.fixture(scope="module")
def answers() -> list[dict[str, Any]]:
    return asked("kim_cnn", *({"input": sentence} for sentence in CLEAR))


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
    texts = ("superb", "dull " * 5000, "It wasn't good!", "It was n't good !")
    word, long, written, treebank = asked("kim_cnn", *({"input": text} for text in texts))
    assert (word["label"], long["label"]) == ("positive", "negative")
    assert written["output"] == treebank["output"]


def test_a_model_that_says_so_is_given_words_in_their_own_case(tmp_path: Path) -> None:
    shutil.copytree(SERVICE / "models" / "kim_cnn", tmp_path / "model")
    settings = {"format": 1, "labels": ["negative", "positive"], "cased": True}
    (tmp_path / "model" / "model.json").write_text(json.dumps(settings), encoding="utf-8")
    events = [{"input": "superb"}, {"input": "SUPERB"}, {"input": "<unk>"}]
    lower, upper, _ = asked("kim_cnn", *events, PILOTLIGHT_MODEL=str(tmp_path / "model"))
    assert lower["output"] != upper["output"]
    assert [answer["output"] for answer in asked("kim_cnn", *events[:2])] == [lower["output"]] * 2


def saved(function: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((SERVICE / "events" / f"{function}.json").read_text(encoding="utf-8"))
    return event


def test_the_saved_events_are_visibly_right() -> None:
    [sentence], [pair] = asked("kim_cnn", saved("kim_cnn")), asked("sm_cnn", saved("sm_cnn"))
    assert sentence["label"] == "positive"
    assert pair["score"] > 0.5


@pytest.mark.parametrize(
    ("function", "body", "refused"),
    [
        ("kim_cnn", {"input": " "}, "input"),
        ("sm_cnn", {"sent1": "", "sent2": "yes"}, "sent1"),
        ("sm_cnn", {"sent1": "why", "sent2": "\n"}, "sent2"),
    ],
)
def test_a_text_without_a_word_is_a_bad_request(function: str, body: dict[str, str], refused: str) -> None:
    event = {"version": "2.0", "rawPath": f"/{function}", "rawQueryString": "", "isBase64Encoded": False,
             "headers": {"content-type": "application/json"}, "body": json.dumps(body),
             "requestContext": {"http": {"method": "POST", "path": f"/{function}"}, "stage": "$default"}}  # fmt: skip
    [answer] = asked(function, event)
    assert answer["statusCode"] == 400
    assert json.loads(answer["body"])["message"] == f"{refused}: must contain at least one word"


ASKED = "Who wrote the play Hamlet?"
ANSWERED = "The play Hamlet was written by William Shakespeare around 1600."


def test_a_score_is_the_old_clients_and_the_probability_of_the_logits() -> None:
    [answer] = asked("sm_cnn", {"sent1": ASKED, "sent2": ANSWERED})
    times = ["t_overall", "t_sent_embedding", "t_load_model", "t_inference"]
    assert list(answer) == ["sent1", "sent2", "score", "output", *times]
    assert (answer["sent1"], answer["sent2"]) == (ASKED, ANSWERED)
    [[no, yes]] = answer["output"]
    assert answer["score"] == pytest.approx(1 / (1 + math.exp(no - yes)))
    assert all(0 < answer[name] < 60 for name in times)


@pytest.mark.parametrize("model", ["models/sm_cnn", "models/sm_cnn_plain"])
def test_what_answers_scores_above_what_does_not(model: str) -> None:
    others = ["Hamlet is a small village in the north.", "The weather was fine in Denmark.", "Yes"]
    pairs = [{"sent1": ASKED, "sent2": other} for other in (ANSWERED, *others)]
    best, *rest = (answer["score"] for answer in asked("sm_cnn", *pairs, PILOTLIGHT_MODEL=model))
    assert best > max(rest)


def test_the_treebanks_form_of_a_pair_gets_the_same_score_and_huge_texts_get_one() -> None:
    treebank = {"sent1": "who wrote the play hamlet ?", "sent2": ANSWERED.replace(".", " .")}
    huge = {"sent1": "who " * 5000, "sent2": "he " * 5000}
    written, same, long = asked("sm_cnn", {"sent1": ASKED, "sent2": ANSWERED}, treebank, huge)
    assert same["output"] == written["output"]
    assert 0 < long["score"] < 1


def learned(words: set[str]) -> list[Item]:
    """The items of words with the vectors that `models/kim_cnn` holds."""
    folder = SERVICE / "models" / "kim_cnn"
    stored = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(folder / "model.onnx").graph.initializer
    }
    rows = (stored["embedding.rows"] * stored["embedding.scales"]).tolist()
    vocabulary = (folder / "vocabulary.txt").read_text(encoding="utf-8").split("\n")
    return [to_item(word, row, "f2", "word") for word, row in zip(vocabulary, rows, strict=False) if word in words]


def test_the_static_form_reads_vectors_from_the_table(tmp_path: Path) -> None:
    uri = f"sqlite://{tmp_path}/tables.sqlite?table=vectors&key=word"
    with contextlib.closing(connect_uri(uri)) as table:
        table.put(learned({token for sentence in CLEAR for token in tokenize(sentence)}))
    events = [{"input": sentence} for sentence in (*CLEAR, "Superbly unknowable!")]
    places = {"PILOTLIGHT_MODEL": "models/kim_cnn_static", "PILOTLIGHT_TABLE_VECTORS": uri}
    *found, unknown = asked("kim_cnn", *events, **places)
    assert {answer["input"]: answer["label"] for answer in found} == CLEAR
    assert asked("kim_cnn", events[-1], **places)[0]["output"] == unknown["output"]


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
    "apart": [data.keep_apart(range(10), 0.4, part) for part in range(2)],
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
        "apart": [[[4, 3, 5, 1, 8, 7], [6, 9, 0, 2]], [[6, 9, 0, 2, 8, 7], [4, 3, 5, 1]]],
        "vocabulary": ["<unk>", "it", "'s", "good", "n't", "was"],
    }


@pytest.mark.parametrize(
    ("options", "more"), [([], ["d 5 8"]), (["--cased"], ["d 5 8", "A 1 2", "D 5 8"])]
)  # "1", "," and "!" have none
def test_words_without_a_vector_get_that_of_another_file_in_the_space_of_the_first(
    tmp_path: Path, options: list[str], more: list[str]
) -> None:
    files = {
        "given.txt": "3 2\na 1 2\nb 3 2\nc 1 4\n",
        "others.txt": "a 0 0\nb 1 0\nc 0 1\nd 2 3\ne 5 5\n",  # (x, y) there is (1 + 2x, 2 + 2y) here
        "texts.txt": "1 A d, D!\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    given, others, texts, out = (tmp_path / name for name in (*files, "out.txt"))
    command = [sys.executable, "-m", "train.fill", given, others, "--texts", texts, "--out", out, *options]
    done = subprocess.run(command, cwd=SERVICE, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"3 words given, {len(more)} more, 3 have none\n"
    words = "".join(f"{word}\n" for word in ("a 1 2", "b 3 2", "c 1 4", *more))
    assert out.read_text(encoding="utf-8") == f"{3 + len(more)} 2\n{words}"


@pytest.mark.parametrize(
    ("others", "told"),
    [("a 1 2\nb 1\n", "others.txt: line 2: "), ("d 1 2\n", "the two files have no word in common")],
)
def test_vectors_that_cannot_be_brought_together_are_refused(tmp_path: Path, others: str, told: str) -> None:
    (tmp_path / "given.txt").write_text("1 2\na 1 2\n", encoding="utf-8")
    (tmp_path / "others.txt").write_text(others, encoding="utf-8")
    paths = [tmp_path / name for name in ("given.txt", "others.txt", "given.txt", "out.txt")]
    command = [sys.executable, "-m", "train.fill", *paths[:2], "--texts", paths[2], "--out", paths[3]]
    done = subprocess.run(command, cwd=SERVICE, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert told in done.stderr
    assert not paths[3].exists()


PAIRING = """
import json, sys
from pathlib import Path
from train import pairs
folder = Path(json.loads(sys.argv[1]))
read = pairs.read(folder)
print(json.dumps({
    "read": read,
    "squad": pairs.squad(folder / "squad.json"),
    "idf": pairs.idf([pair.answer for pair in read], asked=["rare"], least=2),
    "sum": pairs.idf_sum(read[0], {"<unk>": 4.0, "who": 1.0, "fish": 2.0}),
    "scored": pairs.scored(read, [0.5, 0.25, 1]),
}))
"""
PASSAGE = {
    "context": "Nero was born at Antium. He died in 68. Was he mad? No.",
    "qas": [{"id": "s1", "question": "When did he die?", "answers": [{"text": "68", "answer_start": 36}]}],
}


def test_training_reads_pairs_and_takes_passages_apart(tmp_path: Path) -> None:
    columns = {
        "id.txt": "2.1\n10\n2.1\n",
        "a.toks": "who ate the fish ?\nwhy ?\nwho ate the fish ?\n",
        "b.toks": "who ate it ? the cat\nrare cat\nfish\n",
        "sim.txt": "1\n0\n0\n",
    }
    for name, text in columns.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    squad = {"data": [{"title": "Nero", "paragraphs": [PASSAGE]}]}
    (tmp_path / "squad.json").write_text(json.dumps(squad), encoding="utf-8")
    asked, when = ["who", "ate", "the", "fish", "?"], ["when", "did", "he", "die", "?"]
    assert in_service(PAIRING, str(tmp_path)) == {
        "read": [
            ["2.1", asked, ["who", "ate", "it", "?", "the", "cat"], True, "0"],
            ["10", ["why", "?"], ["rare", "cat"], False, "1"],
            ["2.1", asked, ["fish"], False, "2"],
        ],
        "squad": [
            ["s1", when, ["nero", "was", "born", "at", "antium", "."], False, "0"],
            ["s1", when, ["he", "died", "in", "68", "."], True, "1"],
            ["s1", when, ["was", "he", "mad", "?"], False, "2"],
            ["s1", when, ["no", "."], False, "3"],
        ],
        "idf": {"<unk>": pytest.approx(math.log(3)), "cat": pytest.approx(math.log(3 / 2)), "rare": math.log(3)},
        "sum": 1 + 4 + 4 + 4,  # who; ate, the and ? are in no sentence of that idf
        "scored": [[["1", 0.25, False]], [["0", 0.5, True], ["2", 1, False]]],
    }
