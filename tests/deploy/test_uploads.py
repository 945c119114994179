"""Bucket, repository and uploads against moto's server, which keeps what it is given."""

import base64
import hashlib
import os
from pathlib import Path

import botocore.stub
import pytest

from pilotlight.deploy import bootstrap, session, uploads
from pilotlight.deploy.session import Session
from pilotlight.errors import AwsRefused, DeployError


@pytest.fixture
def bucket(aws: Session, request: pytest.FixtureRequest) -> str:
    """A name of its own for each test."""
    return "pilotlight-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:20]


def made(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_a_bucket_is_made_once(aws: Session, bucket: str) -> None:
    assert bootstrap.bucket(aws, bucket)
    s3 = aws.client("s3")
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] == "eu-west-1"
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True,
    }
    [rule] = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    [rule] = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == [{"Key": "pilotlight:bucket", "Value": "artifacts"}]
    assert s3.get_bucket_versioning(Bucket=bucket).get("Status") is None
    assert not bootstrap.bucket(aws, bucket)


def test_in_the_region_that_has_no_name_for_s3(aws: Session, bucket: str) -> None:
    virginia = session.open(region="us-east-1")
    assert bootstrap.bucket(virginia, bucket)
    assert virginia.client("s3").get_bucket_location(Bucket=bucket)["LocationConstraint"] is None


def test_a_bucket_that_was_broken_off_is_finished(aws: Session, bucket: str) -> None:
    where = {"LocationConstraint": "eu-west-1"}
    aws.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    assert bootstrap.bucket(aws, bucket)
    assert aws.client("s3").get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]["BlockPublicAcls"]


def test_what_the_owner_changed_in_a_bucket_stays(aws: Session, bucket: str) -> None:
    bootstrap.bucket(aws, bucket)
    aws.client("s3").delete_bucket_lifecycle(Bucket=bucket)
    assert not bootstrap.bucket(aws, bucket)
    with pytest.raises(DeployError, match="NoSuchLifecycleConfiguration"), session.asking("asking"):
        aws.client("s3").get_bucket_lifecycle_configuration(Bucket=bucket)


def test_a_bucket_of_another_account(aws: Session) -> None:
    s3 = aws.client("s3")
    with botocore.stub.Stubber(s3) as stub:
        expected = {"Bucket": "taken", "ExpectedBucketOwner": "123456789012"}
        stub.add_client_error("head_bucket", "403", "Forbidden", 403, expected_params=expected)
        with pytest.raises(AwsRefused, match="the bucket taken is not ours") as caught:
            bootstrap.bucket(aws, "taken")
    assert "another account" in caught.value.hint


def test_a_repository_is_made_once_and_lambda_let_in(aws: Session) -> None:
    assert bootstrap.repository(aws, "pilotlight/qa", "qa")
    ecr = aws.client("ecr")
    [found] = ecr.describe_repositories(repositoryNames=["pilotlight/qa"])["repositories"]
    assert ecr.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"] == [
        {"Key": "pilotlight:service", "Value": "qa"}
    ]
    policy = ecr.get_repository_policy(repositoryName="pilotlight/qa")["policyText"]
    assert '"lambda.amazonaws.com"' in policy
    assert "arn:aws:lambda:eu-west-1:123456789012:function:*" in policy
    assert not bootstrap.repository(aws, "pilotlight/qa", "qa")


def test_a_repository_that_was_broken_off_gets_its_policy(aws: Session) -> None:
    aws.client("ecr").create_repository(repositoryName="pilotlight/half")
    assert bootstrap.repository(aws, "pilotlight/half", "half")
    assert aws.client("ecr").get_repository_policy(repositoryName="pilotlight/half")["policyText"]


def test_a_repository_that_was_deleted_is_made_anew(aws: Session) -> None:
    bootstrap.repository(aws, "pilotlight/gone", "gone")
    aws.client("ecr").delete_repository(repositoryName="pilotlight/gone", force=True)
    assert bootstrap.repository(aws, "pilotlight/gone", "gone")


def test_a_zip_goes_up_once(aws: Session, bucket: str, tmp_path: Path) -> None:
    bootstrap.bucket(aws, bucket)
    digest, told = made(tmp_path / "qa.zip", b"code"), []
    assert uploads.zip_file(aws, bucket, "qa/zips/1.zip", tmp_path / "qa.zip", digest, told.append)
    assert told == [4]
    assert aws.client("s3").get_object(Bucket=bucket, Key="qa/zips/1.zip")["Body"].read() == b"code"
    assert not uploads.zip_file(aws, bucket, "qa/zips/1.zip", tmp_path / "qa.zip", digest, told.append)
    assert told == [4]


def test_a_large_zip_goes_up_in_parts(aws: Session, bucket: str, tmp_path: Path) -> None:
    bootstrap.bucket(aws, bucket)
    content = os.urandom(1024) * (17 * 1024)  # 17 MB
    digest, told = made(tmp_path / "qa.zip", content), []
    assert uploads.zip_file(aws, bucket, "qa/zips/2.zip", tmp_path / "qa.zip", digest, told.append)
    found = aws.client("s3").get_object(Bucket=bucket, Key="qa/zips/2.zip")
    assert hashlib.sha256(found["Body"].read()).hexdigest() == digest.removeprefix("sha256:")
    assert found["ETag"].endswith('-2"')
    assert told == sorted(told)
    assert told[-1] == len(content)
    assert len(told) > 2


def test_a_file_that_has_changed_since_it_was_built(aws: Session, bucket: str, tmp_path: Path) -> None:
    bootstrap.bucket(aws, bucket)
    digest = made(tmp_path / "qa.zip", b"code")
    made(tmp_path / "qa.zip", b"Code")
    with pytest.raises(DeployError, match="is not what was built any more"):
        uploads.zip_file(aws, bucket, "key", tmp_path / "qa.zip", digest)
    (tmp_path / "qa.zip").unlink()
    with pytest.raises(DeployError, match="No such file or directory") as caught:
        uploads.zip_file(aws, bucket, "key", tmp_path / "qa.zip", digest)
    assert caught.value.hint == "build and deploy again"


def test_a_bucket_that_is_gone(aws: Session, bucket: str, tmp_path: Path) -> None:
    digest = made(tmp_path / "qa.zip", b"code")
    with pytest.raises(DeployError, match=f"uploading qa.zip: the bucket {bucket} was deleted meanwhile"):
        uploads.zip_file(aws, bucket, "key", tmp_path / "qa.zip", digest)


def test_a_template_has_a_url(aws: Session, bucket: str) -> None:
    bootstrap.bucket(aws, bucket)
    url = uploads.template(aws, bucket, "qa/templates/1.json", b"{}")
    assert url == f"https://{bucket}.s3.eu-west-1.amazonaws.com/qa/templates/1.json"
    assert aws.client("s3").get_object(Bucket=bucket, Key="qa/templates/1.json")["Body"].read() == b"{}"


def test_a_login_for_the_registry(aws: Session) -> None:
    ecr = aws.client("ecr")
    token = base64.b64encode(b"AWS:a:b").decode()
    registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    with botocore.stub.Stubber(ecr) as stub:
        data = [{"authorizationToken": token, "proxyEndpoint": f"https://{registry}"}]
        stub.add_response("get_authorization_token", {"authorizationData": data}, {})
        assert uploads.login(aws) == uploads.Login(registry, "AWS", "a:b")
