"""A stack in every state, by what CloudFormation answers then."""

from typing import Any

import botocore.exceptions
import pytest

from cloudformation import (
    ARN,
    FUNCTION,
    NAME,
    NO_CHANGE,
    ROLE,
    SET,
    STACK,
    TAGS,
    URL,
    Script,
    Told,
    change,
    event,
)
from pilotlight.deploy import stack, watch
from pilotlight.deploy.stack import Owner, Prepared
from pilotlight.errors import AwsRefused, AwsUnreachable, CredentialsError, StackError

OWNER = Owner("qa", "beta")
MEMORY = (
    "Resource handler returned message: \"'MemorySize' value failed to satisfy constraint: Member must have value less "
    'than or equal to 3008 (Service: Lambda, Status Code: 400, Request ID: 1-2-3) (SDK Attempt Count: 1)" '
    "(RequestToken: 4-5-6, HandlerErrorCode: InvalidRequest)"
)
CANCELLED = "Resource creation cancelled"
CREATES = Prepared(NAME, ARN, SET, True, ())
UPDATES = Prepared(NAME, ARN, SET, False, ())


@pytest.fixture
def script() -> Script:
    return Script()


def prepare(script: Script, told: Told, tags: dict[str, str] | None = None, takes_over: bool = False) -> Any:
    prepared = stack.prepare(script.session, NAME, OWNER, URL, tags or {}, takes_over, told.talk)
    script.done()
    return prepared


def to_update(script: Script, *changes: dict[str, Any]) -> None:
    """What follows once a stack can be updated."""
    script.create("UPDATE")
    script.change_sets()
    script.described("CREATE_COMPLETE", *(changes or [change(FUNCTION, "Modify")]))


def to_create(script: Script) -> None:
    script.create("CREATE")
    script.described("CREATE_COMPLETE", change(ROLE, "Add"))


def refused(script: Script, told: Told) -> StackError:
    with pytest.raises(StackError) as caught:
        stack.prepare(script.session, NAME, OWNER, URL, {}, False, told.talk)
    script.done()
    return caught.value


def test_a_stack_that_is_not_there(script: Script) -> None:
    script.no_stack()
    script.create("CREATE", takes_over=True, tags={"team": "search", **TAGS})
    script.described("CREATE_PENDING")
    script.described("CREATE_IN_PROGRESS")
    script.described("CREATE_COMPLETE", change(ROLE, "Add"), change(FUNCTION, "Add"))
    told = Told()
    prepared = prepare(script, told, {"team": "search"}, takes_over=True)
    assert prepared.creates
    assert [(each.action, each.logical_id) for each in prepared.changes] == [("add", "QaRole"), ("add", "QaFunction")]
    assert told.slept == [2.0, 2.0]


@pytest.mark.parametrize("reason", [NO_CHANGE, "No updates are to be performed."])
def test_no_change_is_no_change(script: Script, reason: str) -> None:
    script.stack("UPDATE_COMPLETE")
    script.create("UPDATE")
    script.change_sets()
    script.described("FAILED", StatusReason=reason)
    script.answer("delete_change_set", {}, {"ChangeSetName": SET})
    assert prepare(script, Told()) is None


def test_changes_come_in_pages(script: Script) -> None:
    script.stack("CREATE_COMPLETE")
    script.create("UPDATE")
    script.change_sets()
    script.described("CREATE_COMPLETE", change(ROLE, "Modify"), NextToken="more")
    script.described("CREATE_COMPLETE", change(FUNCTION, "Modify"))
    assert [each.logical_id for each in prepare(script, Told()).changes] == ["QaRole", "QaFunction"]


def test_a_first_change_set_that_nobody_executed_is_replaced(script: Script) -> None:
    """The new one is made before: without any, nothing would say whose stack it is."""
    script.stack("REVIEW_IN_PROGRESS", tags={})
    script.change_sets("pilotlight-old")
    script.described("CREATE_COMPLETE", Tags=[{"Key": key, "Value": value} for key, value in TAGS.items()])
    script.create("CREATE")
    script.change_sets("pilotlight-old")
    script.answer("delete_change_set", {}, {"ChangeSetName": "arn:aws:cloudformation:::changeSet/pilotlight-old"})
    script.described("CREATE_COMPLETE", change(ROLE, "Add"))
    assert prepare(script, Told()).creates
    script.done()


