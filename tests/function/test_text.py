"""`Reader` on graphs whose logits are known, so that every answer is."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import model_folders
import pytest

from pilotlight import endpoint
from pilotlight.errors import InputError, InputTooLarge, ModelError, ModelNotInstalled
from pilotlight.function.text import Answer, Reader

# Each word's logits as a start and as an end.
WORDS = {
    "who": (-9.0, -9.0),
    "wrote": (-9.0, -9.0),
    "the": (0.0, 0.0),
    "was": (0.0, 0.0),
    "by": (0.0, 0.0),
    "ada": (6.0, 1.0),
    "love": (0.0, 0.0),
    "##lace": (0.0, 6.0),
    "cafe": (5.0, 5.0),
    "灯": (4.0, 4.0),
    ".": (-9.0, -9.0),
    "a": (0.0, 0.0),
}
QUESTION = "Who wrote the?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folders.reader(tmp_path_factory.mktemp("reader") / "model", WORDS)


def place(answer: Answer) -> tuple[str, int, int]:
    return answer.answer, answer.start, answer.end


def test_the_answer_is_a_part_of_the_context_with_its_place_and_probability(folder: Path) -> None:
    answer = Reader(folder).answer(QUESTION, "The a was by Ada Lovelace.")
    assert place(answer) == ("Ada Lovelace", 13, 25)
    assert answer.score == pytest.approx(0.96454, abs=1e-5)  # with what of it reads the same: "Ada Love" grows


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ("the Café was", ("Café", 4, 8)),
        ("the Cafe\u0301 was", ("Cafe", 4, 8)),  # the accent belongs to no piece, as by `tokenizers`
        ("😀👍🏽 ca\u00adfé", ("ca\u00adfé", 4, 9)),
        ("a灯a", ("灯", 1, 2)),
        ("the love-lace: cafe", ("cafe", 15, 19)),
        ("\u0000\ufeff cafe \u202e", ("cafe", 3, 7)),
        ("😀", ("😀", 0, 1)),
        ("日本語", ("日", 0, 1)),
        ("Здравствуй, мир", ("Здравствуй", 0, 10)),
    ],
)
def test_places_are_characters_of_the_context_as_it_was_given(
    folder: Path, context: str, expected: tuple[str, int, int]
) -> None:
    answer = Reader(folder, longest=1).answer(QUESTION, context)
    assert place(answer) == expected
    assert context[answer.start : answer.end] == answer.answer


def test_a_span_is_widened_to_whole_words(folder: Path) -> None:
    assert place(Reader(folder, longest=1).answer(QUESTION, "the lovelace was")) == ("lovelace", 4, 12)


def test_a_long_context_is_read_to_its_end(folder: Path) -> None:
    context = "the was " * 400 + "Ada Lovelace ."
    reader = Reader(folder, max_length=32, stride=8, batch=3)
    assert place(reader.answer(QUESTION, context)) == ("Ada Lovelace", 3200, 3212)


@pytest.mark.parametrize("batch", [1, 2, 3, 8, 50])
def test_batches_change_no_answer(folder: Path, batch: int) -> None:
    context = "the a was. " * 40 + "Café by Ada. " + "the was " * 13
    one, many = (Reader(folder, max_length=24, stride=5, batch=size).answers(QUESTION, context) for size in (1, batch))
    assert [place(answer) for answer in many] == [place(answer) for answer in one]
    assert [answer.score for answer in many] == pytest.approx([answer.score for answer in one])


def test_an_answer_on_the_border_of_two_windows_is_found_in_their_shared_part(folder: Path) -> None:
    for before in range(40):
        context = "the " * before + "ada lovelace " + "was " * 20
        answer = Reader(folder, max_length=24, stride=6).answer(QUESTION, context)
        assert place(answer) == ("ada lovelace", 4 * before, 4 * before + 12)


def test_several_answers_come_the_best_first_and_none_twice(folder: Path) -> None:
    answers = Reader(folder, longest=1).answers(QUESTION, "Cafe the 灯 the café the CAFE the", top=2)
    assert [place(answer) for answer in answers] == [("Cafe", 0, 4), ("café", 15, 19)]
    whole = Reader(folder, longest=1).answer(QUESTION, "the cafe the cafe")
    assert place(whole) == ("cafe", 4, 8)
    assert whole.score == pytest.approx(0.5, abs=0.01)  # two of a probability of a quarter each


def test_answers_are_as_many_as_there_are(folder: Path) -> None:
    assert [place(answer) for answer in Reader(folder).answers(QUESTION, "cafe", top=5)] == [("cafe", 0, 4)]


# No answer


@pytest.mark.parametrize(
    ("no_answer", "expected"), [(None, "cafe"), (1e9, "cafe"), (2.0, "cafe"), (1.0, ""), (0.5, ""), (0.0, "")]
)
def test_no_answer_has_to_be_so_many_times_as_probable(tmp_path: Path, no_answer: float | None, expected: str) -> None:
    folder = model_folders.reader(tmp_path, WORDS, null=(5.2, 5.2))  # e^0.4 or 1.49 times as probable as "cafe"
    answer = Reader(folder, no_answer=no_answer).answer(QUESTION, "the cafe")
    assert answer.answer == expected
    assert (answer.start, answer.end) == ((4, 8) if expected else (0, 0))


def test_no_answer_stands_among_the_answers_by_its_probability(tmp_path: Path) -> None:
    folder = model_folders.reader(tmp_path, WORDS, null=(4.5, 4.5))
    answers = Reader(folder, longest=1, no_answer=1).answers(QUESTION, "the 灯 cafe", top=3)
    assert [answer.answer for answer in answers] == ["cafe", "", "灯"]
    assert answers[1].score == pytest.approx(answers[0].score * 0.368, rel=0.01)


def test_one_window_that_has_an_answer_is_enough(tmp_path: Path) -> None:
    folder = model_folders.reader(tmp_path, WORDS, null=(2.0, 2.0))
    reader = Reader(folder, max_length=16, stride=2, no_answer=1)
    assert reader.answer(QUESTION, "the was " * 20).answer == ""
    assert reader.answer(QUESTION, "the was " * 20 + "cafe " + "the was " * 20).answer == "cafe"


# What cannot be read


@pytest.mark.parametrize(
    ("question", "context", "problem"),
    [
        ("", "cafe", "question: must not be empty"),
        (" \n\t", "cafe", "question: must not be empty"),
        ("who", "", "context: must not be empty"),
        ("who", "\u00a0\u3000", "context: must not be empty"),
        ("\u0000", "cafe", "question: holds no character that the model can read"),
        ("who", "\u0000\u200b\u0001", "context: holds no character that the model can read"),
        ("who \udc00", "cafe", "question: character 5 is half of a surrogate pair, which is no text"),
        ("who", "\ud800", "context: character 1 is half of a surrogate pair, which is no text"),
        ("who " * 61, "cafe", "question: 61 tokens, and at most 60 leave room for the context"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_field(folder: Path, question: str, context: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        Reader(folder).answer(question, context)
    assert str(caught.value) == problem
    assert not isinstance(caught.value, InputTooLarge)


def test_there_is_one_answer_at_least(folder: Path) -> None:
    with pytest.raises(InputError, match="top: must be 1 or more, got 0"):
        Reader(folder).answers(QUESTION, "cafe", top=0)


def test_logits_that_are_no_numbers_are_the_model_s_fault(tmp_path: Path) -> None:
    folder = model_folders.reader(tmp_path, {"cafe": (float("nan"), 0.0)})
    with pytest.raises(ModelError, match="the logits are not numbers"):
        Reader(folder).answer(QUESTION, "cafe")


def test_a_question_that_leaves_room_for_one_token_is_answered(folder: Path) -> None:
    assert place(Reader(folder).answer("who " * 60, "the was cafe")) == ("cafe", 8, 12)


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        ({"max_characters": 19}, "context: 20 characters, and 19 are allowed"),
        ({"max_windows": 1, "max_length": 9, "stride": 0}, "context: 6 tokens, which are 2 windows, and 1 are allowed"),
    ],
)
def test_a_context_that_is_too_large_is_refused(folder: Path, limits: dict[str, int], problem: str) -> None:
    with pytest.raises(InputTooLarge) as caught:
        Reader(folder, **limits).answer("Who wrote", "the was by ada cafe.")
    assert str(caught.value) == problem


def test_a_function_answers_400_and_413(folder: Path) -> None:
    reader = Reader(folder, max_characters=50)

    @endpoint
    def handler(question: str, context: str) -> Answer:
        return reader.answer(question, context)

    def ask(context: str) -> tuple[int, object]:
        body = json.dumps({"question": "Who?", "context": context})
        event = {"version": "2.0", "requestContext": {"http": {"method": "POST", "path": "/"}}, "body": body}
        event["headers"] = {"content-type": "application/json"}
        response = handler(event, None)
        return response["statusCode"], json.loads(response["body"])

    status, answer = ask("the Café was")
    assert (status, {**answer, "score": None}) == (200, {"answer": "Café", "score": None, "start": 4, "end": 8})
    assert ask("😀")[0] == 200
    assert ask("  ")[0] == 400
    assert ask("\ud800")[0] == 400
    assert ask("\u0000")[0] == 400
    status, problem = ask("cafe " * 11)
    assert status == 413
    assert problem["errors"] == [{"field": "context", "reason": "55 characters, and 50 are allowed"}]


def test_a_folder_for_another_task_is_refused(tmp_path: Path) -> None:
    folder = model_folders.means(tmp_path, "text-classification", "logits", {"a": [1.0]}, labels=["A"])
    with pytest.raises(ModelError, match="the model is for text-classification, and question-answering is asked of it"):
        Reader(folder)
    with pytest.raises(ModelNotInstalled) as caught:
        Reader(tmp_path / "nothing", install="make models")
    assert caught.value.hint == "make models"


def test_settings_that_lack_something_are_said(folder: Path, tmp_path: Path) -> None:
    settings = json.loads((folder / "model.json").read_text())
    for name in ("model.onnx", "vocab.txt"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    del settings["tokenizer"]["pair"]
    (tmp_path / "model.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match="its tokenizer settings lack 'pair'"):
        Reader(tmp_path)
    (tmp_path / "model.json").unlink()
    with pytest.raises(ModelError, match=r"there is no model\.json beside it"):
        Reader(tmp_path)


def test_a_reader_loads_nothing_of_the_other_tasks(folder: Path) -> None:
    code = """
