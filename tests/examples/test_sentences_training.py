"""Training of the sentences example end to end, on a handful of texts: needs the extra `train`."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SERVICE = Path(__file__).parents[2] / "examples" / "sentences"
TREES = """\
(4 (2 A) (4 (4 fine) (2 film)))
(0 (2 A) (0 (0 dull) (2 film)))
(3 (2 It) (3 (2 is) (3 good)))
(1 (2 It) (1 (2 is) (1 (2 not) (3 good))))
"""


def run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=SERVICE, capture_output=True, text=True, timeout=300, check=False)


def train(folder: Path, out: str, epochs: int, *more: object) -> subprocess.CompletedProcess[str]:
    common = ("--epochs", epochs, "--patience", 9, "--apart", 0.25, "--threads", 1, *more)
    return run("train.kim_cnn.train", "--data", folder, "--out", folder / out, *common)


def train_sm_cnn(folder: Path, out: str, epochs: int, *more: object) -> subprocess.CompletedProcess[str]:
    vectors = ("--vectors", folder / "vectors.txt")
    common = ("--epochs", epochs, "--patience", 9, "--apart", 0.25, "--threads", 1, "--batch", 4, *more)
    return run("train.sm_cnn.train", "--data", folder, "--out", folder / out, *vectors, *common)


QUESTIONS = """\
0 How do fish sleep ?
1 What fish sings ?
3 Who wrote Hamlet ?
4 Where is the \xd8resund ?
5 When did Nero die ?
2 What is RAM ?
1 What instrument did Nero play ?
4 What city burned ?
5 How many people live in Bath ?
0 Why is the sky blue ?
"""
PAIRS = [  # name, question, candidate, right
    ("1", "who wrote hamlet ?", "shakespeare wrote hamlet .", "1"),
    ("1", "who wrote hamlet ?", "hamlet is a small village .", "0"),
    ("2", "where is paris ?", "paris is in france .", "1"),
    ("2", "where is paris ?", "he is fond of paris .", "0"),
    ("10", "when did nero die ?", "nero died in 68 .", "1"),
    ("10", "when did nero die ?", "nero played .", "0"),
    ("11", "what is a fish ?", "a fish is an animal .", "1"),
    ("11", "what is a fish ?", "fish", "0"),
]
VECTORS = """\
5 4
fine 0.5 0 0 0.25
dull -0.5 0 0 0.25
hamlet 0 1 0 0.5
paris 0 0 1 0.125
never_seen 1 1 1 1
"""
SQUAD = {"data": [{"title": "Nero", "paragraphs": [{
    "context": "Nero was born at Antium. He died in 68. Was he mad?",
    "qas": [{"id": "s1", "question": "When did Nero die?", "answers": [{"text": "68", "answer_start": 36}]}],
}]}]}  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "trees").mkdir()
    (tmp_path / "trees" / "train.txt").write_text(TREES, encoding="utf-8")
    (tmp_path / "trees" / "dev.txt").write_text("(3 (2 It) (3 fine))\n(2 so)\n(1 (1 dull) (2 one))\n", encoding="utf-8")
    (tmp_path / "TREC.train.all").write_text(QUESTIONS * 2, encoding="latin-1")
    (tmp_path / "vectors.txt").write_text(VECTORS, encoding="utf-8")
    (tmp_path / "vectors.txt.gz").write_bytes(gzip.compress(VECTORS.encode()))
    (tmp_path / "squad.json").write_text(json.dumps(SQUAD), encoding="utf-8")
    for part, pairs in (("train", PAIRS), ("raw-dev", PAIRS[:4])):
        (tmp_path / part).mkdir()
        for name, column in zip(("id.txt", "a.toks", "b.toks", "sim.txt"), zip(*pairs, strict=True), strict=True):
            (tmp_path / part / name).write_text("\n".join(column) + "\n", encoding="utf-8")
    return tmp_path


@pytest.mark.system
def test_a_run_writes_what_serving_needs_and_measures_those_files(data: Path) -> None:
    done = train(data, "out", 1)
    assert done.returncode == 0, done.stderr
    assert "1 kept apart" in done.stderr
    assert "2 answers the same" in done.stdout
    assert (data / "out" / "model.onnx").stat().st_size > 300_000
    assert (data / "out" / "vocabulary.txt").read_text(encoding="utf-8").startswith("<unk>\n")
    assert json.loads((data / "out" / "model.json").read_bytes()) == {"format": 1, "labels": ["negative", "positive"]}
    measured = run("train.kim_cnn.evaluate", data / "trees" / "dev.txt", "--model", data / "out")
    assert f"development part: {measured.stdout.rstrip()}" in done.stdout


@pytest.mark.system
@pytest.mark.parametrize("form", ["static", "non-static", "multichannel"])
def test_forms_that_begin_with_given_vectors(data: Path, form: str) -> None:
    done = train(data, form, 1, "--form", form, "--vectors", data / "vectors.txt.gz")
    assert done.returncode == 0, done.stderr
    assert "2 answers the same" in done.stdout
    words = data / form / "vocabulary.txt"
    assert words.exists() == (form != "static")  # that one is asked with vectors, and holds none
    assert form == "static" or "never_seen" in words.read_text(encoding="utf-8").splitlines()


@pytest.mark.system
def test_six_classes_of_questions(data: Path) -> None:
    done = train(data, "trec", 1, "--dataset", "trec")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("7 examples, ")  # of ten different ones, one measures and two are kept apart
    assert "of 1 right" in done.stdout
    labels = json.loads((data / "trec" / "model.json").read_bytes())["labels"]
    assert labels == ["description", "entity", "abbreviation", "human", "location", "number"]


@pytest.mark.system
def test_words_in_their_own_case(data: Path) -> None:
    done = train(data, "trec", 1, "--dataset", "trec", "--cased", "--word-dropout", 0)
    assert done.returncode == 0, done.stderr
    assert json.loads((data / "trec" / "model.json").read_bytes())["cased"] is True
    assert "How" in (data / "trec" / "vocabulary.txt").read_text(encoding="utf-8").splitlines()
    (data / "questions.txt").write_text("0 How\n", encoding="utf-8")
    measured = run("train.kim_cnn.evaluate", data / "questions.txt", "--model", data / "trec")
    assert " of 1 right" in measured.stdout, measured.stderr


@pytest.mark.system
def test_with_nothing_kept_apart_all_of_it_trains_and_the_last_epoch_is_kept(data: Path) -> None:
    done = train(data, "trec", 2, "--dataset", "trec", "--apart", 0)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("9 examples, ")
    assert "; 0 kept apart" in done.stderr
    assert done.stderr.endswith("epoch 1/2  nothing kept apart\nepoch 2/2  nothing kept apart\n")


@pytest.mark.system
def test_each_part_is_kept_apart_in_turn(data: Path) -> None:
    runs = [train(data, "trec", 1, "--dataset", "trec", "--apart", 0.4, "--part", part) for part in range(3)]
    assert [run.returncode for run in runs] == [0, 0, 2], runs[0].stderr
    assert all("5 examples, " in run.stderr and "; 4 kept apart" in run.stderr for run in runs[:2])
    assert runs[2].stderr.endswith("error: --part 2: there is no such part of a share of 0.4\n")


@pytest.mark.system
@pytest.mark.parametrize("more", [(), ("--no-overlap",), ("--table",), ("--squad", "squad.json")])
def test_sm_cnn_writes_what_serving_needs_and_measures_those_files(data: Path, more: tuple[str, ...]) -> None:
    done = train_sm_cnn(data, "out", 1, *(data / name if name.endswith("json") else name for name in more))
    assert done.returncode == 0, done.stderr
    assert "2 pairs kept apart" in done.stderr
    bound = "0.0" if "--table" in more else "0.00"  # there each strange word has a vector of its own
    assert f"float32 network: logits at most {bound}" in done.stdout
    options = ("--model", data / "out", "--vectors", data / "vectors.txt")
    measured = run("train.sm_cnn.evaluate", data / "raw-dev", *options)
    assert measured.stdout.removeprefix(f"{data / 'raw-dev'}\n") in done.stdout
    lines = [line.split(" ") for line in (data / "out" / "idf.txt").read_text(encoding="utf-8").splitlines()]
    assert lines[0][0] == "<unk>"
    assert "never_seen" in {word for word, _ in lines}
    assert all(0 <= float(number) <= float(lines[0][1]) for _, number in lines)


@pytest.mark.system
@pytest.mark.parametrize(("trained", "more"), [(train, ()), (train, ("--sparse",)), (train_sm_cnn, ())])
def test_a_resumed_run_gives_the_weights_of_an_unbroken_one(
    data: Path, trained: Callable[..., subprocess.CompletedProcess[str]], more: tuple[str, ...]
) -> None:
    checkpoint = ("--checkpoint", data / "run.pt")
    runs = [
        trained(data, "broken", 1, *checkpoint, *more),
        trained(data, "resumed", 3, *checkpoint, *more),
        trained(data, "whole", 3, *more),
    ]
    assert [run.returncode for run in runs] == [0, 0, 0], runs[-1].stderr
    resumed, whole = (data / name / "model.onnx" for name in ("resumed", "whole"))
    assert resumed.read_bytes() == whole.read_bytes()
    assert resumed.read_bytes() != (data / "broken" / "model.onnx").read_bytes()


@pytest.mark.system
@pytest.mark.parametrize("trained", [train, train_sm_cnn])
def test_a_checkpoint_of_other_settings_is_refused(
    data: Path, trained: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    checkpoint = ("--checkpoint", data / "run.pt")
    assert trained(data, "out", 1, *checkpoint).returncode == 0
    refused = trained(data, "out", 2, *checkpoint, "--seed", 2)
    assert refused.returncode == 1
    assert "give another --checkpoint" in refused.stderr


@pytest.mark.system
def test_vectors_of_another_size_are_refused_by_their_line(data: Path) -> None:
    (data / "vectors.txt").write_text("2 3\na 1 2 3\nb 1 2\n", encoding="utf-8")
    refused = train(data, "out", 1, "--form", "static", "--vectors", data / "vectors.txt")
    assert refused.returncode == 1
    assert "vectors.txt:3: 2 numbers, the first line says 3" in refused.stderr
    assert not (data / "out").exists()
