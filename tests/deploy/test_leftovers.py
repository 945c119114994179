"""What CloudFormation's events say that it has left behind."""

import botocore.session
import pytest
from botocore import xform_name

from pilotlight.deploy import leftovers
from pilotlight.deploy.watch import Event

STACK = "AWS::CloudFormation::Stack"
OPTIONS = " --region eu-west-1 --profile work"


def event(kind: str, status: str, physical_id: str = "id-1", reason: str = "in use") -> Event:
    return Event("1", kind.rpartition(":")[2], physical_id, kind, status, reason)


CLEANING = event(STACK, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")


def found(*events: Event) -> list[tuple[str, str]]:
    return [(each.physical_id, each.command) for each in leftovers.of(events, OPTIONS)]


def test_a_deletion_that_fails_before_the_clean_up_is_none_of_it() -> None:
    assert found(event("AWS::EC2::VPC", "DELETE_FAILED"), CLEANING, event(STACK, "UPDATE_COMPLETE")) == []


def test_what_goes_when_it_is_tried_again_is_not_left() -> None:
    group = "AWS::EC2::SecurityGroup"
    tried = (CLEANING, event(group, "DELETE_FAILED"), event(group, "DELETE_IN_PROGRESS"))
    assert found(*tried, event(group, "DELETE_COMPLETE")) == []
    assert [each for each, _ in found(*tried, event(group, "DELETE_FAILED"))] == ["id-1"]


def test_each_old_one_of_a_resource_counts() -> None:
    """A version that was replaced twice has one logical id and two of AWS's."""
    kind = "AWS::EC2::Subnet"
    events = (event(kind, "DELETE_FAILED", "subnet-1"), event(kind, "DELETE_COMPLETE", "subnet-2"))
    assert found(CLEANING, *events) == [("subnet-1", f"aws ec2 delete-subnet --subnet-id subnet-1{OPTIONS}")]


def test_commands_come_in_the_order_in_which_they_work() -> None:
    kinds = ("EC2::VPC", "EC2::Subnet", "IAM::Role", "EC2::SecurityGroup", "EFS::FileSystem", "EFS::MountTarget")
    events = [event(f"AWS::{kind}", "DELETE_FAILED", kind) for kind in kinds]
    assert found(CLEANING, *events) == [
        ("EFS::MountTarget", f"aws efs delete-mount-target --mount-target-id EFS::MountTarget{OPTIONS}"),
        ("EFS::FileSystem", f"aws efs delete-file-system --file-system-id EFS::FileSystem{OPTIONS}"),
        ("EC2::SecurityGroup", f"aws ec2 delete-security-group --group-id EC2::SecurityGroup{OPTIONS}"),
        ("EC2::Subnet", f"aws ec2 delete-subnet --subnet-id EC2::Subnet{OPTIONS}"),
        ("EC2::VPC", f"aws ec2 delete-vpc --vpc-id EC2::VPC{OPTIONS}"),
        ("IAM::Role", ""),
    ]


@pytest.mark.parametrize("kind", ["Lambda::Version", "EFS::AccessPoint", "EC2::VPCEndpoint", "EC2::NatGateway"])
def test_commands_of_services_are_in_their_api(kind: str) -> None:
    """The AWS CLI's are made from the same model."""
    [found] = leftovers.of([CLEANING, event(f"AWS::{kind}", "DELETE_FAILED")], OPTIONS)
    service, operation, option, *_ = found.command.removeprefix("aws ").split()
    model = botocore.session.get_session().get_service_model(service)
    [named] = [each for each in model.operation_names if xform_name(each, "-") == operation]
    members = model.operation_model(named).input_shape.members
    assert option.removeprefix("--") in [xform_name(each, "-") for each in members]


def test_after_a_rollback_too() -> None:
    cleaning = event(STACK, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
    assert len(found(cleaning, event("AWS::EC2::VPC", "DELETE_FAILED"))) == 1


def test_what_is_said() -> None:
    assert leftovers.said([]) == []
    role = leftovers.of([CLEANING, event("AWS::IAM::Role", "DELETE_FAILED", "role-1")], OPTIONS)
    assert leftovers.said(role) == [
        "these could not be deleted, and are in no stack now:",
        "Role role-1 (AWS::IAM::Role): in use: remove it by the console",
    ]
