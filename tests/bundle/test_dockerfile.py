"""The Dockerfile that says what an image has."""

from pathlib import Path

import pytest

from pilotlight.bundle import dockerfile
from pilotlight.bundle.files import Entry, Part
from pilotlight.bundle.image import Config
from pilotlight.errors import BuildError, UsageError

PARTS = (
    Part("model", (Entry("models/qa/model.onnx", b"onnx"),)),
    Part("code", (Entry("inference/qa.py", b"handler = None\n"), Entry("run", b"#!/bin/sh\n", 0o755))),
)
CONFIG = Config(
    ("inference/qa.handler",),
    ("/var/lang/bin/python3.13", "-m", "pilotlight.function.runtime"),
    {"A": "b c", "QUOTES": '"$HOME" \\ #'},
    "/var/task",
    "993:990",
    "arm64",
)
TEXT = r"""FROM --platform=linux/arm64 public.ecr.aws/lambda/python:3.13
COPY --chown=0:0 model/ /var/task/
COPY --chown=0:0 code/ /var/task/
ENV A="b c"
ENV QUOTES="\"\$HOME\" \\ #"
WORKDIR /var/task
USER 993:990
ENTRYPOINT ["/var/lang/bin/python3.13", "-m", "pilotlight.function.runtime"]
CMD ["inference/qa.handler"]
"""


def test_a_dockerfile_with_its_context(tmp_path: Path) -> None:
    written = dockerfile.write(tmp_path / "context", "public.ecr.aws/lambda/python:3.13", PARTS, CONFIG)
    assert written.read_text() == TEXT
    files = {str(path.relative_to(tmp_path / "context")): path for path in (tmp_path / "context").rglob("*")}
    assert {name for name, path in files.items() if path.is_file()} == {
        *("Dockerfile", "model/models/qa/model.onnx", "code/inference/qa.py", "code/run"),
    }
    assert files["code/run"].stat().st_mode & 0o777 == 0o755


def test_what_the_base_has_stays() -> None:
    assert dockerfile.text("scratch", ["code"], Config()) == "FROM scratch\nCOPY --chown=0:0 code/ /var/task/\n"


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(UsageError, match="it is not empty"):
        dockerfile.write(tmp_path, "scratch", PARTS, CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("env", [{"A B": "c"}, {"": "c"}, {"A\nRUN x": "c"}, {"A": "b\nRUN x"}])
def test_a_variable_cannot_be_another_instruction(env: dict[str, str]) -> None:
    with pytest.raises(BuildError, match="writing a Dockerfile: "):
        dockerfile.text("scratch", [], Config(env=env))
