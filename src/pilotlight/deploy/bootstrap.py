"""What has to be there before a stack can be: a bucket for packages, one for an account and region, and a repository
for images, one for a service. They are outside of every stack.
"""

import json
from typing import Any

from pilotlight.deploy.session import Session, absent, asking
from pilotlight.deploy.stack import SERVICE_TAG
from pilotlight.errors import AwsRefused, DeployError

_MADE_BY = "pilotlight:bucket"  # the tag of a bucket that is finished
_ABORTED_AFTER = 7  # days until parts of an upload that was broken off are gone


def bucket(session: Session, name: str) -> bool:
    """Have the bucket: encrypted, closed to the public, without versions. Whether it was made.

    Its name can be guessed, so every request says which account it must be of. What is done last is the tag: a bucket
    that has it is finished, and is left as its owner may have changed it since.
    """
    client = session.client("s3")
    owned = {"Bucket": name, "ExpectedBucketOwner": session.account}
    with asking(f"making the bucket {name}", {"BucketAlreadyExists": _taken(name), "403": _taken(name)}):
        with absent("404", "NoSuchBucket"):
            client.head_bucket(**owned)
            if _is_finished(client, owned):
                return False
        _create(client, session, name)
        _configure(client, owned)
    return True


def _taken(name: str) -> DeployError:
    return AwsRefused(
        f"the bucket {name} is not ours: another account has it, or these credentials may not look at it",
        "the credentials need s3:ListBucket on it; if another account has it, use another region, or ask AWS Support",
    )


def _is_finished(client: Any, owned: dict[str, str]) -> bool:
    with absent("NoSuchTagSet"):
        return any(tag["Key"] == _MADE_BY for tag in client.get_bucket_tagging(**owned)["TagSet"])
    return False


def _create(client: Any, session: Session, name: str) -> None:
    """us-east-1 is no location that can be named: docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html"""
    where = {"CreateBucketConfiguration": {"LocationConstraint": session.region}}
    with absent("BucketAlreadyOwnedByYou"):
        client.create_bucket(Bucket=name, **({} if session.region == "us-east-1" else where))


def _configure(client: Any, owned: dict[str, str]) -> None:
    client.get_waiter("bucket_exists").wait(**owned)
    closed = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    client.put_public_access_block(**owned, PublicAccessBlockConfiguration=closed)
    encrypted = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    client.put_bucket_encryption(**owned, ServerSideEncryptionConfiguration=encrypted)
    aborted = {
        "ID": "uploads that were broken off",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _ABORTED_AFTER},
    }
    client.put_bucket_lifecycle_configuration(**owned, LifecycleConfiguration={"Rules": [aborted]})
    client.put_bucket_tagging(**owned, Tagging={"TagSet": [{"Key": _MADE_BY, "Value": "artifacts"}]})


def repository(session: Session, name: str, service: str) -> bool:
    """Have the repository, and Lambda let in. Whether it was made.

    Lambda needs the policy when whoever creates a function may not set it:
    docs.aws.amazon.com/lambda/latest/dg/images-create.html, "Amazon ECR permissions".
    """
    client = session.client("ecr")
    with asking(f"making the repository {name}"):
        with absent("RepositoryPolicyNotFoundException", "RepositoryNotFoundException"):
            client.get_repository_policy(repositoryName=name)
            return False
        with absent("RepositoryAlreadyExistsException"):
            client.create_repository(
                repositoryName=name,
                tags=[{"Key": SERVICE_TAG, "Value": service}],
                imageScanningConfiguration={"scanOnPush": True},
            )
        client.set_repository_policy(repositoryName=name, policyText=json.dumps(_policy(session)))
    return True


def _policy(session: Session) -> dict[str, Any]:
    """Functions of this account and region alone."""
    functions = f"arn:{session.partition}:lambda:{session.region}:{session.account}:function:*"
    statement = {
        "Sid": "LambdaECRImageRetrievalPolicy",
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        "Condition": {"StringLike": {"aws:sourceArn": functions}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}
