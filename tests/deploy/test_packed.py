"""What Lambda says that functions are packed as, and what is refused before anything is sent."""

from pathlib import Path
from typing import Any

import boto3
import botocore.config
import pytest
from botocore.stub import Stubber
from units import deployment, service

from pilotlight.deploy import packed
from pilotlight.deploy.session import Session
from pilotlight.errors import StackError

ASKED = {"FunctionName": "vision-beta--qa"}


class Lambda:
    """Answers one question."""

    def __init__(self, folder: Path, kind: str) -> None:
        client: Any = boto3.client(
            "lambda",
            "eu-west-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
            config=botocore.config.Config(retries={"total_max_attempts": 1}),
        )
        self.stub = Stubber(client)
        self.stub.activate()
        self._session = Session("123456789012", "eu-west-1")
        self._session.use("lambda", client)
        self._deployment = deployment(service(folder / "vision", 'name = "vision"\n'), kind, "beta")

    def check(self) -> None:
        packed.check(self._session, self._deployment)
        self.stub.assert_no_pending_responses()


@pytest.mark.parametrize(("before", "kind"), [("Zip", "zip"), ("Image", "image")])
def test_what_stays_as_it_is_packed(tmp_path: Path, before: str, kind: str) -> None:
    asked = Lambda(tmp_path, kind)
    asked.stub.add_response("get_function_configuration", {"PackageType": before}, ASKED)
    asked.check()


@pytest.mark.parametrize(
    ("before", "kind", "said", "keeps"),
    [
        ("Zip", "image", "AWS makes no image of a zip", 'package = "zip"'),
        ("Image", "zip", "AWS makes no zip of an image", 'package = "image"'),
    ],
)
def test_what_would_be_packed_otherwise(tmp_path: Path, before: str, kind: str, said: str, keeps: str) -> None:
    asked = Lambda(tmp_path, kind)
    asked.stub.add_response("get_function_configuration", {"PackageType": before}, ASKED)
    with pytest.raises(StackError) as caught:
        asked.check()
    assert str(caught.value) == f"changing vision-beta--qa: {said}; nothing was sent"
    assert keeps in caught.value.hint


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "AccessDeniedException"])
def test_a_function_that_is_not_there_or_not_to_be_seen(tmp_path: Path, code: str) -> None:
    """The change set knows it, too."""
    asked = Lambda(tmp_path, "image")
    asked.stub.add_client_error("get_function_configuration", code, "no", 404, expected_params=ASKED)
    asked.check()