def test_a_first_change_set_of_another_tool_is_left_alone(script: Script) -> None:
    script.stack("REVIEW_IN_PROGRESS", tags={})
    script.change_sets("awscli-cloudformation-package-deploy-1")
    assert "nothing says that Pilotlight made it" in str(refused(script, Told()))


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"])
def test_a_stack_that_was_never_made_whole_is_made_anew(script: Script, status: str) -> None:
    begun = event(STACK, "CREATE_IN_PROGRESS", "User Initiated")
    script.stack(status)
    script.events(begun, event(FUNCTION, "CREATE_FAILED", MEMORY), event(STACK, status))
    script.events()
    script.answer("delete_stack", {}, {"StackName": ARN, "ClientRequestToken": botocore.stub.ANY})
    script.poll("DELETE_IN_PROGRESS", event(STACK, "DELETE_IN_PROGRESS"))
    script.poll("DELETE_COMPLETE", event(STACK, "DELETE_COMPLETE"))
    to_create(script)
    told = Told(True)
    assert prepare(script, told).creates
    assert told.asked == [
        "qa-beta could not be created before (QaFunction (AWS::Lambda::Function): 'MemorySize' value failed to satisfy "
        f"constraint: Member must have value less than or equal to 3008) and is {status}: remove it and create it anew?"
    ]
    assert [each.status for each in told.events] == ["DELETE_IN_PROGRESS", "DELETE_COMPLETE"]


def test_nothing_is_removed_unasked(script: Script) -> None:
    script.stack("ROLLBACK_COMPLETE")
    script.events(event(STACK, "CREATE_IN_PROGRESS"), event(STACK, "ROLLBACK_COMPLETE"))
    error = refused(script, Told(False))
    assert str(error) == "qa-beta is ROLLBACK_COMPLETE"
    assert error.hint == "such a stack can only be deleted: answer yes, or give --yes"


def test_what_is_left_of_a_creation_cannot_be_removed(script: Script) -> None:
    script.stack("ROLLBACK_FAILED")
    script.events(event(STACK, "CREATE_IN_PROGRESS"))
    script.events()
    script.answer("delete_stack", {}, None)
    reason = "resource sg-1 has a dependent object (Service: Ec2)"
    group = ("FunctionsSecurityGroup", "AWS::EC2::SecurityGroup")
    script.poll("DELETE_FAILED", event(group, "DELETE_FAILED", reason), event(STACK, "DELETE_FAILED"))
    error = refused(script, Told(True))
    assert str(error) == (
        "deleting qa-beta: FunctionsSecurityGroup (AWS::EC2::SecurityGroup): resource sg-1 has a dependent object"
    )
    assert "20 to 40 minutes" in error.hint


def test_a_rollback_that_failed_is_gone_on_with(script: Script) -> None:
    script.stack("UPDATE_ROLLBACK_FAILED")
    script.events(
        event(STACK, "UPDATE_IN_PROGRESS"),
        event(FUNCTION, "UPDATE_FAILED", MEMORY),
        event(STACK, "UPDATE_ROLLBACK_IN_PROGRESS"),
        event(ROLE, "UPDATE_FAILED", "Role qa-role was deleted by hand"),
        event(STACK, "UPDATE_ROLLBACK_FAILED"),
    )
    script.events()
    script.answer("continue_update_rollback", {}, {"StackName": ARN, "ClientRequestToken": botocore.stub.ANY})
    script.poll("UPDATE_ROLLBACK_IN_PROGRESS", event(STACK, "UPDATE_ROLLBACK_IN_PROGRESS", "User Initiated"))
    script.poll("UPDATE_ROLLBACK_COMPLETE", event(STACK, "UPDATE_ROLLBACK_COMPLETE"))
    to_update(script)
    told = Told(True)
    assert not prepare(script, told).creates
    [question] = told.asked
    assert question == (
        "qa-beta is UPDATE_ROLLBACK_FAILED (QaRole (AWS::IAM::Role): Role qa-role was deleted by hand): "
        "go on with its rollback?"
    )


