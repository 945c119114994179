"""S3 for tests: moto's server, a store of AWS's API that checks signatures and policies, as a process of its own."""

import contextlib
import functools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import boto3

REGION = "eu-west-1"
BUCKET = "pictures"

_PROGRAM = "from moto.server import main; main(['-H', '127.0.0.1', '-p', '0'])"
_UNCHECKED = 7  # requests before signatures and policies are looked at: those of `open_store`


class Store(NamedTuple):
    """A store with the bucket `BUCKET` in it. `owner` may do all, `stranger` nothing, each with these variables."""

    url: str
    owner: dict[str, str]
    stranger: dict[str, str]

    def put(self, key: str, content: bytes) -> None:
        _client("s3", self.url, **self.owner).put_object(Bucket=BUCKET, Key=key, Body=content)


@contextlib.contextmanager
def open_store() -> Iterator[Store]:
    with moto(INITIAL_NO_AUTH_ACTION_COUNT=str(_UNCHECKED)) as url:
        nobody = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
        users = _client("iam", url, **nobody)
        owner, stranger = _user(users, "owner", "s3:*"), _user(users, "stranger", "sqs:*")
        configuration = {"LocationConstraint": REGION}
        _client("s3", url, **nobody).create_bucket(Bucket=BUCKET, CreateBucketConfiguration=configuration)
        store = Store(url, *({**user, "AWS_ENDPOINT_URL_S3": url, "AWS_REGION": REGION} for user in (owner, stranger)))
        yield store


def _user(users: Any, name: str, action: str) -> dict[str, str]:
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}
    users.create_user(UserName=name)
    users.put_user_policy(UserName=name, PolicyName="policy", PolicyDocument=json.dumps(policy))
    key = users.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


@functools.cache
def _client(service: str, url: str, **environ: str) -> Any:
    return boto3.client(
        service,
        REGION,
        endpoint_url=url,
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
    )


@contextlib.contextmanager
def moto(**environ: str) -> Iterator[str]:
    """The URL of an empty store."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], stderr=subprocess.PIPE, text=True, env={**os.environ, **environ}
    )
    assert process.stderr is not None
    try:
        said = next(line for line in process.stderr if "Running on" in line)
        reader = threading.Thread(target=process.stderr.read, daemon=True)  # lest it stand still when the pipe is full
        reader.start()
        yield said.split()[-1]
    finally:
        process.terminate()
        process.wait(60)
        process.stderr.close()
