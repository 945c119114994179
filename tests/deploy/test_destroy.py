"""The end of a service: CloudFormation by its answers, buckets, images and tables in moto's server."""

import json
from typing import Any

import botocore.stub
import pytest

from cloudformation import ARN, NAME, SET, STACK, TABLE, TAGS, Script, Told, change, event, stack
from pilotlight.deploy import bootstrap, destroy, names
from pilotlight.deploy.destroy import Plan
from pilotlight.deploy.session import Session
from pilotlight.deploy.stack import Owner
from pilotlight.errors import StackError

OWNER = Owner("qa", "beta")
BUCKET = "pilotlight-artifacts-123456789012-eu-west-1"
RECORDS = "qa-beta-records"
WORDS = ("WordsTable", "AWS::DynamoDB::Table")
TEMPLATE = {
    "Resources": {
        "RecordsTable": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": RECORDS}},
        "WordsTable": {"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "RetainExceptOnCreate"},
        "QaFunction": {"Type": "AWS::Lambda::Function"},
    }
}


@pytest.fixture
def script(aws: Session) -> Script:
    return Script(aws)


@pytest.fixture
def account(aws: Session) -> Session:
    """With a bucket that has objects of two services, images, and a table of records with one record."""
    s3, ecr, dynamodb = aws.client("s3"), aws.client("ecr"), aws.client("dynamodb")
    bootstrap.bucket(aws, BUCKET)
    for key in ("qa/zips/1.zip", "qa/models/2/model.onnx", "qa-other/zips/3.zip"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    s3.create_multipart_upload(Bucket=BUCKET, Key="qa/zips/broken-off.zip")
    bootstrap.repository(aws, "pilotlight/qa", "qa")
    ecr.put_image(repositoryName="pilotlight/qa", imageManifest=json.dumps(MANIFEST), imageTag="qa-1")
    key = {"AttributeName": "primary_key", "KeyType": "HASH"}
    attribute = {"AttributeName": "primary_key", "AttributeType": "S"}
    dynamodb.create_table(
        TableName=RECORDS, KeySchema=[key], AttributeDefinitions=[attribute], BillingMode="PAY_PER_REQUEST"
    )
    dynamodb.put_item(TableName=RECORDS, Item={"primary_key": {"S": "1"}})
    return aws


MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + "0" * 64, "size": 2},
    "layers": [],
}


def resources(script: Script, *found: tuple[tuple[str, str], str, str], template: Any = TEMPLATE) -> None:
    """Asked for its resources, the stack has these: what, called how, in which state."""
    summaries = [
        {
            "LogicalResourceId": of[0],
            "ResourceType": of[1],
            "PhysicalResourceId": physical_id,
            "ResourceStatus": status,
            "LastUpdatedTimestamp": stack("")["CreationTime"],
        }
        for of, physical_id, status in found
    ]
    script.answer("list_stack_resources", {"StackResourceSummaries": summaries}, {"StackName": ARN})
    if found:
        asked = {"StackName": ARN, "TemplateStage": "Original"}
        script.answer("get_template", {"TemplateBody": json.dumps(template)}, asked)


def stacks(script: Script, *others: str) -> None:
    """Asked for all stacks, there are this one and others of the service."""
    found = [stack("UPDATE_COMPLETE")]
    found += [
        {**stack("UPDATE_COMPLETE"), "StackName": name, "StackId": f"arn:aws:c:e:1:stack/{name}/1"} for name in others
    ]
    script.answer("describe_stacks", {"Stacks": found}, {})


FUNCTION = (("QaFunction", "AWS::Lambda::Function"), "qa-beta--qa", "UPDATE_COMPLETE")
RECORDED = (TABLE, RECORDS, "CREATE_COMPLETE")
KEPT = (WORDS, "qa-beta-words", "CREATE_COMPLETE")


def planned(script: Script, told: Told, keeps: bool = False) -> Plan:
    return destroy.plan(script.session, OWNER, keeps, told.talk)


def whole(script: Script, *others: str) -> None:
    """A stack in order, before a plan."""
    script.stack("UPDATE_COMPLETE")
    resources(script, FUNCTION, RECORDED, KEPT)
    stacks(script, *others)


