"""The same checkpoints by transformers 4, the last with a question-answering pipeline, and by what ships to Lambda."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pilotlight.function.text import Answer, Generator, Reader
from pilotlight.optimize import environment
from pilotlight.optimize.progress import Progress

REFERENCE = Path(__file__).parents[1] / "reference"
LOCK = REFERENCE / "transformers4.txt"

sys.path.insert(0, str(REFERENCE))
import texts  # noqa: E402

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]  # the first run installs gigabytes


@pytest.fixture(scope="session")
def python() -> Path:
    """The exporters' interpreter with torch."""
    return environment.python("torch", Progress())


@pytest.fixture(scope="session")
def libraries(python: Path) -> Path:
    """A folder with transformers 4, made once and kept beside the exporters' environments."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    folder = environment.home() / f"reference-{python.parents[1].name}-{digest}"
    if not folder.is_dir():
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
        install = [str(python), "-m", "pip", "install", *options, "--target", str(unfinished), "-r", str(LOCK)]
        subprocess.run(install, check=True)
        unfinished.rename(folder)
    return folder


def checkpoint(kind: str, python: Path, libraries: Path, folder: Path) -> Path:
    """A model folder, with what transformers makes of it in expected.json."""
    environ = {**os.environ, "PYTHONPATH": str(libraries), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [str(python), str(REFERENCE / "checkpoints.py"), kind, str(folder)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def expected(folder: Path) -> list:
    return json.loads((folder / "expected.json").read_text(encoding="utf-8"))


def answers(folder: Path, case: texts.Case) -> list[Answer]:
    options = case.options
    reader = Reader(
        folder,
        max_length=options.get("max_seq_len", 384),
        stride=options.get("doc_stride"),
        longest=options.get("max_answer_len", 15),
        no_answer=1 if options.get("handle_impossible_answer") else None,
        max_windows=1000,
    )
    return reader.answers(case.question, case.context, top=options.get("top_k", 1))


def differences(here: list[Answer], there: list[Answer]) -> list[Answer]:
    """Answers of one side that the other gives with no like score.

    Two processors' float32 sums differ in the last digits, so answers whose scores differ by less may change places,
    and the last of one list may stand just beyond the end of the other.
    """
    scores = {answer._replace(score=0): answer.score for answer in there}
    last = there[-1].score if there else 0
    return [a for a in here if scores.get(a._replace(score=0), last) != pytest.approx(a.score, rel=1e-4)]


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_answers_are_those_of_the_question_answering_pipeline(
    kind: str, python: Path, libraries: Path, tmp_path: Path
) -> None:
    folder = checkpoint(kind, python, libraries, tmp_path / kind)
    places = set()
    for case, answers_there in zip(texts.cases(), expected(folder), strict=True):
        # Where spans are fewer than asked for, the pipeline fills up with impossible ones, whose score is 0.
        there = [Answer(**answer) for answer in answers_there if answer["score"] > 1e-9]
        here = [answer for answer in answers(folder, case) if answer.score > 1e-9]
        assert [answer.score for answer in here] == pytest.approx([answer.score for answer in there], rel=1e-4), case
        assert differences(here, there) == [], case
        places |= {(answer.answer, answer.start) for answer in here}
    assert len(places) > 150
    assert ("", 0) in places


def test_greedy_generation_is_that_of_transformers(python: Path, libraries: Path, tmp_path: Path) -> None:
    folder = checkpoint("gpt2", python, libraries, tmp_path)
    generator = Generator(folder)
    for there in expected(folder):
        prompt = there["prompt"]
        assert prompt + "".join(generator.stream(prompt, max_length=100)) == there["text"]
