"""What `pilotlight serve` says when it listens."""

import json
from pathlib import Path

import pytest

from conftest import MakeService
from pilotlight.cli.serve import curl, unchecked

HANDLER = "def handler(event, context):\n    return event\n"
URL = "http://127.0.0.1:8080"
JSON = "-H 'content-type: application/json'"


@pytest.mark.parametrize(
    ("event", "body"),
    [
        ({"name": "Ada's"}, """'{"name": "Ada'"'"'s"}'"""),
        ({"image": "A" * 2_000}, "@service/events/echo.json"),
    ],
)
def test_the_command_to_try_holds_what_is_short_and_names_the_file_of_what_is_long(
    event: dict[str, str], body: str, make_service: MakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"inference/echo.py": HANDLER, "events/echo.json": json.dumps(event)}
    functions = make_service(files, '[functions.echo]\nroute = "POST /echo"\n').functions
    monkeypatch.chdir(tmp_path)
    assert curl(URL, functions) == f"curl -s {URL}/echo {JSON} -d {body}"


def test_the_file_of_another_folder_has_its_whole_path(make_service: MakeService, tmp_path: Path) -> None:
    files = {"inference/echo.py": HANDLER, "events/echo.json": json.dumps("A" * 2_000)}
    functions = make_service(files, '[functions.echo]\nroute = "POST /echo"\n').functions
    assert curl(URL, functions).endswith(f" -d @{tmp_path}/service/events/echo.json")


def test_what_aws_alone_asks_of_callers_is_said(make_service: MakeService) -> None:
    toml = """
        [jwt]
        issuer = "https://login.example.com"
        audiences = ["service"]

        [functions.one]
        auth = "iam"

        [functions.two]
        auth = "jwt"

        [functions.three]
        auth = "iam"
    """
    files = {f"inference/{name}.py": HANDLER for name in ("one", "two", "three", "four")}
    functions = make_service(files, toml).functions
    assert unchecked(functions) == (
        "  Not checked here, where anyone may call: the signatures for service/one, service/three; "
        "the tokens for service/two.\n"
    )
    assert unchecked([each for each in functions if each.auth == "none"]) == ""