def test_a_rollback_that_fails_again_says_what_to_leave_out(script: Script) -> None:
    script.stack("UPDATE_ROLLBACK_FAILED")
    script.events(event(STACK, "UPDATE_IN_PROGRESS"), event(STACK, "UPDATE_ROLLBACK_IN_PROGRESS"))
    script.events()
    script.answer("continue_update_rollback", {}, None)
    script.poll(
        "UPDATE_ROLLBACK_FAILED",
        event(STACK, "UPDATE_ROLLBACK_IN_PROGRESS"),
        event(ROLE, "UPDATE_FAILED", "Role qa-role was deleted by hand"),
        event(STACK, "UPDATE_ROLLBACK_FAILED"),
    )
    error = refused(script, Told(True))
    assert str(error) == "rolling qa-beta back: QaRole (AWS::IAM::Role): Role qa-role was deleted by hand"
    command = "aws cloudformation continue-update-rollback --stack-name qa-beta --resources-to-skip QaRole"
    assert error.hint.endswith(f"or leave it out: {command} --region eu-west-1")


def test_an_update_that_was_left_as_it_failed_is_rolled_back(script: Script) -> None:
    script.stack("UPDATE_FAILED")
    script.events(event(STACK, "UPDATE_IN_PROGRESS"), event(FUNCTION, "UPDATE_FAILED", MEMORY))
    script.events()
    script.answer("rollback_stack", {"StackId": ARN}, {"StackName": ARN, "ClientRequestToken": botocore.stub.ANY})
    script.poll("UPDATE_ROLLBACK_COMPLETE", event(STACK, "UPDATE_ROLLBACK_COMPLETE"))
    to_update(script)
    assert prepare(script, Told(True))


def test_a_deletion_that_failed_has_to_be_finished(script: Script) -> None:
    script.stack("DELETE_FAILED")
    table = ("ModelsFileSystem", "AWS::EFS::FileSystem")
    script.events(event(STACK, "DELETE_IN_PROGRESS"), event(table, "DELETE_FAILED", "it is in use"))
    error = refused(script, Told())
    assert str(error) == (
        "qa-beta was to be deleted, which failed: ModelsFileSystem (AWS::EFS::FileSystem): it is in use"
    )
    assert error.hint == "run `pilotlight destroy --stage beta` until it is gone, then deploy"


@pytest.mark.parametrize("status", ["IMPORT_ROLLBACK_FAILED"], ids=lambda status: status)
def test_a_state_that_only_its_owner_can_leave(script: Script, status: str) -> None:
    script.stack(status, StackStatusReason="see there")
    assert str(refused(script, Told())) == f"qa-beta is {status}: see there"


@pytest.mark.parametrize(
    ("status", "end"),
    [
        ("CREATE_IN_PROGRESS", "CREATE_COMPLETE"),
        ("UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE"),
        ("UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"),
    ],
)
def test_what_goes_on_is_joined(script: Script, status: str, end: str) -> None:
    """As after Ctrl-C, a lost network, or credentials that expired."""
    begin = "CREATE_IN_PROGRESS" if status.startswith("CREATE") else "UPDATE_IN_PROGRESS"
    script.stack(status)
    script.events(event(STACK, begin), event(ROLE, "UPDATE_COMPLETE"))
    script.poll(status, event(FUNCTION, "UPDATE_IN_PROGRESS"))
    script.poll(end, event(FUNCTION, "UPDATE_COMPLETE"), event(STACK, end))
    to_update(script)
    told = Told()
    assert prepare(script, told)
    assert told.said == [f"qa-beta is {status}: waiting until that has ended"]
    assert [(each.logical_id, each.status) for each in told.events] == [
        (NAME, begin),
        ("QaRole", "UPDATE_COMPLETE"),
        ("QaFunction", "UPDATE_IN_PROGRESS"),
        ("QaFunction", "UPDATE_COMPLETE"),
        (NAME, end),
    ]


def test_a_creation_that_was_joined_and_fails(script: Script) -> None:
    script.stack("CREATE_IN_PROGRESS")
    script.events(event(STACK, "CREATE_IN_PROGRESS"))
    failed = (event(FUNCTION, "CREATE_FAILED", MEMORY), event(STACK, "ROLLBACK_COMPLETE"))
    script.poll("ROLLBACK_COMPLETE", *failed)
    script.events()
    told = Told(False)
    refused(script, told)
    assert told.said[1].startswith("that ended as ROLLBACK_COMPLETE: QaFunction (AWS::Lambda::Function): 'MemorySize'")


