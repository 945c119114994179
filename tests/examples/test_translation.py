"""The parts of the translation example that need no model: words, levels, splicing, what is English, sentences."""

import importlib.util
import json
import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

EXAMPLES = Path(__file__).parents[2] / "examples"
SERVICE = EXAMPLES / "translation"


def _loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"translation_{name}", SERVICE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SERVICE))
        spec.loader.exec_module(module)
    return module


NAMES = ("segmentation", "hsk", "splicing", "texts", "sentences", "centrality", "terms")
segmentation, hsk, splicing, texts, sentences, centrality, terms = map(_loaded, NAMES)
segmenter = segmentation.Segmenter()
levels = [hsk.known(level + 1) for level in range(hsk.LEVELS)]
mixed = st.text(
    alphabet=st.sampled_from("我们喜欢经济学没有一千。，〇𠮷們 aé1👍\n'") | st.characters(exclude_categories=("Cs",))
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("我喜欢经济学。", ["我", "喜欢", "经济学", "。"]),
        ("如果明天下雨的话，我就不去野餐了。",
         ["如果", "明天", "下雨", "的话", "，", "我", "就", "不", "去", "野餐", "了", "。"]),
        ("他在北京大学学习数学", ["他", "在", "北京大学", "学习", "数学"]),
        ("研究生命的起源", ["研究", "生命", "的", "起源"]),
        ("结婚的和尚未结婚的", ["结婚", "的", "和", "尚未", "结婚", "的"]),
        ("我love你 and 北京2024年的奥运会！😀",
         ["我", "love", "你", " and ", "北京", "2024", "年", "的", "奥运会", "！😀"]),
        ("𠮷龘", ["𠮷", "龘"]),
        ("no Chinese\n", ["no Chinese\n"]),
        ("", []),
    ],
)  # fmt: skip
def test_a_text_is_taken_apart_into_words(text: str, words: list[str]) -> None:
    assert segmenter.words(text) == words


@given(mixed)
def test_words_are_the_whole_text(text: str) -> None:
    words = segmenter.words(text)
    assert "".join(words) == text
    assert "" not in words


def test_a_huge_text_is_taken_apart_in_a_time_that_grows_with_its_length() -> None:
    assert len(segmenter.words("我喜欢经济学。" * 5_000)) == 20_000


JIAGU = """
AC米兰	57
中	90000
中国	40000
中国人	900
国	7000
国人	300
人民	3000
龘龘	4
""".lstrip()


def test_the_dictionary_is_converted(tmp_path: Path) -> None:
    (tmp_path / "jiagu.dict").write_text(JIAGU, encoding="utf-8")
    out = tmp_path / "words.txt"
    assert "words.txt: " in script("segmenter", tmp_path / "jiagu.dict", "--least", 5, "--out", out)
    total, *lines = out.read_text(encoding="utf-8").splitlines()
    frequencies = {"中": 90000, "中国": 40000, "中国人": 900, "国": 7000, "国人": 300, "人民": 3000}
    missing = hsk.simplified(6) - frequencies.keys()  # those get the lowest frequency
    assert int(total) == sum(frequencies.values()) + 5 * len(missing)
    [china] = [line for line in lines if line[0] == "中"]
    assert china.startswith("中90000 ")
    assert {"国40000", "国人900", "午5"} < set(china[1:].split(" "))
    assert not [line for line in lines if line[0] in "A龘"]
    assert segmentation.Segmenter(str(out)).words("中国人民") == ["中国", "人民"]


