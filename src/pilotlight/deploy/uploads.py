"""What changed goes up: zips and templates into the bucket under names of their content; a login for images.

An object of S3 is there whole or not at all, and its name is its digest, so one that is there is right.
"""

import base64
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import BinaryIO, NamedTuple

from pilotlight.deploy.session import MULTIPART, Session, absent, asking, transfer_config
from pilotlight.errors import DeployError

Count = Callable[[int], None]
"""Told how many bytes are sent of one object."""


def silent(done: int) -> None:
    """A count that shows nothing."""


class Login(NamedTuple):
    """How images get into ECR: `registry` is the host, the password a token that is good for 12 hours."""

    registry: str
    user: str
    password: str


def zip_file(session: Session, bucket: str, key: str, path: Path, digest: str, count: Count = silent) -> bool:
    """Have the zip of that digest ("sha256:...") under `key`. Whether it had to be sent.

    Raises `DeployError` when the file is not that of the digest any more.
    """
    doing = f"uploading {path.name}"
    try:
        with path.open("rb") as file:
            if f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" != digest:
                raise DeployError(f"{doing}: {path} is not what was built any more", "build and deploy again")
            file.seek(0)
            return put(session, bucket, key, file, path.stat().st_size, doing, "application/zip", count)
    except OSError as error:
        raise DeployError(f"{doing}: reading {path}: {error.strerror}", "build and deploy again") from None


def template(session: Session, bucket: str, key: str, text: bytes) -> str:
    """Have the template under `key`; its URL, as CloudFormation takes it."""
    put(session, bucket, key, io.BytesIO(text), len(text), "uploading the template", "application/json", silent)
    suffix = "amazonaws.com.cn" if session.partition == "aws-cn" else "amazonaws.com"
    return f"https://{bucket}.s3.{session.region}.{suffix}/{key}"


def put(
    session: Session, bucket: str, key: str, file: BinaryIO, size: int, doing: str, kind: str, count: Count
) -> bool:
    """Have an object of that size under a name of its content. Whether it had to be sent. Raises `DeployError`."""
    client = session.client("s3")
    owned = {"Bucket": bucket, "Key": key, "ExpectedBucketOwner": session.account}
    with asking(doing, {"NoSuchBucket": _no_bucket(doing, bucket)}):
        with absent("404", "NoSuchKey"):
            if client.head_object(**owned)["ContentLength"] == size:
                return False
        if size > MULTIPART:
            extra = {"ExpectedBucketOwner": session.account, "ContentType": kind}
            client.upload_fileobj(file, bucket, key, extra, _summed(count), transfer_config())
        else:
            content = file.read()
            client.put_object(**owned, Body=content, ContentType=kind, ChecksumSHA256=_checksum(content))
            count(size)
    return True


def _no_bucket(doing: str, bucket: str) -> DeployError:
    return DeployError(f"{doing}: the bucket {bucket} was deleted meanwhile", "deploy again, which makes it anew")


def _checksum(content: bytes) -> str:
    """S3 compares it with what has come."""
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def _summed(count: Count) -> Callable[[int], None]:
    """boto3 tells what each of its threads has sent since it was told last; a part that is sent again counts back."""
    lock, done = Lock(), 0

    def told(sent: int) -> None:
        nonlocal done
        with lock:
            done += sent
            count(done)

    return told


def digest(content: bytes) -> str:
    """SHA-256 in hex, for names of content."""
    return hashlib.sha256(content).hexdigest()


def login(session: Session) -> Login:
    """For the registry of this account and region."""
    with asking("asking ECR for a token"):
        [found] = session.client("ecr").get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(found["authorizationToken"]).decode().partition(":")
    return Login(found["proxyEndpoint"].partition("://")[2], user, password)