def test_a_deletion_that_goes_on_is_waited_for(script: Script) -> None:
    script.stack("DELETE_IN_PROGRESS")
    script.events(event(STACK, "DELETE_IN_PROGRESS"))
    script.poll("DELETE_COMPLETE", event(STACK, "DELETE_COMPLETE"))
    to_create(script)
    assert prepare(script, Told()).creates


@pytest.mark.parametrize(
    ("tags", "whose"),
    [
        ({}, "that Pilotlight did not make"),
        ({"pilotlight:service": "qa-beta"}, "of the service qa-beta"),
        ({"pilotlight:service": "qa", "pilotlight:stage": "gamma"}, "of the service qa, stage gamma"),
    ],
)
def test_the_name_of_somebody_elses_stack(script: Script, tags: dict[str, str], whose: str) -> None:
    script.stack("CREATE_COMPLETE", tags=tags)
    error = refused(script, Told())
    assert str(error) == f"there is a stack qa-beta {whose}"
    assert error.hint == "give the service another `name`, or another --stage"


def test_a_template_that_cloudformation_refuses(script: Script) -> None:
    script.no_stack()
    script.create("CREATE")
    script.described("FAILED", StatusReason="Template error: resource X does not support attribute type Arn")
    script.answer("describe_events", {"OperationEvents": []}, None)
    script.answer("delete_stack", {}, {"StackName": ARN})
    assert str(refused(script, Told())) == (
        "making a change set for qa-beta: Template error: resource X does not support attribute type Arn"
    )


def test_what_cloudformation_finds_before_it_begins(script: Script) -> None:
    """docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/validate-stack-deployments.html"""
    script.stack("CREATE_COMPLETE")
    script.create("UPDATE")
    script.change_sets()
    reason = "The following hook(s)/validation failed: [AWS::EarlyValidation::ResourceExistenceCheck]."
    script.described("FAILED", StatusReason=reason)
    found = {
        "EventId": "1",
        "StackId": ARN,
        "OperationId": "2",
        "OperationType": "CREATE_CHANGESET",
        "EventType": "VALIDATION_ERROR",
        "LogicalResourceId": "RecordsTable",
        "ValidationStatusReason": "Resource of type 'AWS::DynamoDB::Table' with identifier 'qa-records' already exists",
    }
    asked = {"ChangeSetName": SET, "Filters": {"FailedEvents": True}}
    script.answer("describe_events", {"OperationEvents": [found]}, asked)
    script.answer("delete_change_set", {}, {"ChangeSetName": SET})
    error = refused(script, Told())
    assert "RecordsTable: Resource of type 'AWS::DynamoDB::Table' with identifier 'qa-records' already exists" in str(
        error
    )
    assert "`keep = true`" in error.hint


def test_a_right_that_is_missing(script: Script) -> None:
    script.no_stack()
    message = "User: arn:aws:iam::1:user/a is not authorized to perform: cloudformation:CreateChangeSet on resource: x"
    script.refuse("create_change_set", "AccessDenied", message)
    with pytest.raises(AwsRefused, match="making a change set for qa-beta: ") as caught:
        stack.prepare(script.session, NAME, OWNER, URL, {}, False, Told().talk)
    assert caught.value.hint == "these credentials need cloudformation:CreateChangeSet: ask who gave them"


# execution


def test_a_new_stack_is_followed_to_its_outputs(script: Script) -> None:
    """Just after a change set is executed the stack may still wait for that."""
    script.events(event(STACK, "REVIEW_IN_PROGRESS"))
    script.execute()
    script.poll("REVIEW_IN_PROGRESS")
    script.poll("CREATE_IN_PROGRESS", event(STACK, "CREATE_IN_PROGRESS"), event(ROLE, "CREATE_IN_PROGRESS"))
    script.poll("CREATE_IN_PROGRESS")
    script.poll(
        "CREATE_COMPLETE",
        event(ROLE, "CREATE_COMPLETE"),
        event(STACK, "CREATE_COMPLETE"),
        outputs={"HttpApiUrl": "https://x.execute-api.eu-west-1.amazonaws.com"},
    )
    told = Told()
    state = stack.execute(script.session, CREATES, told.talk)
    script.done()
    assert state.outputs == {"HttpApiUrl": "https://x.execute-api.eu-west-1.amazonaws.com"}
    assert [(each.logical_id, each.status) for each in told.events] == [
        (NAME, "CREATE_IN_PROGRESS"),
        ("QaRole", "CREATE_IN_PROGRESS"),
        ("QaRole", "CREATE_COMPLETE"),
        (NAME, "CREATE_COMPLETE"),
    ]
    assert told.slept == [2.0, 2.0, 2.0]


