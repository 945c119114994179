"""What things are called on AWS. Whatever depends on the account or the region alone is called by pseudo parameters."""

import re

from pilotlight import limits
from pilotlight.artifacts import Artifact
from pilotlight.errors import ProjectError
from pilotlight.project import Function
from pilotlight.settings import Table

ALIAS = "live"  # of every function: what gateways call, so that a new version comes in one step or in several

_STAGE = (
    "[A-Za-z0-9]+(-[A-Za-z0-9]+)*"  # of names of stacks, of which docs.aws.amazon.com/AWSCloudFormation says the same
)


def check_stage(stage: str) -> str:
    """The same, when it is "" or can be part of every name. Raises `ProjectError`."""
    if stage and not re.fullmatch(_STAGE, stage):
        raise ProjectError(
            f"the stage {stage!r}: this is no name for a stage", "write letters, digits and dashes: beta"
        )
    return stage


def stack(service: str, stage: str = "") -> str:
    """At most 128 characters: docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html."""
    name = f"{service}-{check_stage(stage)}" if stage else service
    if len(name) > limits.STACK_NAME:
        reason = f"the stage {stage!r}: {name!r} has {len(name)} characters, and CloudFormation allows "
        raise ProjectError(f"{reason}{limits.STACK_NAME}", "choose a shorter name for the stage")
    return name


def function(function: Function, stage: str = "") -> str:
    """The function's name on Lambda. Raises `ProjectError` when it is too long."""
    name = f"{stack(function.service, stage)}--{function.name}"
    if len(name) > limits.FUNCTION_NAME:
        reason = f"{name!r} has {len(name)} characters, and Lambda allows {limits.FUNCTION_NAME}"
        raise ProjectError(f"{function.file}: {reason}", "shorten the name of the stage, of the file or of the service")
    return name


def bucket(account: str = "${AWS::AccountId}", region: str = "${AWS::Region}") -> str:
    """Of packages and models, one for all services of an account in a region; as text of Fn::Sub without arguments."""
    return f"pilotlight-artifacts-{account}-{region}"


def repository(service: str) -> str:
    """Of a service's images in ECR."""
    return f"pilotlight/{service}"


def zip_key(artifact: Artifact) -> str:
    """Where a zip is in the bucket, by its content: what is there does not travel again."""
    return f"{artifact.service}/zips/{artifact.digest.removeprefix('sha256:')}.zip"


def model_prefix(service: str, digest: str) -> str:
    """Where a mirrored model is in the bucket, by its content."""
    return f"{service}/models/{digest.removeprefix('sha256:')}"


def image(artifact: Artifact) -> str:
    """Where Lambda finds an image, by its content; as text of Fn::Sub without arguments."""
    registry = "${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}"
    return f"{registry}/{repository(artifact.service)}@{artifact.digest}"


def table(table: Table, stage: str = "") -> str:
    """The table's name in DynamoDB; stages share none."""
    return f"{table.table}-{check_stage(stage)}" if stage else str(table.table)
