"""Measures, comparisons and the gate, on numbers that can be checked by hand."""

from pathlib import Path

import numpy as np
import pytest

from pilotlight.errors import FidelityError
from pilotlight.optimize import fidelity, metrics, outputs, report
from pilotlight.optimize.fidelity import Gate, Stage
from pilotlight.optimize.samples import Sample

SAMPLES = (
    Sample(("Who?", "Ada did."), ("Ada",)),
    Sample(("What?", "A cat."), ("A cat", "cat")),
    Sample(("When?", "x")),
)


def logits(*rows: list[float]) -> list[dict[str, np.ndarray]]:
    return [{"logits": np.array([row], np.float32)} for row in rows]


def test_squad_measures() -> None:
    assert metrics.normalize("The  cat's, a Hat!") == "cats hat"
    predictions = ["the Cat", "red blue", "no", ""]
    right = [["cat"], ["blue green", "blue"], ["yes"], [""]]
    assert metrics.exact_match(predictions, right) == 50.0
    assert metrics.f1(predictions, right) == pytest.approx((100 + 100 * 2 / 3 + 0 + 100) / 4)
    assert metrics.accuracy(["a", "b"], [["a"], ["c"]]) == 50.0


def test_difference() -> None:
    found = outputs.difference(logits([1, 0], [0, 4]), logits([1, 0.5], [0, 3]))
    assert found == outputs.Difference(
        largest=1.0, mean=0.375, relative=0.25, cosine=pytest.approx(1 / np.sqrt(1.25)), worst=1
    )


def test_outputs_that_are_no_numbers_are_infinitely_far() -> None:
    found = outputs.difference(logits([1, 2], [3, 4]), logits([1, 2], [3, float("nan")]))
    assert (found.largest, found.cosine, found.worst) == (float("inf"), -1.0, 1)


def test_arrays_come_back_in_their_order(tmp_path: Path) -> None:
    rows = [{"a": np.array([[number]])} for number in range(12)]
    outputs.save(tmp_path / "rows.npz", rows)
    assert [row["a"].tolist() for row in outputs.load(tmp_path / "rows.npz")] == [[[number]] for number in range(12)]


def test_answers_and_measures_are_compared() -> None:
    before = Stage(logits([1, 0], [0, 4], [1, 1]), ("Ada", "cat", "x"))
    after = Stage(logits([1, 0], [0, 4], [1, 1]), ("Ada", "A dog", "x"))
    found = fidelity.compare(before, after, "question-answering", SAMPLES)
    assert (found.agreement, found.differing, found.labelled) == (pytest.approx(2 / 3), 1, 2)
    assert found.before == {"exact_match": 100.0, "f1": 100.0}
    assert found.after == {"exact_match": 50.0, "f1": 50.0}
    assert found.losses() == {"exact_match": 50.0, "f1": 50.0}


def test_vectors_agree_by_their_smallest_cosine() -> None:
    found = fidelity.compare(
        Stage(logits([1, 0], [0, 1])), Stage(logits([1, 0], [3, 4])), "sentence-embedding", SAMPLES[:2]
    )
    assert (found.agreement, found.differing, found.before) == (pytest.approx(0.8), 1, {})


def test_texts_agree_until_they_part() -> None:
    before, after = Stage(logits([1], [1]), ("abcd", "abcd")), Stage(logits([1], [1]), ("abxd", "abcd"))
    assert fidelity.compare(before, after, "text-generation", SAMPLES[:2]).agreement == 0.75


def test_the_gate_names_the_sample_and_the_numbers() -> None:
    before = Stage(logits([1], [1], [1]), ("Ada", "cat", "x"))
    found = fidelity.compare(before, Stage(logits([1], [1], [1]), ("Ada", "dog", "x")), "question-answering", SAMPLES)
    assert Gate(0.9, 0.5).reason(found, SAMPLES) == (
        'the agreement is 0.666666666667, at least 0.9 is asked for; it is least for sample 2, "What?"'
    )
    assert Gate(0.5, 0.5).reason(found, SAMPLES) == ""  # one of two labelled samples is 50 points
    both = fidelity.compare(before, Stage(logits([1], [1], [1]), ("he", "dog", "x")), "question-answering", SAMPLES)
    assert Gate(0.0, 0.5).reason(both, SAMPLES) == (
        "exact_match falls from 100.00 to 0.00 over 2 samples, 50.00 points may be lost"
    )


def test_points_that_may_be_lost() -> None:
    assert Gate(0.9, 0.5).allowed(1000) == 0.5
    assert Gate(0.9, 0.5).allowed(20) == 5.0
    assert Gate(0.9, 0.5).allowed(0) == 0.5


def test_each_task_has_its_thresholds() -> None:
    assert fidelity.gate("sentence-embedding", None, 0.5) == Gate(0.98, 0.5)
    assert fidelity.gate("sentence-embedding", 0.99, 0.1) == Gate(0.99, 0.1)


def test_a_wrong_export_is_refused() -> None:
    fidelity.check_same(logits([1, 1]), logits([1, 1.0005]), "the graph", SAMPLES[:1])
    with pytest.raises(FidelityError) as caught:
        fidelity.check_same(logits([1, 1], [2, 0]), logits([1, 1], [2.01, 0]), "the graph", SAMPLES[:2])
    assert str(caught.value) == (
        'checking the graph: its outputs differ by 0.01 from the original\'s for sample 2, "What?", '
        "0.005 of the largest output; rounding is below 0.001"
    )
    with pytest.raises(FidelityError):
        fidelity.check_same(logits([1, 1]), logits([1, float("nan")]), "the graph", SAMPLES[:1])


def test_a_report_holds_no_number_that_json_cannot_say() -> None:
    found = {"largest": float("inf"), "all": (float("nan"), 0.5), "name": "inf"}
    assert report._finite(found) == {"largest": None, "all": [None, 0.5], "name": "inf"}