def test_an_update_that_begins_between_two_questions_has_not_ended(script: Script) -> None:
    """The stack was asked for before it began, its events after that."""
    script.events()
    script.execute()
    script.poll("CREATE_COMPLETE", event(STACK, "UPDATE_IN_PROGRESS"))
    script.poll("UPDATE_IN_PROGRESS", event(ROLE, "UPDATE_COMPLETE"))
    script.poll("UPDATE_COMPLETE", event(STACK, "UPDATE_COMPLETE"))
    assert stack.execute(script.session, UPDATES, Told().talk).status == "UPDATE_COMPLETE"
    script.done()


def test_the_first_resource_that_failed_is_the_reason(script: Script) -> None:
    script.events(event(STACK, "REVIEW_IN_PROGRESS"))
    script.execute()
    script.poll(
        "ROLLBACK_IN_PROGRESS",
        event(STACK, "CREATE_IN_PROGRESS"),
        event(ROLE, "CREATE_FAILED", CANCELLED),
        event(FUNCTION, "CREATE_FAILED", MEMORY),
        event(("Other", "AWS::Lambda::Function"), "CREATE_FAILED", "something else"),
        event(STACK, "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [QaFunction]."),
    )
    script.poll("ROLLBACK_COMPLETE", event(STACK, "ROLLBACK_COMPLETE"))
    with pytest.raises(StackError) as caught:
        stack.execute(script.session, CREATES, Told().talk)
    script.done()
    assert str(caught.value) == (
        "creating qa-beta: QaFunction (AWS::Lambda::Function): 'MemorySize' value failed to satisfy constraint: "
        "Member must have value less than or equal to 3008"
    )
    assert caught.value.hint.startswith("this account admits 3,008 MB, as new ones do: set `memory` to 3008 at most")
    assert "all of it was taken back" in caught.value.hint


def test_an_update_that_fails_leaves_everything_as_it_was(script: Script) -> None:
    script.events()
    script.execute()
    script.poll(
        "UPDATE_ROLLBACK_COMPLETE",
        event(STACK, "UPDATE_IN_PROGRESS"),
        event(FUNCTION, "UPDATE_FAILED", "Uploaded file must be a non-empty zip"),
        event(STACK, "UPDATE_ROLLBACK_COMPLETE"),
    )
    with pytest.raises(StackError, match="updating qa-beta: QaFunction") as caught:
        stack.execute(script.session, UPDATES, Told().talk)
    assert caught.value.hint == "`pilotlight status` shows what else failed (everything is as it was before)"


def test_a_stack_that_names_no_resource(script: Script) -> None:
    script.events()
    script.execute()
    script.poll(
        "UPDATE_ROLLBACK_COMPLETE",
        event(STACK, "UPDATE_IN_PROGRESS"),
        event(STACK, "UPDATE_ROLLBACK_COMPLETE"),
        StackStatusReason="Rollback requested by user",
    )
    with pytest.raises(StackError, match="updating qa-beta: UPDATE_ROLLBACK_COMPLETE: Rollback requested by user"):
        stack.execute(script.session, UPDATES, Told().talk)


