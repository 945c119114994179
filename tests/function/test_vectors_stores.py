"""One setting moves a function's word vectors from SQLite on this machine to DynamoDB: the path that a user goes."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from conftest import write
from dynamodb_stores import ENVIRON, dynalite, make_table
from pilotlight.function.vectors import unknown

LOOK_UP = """
from pilotlight import endpoint
from pilotlight.function.table import connect
from pilotlight.function.vectors import Vectors

vectors = Vectors(connect("vectors"), dim=2)

@endpoint
def handler(words: list[str]) -> list[float]:
    return vectors.look_up(words).tolist()
"""
SETTINGS = """
[tables.vectors]
key = "word"
store = "{store}"
table = "{table}"

[functions.look_up]
tables = ["vectors"]
"""
WORDS = 1_030  # 42 batches of DynamoDB's, the last one not full


@pytest.fixture(params=["sqlite", pytest.param("dynamodb", marks=pytest.mark.system)])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, Mapping[str, str]]]:
    """A service whose table is in that store, and the variables of the shell."""
    table, environ = f"vectors-{uuid.uuid4()}", {**os.environ, "PILOTLIGHT_CACHE": str(tmp_path / "cache")}
    vectors = "".join(f"word{number} {number} -0.5\n" for number in range(WORDS))
    files = {
        "inference/look_up.py": LOOK_UP,
        "pilotlight.toml": SETTINGS.format(store=request.param, table=table),
        "glove.txt": vectors,
    }
    folder = write(tmp_path / "service", files)
    if request.param == "sqlite":
        yield folder, environ
        return
    with dynalite() as url:
        make_table(url, table, "word")
        yield folder, {**environ, **ENVIRON, "AWS_ENDPOINT_URL_DYNAMODB": url}


def test_vectors_are_uploaded_and_a_function_has_them(service: tuple[Path, Mapping[str, str]]) -> None:
    folder, environ = service

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "pilotlight", *arguments]
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert f" has {WORDS} vectors of 2 numbers from glove.txt." in run("vectors", "upload", "glove.txt")
    assert run("vectors", "get", "word1029") == "word1029: 2 numbers of type f2: 1029, -0.5\n"
    words = ["word7", "dull", "word1029", "word7"]
    answer = json.loads(run("invoke", "look_up", "--data", json.dumps({"words": words})))
    assert answer == [7.0, -0.5, *unknown("dull", 2), 1029.0, -0.5, 7.0, -0.5]