def deleted(script: Script) -> None:
    script.events()
    asked = {"StackName": ARN, "ClientRequestToken": botocore.stub.ANY}
    script.answer("delete_stack", {}, asked)
    script.poll("DELETE_IN_PROGRESS", event(STACK, "DELETE_IN_PROGRESS"), event(WORDS, "DELETE_SKIPPED"))
    script.poll("DELETE_COMPLETE", event(STACK, "DELETE_COMPLETE"))


def keys(session: Session) -> list[str]:
    return [each["Key"] for each in session.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def test_what_would_go_is_known_before(script: Script, account: Session) -> None:
    whole(script)
    plan = planned(script, Told())
    script.done()
    assert [(each.logical_id, each.holds, each.kept) for each in plan.resources] == [
        ("QaFunction", "", False),
        ("RecordsTable", "items", False),
        ("WordsTable", "", True),
    ]
    assert [each.physical_id for each in plan.lost] == [RECORDS]
    assert (plan.objects, plan.bucket_goes, plan.repository, plan.images) == (3, False, "pilotlight/qa", 1)
    assert not plan.is_empty


def test_all_of_it_goes_but_what_others_have(script: Script, account: Session) -> None:
    whole(script)
    plan = planned(script, told := Told())
    deleted(script)
    script.no_stack()
    left = destroy.destroy(account, OWNER, plan, told.talk)
    script.done()
    assert left == (f"the bucket {BUCKET}: other services have packages in it",)
    assert keys(account) == ["qa-other/zips/3.zip"]
    assert account.client("s3").list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []
    names_ = [each["repositoryName"] for each in account.client("ecr").describe_repositories()["repositories"]]
    assert "pilotlight/qa" not in names_
    assert [each.status for each in told.events] == ["DELETE_IN_PROGRESS", "DELETE_SKIPPED", "DELETE_COMPLETE"]


def test_a_bucket_that_nobody_else_uses_goes_too(script: Script, account: Session) -> None:
    account.client("s3").delete_object(Bucket=BUCKET, Key="qa-other/zips/3.zip")
    script.no_stack()
    stacks(script)
    plan = planned(script, told := Told())
    assert plan.bucket_goes
    script.no_stack()
    assert destroy.destroy(account, OWNER, plan, told.talk) == ()
    found = account.client("s3").list_buckets()["Buckets"]
    assert BUCKET not in [each["Name"] for each in found]


def test_where_nothing_is_nothing_goes(script: Script) -> None:
    script.no_stack("nobody")
    script.answer("describe_stacks", {"Stacks": []}, {})
    plan = destroy.plan(script.session, Owner("nobody"), False, Told().talk)
    assert plan.is_empty


def test_what_another_stage_uses_stays(script: Script, account: Session) -> None:
    whole(script, "qa", "qa-gamma")
    plan = planned(script, told := Told())
    assert plan.shared == "qa, qa-gamma uses them too"
    deleted(script)
    script.no_stack()
    left = destroy.destroy(account, OWNER, plan, told.talk)
    assert left == (
        f"3 objects in the bucket {BUCKET}: qa, qa-gamma uses them too",
        "the repository pilotlight/qa: qa, qa-gamma uses them too",
    )


def test_a_stage_that_is_gone_has_nothing_to_remove_beside_others(script: Script, account: Session) -> None:
    script.no_stack()
    found = {**stack("UPDATE_COMPLETE"), "StackName": "qa", "StackId": "arn:aws:c:e:1:stack/qa/1"}
    script.answer("describe_stacks", {"Stacks": [found]}, {})
    plan = planned(script, Told())
    assert (plan.shared, plan.objects, plan.is_empty) == ("qa uses them too", 3, True)


def test_records_are_kept_by_an_update_before(script: Script, account: Session) -> None:
    whole(script)
    plan = planned(script, told := Told(), keeps=True)
    assert plan.lost == ()
    script.answer(
        "get_template", {"TemplateBody": json.dumps(TEMPLATE)}, {"StackName": ARN, "TemplateStage": "Original"}
    )
    script.stack("UPDATE_COMPLETE")
    script.answer("create_change_set", {"Id": SET, "StackId": ARN}, None)
    script.change_sets()
    script.described(
        "CREATE_COMPLETE", change(TABLE, "Modify", Replacement="False", Scope=["DeletionPolicy", "Metadata"])
    )
    script.events()
    script.execute()
    script.poll("UPDATE_COMPLETE", event(STACK, "UPDATE_IN_PROGRESS"), event(STACK, "UPDATE_COMPLETE"))
    deleted(script)
    script.no_stack()
    left = destroy.destroy(account, OWNER, plan, told.talk)
    script.done()
    assert f"AWS::DynamoDB::Table {RECORDS}: kept" in left
    assert told.said[0] == "marking the table of records as one that stays"


def test_the_template_that_keeps_records_is_the_stacks_own(script: Script, account: Session) -> None:
    whole(script)
    plan = planned(script, told := Told(), keeps=True)
    script.answer("get_template", {"TemplateBody": json.dumps(TEMPLATE)}, None)
    script.stack("UPDATE_COMPLETE")
    script.answer("create_change_set", {"Id": SET, "StackId": ARN}, None)
    script.change_sets()
    script.described("CREATE_COMPLETE", change(WORDS, "Modify", Replacement="True"))
    script.answer("delete_change_set", {}, None)
    with pytest.raises(StackError, match="keeping the records: WordsTable: what is in it is lost"):
        destroy.destroy(account, OWNER, plan, told.talk)
    sent = account.client("s3").get_object(Bucket=BUCKET, Key="qa/templates/qa-beta-kept.json")["Body"].read()
    expected = json.loads(json.dumps(TEMPLATE))
    expected["Resources"]["RecordsTable"] |= {
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Metadata": {"pilotlight:kept": True},
    }
    assert json.loads(sent) == expected


def test_records_of_a_stack_that_admits_no_update(script: Script, account: Session) -> None:
    script.stack("UPDATE_ROLLBACK_FAILED")
    resources(script, RECORDED)
    stacks(script)
    plan = planned(script, told := Told(), keeps=True)
    with pytest.raises(StackError, match="keeping the records: qa-beta is UPDATE_ROLLBACK_FAILED") as caught:
        destroy.destroy(account, OWNER, plan, told.talk)
    assert "deploy again until the stack is in order" in caught.value.hint


def test_a_table_that_could_not_be_deleted_is_left_to_its_owner(script: Script, account: Session) -> None:
    script.stack("DELETE_FAILED")
    resources(script, (TABLE, RECORDS, "DELETE_FAILED"))
    stacks(script)
    plan = planned(script, told := Told(), keeps=True)
    script.events()
    asked = {"StackName": ARN, "ClientRequestToken": botocore.stub.ANY, "RetainResources": ["RecordsTable"]}
    script.answer("delete_stack", {}, asked)
    script.poll("DELETE_COMPLETE", event(STACK, "DELETE_IN_PROGRESS"), event(STACK, "DELETE_COMPLETE"))
    script.no_stack()
    assert f"AWS::DynamoDB::Table {RECORDS}: kept" in destroy.destroy(account, OWNER, plan, told.talk)


def test_what_cannot_be_deleted_is_named_and_the_packages_stay_until_then(script: Script, account: Session) -> None:
    whole(script)
    plan = planned(script, told := Told())
    script.events()
    script.answer("delete_stack", {}, None)
    group = ("FunctionsSecurityGroup", "AWS::EC2::SecurityGroup")
    script.poll(
        "DELETE_FAILED",
        event(STACK, "DELETE_IN_PROGRESS"),
        event(group, "DELETE_FAILED", "resource sg-1 has a dependent object (Service: Ec2)"),
        event(STACK, "DELETE_FAILED", "The following resource(s) failed to delete: [FunctionsSecurityGroup]."),
    )
    with pytest.raises(StackError) as caught:
        destroy.destroy(account, OWNER, plan, told.talk)
    assert str(caught.value) == (
        "deleting qa-beta: FunctionsSecurityGroup (AWS::EC2::SecurityGroup): resource sg-1 has a dependent object"
    )
    assert caught.value.hint == (
        "Lambda gives its network interfaces back within 20 to 40 minutes: the same command again then finishes; "
        "`pilotlight destroy` again goes on with what is left"
    )
    assert "qa/zips/1.zip" in keys(account)


def test_versions_that_the_bucket_keeps_go_too(script: Script, account: Session) -> None:
    s3 = account.client("s3")
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=BUCKET, Key="qa/zips/1.zip", Body=b"y")
    for key in ("qa/zips/1.zip", "qa/models/2/model.onnx"):
        s3.delete_object(Bucket=BUCKET, Key=key)  # which leaves the versions, and a mark
    s3.delete_object(Bucket=BUCKET, Key="qa-other/zips/3.zip", VersionId="null")
    script.no_stack()
    stacks(script)
    plan = planned(script, told := Told())
    assert (plan.objects, plan.bucket_goes) == (3, True)
    script.no_stack()
    assert destroy.destroy(account, OWNER, plan, told.talk) == ()
    assert s3.list_buckets()["Buckets"] == []