@pytest.mark.parametrize(("content", "told"), [("一 个 词\n", "it is no dictionary of jiagu"), (None, "No such file")])
def test_what_is_no_dictionary_is_refused(tmp_path: Path, content: str | None, told: str) -> None:
    if content:
        (tmp_path / "jiagu.dict").write_text(content, encoding="utf-8")
    command = [sys.executable, "-m", "train.segmenter", str(tmp_path / "jiagu.dict"), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=SERVICE, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert told in done.stderr
    assert not (tmp_path / "out").exists()


def script(name: str, *arguments: object) -> str:
    command = [sys.executable, "-m", f"train.{name}", *map(str, arguments)]
    done = subprocess.run(command, cwd=SERVICE, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_levels_hold_what_the_lists_have() -> None:
    assert [len(hsk.simplified(level)) for level in range(1, 7)] == [150, 297, 595, 1193, 2491, 4991]
    assert all(lower < higher for lower, higher in pairwise(levels))
    assert {"我", "喜欢", "喜歡", "中国", "中國"} <= levels[0]
    assert "经济" not in levels[2]
    assert {"经济", "經濟"} <= levels[3]
    assert "经济学" not in levels[5]


def test_the_lists_are_made_of_the_vocabulary(tmp_path: Path) -> None:
    entries = [
        {"s": "爱", "l": ["n1", "o1"], "f": [{"t": "愛"}, {"t": "愛"}]},
        {"s": "你", "l": ["o1", "o2"], "f": [{"t": "你"}, {"t": "妳"}]},
        {"s": "经济", "l": ["o4", "o4"], "f": [{"t": "經濟"}]},
        {"s": "新", "l": ["n3"], "f": [{"t": "新"}]},
    ]
    (tmp_path / "complete.min.json").write_text(json.dumps(entries), encoding="utf-8")
    out = tmp_path / "hsk.txt"
    assert script("hsk", "--data", tmp_path, "--out", out).endswith("hsk.txt: 2, 1, 0, 1, 0, 0 words\n")
    assert out.read_text(encoding="utf-8") == "你/妳 爱/愛\n你/妳\n\n经济/經濟\n\n\n"


@pytest.mark.parametrize(("content", "told"), [("[{}]", "it is no list of words"), (None, "No such file")])
def test_what_is_no_vocabulary_is_refused(tmp_path: Path, content: str | None, told: str) -> None:
    if content:
        (tmp_path / "complete.min.json").write_text(content, encoding="utf-8")
    command = [sys.executable, "-m", "train.hsk", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=SERVICE, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert told in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("word", "is_one"),
    [("经济", True), ("们", True), ("。", False), ("Tom", False), ("2024", False), ("\uff13", False), ("", False),
     ("三十", False), ("一百二十万", False), ("第三", False), ("\u3007", False), ("三个", True), ("👍", False),
     ("\U00020bb7", True)],
)  # fmt: skip
def test_punctuation_numbers_and_other_scripts_are_no_words(word: str, is_one: bool) -> None:
    assert splicing.is_word(word) == is_one


KNOWN = frozenset({"我", "没", "有", "钱", "去", "看", "人"})


@pytest.mark.parametrize(
    ("words", "learned"),
    [
        (["我", "没有", "钱", "。"], ["我", "没", "有", "钱", "。"]),
        (["有没有人"], ["有", "没", "有", "人"]),
        (["看钱"], ["看钱"]),  # which a level lists
        (["钱包"], ["钱包"]),  # of which a part is not known
        (["Tom", "三十", ""], ["Tom", "三十", ""]),
    ],
)
def test_a_word_on_no_list_is_the_known_words_that_it_is_made_of(words: list[str], learned: list[str]) -> None:
    assert splicing.learned(words, KNOWN, KNOWN | {"看钱"}) == learned


def test_hard_words_come_once_and_in_order() -> None:
    words = ["我", "经济学", "去", "，", "3", "三", "上海", "Tom", "经济学"]
    assert splicing.hard(words, KNOWN) == ["经济学", "上海"]


@pytest.mark.parametrize(
    ("words", "meanings", "text"),
    [
        (["我", "喜欢", "经济学", "。"], {"经济学": "economics"}, "我喜欢 economics。"),
        (["经济", "危机", "！"], {"经济": "economic", "危机": "crisis"}, "economic crisis！"),
        (["（", "危机", "）"], {"危机": "crisis"}, "（crisis）"),
        (["用", "iPhone", "拍照"], {"拍照": "take pictures"}, "用iPhone take pictures"),
        (["去", " ", "上海", "\n", "玩"], {"上海": "Shanghai"}, "去 Shanghai\n玩"),
        (["奇怪"], {"奇怪": ""}, "奇怪"),  # the model had nothing to say
        ([], {}, ""),
    ],
)
def test_meanings_stand_in_place_of_words(words: list[str], meanings: dict[str, str], text: str) -> None:
    assert "".join(part.text for part in splicing.splice(words, meanings)) == text


def test_the_parts_say_what_stood_there() -> None:
    assert splicing.splice(["我", "爱", "经济学", "。"], {"经济学": "economics"}) == [
        ("我", False, "我"), ("爱", False, "爱"), (" ", False, ""), ("economics", True, "经济学"), ("。", False, "。"),
    ]  # fmt: skip


@given(mixed, st.integers(0, 5))
def test_parts_are_the_whole_chinese_and_no_hard_word_is_left(text: str, difficulty: int) -> None:
    known = levels[difficulty]
    words = splicing.learned(segmenter.words(text), known, levels[-1])
    parts = splicing.splice(words, {word: "x" for word in splicing.hard(words, known)})
    assert "".join(part.chinese for part in parts) == text
    for part in parts:
        assert part.hard == (splicing.is_word(part.chinese) and part.chinese not in known)
        assert part.text == ("x" if part.hard else part.chinese or " ")


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("I love tea.", ["I love tea."]),
        ("It rains. It pours!  (Why?)", ["It rains.", "It pours!", "(Why?)"]),
        ("One.\nTwo.\r\n\r\n Three. ", ["One.", "Two.", "Three."]),
        ("Good 👍 morning 😀!", ["Good", "morning"]),
        ("I live in 北京, you know.", ["I live in", "you know."]),
        ("我喜欢吃 pizza。", []),
        ("你好！\nHello!", ["Hello!"]),
        ("\u201cIt\u2019s 5 °C \u2013 naïve café…\u201d €3", ["\u201cIt\u2019s 5 °C \u2013 naïve café…\u201d"]),
        ("Привет, мир! 123 👍", []),
        ("3 + 4 = 7", []),
        ("   \n\t", []),
        ("", []),
    ],
)
def test_what_of_a_text_is_english(text: str, english: list[str]) -> None:
    pieces = texts.pieces(text)
    assert "".join(piece.text for piece in pieces) == text
    assert [piece.text for piece in pieces if piece.english] == english


