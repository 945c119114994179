"""What AWS says of resources that fail, and what is said of it here."""

import pytest

from pilotlight.deploy import failures
from pilotlight.deploy.watch import Event

LAMBDA, EC2 = "AWS::Lambda::Function", "AWS::EC2::SecurityGroup"

# The service's own sentences, as CloudFormation's resource handlers pass them on
SAID = [
    (
        LAMBDA,
        "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 3008",
        "3,008",
    ),
    (
        LAMBDA,
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below "
        "its minimum value of [10].",
        "`concurrency`",
    ),
    (
        "AWS::Lambda::Alias",
        "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
        "minimum value of [100].",
        "`provisioned`",
    ),
    (LAMBDA, "Unzipped size must be smaller than 262144000 bytes", 'package = "image"'),
    (
        LAMBDA,
        "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist.",
        "deploy again",
    ),
    (LAMBDA, "Source image 1.dkr.ecr.eu-west-1.amazonaws.com/pilotlight/qa@sha256:ab does not exist.", "gone from ECR"),
    (
        LAMBDA,
        "Source image 1.dkr.ecr.eu-west-1.amazonaws.com/a@sha256:ab is not valid. Provide a valid source image.",
        "gone from ECR",
    ),
    (
        LAMBDA,
        "Lambda does not have permission to access the ECR image. Check the ECR permissions.",
        "lambda.amazonaws.com",
    ),
    (
        LAMBDA,
        "The image manifest, config or layer media type for the source image a is not supported.",
        "`pilotlight build`",
    ),
    (LAMBDA, "The role defined for the function cannot be assumed by Lambda.", "IAM needs a moment"),
    (LAMBDA, "SnapStart is not supported for functions with file systems configured", "SnapStart goes neither"),
    (
        "AWS::Lambda::Version",
        "Resource of type 'AWS::Lambda::Version' with identifier '...' did not stabilize.",
        "init phase",
    ),
    (
        "AWS::Lambda::Alias",
        "Provisioned Concurrency configuration failed to be applied. Reason: FUNCTION_ERROR_INIT_FAILURE",
        "init phase",
    ),
    ("AWS::Lambda::Alias", "Invalid alias configuration for Provisioned Concurrency", "--routing-config '{}'"),
    ("AWS::Lambda::Alias", "Alias with weights can not be used with Provisioned Concurrency", "--routing-config '{}'"),
    (
        LAMBDA,
        "EFS file system arn:x has mount targets created in all availability zones but not in state available",
        "mounted",
    ),
    (
        LAMBDA,
        "The provided subnets contain availability zone Lambda doesn't support. Please use a different set of subnets.",
        "another region",
    ),
    (
        "AWS::EC2::Subnet",
        "Value (us-east-1b) for parameter availabilityZone is invalid. Subnets can currently only be created in the "
        "following availability zones: us-east-1d, us-east-1e, us-east-1a, us-east-1c.",
        "another region",
    ),
    ("AWS::EFS::MountTarget", "Request failed (Service: Efs, Error Code: UnsupportedAvailabilityZone)", "of EFS"),
    (
        "AWS::ApiGateway::Stage",
        "CloudWatch Logs role ARN must be set in account settings to enable logging",
        "role of the account",
    ),
    (
        "AWS::ApiGateway::UsagePlanKey",
        "An API key can only be associated with one usage plan for each stage (Status Code: 409)",
        "delete-usage-plan-key",
    ),
    ("AWS::ApiGateway::RestApi", "Maximum number of resources for this API has been reached.", "300 paths"),
    ("AWS::EC2::VPC", "The maximum number of VPCs has been reached.", "quota of networks"),
    (EC2, "resource sg-0a has a dependent object", "20 to 40 minutes"),
    ("AWS::EC2::Subnet", "The subnet 'subnet-1' has dependencies and cannot be deleted.", "20 to 40 minutes"),
    (
        "AWS::DynamoDB::Table",
        "CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename qa-words and "
        "update the stack again.",
        "cannot replace what has a fixed name",
    ),
    ("AWS::DynamoDB::Table", "Table already exists: qa-records", "`keep = true`"),
    (
        "AWS::Logs::LogGroup",
        "Resource of type 'AWS::Logs::LogGroup' with identifier '/aws/lambda/a' already exists.",
        "outside",
    ),
    (LAMBDA, "Function already exist: qa--qa", "outside"),
    (
        "AWS::IAM::Role",
        "API: iam:CreateRole User: arn:aws:iam::1:user/a is not authorized to perform: iam:CreateRole on resource: b",
        "need that action",
    ),
    ("AWS::Lambda::Alias", "CodeDeploy deployment d-1 failed: one or more alarms went into ALARM: rollback", "alarm"),
    (LAMBDA, "Rate exceeded", "in a minute"),
    ("AWS::CloudWatch::Alarm", "The maximum limit of 5000 alarms exceeded", "Service Quotas"),
    (LAMBDA, "The security token included in the request is expired token expired", "sign in again"),
    (LAMBDA, "Internal Failure", "AWS had an error"),
]


@pytest.mark.parametrize(("kind", "reason", "hint"), SAID, ids=[reason[:40] for _, reason, _ in SAID])
def test_each_known_reason_has_its_remedy(kind: str, reason: str, hint: str) -> None:
    assert hint in failures.remedy(kind, reason)


def test_an_unknown_reason_has_none() -> None:
    assert failures.remedy(LAMBDA, "Runtime python9.9 is not one of ...") == ""


@pytest.mark.parametrize(
    ("reason", "tidied"),
    [
        ("", "AWS gives no reason"),
        (
            'Resource handler returned message: "Bad thing (Service: Lambda, Status Code: 400, Request ID: 1-2)" '
            "(RequestToken: 3-4, HandlerErrorCode: InvalidRequest)",
            "Bad thing",
        ),
        (
            "Bad (very) thing\n  (Service: Ec2, Status Code: 400, Request ID: 1) (SDK Attempt Count: 1)",
            "Bad (very) thing",
        ),
    ],
)
def test_ids_of_aws_are_left_out(reason: str, tidied: str) -> None:
    assert failures.tidy(reason) == tidied


def failed(number: int, logical_id: str, reason: str, status: str = "CREATE_FAILED", kind: str = LAMBDA) -> Event:
    return Event(str(number), logical_id, "", kind, status, reason)


def test_a_stack_that_fails_by_itself() -> None:
    own = failed(1, "qa", "Could not assume role", "ROLLBACK_FAILED", "AWS::CloudFormation::Stack")
    found = failures.first([own])
    assert found is not None
    assert str(found) == "qa (AWS::CloudFormation::Stack): Could not assume role"
    assert failures.first([]) is None


def test_each_resource_is_listed_once_and_the_cancelled_are_not() -> None:
    found = failures.every(
        [
            failed(1, "A", "first"),
            failed(2, "B", "Resource creation cancelled"),
            failed(3, "A", "then", "DELETE_FAILED"),
        ]
    )
    assert [str(each) for each in found] == ["A (AWS::Lambda::Function): then"]
