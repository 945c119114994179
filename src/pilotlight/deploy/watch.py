"""A stack's events as they come, until CloudFormation has ended what it does."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from pilotlight.deploy.session import Session, asking, says
from pilotlight.errors import AwsUnreachable, DeployError

EVERY = 2.0
"""Seconds between two questions: CloudFormation's own console asks as often."""
_PATIENCE = 60  # questions in a row without an answer, each of which boto3 has made several times, before we give up

_BEGINS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "IMPORT_IN_PROGRESS")
_SETTLES = 30  # questions in which what was begun shows in the stack's events

Sleep = Callable[[float], None]


class Event(NamedTuple):
    """What CloudFormation says of one resource, or of the stack itself, whose `physical_id` is the stack's."""

    id: str
    logical_id: str
    physical_id: str
    kind: str
    status: str
    reason: str

    @property
    def failed(self) -> bool:
        """Not for being cancelled, as others were since one has failed."""
        return self.status.endswith("_FAILED") and "cancelled" not in self.reason.lower()

    @property
    def is_of_stack(self) -> bool:
        return self.kind == "AWS::CloudFormation::Stack"

    @property
    def ends(self) -> bool:
        """Whether the stack itself has come to rest."""
        return self.is_of_stack and not self.status.endswith("_IN_PROGRESS")


class State(NamedTuple):
    """A stack: `status` is "" where there is none, `id` its ARN."""

    status: str = ""
    id: str = ""
    reason: str = ""
    tags: Mapping[str, str] = {}
    outputs: Mapping[str, str] = {}
    changed: str = ""
    protected: bool = False

    @property
    def in_progress(self) -> bool:
        """REVIEW_IN_PROGRESS is none: the stack waits for somebody to execute its first change set."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"


Told = Callable[[Event], None]


def state(session: Session, name: str) -> State:
    """Of a stack by name or ARN. By its ARN a deleted one is found too, for 90 days."""
    try:
        with asking(f"asking for the stack {name}"):
            [found] = session.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except DeployError as error:
        if says(error, "ValidationError", "does not exist"):
            return State()
        raise
    return _state(found)


def _state(found: Mapping[str, Any]) -> State:
    changed = found.get("LastUpdatedTime") or found.get("CreationTime")
    return State(
        status=found["StackStatus"],
        id=found["StackId"],
        reason=found.get("StackStatusReason", ""),
        tags=tags(found),
        outputs={output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", ())},
        changed=f"{changed:%Y-%m-%d %H:%M:%S %Z}" if changed else "",
        protected=bool(found.get("EnableTerminationProtection")),
    )


def tags(found: Mapping[str, Any]) -> dict[str, str]:
    """Of a stack, or a change set."""
    return {tag["Key"]: tag["Value"] for tag in found.get("Tags", ())}


def every(session: Session) -> Iterator[State]:
    """All stacks of the region that are there."""
    with asking("listing the stacks"):
        for page in session.client("cloudformation").get_paginator("describe_stacks").paginate():
            yield from (_state(found) for found in page["Stacks"])


def events(session: Session, stack_id: str, after: str = "") -> list[Event]:
    """Those after the one of that id, oldest first."""
    found: list[Event] = []
    with asking("reading the stack's events"):
        pages = session.client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=stack_id)
        for page in pages:
            for each in page["StackEvents"]:
                if each["EventId"] == after:
                    return found[::-1]
                found.append(_event(each))
    return found[::-1]


def last(session: Session, stack_id: str) -> str:
    """The id of the newest event, "" for none."""
    with asking("reading the stack's events"):
        found = session.client("cloudformation").describe_stack_events(StackName=stack_id)["StackEvents"]
    return str(found[0]["EventId"]) if found else ""


def operation(session: Session, stack_id: str) -> list[Event]:
    """Events of what CloudFormation does now, or did last: from where the stack itself began, oldest first.

    A rollback belongs to what it rolls back.
    """
    found = events(session, stack_id)
    begun = [number for number, event in enumerate(found) if _begins(event)]
    return found[begun[-1] if begun else 0 :]


def _begins(event: Event) -> bool:
    own = event.is_of_stack and event.physical_id.startswith("arn:")
    return own and event.status in _BEGINS


def _event(found: Mapping[str, Any]) -> Event:
    return Event(
        id=found["EventId"],
        logical_id=found["LogicalResourceId"],
        physical_id=found.get("PhysicalResourceId", ""),
        kind=found["ResourceType"],
        status=found["ResourceStatus"],
        reason=found.get("ResourceStatusReason", ""),
    )


def follow(
    session: Session, stack_id: str, after: str, told: Told, sleep: Sleep = time.sleep
) -> tuple[State, list[Event]]:
    """Tell the events after `after` as they come; the state that the stack has ended in, and all those events.

    An AWS that gives no answer for a while changes nothing: CloudFormation goes on without us. Just after something
    was begun a stack may still say what it was before, so it has ended only when it has told of an end of its own.
    """
    seen: list[Event] = []
    failed = asked = 0
    while True:
        try:
            now = state(session, stack_id)
            for event in events(session, stack_id, seen[-1].id if seen else after):
                seen.append(event)
                told(event)
            failed, asked = 0, asked + 1
        except AwsUnreachable:
            failed += 1
            if failed > _PATIENCE:
                raise
        else:
            if not now.in_progress and (asked > _SETTLES or any(event.ends for event in seen)):
                return now, seen
        sleep(EVERY)
