"""Samples from JSON lines, and what a model takes for them."""

import json
from pathlib import Path

import numpy as np
import pytest
import small_encoder

from pilotlight.errors import OptimizeError, UsageError
from pilotlight.optimize import samples, tasks
from pilotlight.optimize.samples import Sample

TOKENIZER = {
    "type": "tokenizers",
    "file": "tokenizer.json",
    "max_length": 8,
    "single": [[2], [3]],
    "pair": [[2], [3], [3]],
    "pair_types": [0, 1],
    "pad": 0,
}


@pytest.mark.parametrize("task", tasks.TASKS)
def test_every_task_has_samples(task: str) -> None:
    found = samples.read(None, task)
    assert len(found) == 20
    assert len({sample.texts for sample in found}) == 20
    if task == "question-answering":
        assert all(sample.right[0] in sample.texts[1] for sample in found)


def test_samples_are_json_lines(tmp_path: Path) -> None:
    file = tmp_path / "qa.jsonl"
    file.write_text(
        '{"question": "Who?", "context": "Ada.", "answers": ["Ada"]}\n\n{"question": "a", "context": "b"}\n'
    )
    assert samples.read(file, "question-answering") == (Sample(("Who?", "Ada."), ("Ada",)), Sample(("a", "b")))
    file.write_text('{"text": "Fine.", "label": "good"}')
    assert samples.read(file, "text-classification") == (Sample(("Fine.",), ("good",)),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", ": there are none"),
        ("{", ", line 1: not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[1]", ", line 1: question and context as text"),
        ('\n{"question": "a"}', ", line 2: question and context as text"),
        ('{"question": "a", "context": " "}', ", line 1: question and context as text"),
        ('{"question": "a", "context": "b", "answers": "b"}', ", line 1: what is right is text"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "qa.jsonl"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        samples.read(file, "question-answering")
    assert str(caught.value) == f"reading the samples in {file}{reason}"
    assert caught.value.hint == 'a line is {"question": "...", "context": "...", "answers": ["..."]}'


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"reading the samples in .*none\.jsonl: .*No such file"):
        samples.read(tmp_path / "none.jsonl", "text-classification")


def test_feeds_of_a_text(tmp_path: Path) -> None:
    small_encoder.write(tmp_path)
    short, long = samples.feeds([Sample(("word0 word2",)), Sample(("word1 " * 20,))], tmp_path, TOKENIZER)
    assert {name: array.tolist() for name, array in short.items()} == {
        "input_ids": [[2, 5, 7, 3]],
        "attention_mask": [[1, 1, 1, 1]],
    }
    assert long["input_ids"].tolist() == [[2, 6, 6, 6, 6, 6, 6, 3]]
    assert long["input_ids"].dtype == np.int64
    assert samples.with_gaps(long)["attention_mask"].tolist() == [[0, 1, 1, 1, 1, 0, 1, 1]]


def test_of_a_pair_the_second_is_cut(tmp_path: Path) -> None:
    small_encoder.write(tmp_path)
    [feed] = samples.feeds([Sample(("word0", "word1 " * 20))], tmp_path, TOKENIZER)
    assert feed["input_ids"].tolist() == [[2, 5, 3, 6, 6, 6, 6, 3]]


def test_without_a_tokenizer_nothing_can_be_compared(tmp_path: Path) -> None:
    with pytest.raises(OptimizeError, match=r"the source has no tokenizer\.json"):
        samples.feeds([Sample(("a",))], tmp_path, {})


def test_the_bundled_files_are_plain_json_lines() -> None:
    for file in sorted(samples.BUNDLED.glob("*.jsonl")):
        assert all(isinstance(json.loads(line), dict) for line in file.read_text(encoding="utf-8").splitlines())


def test_a_line_ends_where_json_lines_end(tmp_path: Path) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": "one\u2028two\x85three"}\r\n{"text": "four"}\n', encoding="utf-8", newline="")
    assert [sample.texts for sample in samples.read(file, "text-classification")] == [
        ("one\u2028two\x85three",),
        ("four",),
    ]


def test_a_label_that_the_model_does_not_have_is_named(tmp_path: Path) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": "Fine.", "label": "good"}\n{"text": "Bad.", "label": "god"}\n')
    found = samples.read(file, "text-classification")
    samples.check_labels(found, ["good", "god"])
    with pytest.raises(UsageError) as caught:
        samples.check_labels(found, ["good", "bad"])
    assert str(caught.value) == f"reading the samples in {file}, line 2: the model has no label 'god'"
    assert caught.value.hint == "its labels are good, bad"