@given(mixed)
def test_pieces_are_the_whole_text(text: str) -> None:
    pieces = texts.pieces(text)
    assert "".join(piece.text for piece in pieces) == text
    assert all(piece.text for piece in pieces)
    assert all(piece.text == piece.text.strip() for piece in pieces if piece.english)


@pytest.mark.parametrize(
    ("text", "translations", "whole"),
    [
        ("It rains.  It pours!\nGood 😀 day.", ["下雨。", "大雨！", "好", "天。"], "下雨。大雨！\n好 😀 天。"),
        (" One, two", ["一，二"], " 一，二"),
        ("Yes. 你好。 No.", ["是。", "不。"], "是。 你好。 不。"),
        ("Who? Me", ["谁", "我"], "谁 我"),
        ("你好", [], "你好"),
        ("", [], ""),
    ],
)
def test_translations_are_put_in_place(text: str, translations: list[str], whole: str) -> None:
    assert texts.put_in(texts.pieces(text), translations) == whole


@pytest.mark.parametrize(
    ("meaning", "source", "text"),
    [
        ("Economy.", "The economy grows.", "economy"),
        ("Economy", "Economy class", "Economy"),
        ("Tom.", "I know Tom.", "Tom"),
        ("Tom", "Tomorrow", "tom"),
        (" The crisis! ", "", "the crisis"),
        ("To live.", "", "live"),
        ("To", "", "to"),
        ("...", "", ""),
        ("", "", ""),
    ],
)
def test_a_meaning_is_written_as_within_a_sentence(meaning: str, source: str, text: str) -> None:
    assert texts.in_place(meaning, source) == text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It rains. It pours!  Why? No", ["It rains.", "It pours!", "Why?", "No"]),
        ("Dr. Lee met J. R. Smith at 5 p.m. on Monday. He left.",
         ["Dr. Lee met J. R. Smith at 5 p.m. on Monday.", "He left."]),
        ("It costs 3.50 euros, e.g. here. \u201cReally?\u201d she said. \u201cYes.\u201d Good.",
         ["It costs 3.50 euros, e.g. here.", "\u201cReally?\u201d she said.", "\u201cYes.\u201d", "Good."]),
        ("A heading\n\nA paragraph that\ngoes on.", ["A heading", "A paragraph that\ngoes on."]),
        (" \n ", []),
    ],
)  # fmt: skip
def test_where_sentences_end(text: str, found: list[str]) -> None:
    assert [text[start:end] for start, end in sentences.sentences(text)] == found


