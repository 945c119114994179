"""CloudFormation for tests: what AWS answers, in order, with what it has to be asked. botocore checks both sides
against its model of the API; nothing here decides anything.

The shapes are those of recorded runs: which events come, in which order, in whose words.
"""

from datetime import UTC, datetime
from typing import Any

import boto3
import botocore.config
from botocore.stub import ANY, Stubber

from pilotlight.deploy.session import Session
from pilotlight.deploy.stack import Talk
from pilotlight.deploy.watch import Event

NAME = "qa-beta"
ARN = f"arn:aws:cloudformation:eu-west-1:123456789012:stack/{NAME}/1f2c3d40-0000-11f0-8000-0a1b2c3d4e5f"
SET = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/pilotlight-1/5a6b7c8d"
URL = "https://bucket.s3.eu-west-1.amazonaws.com/qa/templates/1.json"
TAGS = {"pilotlight:service": "qa", "pilotlight:stage": "beta"}
NO_CHANGE = "The submitted information didn't contain changes. Submit different information to create a change set."
_THEN = datetime(2026, 11, 28, 18, 45, tzinfo=UTC)

FUNCTION = ("QaFunction", "AWS::Lambda::Function")
ROLE = ("QaRole", "AWS::IAM::Role")
TABLE = ("RecordsTable", "AWS::DynamoDB::Table")
STACK = (NAME, "AWS::CloudFormation::Stack")


class Script:
    """A session whose CloudFormation answers what was written here before, in that order, and nothing else."""

    def __init__(self, session: Session | None = None) -> None:
        self.client = boto3.client(
            "cloudformation",
            "eu-west-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
            config=botocore.config.Config(retries={"total_max_attempts": 1}),
        )
        self.session = session or Session("123456789012", "eu-west-1")
        self.session.use("cloudformation", self.client)
        self.stub = Stubber(self.client)
        self.stub.activate()
        self._events: list[dict[str, Any]] = []  # all that the stack has had, oldest first

    def answer(self, operation: str, answer: dict[str, Any], asked: dict[str, Any] | None = None) -> None:
        self.stub.add_response(operation, answer, asked)

    def refuse(self, operation: str, code: str, message: str, asked: dict[str, Any] | None = None) -> None:
        self.stub.add_client_error(operation, code, message, 400, expected_params=asked)

    def no_stack(self, name: str = NAME) -> None:
        message = f"Stack with id {name} does not exist"
        self.refuse("describe_stacks", "ValidationError", message, {"StackName": name})

    def stack(self, status: str, name: str = NAME, **fields: Any) -> None:
        """Asked by `name`, the stack is in that state."""
        self.answer("describe_stacks", {"Stacks": [stack(status, **fields)]}, {"StackName": name})

    def events(self, *new: dict[str, Any]) -> None:
        """Asked for events, there are those too; newest first, as CloudFormation has them."""
        self._events += new
        numbered = [{**event, "EventId": f"event-{at}"} for at, event in enumerate(self._events)]
        self.answer("describe_stack_events", {"StackEvents": numbered[::-1]}, {"StackName": ARN})

    def poll(self, status: str, *new: dict[str, Any], **fields: Any) -> None:
        """One look of somebody who follows the stack."""
        self.stack(status, ARN, **fields)
        self.events(*new)

    def change_sets(self, *names: str) -> None:
        """Asked for the stack's change sets, there are these."""
        found = [{"ChangeSetName": name, "ChangeSetId": f"arn:aws:cloudformation:::changeSet/{name}"} for name in names]
        self.answer("list_change_sets", {"Summaries": found}, {"StackName": ARN})

    def create(self, kind: str, takes_over: bool = False, tags: dict[str, str] = TAGS) -> None:
        asked = {
            "StackName": NAME,
            "ChangeSetName": ANY,
            "ClientToken": ANY,
            "ChangeSetType": kind,
            "TemplateURL": URL,
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            "ImportExistingResources": takes_over,
        }
        self.answer("create_change_set", {"Id": SET, "StackId": ARN}, asked)

    def described(self, status: str, *changes: dict[str, Any], **fields: Any) -> None:
        made = {"Changes": [{"Type": "Resource", "ResourceChange": change} for change in changes]}
        answer = {"ChangeSetId": SET, "StackId": ARN, "Status": status, **made, **fields}
        self.answer("describe_change_set", answer, None)

    def execute(self) -> None:
        asked = {"ChangeSetName": SET, "ClientRequestToken": ANY, "RetainExceptOnCreate": True}
        self.answer("execute_change_set", {}, asked)

    def done(self) -> None:
        """All that was written has been asked for."""
        self.stub.assert_no_pending_responses()


class Told:
    """Who deploys: what was told, in order, and what was answered."""

    def __init__(self, *answers: bool) -> None:
        self.said: list[str] = []
        self.events: list[Event] = []
        self.asked: list[str] = []
        self.slept: list[float] = []
        self._answers = list(answers)

    @property
    def talk(self) -> Talk:
        return Talk(self.said.append, self.events.append, self._ask, self.slept.append)

    def _ask(self, question: str) -> bool:
        self.asked.append(question)
        return self._answers.pop(0)


def stack(status: str, tags: dict[str, str] = TAGS, outputs: dict[str, str] | None = None, **fields: Any) -> Any:
    return {
        "StackName": NAME,
        "StackId": ARN,
        "CreationTime": _THEN,
        "StackStatus": status,
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in (outputs or {}).items()],
        **fields,
    }


def event(of: tuple[str, str], status: str, reason: str = "") -> dict[str, Any]:
    """An event of a resource, of which only the text differs."""
    logical_id, kind = of
    physical_id = ARN if of is STACK else f"{NAME}--{logical_id}"
    return {
        "StackId": ARN,
        "StackName": NAME,
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": physical_id,
        "ResourceType": kind,
        "ResourceStatus": status,
        "Timestamp": _THEN,
        **({"ResourceStatusReason": reason} if reason else {}),
    }


def change(of: tuple[str, str], action: str, **fields: Any) -> dict[str, Any]:
    return {"Action": action, "LogicalResourceId": of[0], "ResourceType": of[1], **fields}