def test_an_empty_bucket_is_left_of_a_command_that_was_broken_off(script: Script, aws: Session) -> None:
    bootstrap.bucket(aws, BUCKET)
    script.no_stack()
    script.answer("describe_stacks", {"Stacks": []}, {})
    plan = planned(script, told := Told())
    assert (plan.objects, plan.bucket_goes, plan.is_empty) == (0, True, False)
    script.no_stack()
    assert destroy.destroy(aws, OWNER, plan, told.talk) == ()
    assert aws.client("s3").list_buckets()["Buckets"] == []


@pytest.mark.parametrize(
    ("names_", "tags"),
    [
        ((), None),
        (("release-1",), TAGS),
        (("pilotlight-1",), {}),
        (("pilotlight-1",), {"pilotlight:service": "qa-beta"}),
        (("pilotlight-1", "release-1"), TAGS),
    ],
    ids=["no change set", "another's name", "no tags", "another's tags", "two tools"],
)
def test_a_stack_before_its_first_change_set_that_is_not_surely_ours(
    script: Script, names_: tuple[str, ...], tags: dict[str, str] | None
) -> None:
    script.stack("REVIEW_IN_PROGRESS", tags={})
    script.change_sets(*names_)
    if names_ == ("pilotlight-1",):
        script.described("CREATE_COMPLETE", Tags=[{"Key": key, "Value": value} for key, value in (tags or {}).items()])
    with pytest.raises(StackError, match="qa-beta that waits for its first change set, and nothing says") as caught:
        planned(script, Told())
    script.done()
    assert "aws cloudformation delete-stack --stack-name qa-beta --region eu-west-1" in caught.value.hint


