"""`Classifier` and `Embedder` on graphs that give the mean of each word's numbers."""

from math import exp
from pathlib import Path

import model_folders
import pytest

from pilotlight.errors import InputError, InputTooLarge, ModelError
from pilotlight.function.text import Classifier, Embedder, Label

LOGITS = {"good": (-8.0, 8.0), "bad": (8.0, -8.0), "film": (0.0, 0.0)}


def classifier(folder: Path, *labels: str) -> Classifier:
    return Classifier(model_folders.means(folder, "text-classification", "logits", LOGITS, labels=labels))


def test_the_label_is_the_most_probable_one(tmp_path: Path) -> None:
    classify = classifier(tmp_path, "negative", "positive").classify
    label, score = classify("Good film!")  # four tokens with [CLS] and [SEP], and "!" which is [UNK]
    assert (label, score) == ("positive", pytest.approx(1 / (1 + exp(-3.2))))
    assert classify("bad bad film").label == "negative"
    assert classify("film") == Label("negative", 0.5)


def test_of_a_long_text_the_beginning_counts(tmp_path: Path) -> None:
    classify = classifier(tmp_path, "negative", "positive").classify
    assert classify("good " * 6 + "bad " * 100) == classify("good " * 6)


@pytest.mark.parametrize("text", ["", "  ", "\u0000", "\ud800"])
def test_a_text_that_cannot_be_read_is_said(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError) as caught:
        classifier(tmp_path, "negative", "positive").classify(text)
    assert caught.value.problems[0][0] == "text"


def test_a_text_of_more_than_a_million_characters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputTooLarge, match="text: 1000001 characters, and 1000000 are allowed"):
        classifier(tmp_path, "negative", "positive").classify("a" * 1_000_001)


def test_labels_that_are_not_the_model_s_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="2 logits for 3 labels"):
        classifier(tmp_path, "negative", "neutral", "positive").classify("film")


def test_an_embedding_is_a_list_of_numbers(tmp_path: Path) -> None:
    rows = {"sea": (4.0, 0.0, -2.0), "sun": (0.0, 8.0, 2.0)}
    embedder = Embedder(model_folders.means(tmp_path, "sentence-embedding", "embedding", rows))
    assert embedder.embed("Sea sun") == [1.0, 2.0, 0.0]
