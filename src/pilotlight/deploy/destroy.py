"""The end of a service on AWS: its stack, then what is outside of it, then a look whether it is gone.

What is asked before, and what stays, is a plan, as the change set is for a deployment. `keeps_records` has the table of
records outlive the stack: an update marks it so before, as only a template can say that, and only for a stack in order.
"""

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

from pilotlight.deploy import changes, failures, names, stack, uploads, watch
from pilotlight.deploy.session import Session, absent, asking
from pilotlight.deploy.stack import Owner, Talk
from pilotlight.errors import StackError

RECORDS = "RecordsTable"
"""The logical id of the table of records."""
_KEPT = "pilotlight:kept"  # a resource's metadata: CloudFormation takes no change of a DeletionPolicy alone
_SOME = 1_000  # objects that one request deletes


class Resource(NamedTuple):
    """A resource of the stack. `holds` says what of the user's is in it: "" for nothing, "items" or "files".

    `kept` ones outlive the stack; those that are `marked` do so by the template as it is.
    """

    logical_id: str
    kind: str
    physical_id: str
    status: str
    holds: str = ""
    marked: bool = False
    kept: bool = False


class Plan(NamedTuple):
    """What would go and what would stay. `shared` says why the packages stay, "" when they go.

    `objects` counts those of the service, with the uploads that were broken off. The bucket goes, empty or not, where
    nobody else has objects in it: what is left of a command that was broken off is there to be destroyed too.
    """

    name: str
    state: watch.State
    resources: tuple[Resource, ...]
    bucket: str
    objects: int
    bucket_goes: bool
    repository: str
    images: int
    shared: str

    @property
    def lost(self) -> tuple[Resource, ...]:
        """What has data in it and goes."""
        return tuple(each for each in self.resources if each.holds and not each.kept)

    @property
    def kept(self) -> tuple[Resource, ...]:
        return tuple(each for each in self.resources if each.kept)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there to be destroyed."""
        return not self.state.status and (
            bool(self.shared) or not (self.objects or self.bucket_goes or self.repository)
        )


def plan(session: Session, owner: Owner, keeps_records: bool, talk: Talk) -> Plan:
    """Look at all that there is. A stack that something goes on with is waited for."""
    name = names.stack(owner.service, owner.stage)
    state = watch.state(session, name)
    stack.check_owner(session, name, owner, state)
    if state.in_progress:
        state = stack.joined(session, name, state, talk)
    if state.status == "DELETE_COMPLETE":
        state = watch.State()
    if state.protected:
        command = (
            f"aws cloudformation update-termination-protection --no-enable-termination-protection --stack-name {name}"
        )
        raise StackError(f"{name} is protected against deletion", f"{command}{session.options} takes that away")
    bucket, repository = names.bucket(session.account, session.region), names.repository(owner.service)
    there, objects, others = _objects(session, bucket, owner.service)
    images = _images(session, repository)
    return Plan(
        name=name,
        state=state,
        resources=_resources(session, state, keeps_records) if state.status else (),
        bucket=bucket,
        objects=objects,
        bucket_goes=there and not others,
        repository=repository if images is not None else "",
        images=images or 0,
        shared=_shared(session, owner, name),
    )


def _shared(session: Session, owner: Owner, name: str) -> str:
    """Stages of a service have their packages in one place."""
    found = [each for each in watch.every(session) if each.tags.get(stack.SERVICE_TAG) == owner.service]
    others = sorted({state.id.split("/")[1] for state in found} - {name})
    return f"{', '.join(others)} uses them too" if others else ""


def _resources(session: Session, state: watch.State, keeps_records: bool) -> tuple[Resource, ...]:
    client = session.client("cloudformation")
    with asking("listing the resources of the stack"):
        pages = client.get_paginator("list_stack_resources").paginate(StackName=state.id)
        found = [each for page in pages for each in page["StackResourceSummaries"]]
        there = [
            each for each in found if each.get("PhysicalResourceId") and each["ResourceStatus"] != "DELETE_COMPLETE"
        ]
        if not there:
            return ()
        policies = _policies(client.get_template(StackName=state.id, TemplateStage="Original")["TemplateBody"])
    marked = {logical_id for logical_id, policy in policies.items() if policy.startswith("Retain")}
    return tuple(_resource(session, each, marked, keeps_records) for each in there)


def _resource(session: Session, found: Mapping[str, Any], marked: Set[str], keeps_records: bool) -> Resource:
    logical_id, kind, physical_id = found["LogicalResourceId"], found["ResourceType"], found["PhysicalResourceId"]
    is_marked = logical_id in marked
    return Resource(
        logical_id,
        kind,
        physical_id,
        found["ResourceStatus"],
        _holds(session, kind, physical_id),
        is_marked,
        is_marked or (keeps_records and logical_id == RECORDS),
    )


def _template(body: Any) -> dict[str, Any]:
    """boto3 reads JSON itself."""
    found: dict[str, Any] = json.loads(body) if isinstance(body, str) else body
    return found


def _policies(body: Any) -> Mapping[str, str]:
    found = _template(body).get("Resources", {})
    return {logical_id: resource.get("DeletionPolicy", "Delete") for logical_id, resource in found.items()}


def _holds(session: Session, kind: str, physical_id: str) -> str:
    """Asked of the table itself: the count that DynamoDB keeps is up to six hours old."""
    if kind == "AWS::EFS::FileSystem":
        return "files"
    if kind != "AWS::DynamoDB::Table":
        return ""
    with asking(f"looking into the table {physical_id}"), absent("ResourceNotFoundException"):
        found = session.client("dynamodb").scan(TableName=physical_id, Limit=1, Select="COUNT")
        return "items" if found["Count"] else ""
    return ""


def _objects(session: Session, bucket: str, service: str) -> tuple[bool, int, bool]:
    """Whether there is a bucket, how many objects and uploads in it are the service's, and whether others have some.

    By their versions: its owner may have the bucket keep them.
    """
    ours, others = set[str](), set[str]()
    with asking(f"listing {bucket}"), absent("NoSuchBucket", "404"):
        for kind, each in _stored(session, bucket):
            (ours if each["Key"].startswith(f"{service}/") else others).add(f"{kind} {each['Key']}")
        return True, len(ours), bool(others)
    return False, 0, False


def _stored(session: Session, bucket: str, prefix: str = "") -> Iterator[tuple[str, Mapping[str, str]]]:
    """What is in the bucket, each with its kind: "object" for its versions and marks of deletion, "upload"."""
    client, owned = session.client("s3"), {"Bucket": bucket, "ExpectedBucketOwner": session.account}
    for page in client.get_paginator("list_object_versions").paginate(**owned, Prefix=prefix):
        yield from (("object", each) for name in ("Versions", "DeleteMarkers") for each in page.get(name, ()))
    for page in client.get_paginator("list_multipart_uploads").paginate(**owned, Prefix=prefix):
        yield from (("upload", each) for each in page.get("Uploads", ()))


def _images(session: Session, repository: str) -> int | None:
    """None where there is no such repository."""
    with asking(f"listing {repository}"), absent("RepositoryNotFoundException"):
        pages = session.client("ecr").get_paginator("list_images").paginate(repositoryName=repository)
        return len({each["imageDigest"] for page in pages for each in page["imageIds"]})
    return None


def destroy(session: Session, owner: Owner, found: Plan, talk: Talk) -> tuple[str, ...]:
    """Do what the plan says; what is left then, as sentences. Raises `StackError` with what could not be deleted.

    Run again after an interrupt it goes on: what is gone is not there any more.
    """
    if found.state.status:
        _delete_stack(session, owner, found, talk)
    if not found.shared:
        _delete_objects(session, found, owner.service, talk)
        _delete_repository(session, found, talk)
    return _left(session, owner, found)


def _delete_stack(session: Session, owner: Owner, found: Plan, talk: Talk) -> None:
    retained = _keep(session, owner, found, talk)
    after = watch.last(session, found.state.id)
    with asking(f"deleting {found.name}"):
        session.client("cloudformation").delete_stack(
            StackName=found.state.id, ClientRequestToken=stack.token(), **retained
        )
    state, events = watch.follow(session, found.state.id, after, talk.event, talk.sleep)
    if state.status not in ("", "DELETE_COMPLETE"):
        raise _undeleted(found.name, state, events)


def _undeleted(name: str, state: watch.State, events: Sequence[watch.Event]) -> StackError:
    failed = failures.every(events)
    if not failed:
        return stack.failed("deleting", name, state, events)
    reasons = "; ".join(str(failure) for failure in failed)
    hint = next((failure.hint for failure in failed if failure.hint), "")
    again = "`pilotlight destroy` again goes on with what is left"
    return StackError(f"deleting {name}: {reasons}", f"{hint}; {again}" if hint else again)


def _keep(session: Session, owner: Owner, found: Plan, talk: Talk) -> dict[str, Any]:
    """Have what is kept marked in the stack's template; else those that the deletion itself has to leave, which only
    that of a stack in DELETE_FAILED can, and only what has failed: what it is asked for then."""
    unmarked = [each for each in found.kept if not each.marked]
    if not unmarked:
        return {}
    if found.state.status in stack.UPDATABLE:
        _mark(session, owner, found, talk)
        return {}
    if found.state.status == "DELETE_FAILED" and all(each.status == "DELETE_FAILED" for each in unmarked):
        return {"RetainResources": [each.logical_id for each in unmarked]}
    hint = "deploy again until the stack is in order, or do without --keep-records and lose them"
    raise StackError(f"keeping the records: {found.name} is {found.state.status}, which does not admit that", hint)


def _mark(session: Session, owner: Owner, found: Plan, talk: Talk) -> None:
    """Have the stack's own template say that the table of records outlives it."""
    with asking("reading the stack's template"):
        body = session.client("cloudformation").get_template(StackName=found.state.id, TemplateStage="Original")
    template = _template(body["TemplateBody"])
    table = template["Resources"][RECORDS]
    talk.say("marking the table of records as one that stays")
    table |= {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
    table["Metadata"] = {**table.get("Metadata", {}), _KEPT: True}
    text = json.dumps(template, sort_keys=True).encode()
    url = uploads.template(session, found.bucket, f"{owner.service}/templates/{found.name}-kept.json", text)
    prepared = stack.prepare(session, found.name, owner, url, found.state.tags, False, talk)
    if prepared:
        _check_harmless(session, prepared)
        stack.execute(session, prepared, talk)


def _check_harmless(session: Session, prepared: stack.Prepared) -> None:
    if harm := changes.harmful(prepared.changes):
        stack.withdraw(session, prepared)
        raise StackError(f"keeping the records: {harm[0].logical_id}: {harm[0].note}", "deploy again before")


def _delete_objects(session: Session, found: Plan, service: str, talk: Talk) -> None:
    """The service's, and the bucket when it is empty then; parts of uploads that were broken off go too."""
    client, owned = session.client("s3"), {"Bucket": found.bucket, "ExpectedBucketOwner": session.account}
    with asking(f"emptying {found.bucket}"), absent("NoSuchBucket", "404"):
        if found.objects:
            talk.say(f"removing {found.objects} objects from {found.bucket}")
        stored = [*_stored(session, found.bucket, f"{service}/")]
        versions = [{"Key": each["Key"], "VersionId": each["VersionId"]} for kind, each in stored if kind == "object"]
        for start in range(0, len(versions), _SOME):
            some = {"Objects": versions[start : start + _SOME], "Quiet": True}
            for failed in client.delete_objects(**owned, Delete=some).get("Errors", []):
                raise StackError(f"emptying {found.bucket}: {failed['Key']}: {failed['Message']}", "see its policy")
        for each in (each for kind, each in stored if kind == "upload"):
            with absent("NoSuchUpload"):
                client.abort_multipart_upload(**owned, Key=each["Key"], UploadId=each["UploadId"])
        with absent("BucketNotEmpty"):
            client.delete_bucket(**owned)


def _delete_repository(session: Session, found: Plan, talk: Talk) -> None:
    if not found.repository:
        return
    talk.say(f"removing the repository {found.repository} with {found.images} images")
    with asking(f"removing the repository {found.repository}"), absent("RepositoryNotFoundException"):
        session.client("ecr").delete_repository(repositoryName=found.repository, force=True)


def _left(session: Session, owner: Owner, found: Plan) -> tuple[str, ...]:
    """Asked of AWS once more, not taken from what was done."""
    left = [f"{each.kind} {each.physical_id}: kept" for each in found.kept if _exists(session, each)]
    now = watch.state(session, found.name)
    if now.status:
        left.append(f"the stack {found.name}: {now.status}")
    there, objects, others = _objects(session, found.bucket, owner.service)
    if objects:
        left.append(f"{objects} objects in the bucket {found.bucket}: {found.shared or 'they came meanwhile'}")
    elif others:
        left.append(f"the bucket {found.bucket}: other services have packages in it")
    elif there and not found.shared:
        left.append(f"the bucket {found.bucket}: it is empty, and came back meanwhile")
    if _images(session, names.repository(owner.service)) is not None:
        left.append(f"the repository {names.repository(owner.service)}: {found.shared or 'it came meanwhile'}")
    return tuple(left)


def _exists(session: Session, kept: Resource) -> bool:
    """A table that somebody has deleted by hand before is not left."""
    if kept.kind != "AWS::DynamoDB::Table":
        return True
    with asking(f"looking for the table {kept.physical_id}"), absent("ResourceNotFoundException"):
        session.client("dynamodb").describe_table(TableName=kept.physical_id)
        return True
    return False