def test_a_stack_before_its_first_change_set_of_ours_goes(script: Script, aws: Session) -> None:
    script.stack("REVIEW_IN_PROGRESS", tags={})
    script.change_sets("pilotlight-1")
    script.described("CREATE_COMPLETE", Tags=[{"Key": key, "Value": value} for key, value in TAGS.items()])
    resources(script)
    script.answer("describe_stacks", {"Stacks": []}, {})
    plan = planned(script, told := Told())
    assert plan.state.status == "REVIEW_IN_PROGRESS"
    deleted(script)
    script.no_stack()
    assert destroy.destroy(aws, OWNER, plan, told.talk) == ()
    script.done()


def test_a_protected_stack(script: Script) -> None:
    script.stack("UPDATE_COMPLETE", EnableTerminationProtection=True)
    with pytest.raises(StackError, match="qa-beta is protected against deletion") as caught:
        planned(script, Told())
    assert "--no-enable-termination-protection --stack-name qa-beta --region eu-west-1" in caught.value.hint


def test_somebody_elses_stack(script: Script) -> None:
    script.stack("UPDATE_COMPLETE", tags={})
    with pytest.raises(StackError, match="there is a stack qa-beta that Pilotlight did not make"):
        planned(script, Told())


def test_a_deletion_that_goes_on_is_waited_for(script: Script, account: Session) -> None:
    script.stack("DELETE_IN_PROGRESS")
    script.events(event(STACK, "DELETE_IN_PROGRESS"))
    script.poll("DELETE_COMPLETE", event(STACK, "DELETE_COMPLETE"))
    stacks(script)
    plan = planned(script, Told())
    script.done()
    assert not plan.state.status
    assert plan.objects == 3


def test_names_are_those_of_the_template() -> None:
    assert names.bucket("123456789012", "eu-west-1") == BUCKET
    assert names.stack("qa", "beta") == NAME
    assert Owner("qa", "beta").tags == TAGS