def test_a_huge_text_has_its_sentences_found_in_time() -> None:
    assert len(sentences.sentences("It rains. " * 20_000)) == 20_000
    assert len(sentences.sentences("." * 100_000)) == 1
    assert len(sentences.sentences("\n" * 100_000 + "a")) == 1


def test_a_walk_comes_by_most_often_where_most_is_alike() -> None:
    weights = centrality.weights([[1, 0.5, 0.5], [0.5, 1, 0], [0.5, 0, 1]])
    assert sum(weights) == pytest.approx(1)
    # the stationary row of the walk 0.05 + 0.85 p: from the middle 1/2, 1/4, 1/4, from an end to itself 2/3, back 1/3
    middle = (0.05 + 0.85 / 3) / (1 - 0.85 / 2 + 0.85 / 3)
    assert weights == pytest.approx([middle, (1 - middle) / 2, (1 - middle) / 2], abs=1e-5)
    assert centrality.weights([[0.0, 0.0], [0.0, 0.0]]) == pytest.approx([0.5, 0.5])
    assert centrality.weights([[1.0]]) == pytest.approx([1])


def test_likeness_is_the_cosine_without_what_all_have_in_common() -> None:
    likeness = centrality.alike([[10, 1], [10, -1], [10, 1]])
    assert [[round(value, 6) for value in row] for row in likeness] == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    assert centrality.alike([[3.0, 4.0]]) == [[0]]


def test_texts_are_alike_in_words_that_are_rare() -> None:
    rows = terms.alike(["The harbour library", "The old harbour", "The moon", "the"])
    assert [[round(value, 3) for value in row] for row in rows] == [
        [1, 0.2, 0, 0],  # log 2 squared over the sum of squares of log 2 and log 4
        [0.2, 1, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 0],
    ]
    assert terms.alike(["a b", "b a"]) == [[0, 0], [0, 0]]  # each word is in every text
    assert terms.alike(["..."]) == [[0]]


def test_a_sentence_that_says_the_same_again_is_not_picked() -> None:
    likeness = [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert centrality.pick([0.4, 0.4, 0.2], likeness, 2) == [0, 2]
    assert centrality.pick([0.4, 0.4, 0.2], likeness, 2, novelty=0) == [0, 1]
    assert centrality.pick([0.2, 0.3, 0.5], likeness, 9) == [0, 1, 2]
    assert centrality.pick([], [], 3) == []


@given(st.lists(st.lists(st.floats(-1, 1), min_size=3, max_size=3), min_size=1, max_size=8), st.integers(1, 9))
def test_any_vectors_give_weights_and_a_choice(vectors: list[list[float]], count: int) -> None:
    likeness = centrality.alike(vectors)
    weights = centrality.weights(likeness)
    assert math.fsum(weights) == pytest.approx(1)
    picked = centrality.pick(weights, likeness, count)
    assert picked == sorted(set(picked))
    assert len(picked) == min(count, len(vectors))


def test_the_classifier_is_that_of_the_example_sentences() -> None:
    for mine, origin in (
        ("tokens.py", "tokens.py"),
        *((f"models/sentiment/{name}", f"models/kim_cnn/{name}") for name in ("model.onnx", "vocabulary.txt")),
    ):
        assert (SERVICE / mine).read_bytes() == (EXAMPLES / "sentences" / origin).read_bytes()