GROUP = ("FunctionsSecurityGroup", "AWS::EC2::SecurityGroup")
SUBNET = ("SubnetA", "AWS::EC2::Subnet")
CLEANING = event(STACK, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
IN_USE = "resource sg-1 has a dependent object (Service: Ec2, Status Code: 400, Request ID: 1)"
LEFT = [
    "these could not be deleted, and are in no stack now:",
    "FunctionsSecurityGroup qa-beta--FunctionsSecurityGroup (AWS::EC2::SecurityGroup): resource sg-1 has a dependent "
    "object: aws ec2 delete-security-group --group-id qa-beta--FunctionsSecurityGroup --region eu-west-1",
    "Lambda gives network interfaces back within 20 to 40 minutes: these commands work after that",
]


def test_what_an_update_could_not_delete_is_told(script: Script) -> None:
    """As where `[cache] folder` is taken out. The subnet goes when it is tried again."""
    script.events()
    script.execute()
    script.poll("UPDATE_IN_PROGRESS", event(STACK, "UPDATE_IN_PROGRESS"), event(FUNCTION, "UPDATE_COMPLETE"))
    failed = (event(GROUP, "DELETE_FAILED", IN_USE), event(SUBNET, "DELETE_FAILED", "it has dependencies"))
    script.poll("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", CLEANING, *failed)
    script.poll("UPDATE_COMPLETE", event(SUBNET, "DELETE_COMPLETE"), event(STACK, "UPDATE_COMPLETE"))
    told = Told()
    assert stack.execute(script.session, UPDATES, told.talk).status == "UPDATE_COMPLETE"
    script.done()
    assert told.said == LEFT


def test_what_an_update_that_was_left_alone_could_not_delete_is_told(script: Script) -> None:
    script.stack("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
    script.events(event(STACK, "UPDATE_IN_PROGRESS"), CLEANING, event(GROUP, "DELETE_FAILED", IN_USE))
    script.poll("UPDATE_COMPLETE", event(STACK, "UPDATE_COMPLETE"))
    to_update(script)
    told = Told()
    assert prepare(script, told)
    assert told.said[1:] == LEFT


def test_an_execution_whose_answer_was_lost(script: Script) -> None:
    """boto3 asks once more, and what was begun is under way."""
    script.events()
    message = f"ChangeSet [{SET}] cannot be executed in its current execution status of [EXECUTE_IN_PROGRESS]"
    script.refuse("execute_change_set", "InvalidChangeSetStatus", message)
    script.poll("UPDATE_COMPLETE", event(STACK, "UPDATE_IN_PROGRESS"), event(STACK, "UPDATE_COMPLETE"))
    assert stack.execute(script.session, UPDATES, Told().talk).status == "UPDATE_COMPLETE"


class Breaks:
    """A client that does not reach AWS at the calls with these numbers."""

    def __init__(self, client: Any, *broken: int) -> None:
        self._client, self._broken, self.calls = client, broken, 0

    def __getattr__(self, name: str) -> Any:
        if name != "describe_stacks":
            return getattr(self._client, name)
        self.calls += 1
        if self.calls in self._broken:
            raise botocore.exceptions.EndpointConnectionError(endpoint_url="https://cloudformation")
        return self._client.describe_stacks


def test_a_network_that_is_lost_for_a_while(script: Script) -> None:
    script.events()
    script.execute()
    script.poll("UPDATE_IN_PROGRESS", event(STACK, "UPDATE_IN_PROGRESS"))
    script.poll("UPDATE_COMPLETE", event(STACK, "UPDATE_COMPLETE"))
    breaks = Breaks(script.client, 1, 3, 4)
    script.session.use("cloudformation", breaks)
    told = Told()
    assert stack.execute(script.session, UPDATES, told.talk).status == "UPDATE_COMPLETE"
    script.done()
    assert breaks.calls == 5
    assert [each.status for each in told.events] == ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"]


def test_a_network_that_stays_lost(script: Script) -> None:
    script.session.use("cloudformation", Breaks(script.client, *range(1, 1000)))
    told = Told()
    with pytest.raises(AwsUnreachable, match="asking for the stack"):
        watch.follow(script.session, ARN, "", told.talk.event, told.talk.sleep)
    assert len(told.slept) == 60


def test_credentials_that_expire_midway(script: Script) -> None:
    script.events()
    script.execute()
    script.poll("UPDATE_IN_PROGRESS", event(STACK, "UPDATE_IN_PROGRESS"))
    script.refuse("describe_stacks", "ExpiredToken", "The security token included in the request is expired")
    with pytest.raises(CredentialsError, match="the credentials have expired") as caught:
        stack.execute(script.session, UPDATES, Told().talk)
    assert "then run the same command: it goes on from here" in caught.value.hint


def test_an_answer_of_no_leaves_nothing(script: Script) -> None:
    script.answer("delete_stack", {}, {"StackName": ARN})
    stack.withdraw(script.session, CREATES)
    script.answer("delete_change_set", {}, {"ChangeSetName": SET})
    stack.withdraw(script.session, UPDATES)
    script.done()
