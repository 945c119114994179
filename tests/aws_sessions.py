"""A session of AWS for tests: moto's server for what it answers as AWS does, Stubber for CloudFormation."""

import os
import urllib.request
from collections.abc import Iterator

import pytest

import s3_store
from pilotlight.deploy import session
from pilotlight.deploy.session import Session

ACCOUNT, REGION = "123456789012", "eu-west-1"


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    with s3_store.moto() as url:
        yield url


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Nothing of this machine's says who we are on AWS, and nobody is asked."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", f"{tmp_path}/config")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", f"{tmp_path}/credentials")


@pytest.fixture
def environ(no_aws: None, moto_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials for an account in which nothing is."""
    reset(moto_url)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": moto_url,
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def aws(environ: None) -> Session:
    return session.open()


def reset(moto_url: str) -> None:
    """Have nothing in the account."""
    urllib.request.urlopen(urllib.request.Request(f"{moto_url}/moto-api/reset", method="POST")).close()
