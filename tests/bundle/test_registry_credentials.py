"""What Docker's configuration and its helpers say of who we are."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.bundle import credentials
from pilotlight.bundle.credentials import Credentials, of_config
from pilotlight.errors import UsageError

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
HELPER = f"""#!/bin/sh
read -r server
printf '%s %s\\n' "$1" "$server" >> "$ASKED"
case "$server" in
  {ECR}) echo '{{"ServerURL": "{ECR}", "Username": "AWS", "Secret": "a token"}}' ;;
  ghcr.io) echo '{{"ServerURL": "ghcr.io", "Username": "<token>", "Secret": "an identity"}}' ;;
  odd.test) echo 'no JSON, and the secret' ;;
  broken.test) echo 'the keychain is locked'; exit 1 ;;
  *) echo 'credentials not found in native keychain'; exit 1 ;;
esac
"""


def auth(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Docker's configuration is, and a helper named `test` on the PATH."""
    program = tmp_path / "bin" / "docker-credential-test"
    program.parent.mkdir()
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


def write(config: Path, **fields: Any) -> None:
    config.write_text(json.dumps(fields))


def test_without_a_configuration_nobody_is_known(config: Path) -> None:
    assert credentials.find("ghcr.io") is None


@pytest.mark.parametrize(
    ("entries", "registry", "found"),
    [
        ({"ghcr.io": auth("ada", "pass:word")}, "ghcr.io", Credentials("ada", "pass:word")),
        ({"ghcr.io": auth("ada", "p")}, "quay.io", None),
        ({"https://index.docker.io/v1/": auth("ada", "p")}, "docker.io", Credentials("ada", "p")),
        ({"https://ghcr.io": auth("ada", "p")}, "ghcr.io", Credentials("ada", "p")),
        ({"https://ghcr.io/v2/": auth("ada", "p")}, "ghcr.io", Credentials("ada", "p")),
        ({"localhost:5000": auth("ada", "p")}, "localhost:5000", Credentials("ada", "p")),
        ({"ghcr.io": {"username": "ada", "password": "p"}}, "ghcr.io", Credentials("ada", "p")),
        ({"ghcr.io": {"identitytoken": "t", **auth("00000000", "")}}, "ghcr.io", Credentials(identity_token="t")),
        ({"ghcr.io": {}}, "ghcr.io", None),  # what docker login leaves where a store has the secret
    ],
)
def test_entries_of_the_file(config: Path, entries: Any, registry: str, found: Credentials | None) -> None:
    write(config, auths=entries)
    assert credentials.find(registry) == found


def test_a_store_is_asked_for_every_registry(config: Path, tmp_path: Path) -> None:
    write(config, credsStore="test", auths={"quay.io": auth("ada", "p")})
    assert credentials.find(ECR) == Credentials("AWS", "a token")
    assert credentials.find("ghcr.io") == Credentials(identity_token="an identity")
    assert credentials.find("quay.io") == Credentials("ada", "p")  # of which the store knows nothing
    assert credentials.find("docker.io") is None
    asked = [ECR, "ghcr.io", "quay.io", "https://index.docker.io/v1/"]
    assert (tmp_path / "asked").read_text().splitlines() == [f"get {server}" for server in asked]


def test_a_helper_is_asked_for_its_registry_alone(config: Path, tmp_path: Path) -> None:
    write(config, credHelpers={ECR: "test"}, auths={})
    assert credentials.find(ECR) == Credentials("AWS", "a token")
    assert credentials.find("ghcr.io") is None
    assert (tmp_path / "asked").read_text() == f"get {ECR}\n"


@pytest.mark.parametrize(
    ("registry", "reason"),
    [
        ("broken.test", "asking docker-credential-test for broken.test: the keychain is locked"),
        ("odd.test", "asking docker-credential-test for odd.test: its answer is no credentials"),
    ],
)
def test_a_helper_that_fails_is_named_and_its_secret_is_not_told(config: Path, registry: str, reason: str) -> None:
    write(config, credsStore="test")
    with pytest.raises(UsageError) as failed:
        credentials.find(registry)
    assert str(failed.value) == reason


def test_a_helper_that_is_not_there(config: Path) -> None:
    write(config, credsStore="missing")
    with pytest.raises(UsageError, match=r"asking docker-credential-missing for a\.io: No such file or directory"):
        credentials.find("a.io")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting property name"),
        ("[]", "it is no JSON object"),
        ('{"auths": {"a.io": {"auth": "???"}}}', "the auth of a.io is damaged"),
        ('{"auths": {"a.io": {"auth": "YWRh"}}}', "the auth of a.io is damaged"),
    ],
)
def test_a_damaged_configuration_is_named(config: Path, text: str, reason: str) -> None:
    config.write_text(text)
    with pytest.raises(UsageError, match=f"reading {config}: {reason}"):
        credentials.find("a.io")


def test_an_empty_configuration_is_none(config: Path) -> None:
    config.write_text("")
    assert of_config(config, "a.io") is None


@given(st.text(st.characters(codec="utf-8", exclude_characters=":", exclude_categories=["Cs"])), st.text())
def test_any_password_is_sent_as_it_is(user: str, password: str) -> None:
    try:
        password.encode()
    except UnicodeEncodeError:
        return
    header = Credentials(user, password).basic
    assert base64.b64decode(header.removeprefix("Basic ")).decode() == f"{user}:{password}"
