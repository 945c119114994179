"""Training of the translation example, end to end on a tiny network: needs the extra `train`."""

import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
SERVICE = ROOT / "examples" / "translation"
SUBJECTS = {"I see": "我看见", "He sees": "他看见", "She wants": "她想要", "They want": "他们想要"}
COLOURS = {"red": "红色的", "green": "綠色的", "blue": "藍色的"}
THINGS = {"dog": "狗", "cat": "猫", "horse": "馬", "book": "書", "house": "房子"}
WORDS = [
    {"s": "狗", "f": [{"m": ["surname Gou"]}, {"m": ["dog (animal)", "hound; cur", "a third"]}]},
    {"s": "红", "f": [{"m": ["red", "variant of 紅"]}]},
    {"s": "的", "f": [{"m": ["(possessive particle)", "used in 的士"]}]},
]


def run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=SERVICE, capture_output=True, text=True, timeout=300, check=False)


def in_service(script: str, *arguments: object) -> Any:
    """What a script prints as JSON, with the service folder as its own."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, cwd=SERVICE, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty pairs, half of them with traditional characters, and three words."""
    folder = tmp_path_factory.mktemp("data")
    pairs = [
        f"{english[0]} a {english[1]} {english[2]}.\t{''.join(chinese)}。\n"
        for english, chinese in (zip(*each, strict=True) for each in product(*(it.items() for it in _SLOTS)))
    ]
    (folder / "pairs.tsv").write_text("".join(pairs), encoding="utf-8")
    (folder / "hsk.json").write_text(json.dumps(WORDS), encoding="utf-8")
    return folder


_SLOTS = (SUBJECTS, COLOURS, THINGS)


def train(data: Path, out: Path, *more: object, direction: str = "en-zh") -> subprocess.CompletedProcess[str]:
    network = ("--width", 16, "--inner", 32, "--heads", 2, "--layers", 1, 1, "--pieces", 60, 80)
    sizes = (*network, "--batch", 200, "--warmup", 20, "--average", 0.5, "--share", 0.1, "--threads", 1)
    return run("train.train", direction, "--data", data, "--out", out, *sizes, "--epochs", 3, *more)


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.mark.parametrize("direction", ["en-zh", "zh-en"])
def test_what_was_trained_is_exported_and_measured_as_it_is_served(data: Path, tmp_path: Path, direction: str) -> None:
    done = train(data, tmp_path / "checkpoint", direction=direction)
    assert done.returncode == 0, done.stderr
    assert "48 pairs, 3 of words, 6 for development" in done.stderr
    assert "epoch 3/3  chrF " in done.stderr
    export = ("optimize", tmp_path / "checkpoint", "--task", "translation", "--out", tmp_path / "model")
    done = run("pilotlight", *export, "--precision", "fp32")
    assert done.returncode == 0, done.stderr
    done = run("train.evaluate", direction, "--data", data, "--model", tmp_path / "model", "--share", 0.1)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("6 pairs, 6 sentences, ")
    assert lines[2:4] == ["| direction | beam | BLEU | chrF | words |", "|---|---|---|---|---|"]
    assert [line.split(" | ")[:2] for line in lines[4:]] == [[f"| {direction}", "1"], [f"| {direction}", "4"]]


def test_a_run_that_was_broken_off_ends_as_one_that_was_not(data: Path, tmp_path: Path) -> None:
    whole = train(data, tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    checkpoint = ("--checkpoint", tmp_path / "run.pt")
    for epochs in (1, 3):
        done = train(data, tmp_path / "parts", *checkpoint, "--epochs", epochs)
        assert done.returncode == 0, done.stderr
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


def test_a_checkpoint_of_another_run_is_refused(data: Path, tmp_path: Path) -> None:
    checkpoint = ("--checkpoint", tmp_path / "run.pt")
    assert train(data, tmp_path / "one", *checkpoint).returncode == 0
    other = train(data, tmp_path / "one", *checkpoint, "--seed", 2)
    assert other.returncode == 1
    assert "give another --checkpoint" in other.stderr


GENERATED = """
import json, sys
from pathlib import Path
import torch
from train import data, network, pieces
from train.data import Pair
from transformers import MarianTokenizer
folder = Path(sys.argv[1])
pairs = [Pair("a dog, a cat and ABC.", "一只狗，一只猫。"), Pair("He is here.", "他在这里。")]
numbers, targets = pieces.write(folder, pairs, "en-zh", pieces.Sizes(60, 60))
torch.manual_seed(1)
model = network.made(numbers, targets, network.Sizes(16, 32, 2, 1, 1)).eval()
network.save(model, folder, "en-zh")
tokenizer = MarianTokenizer.from_pretrained(folder)
inputs = tokenizer(["a dog.", "a cat", "He and ABC"], return_tensors="pt", padding=True)
said = model.generate(**inputs, num_beams=2, max_length=20)[:, 1:]
print(json.dumps({"numbers": numbers, "targets": targets, "said": sorted({int(it) for it in said.flatten()})}))
"""


def test_even_an_untrained_network_says_pieces_of_the_target_language_alone(tmp_path: Path) -> None:
    found = in_service(GENERATED, tmp_path)
    padding, unknown = found["numbers"]["<pad>"], found["numbers"]["<unk>"]
    assert len(found["said"]) > 2
    assert all(number < found["targets"] or number == padding for number in found["said"])
    assert unknown not in found["said"]
    assert found["targets"] < padding == len(found["numbers"]) - 1


READ = """
import json, sys
from pathlib import Path
from train import data
folder = Path(sys.argv[1])
print(json.dumps({"parts": data.read(folder, float(sys.argv[2])), "words": data.words(folder)}))
"""


def test_pairs_that_share_a_sentence_stay_together(tmp_path: Path) -> None:
    lines = []
    for number in range(40):
        same = [("Go {}.", "去{}。"), ("Go {}!", "走{}！"), ("Leave {}.", "走{}。"), ("Leave {}.", "离开{}。")]
        lines += [f"{english.format(number)}\t{chinese.format(number)}\tCC-BY" for english, chinese in same]
    (tmp_path / "pairs.tsv").write_text("\n".join(lines), encoding="utf-8")
    parts = in_service(READ, tmp_path, 0.1)["parts"]
    assert [len(part) for part in parts] == [128, 16, 16]
    numbers = [{"".join(filter(str.isdigit, english)) for english, _ in part} for part in parts]
    assert [len(each) for each in numbers] == [32, 4, 4]
    assert len(set.union(*numbers)) == 40


def test_both_languages_are_written_one_way(tmp_path: Path) -> None:
    lines = [
        "It\u2019s  a \u201cdog\u201d.\t這是 一隻狗.\t",
        "Tom, are you there?\t湯姆, 你在 嗎?",
        "Tom, are you there?\t汤姆，你在吗？",
        "I use Windows 7 too.\t我也用 Windows 7。",
    ]
    (tmp_path / "pairs.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = in_service(READ, tmp_path, 0)
    assert sorted(found["parts"][0]) == [
        ["I use Windows 7 too.", "我也用Windows 7。"],
        ['It\'s a "dog".', "这是一只狗。"],
        ["Tom, are you there?", "汤姆，你在吗？"],
    ]
    assert found["words"] == []


def test_words_come_with_their_first_short_meanings(data: Path) -> None:
    found = in_service(READ, data, 0.1)["words"]
    assert found == [["dog", "狗"], ["hound", "狗"], ["red", "红"]]
