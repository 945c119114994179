"""How the sentences example measures rankings, against cases worked out by hand, and what its overlap features are."""

import importlib.util
import math
import sys
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

SERVICE = Path(__file__).parents[2] / "examples" / "sentences"


def _module(file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("sentences_" + Path(file).stem, SERVICE / file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


ranking, overlap = _module("train/ranking.py"), _module("overlap.py")
Answer = ranking.Answer


def answers(*lines: tuple[str, float, bool]) -> list[Answer]:
    return [Answer(*line) for line in lines]


@pytest.mark.parametrize(
    ("right", "precision", "rank"),
    [
        ([True], 1.0, 1.0),
        ([False], 0.0, 0.0),
        ([False, False, True], 1 / 3, 1 / 3),
        ([True, False, True, False], (1 / 1 + 2 / 3) / 2, 1.0),
        ([False, True, True, False, True], (1 / 2 + 2 / 3 + 3 / 5) / 3, 1 / 2),
        ([True, True, True], 1.0, 1.0),
    ],
)
def test_precision_and_rank_worked_out_by_hand(right: list[bool], precision: float, rank: float) -> None:
    assert ranking.average_precision(right) == pytest.approx(precision)
    assert ranking.reciprocal_rank(right) == rank


def test_of_answers_with_one_score_the_document_named_last_comes_first() -> None:
    tied = answers(("1", 0.5, True), ("10", 0.5, False), ("2", 0.5, False), ("0", 0.7, False))
    assert ranking.ranked(tied) == [False, False, False, True]  # 0 by its score, then 2, 10, 1: names are texts


def test_a_constant_score_gains_nothing_from_right_answers_listed_first() -> None:
    listed = answers(("0", 0, True), ("1", 0, True), ("2", 0, False), ("3", 0, False))
    assert ranking.measure([listed]) == ((1 / 3 + 2 / 4) / 2, 1 / 3, 1)


QUESTIONS = [
    answers(("0", 0.9, False), ("1", 0.8, True), ("2", 0.1, True)),  # wrong, right, right: (1/2 + 2/3) / 2
    answers(("3", 0.2, False), ("4", 0.4, False)),  # no right answer
    answers(("5", 0.3, True)),  # no wrong answer
    answers(("6", 0.7, True), ("7", 0.7, False)),  # tied: wrong, right
]


def test_raw_counts_every_question_and_clean_those_with_right_and_wrong_answers() -> None:
    precisions = [(1 / 2 + 2 / 3) / 2, 0.0, 1.0, 1 / 2]
    raw, clean = ranking.measure(QUESTIONS), ranking.measure(QUESTIONS, clean=True)
    assert raw == (pytest.approx(sum(precisions) / 4), (1 / 2 + 0 + 1 + 1 / 2) / 4, 4)
    assert clean == (pytest.approx((precisions[0] + precisions[3]) / 2), 1 / 2, 2)
    assert str(clean) == "MAP 0.5417, MRR 0.5000 over 2 questions"


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no question"):
        ranking.measure(QUESTIONS[1:3], clean=True)
    with pytest.raises(ValueError, match="a score is not a number"):
        ranking.measure([answers(("0", math.nan, True))])


@st.composite
def questions(draw: st.DrawFn) -> list[Answer]:
    names = draw(st.lists(st.integers(0, 200).map(str), min_size=1, max_size=12, unique=True))
    return [Answer(name, draw(st.integers(-3, 3)), draw(st.booleans())) for name in names]


@given(questions(), st.randoms(use_true_random=False))
def test_the_order_of_the_file_is_of_no_account(question: list[Answer], random: Random) -> None:
    shuffled = random.sample(question, len(question))
    assert ranking.measure([shuffled]) == ranking.measure([question])


@given(questions())
def test_precision_and_rank_are_what_their_definitions_say(question: list[Answer]) -> None:
    def ahead(one: Answer, other: Answer) -> bool:
        return other.score > one.score or (other.score == one.score and other.document >= one.document)

    right = [one for one in question if one.right]
    place = {one.document: sum(ahead(one, other) for other in question) for one in question}
    shares = [sum(ahead(one, other) for other in right) / place[one.document] for one in right]
    assert ranking.measure([question]).map == pytest.approx(sum(shares) / len(shares) if right else 0)
    assert ranking.measure([question]).mrr == (1 / min(place[one.document] for one in right) if right else 0)


@given(questions(), st.data())
def test_a_right_answer_that_gains_never_costs(question: list[Answer], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(question) - 1))
    one = question[at]._replace(right=True)
    before = [*question[:at], one, *question[at + 1 :]]
    after = [*question[:at], one._replace(score=one.score + data.draw(st.integers(1, 6))), *question[at + 1 :]]
    assert ranking.measure([after]).map >= ranking.measure([before]).map - 1e-12
    assert ranking.measure([after]).mrr >= ranking.measure([before]).mrr


IDF = {"<unk>": 4.0, "who": 0.5, "wrote": 2.0, "hamlet": 3.0, "shakespeare": 3.5}


@pytest.mark.parametrize(
    ("question", "answer", "wanted"),
    [
        # who wrote hamlet ?  /  shakespeare wrote hamlet . : 2 common of 4 + 4 words; without stop words of 2 + 3
        ("who wrote hamlet ?", "shakespeare wrote hamlet .", [2 / 8, 5 / 8, 2 / 5, 5 / 5]),
        ("who wrote wrote ?", "who ?", [2 / 5, 4.5 / 5, 0, 0]),  # sets; "?" has no idf, and is a stop word
        ("yorick", "yorick yorick", [1 / 2, 4 / 2, 1 / 2, 4 / 2]),
        ("who is he ?", "it is so", [1 / 7, 4 / 7, 0, 0]),  # nothing but stop words
        ("hamlet", "who", [0, 0, 0, 0]),
    ],
)
def test_overlap_features_worked_out_by_hand(question: str, answer: str, wanted: list[float]) -> None:
    found = overlap.features(question.split(), answer.split(), IDF, IDF["<unk>"])
    assert found == pytest.approx(wanted)


WORDS = st.lists(
    st.sampled_from(("who", "the", "wrote", "hamlet", "shakespeare", "yorick", "?")), min_size=1, max_size=9
)


@given(WORDS, WORDS)
def test_overlap_features_are_bounded_and_the_same_both_ways(one: list[str], other: list[str]) -> None:
    found = overlap.features(one, other, IDF, IDF["<unk>"])
    assert found == overlap.features(other, one, IDF, IDF["<unk>"])
    assert all(0 <= share <= 1 / 2 and 0 <= weight <= 4 * share for share, weight in (found[:2], found[2:]))
