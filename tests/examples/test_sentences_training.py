"""Training of the sentences example end to end, on a handful of trees: needs the extra `train`."""

import subprocess
import sys
from pathlib import Path

import pytest

SERVICE = Path(__file__).parents[2] / "examples" / "sentences"
TREES = """\
(4 (2 A) (4 (4 fine) (2 film)))
(0 (2 A) (0 (0 dull) (2 film)))
(3 (2 It) (3 (2 is) (3 good)))
(1 (2 It) (1 (2 is) (1 (2 not) (3 good))))
"""


def train(folder: Path, out: str, epochs: int, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "train.train", "--data", str(folder), "--out", str(folder / out)]
    command += ["--epochs", str(epochs), "--patience", "9", "--apart", "0.25", "--threads", "1", *more]
    return subprocess.run(command, cwd=SERVICE, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "trees").mkdir()
    (tmp_path / "trees" / "train.txt").write_text(TREES, encoding="utf-8")
    (tmp_path / "trees" / "dev.txt").write_text("(3 (2 It) (3 fine))\n(2 so)\n(1 (1 dull) (2 one))\n", encoding="utf-8")
    return tmp_path


@pytest.mark.system
def test_a_run_writes_what_serving_needs_and_measures_those_files(data: Path) -> None:
    done = train(data, "out", 1)
    assert done.returncode == 0, done.stderr
    assert "1 trees kept apart" in done.stderr
    assert "2 answers the same" in done.stdout
    assert (data / "out" / "model.onnx").stat().st_size > 300_000
    assert (data / "out" / "vocabulary.txt").read_text(encoding="utf-8").startswith("<unk>\n")


@pytest.mark.system
def test_a_resumed_run_gives_the_weights_of_an_unbroken_one(data: Path) -> None:
    checkpoint = ("--checkpoint", str(data / "run.pt"))
    runs = [train(data, "broken", 1, *checkpoint), train(data, "resumed", 3, *checkpoint), train(data, "unbroken", 3)]
    assert [run.returncode for run in runs] == [0, 0, 0], runs[-1].stderr
    resumed, unbroken = (data / name / "model.onnx" for name in ("resumed", "unbroken"))
    assert resumed.read_bytes() == unbroken.read_bytes()


@pytest.mark.system
def test_a_checkpoint_of_other_settings_is_refused(data: Path) -> None:
    checkpoint = ("--checkpoint", str(data / "run.pt"))
    assert train(data, "out", 1, *checkpoint).returncode == 0
    refused = train(data, "out", 2, *checkpoint, "--seed", "2")
    assert refused.returncode == 1
    assert "give another --checkpoint" in refused.stderr
