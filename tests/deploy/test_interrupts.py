"""Broken off at each of its requests, a command does the rest when it is run again."""

import contextlib
import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest

import aws_sessions
from cloudformation import Script, Told
from pilotlight.deploy import bootstrap, destroy, uploads
from pilotlight.deploy.session import Session
from pilotlight.deploy.stack import Owner
from pilotlight.errors import CredentialsError

BUCKET = "pilotlight-artifacts-123456789012-eu-west-1"
ZIP = b"code" * (5 * 1024 * 1024)  # 20 MB, which go up in parts
EXPIRED = botocore.exceptions.ClientError({"Error": {"Code": "ExpiredToken", "Message": "expired"}}, "Operation")


class Breaks:
    """Requests to S3 and ECR, of which the one with a number is not made."""

    def __init__(self, session: Session, number: int, error: BaseException) -> None:
        self._clients = [session.client(name) for name in ("s3", "ecr")]
        self._left, self._error = number, error
        self.broke = False

    def __enter__(self) -> "Breaks":
        for client in self._clients:
            client.meta.events.register("before-call", self._call)
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.meta.events.unregister("before-call", self._call)

    def _call(self, **_: object) -> None:
        self._left -= 1
        if self._left < 0 and not self.broke:
            self.broke = True
            raise self._error


def provide(session: Session, path: Path, digest: str) -> None:
    """All that a deployment has outside of its stack."""
    bootstrap.bucket(session, BUCKET)
    bootstrap.repository(session, "pilotlight/qa", "qa")
    uploads.zip_file(session, BUCKET, "qa/zips/1.zip", path, digest)
    uploads.template(session, BUCKET, "qa/templates/1.json", b"{}")


def provided(session: Session) -> dict[str, Any]:
    s3, ecr = session.client("s3"), session.client("ecr")
    return {
        "keys": [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET)["Contents"]],
        "tags": s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"],
        "closed": s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"],
        "encrypted": s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"],
        "rules": s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"],
        "policy": ecr.get_repository_policy(repositoryName="pilotlight/qa")["policyText"],
    }


def removed(session: Session) -> None:
    """Where there is no stack any more, what is outside of it."""
    script = Script(session)
    script.no_stack("qa")
    script.answer("describe_stacks", {"Stacks": []}, {})
    script.no_stack("qa")
    told = Told()
    plan = destroy.plan(session, Owner("qa"), False, told.talk)
    assert destroy.destroy(session, Owner("qa"), plan, told.talk) == ()


def broken_off_everywhere(session: Session, error: BaseException, work: Callable[[], None]) -> int:
    """Run `work` until it gets through, broken off at its first request, then at its second, and so on."""
    for number in itertools.count():
        with Breaks(session, number, error) as breaks:
            if not breaks.broke:
                try:
                    work()
                except (CredentialsError, KeyboardInterrupt):
                    assert breaks.broke
            if not breaks.broke:
                return number
    raise AssertionError


@pytest.fixture
def package(tmp_path: Path) -> tuple[Path, str]:
    (tmp_path / "qa.zip").write_bytes(ZIP)
    return tmp_path / "qa.zip", f"sha256:{hashlib.sha256(ZIP).hexdigest()}"


@pytest.mark.parametrize("error", [EXPIRED, KeyboardInterrupt()], ids=["expired credentials", "Ctrl-C"])
def test_what_is_outside_of_a_stack(
    aws: Session, moto_url: str, package: tuple[Path, str], error: BaseException
) -> None:
    requests = broken_off_everywhere(aws, error, lambda: provide(aws, *package))
    assert requests > 5
    made = provided(aws)
    broken_off_everywhere(aws, error, lambda: removed(aws))
    assert BUCKET not in [each["Name"] for each in aws.client("s3").list_buckets()["Buckets"]]
    assert aws.client("ecr").describe_repositories()["repositories"] == []
    aws_sessions.reset(moto_url)  # moto remembers the tags of a bucket that is gone
    provide(aws, *package)
    assert made == provided(aws)


class BreaksOnce:
    """The request with a number is the last that is made: its answer does not come."""

    def __init__(self, session: Session, number: int) -> None:
        self._clients = [session.client(name) for name in ("s3", "ecr")]
        self._left = number
        self.broke = False

    def __enter__(self) -> "BreaksOnce":
        for client in self._clients:
            client.meta.events.register("after-call", self._call)
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.meta.events.unregister("after-call", self._call)

    def _call(self, **_: object) -> None:
        self._left -= 1
        if self._left < 0:
            self.broke = True
            raise KeyboardInterrupt


def test_destroy_finishes_after_each_of_its_requests(aws: Session, moto_url: str) -> None:
    """An account of its own for each: the bucket is empty after one, and gone after another."""
    for number in itertools.count():
        aws_sessions.reset(moto_url)
        bootstrap.bucket(aws, BUCKET)
        bootstrap.repository(aws, "pilotlight/qa", "qa")
        uploads.template(aws, BUCKET, "qa/templates/1.json", b"{}")
        aws.client("s3").create_multipart_upload(Bucket=BUCKET, Key="qa/zips/broken-off.zip")
        with BreaksOnce(aws, number) as breaks, contextlib.suppress(KeyboardInterrupt):
            removed(aws)
        removed(aws)
        assert aws.client("s3").list_buckets()["Buckets"] == []
        assert aws.client("ecr").describe_repositories()["repositories"] == []
        if not breaks.broke:
            assert number > 8
            return