import sys
from pilotlight.function.text import Reader
Reader(sys.argv[1]).answer("who", "the cafe was")
others = {"pilotlight.function.generate", "pilotlight.function.classify"}
print({"heapq", "random", "tokenizers", "numpy", *others} & set(sys.modules))
import pilotlight.function.text as text
print(text.Generator.__module__, text.Classifier.__module__, text.Embedder.__module__, text.Label.__module__)
"""
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    classify, generate = "pilotlight.function.classify", "pilotlight.function.generate"
    labels = "pilotlight.function.labels"
    assert done.stdout.split("\n") == ["set()", f"{generate} {classify} {classify} {labels}", ""]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_length", "512"),
        ("max_length", 3),
        ("single", [[101]]),
        ("pair", [[101], [102]]),
        ("pair", 5),
        ("pair_types", [0]),
        ("pad", None),
    ],
)
def test_tokenizer_settings_of_another_shape_are_refused_when_the_model_loads(
    folder: Path, tmp_path: Path, name: str, value: object
) -> None:
    made = shutil.copytree(folder, tmp_path / "made")
    settings = json.loads((made / "model.json").read_text(encoding="utf-8"))
    settings["tokenizer"][name] = value
    (made / "model.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(ModelError, match=f"'{name}' of its tokenizer settings cannot be "):
        Reader(made)


@pytest.mark.parametrize("wrong", [{"longest": 0}, {"batch": 0}, {"stride": -1}, {"max_windows": 0}])
def test_numbers_that_make_no_reader_are_refused(folder: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ModelError, match="its numbers have to be 1 or more"):
        Reader(folder, **wrong)
