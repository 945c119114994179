"""What CloudFormation could not delete after an update: it tries at the end, and the update is done all the same.

What is left then is in no stack any more, so nobody else ever says that it is there. It is so where `[cache] folder` is
taken out: Lambda keeps network interfaces of functions for a while, and with them security groups and subnets. Pure.
docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html, UPDATE_COMPLETE_CLEANUP_IN_PROGRESS.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pilotlight.deploy.failures import tidy
from pilotlight.deploy.watch import Event

# In the order in which they can be removed; each takes the physical id
_REMOVED_BY = {
    "AWS::Lambda::Version": "lambda delete-function --function-name",
    "AWS::EFS::MountTarget": "efs delete-mount-target --mount-target-id",
    "AWS::EFS::AccessPoint": "efs delete-access-point --access-point-id",
    "AWS::EFS::FileSystem": "efs delete-file-system --file-system-id",
    "AWS::EC2::VPCEndpoint": "ec2 delete-vpc-endpoints --vpc-endpoint-ids",
    "AWS::EC2::NatGateway": "ec2 delete-nat-gateway --nat-gateway-id",
    "AWS::EC2::SecurityGroup": "ec2 delete-security-group --group-id",
    "AWS::EC2::Subnet": "ec2 delete-subnet --subnet-id",
    "AWS::EC2::RouteTable": "ec2 delete-route-table --route-table-id",
    "AWS::EC2::InternetGateway": "ec2 delete-internet-gateway --internet-gateway-id",
    "AWS::EC2::VPC": "ec2 delete-vpc --vpc-id",
    "AWS::CloudWatch::Alarm": "cloudwatch delete-alarms --alarm-names",
    "AWS::Logs::LogGroup": "logs delete-log-group --log-group-name",
}
_ORDER = [*_REMOVED_BY]
_WAITS = "Lambda gives network interfaces back within 20 to 40 minutes: these commands work after that"


class Leftover(NamedTuple):
    """A resource that is outside of the stack now, why it could not be deleted, and what removes it, "" for unknown."""

    logical_id: str
    physical_id: str
    kind: str
    reason: str
    command: str

    def __str__(self) -> str:
        by = self.command or "remove it by the console"
        return f"{self.logical_id} {self.physical_id} ({self.kind}): {self.reason}: {by}"


def of(events: Iterable[Event], options: str) -> list[Leftover]:
    """Of one operation, whose events are oldest first; `options` end each command. CloudFormation tries several times,
    so the last word on a resource counts."""
    last: dict[tuple[str, str], Event] = {}
    cleaning = False
    for event in events:
        cleaning |= event.is_of_stack and "CLEANUP_IN_PROGRESS" in event.status
        if cleaning and not event.is_of_stack:
            last[event.logical_id, event.physical_id] = event
    failed = [each for each in last.values() if each.status == "DELETE_FAILED"]
    return [_leftover(each, options) for each in sorted(failed, key=_rank)]


def said(found: Sequence[Leftover]) -> list[str]:
    """Sentences for people; none where nothing is left."""
    if not found:
        return []
    waits = [_WAITS] if any(each.kind.startswith("AWS::EC2::") for each in found) else []
    return ["these could not be deleted, and are in no stack now:", *map(str, found), *waits]


def _rank(event: Event) -> int:
    return _ORDER.index(event.kind) if event.kind in _REMOVED_BY else len(_ORDER)


def _leftover(event: Event, options: str) -> Leftover:
    by = _REMOVED_BY.get(event.kind, "")
    command = f"aws {by} {event.physical_id}{options}" if by else ""
    return Leftover(event.logical_id, event.physical_id, event.kind, tidy(event.reason), command)
