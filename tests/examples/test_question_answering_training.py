"""Training of the question_answering example's generator end to end, on a handful of sentences: needs `train`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "question_answering"
LINES = [
    f"{who} {does} {what}.\tany translation"
    for who in ("I", "You", "We", "They")
    for does in ("like", "see", "want")
    for what in ("the sea", "a new car", "some bread", "that book", "our friends")
]
SMALL = ("--vocabulary", "300", "--width", "16", "--layers", "2", "--batch", "1", "--epochs", "3")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=EXAMPLE, capture_output=True, text=True, timeout=300, check=False)


def train(folder: Path, out: str, *more: str) -> subprocess.CompletedProcess[str]:
    return run("-m", "train.textgen", "--data", str(folder / "cmn.txt"), "--out", str(folder / out), *SMALL, *more)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "cmn.txt").write_text("\n".join([*LINES, *LINES]) + "\n", encoding="utf-8")
    return tmp_path


@pytest.mark.system
@pytest.mark.timeout(600)  # the import of transformers alone takes seconds
def test_a_run_writes_a_model_folder_with_its_card(data: Path) -> None:
    done = train(data, "out")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("56 sentences, 424 tokens; 4 kept apart\n")
    measured = json.loads(done.stdout)
    assert 1 < measured["perplexity"] < 1000
    written = {path.name for path in (data / "out").iterdir()}
    assert written == {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
                       "tokenizer_config.json", "README.md"}  # fmt: skip
    card = (data / "out" / "README.md").read_text("utf-8")
    assert f"**{measured['perplexity']:.2f}** per token" in card
    assert "56 sentences, and 4 kept apart" in card


@pytest.mark.system
@pytest.mark.timeout(600)  # the import of transformers alone takes seconds
def test_a_resumed_run_gives_the_weights_of_an_unbroken_one(data: Path) -> None:
    checkpoint = data / "run.pt"
    assert train(data, "unbroken").returncode == 0
    places = ("--data", str(data / "cmn.txt"), "--out", str(data / "broken"), "--checkpoint", str(checkpoint))
    assert run("-c", BREAKING_OFF, *places, *SMALL).returncode == 7
    resumed = train(data, "resumed", "--checkpoint", str(checkpoint))
    assert resumed.returncode == 0, resumed.stderr
    assert "epoch 1:" not in resumed.stderr
    one, other = (data / name / "model.safetensors" for name in ("resumed", "unbroken"))
    assert one.read_bytes() == other.read_bytes()
    refused = train(data, "out", "--checkpoint", str(checkpoint), "--seed", "2")
    assert refused.returncode == 1
    assert "give another --checkpoint" in refused.stderr


# Exits after the checkpoint of the first epoch, as a machine that is switched off would.
BREAKING_OFF = """
import os
from train import textgen
save = textgen.Run.save
def save_and_exit(run, path, settings):
    save(run, path, settings)
    os._exit(7)
textgen.Run.save = save_and_exit
textgen.main()
"""
