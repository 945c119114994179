"""What a change set would do, as values: which resources, and what of that hurts. Pure.

docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceChange.html
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

Harm = Literal["", "loses data", "breaks clients"]

HOLD_DATA = {"AWS::DynamoDB::Table", "AWS::EFS::FileSystem", "AWS::Logs::LogGroup", "AWS::S3::Bucket"}
# What a client is configured with is in these: another one has another address, name or key
_ADDRESSES = {
    "AWS::ApiGatewayV2::Api": "its URL changes",
    "AWS::ApiGateway::RestApi": "its URL changes",
    "AWS::Lambda::Url": "its URL changes",
    "AWS::ApiGateway::ApiKey": "its key changes",
    "AWS::Lambda::Function": "AWS makes no image of a zip, nor a zip of an image: rename the function's file",
    "AWS::Lambda::Alias": "its name changes",
}
# What has a fixed name is not replaced while it keeps that: CloudFormation makes the new one before the old one goes
_NAMED = {"AWS::Lambda::Function": "FunctionName", "AWS::DynamoDB::Table": "TableName"}
WHY_NOT = {
    "AWS::Lambda::Function": (
        "AWS makes no image of a zip, nor a zip of an image",
        "rename the function's file, or keep `package` as it was",
    ),
    "AWS::DynamoDB::Table": (
        "a table's key stays what it is",
        "give the table another name by `table`, which makes a new one, empty, or keep its `key`",
    ),
}
"""Of each kind that `impossible` finds: the reason, and what helps."""
_PLANNED = "AWS::ApiGateway::UsagePlanKey"
_WORDS = {"Add": "add", "Modify": "change", "Remove": "remove", "Import": "take over", "Dynamic": "depends"}


class Change(NamedTuple):
    """What happens to one resource.

    `action` is "add", "change", "replace", "replace?" (known when it is done), "remove", "take over" (a resource that
    is there already) or "depends". `properties` are those that differ. `harm` says what cannot be taken back, and
    `note` tells it.
    """

    action: str
    logical_id: str
    kind: str
    physical_id: str
    properties: tuple[str, ...]
    harm: Harm
    note: str


def read(found: Iterable[Mapping[str, Any]]) -> tuple[Change, ...]:
    """The changes of DescribeChangeSet's `Changes`, what hurts first, then as CloudFormation has them."""
    changes = [_change(each["ResourceChange"]) for each in found if each.get("Type") == "Resource"]
    return tuple(sorted(changes, key=lambda change: not change.harm))


def harmful(changes: Iterable[Change]) -> tuple[Change, ...]:
    return tuple(change for change in changes if change.harm)


def impossible(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Those that would only fail: another of that name beside it. Where the name changes as well there is no other."""
    return tuple(each for each in changes if each.action == "replace" and _keeps_its_name(each))


def _keeps_its_name(change: Change) -> bool:
    return change.kind in _NAMED and _NAMED[change.kind] not in change.properties


def _change(found: Mapping[str, Any]) -> Change:
    action, kind, policy = found["Action"], found["ResourceType"], found.get("PolicyAction", "")
    replacement = found.get("Replacement", "False") if action == "Modify" else "False"
    word = {"True": "replace", "Conditional": "replace?"}.get(replacement, _WORDS.get(action, action.lower()))
    properties = _properties(found.get("Details", ()))
    harm, note = _harm(word, kind, policy)
    if kind == "AWS::Lambda::Function" and _NAMED[kind] in properties and word != "remove":
        note = "its name changes"
    return Change(
        action=word,
        logical_id=found["LogicalResourceId"],
        kind=kind,
        physical_id=found.get("PhysicalResourceId", ""),
        properties=properties,
        harm=harm,
        note=note,
    )


def _harm(word: str, kind: str, policy: str) -> tuple[Harm, str]:
    """A version or a deployment of an API that goes is none: each deployment brings another."""
    if word not in ("remove", "replace", "replace?"):
        return "", ""
    if kind == _PLANNED and word != "remove":
        return "", "API Gateway may refuse it while the key is in its old plan; the failure says what to do"
    is_kept = "Retain" in policy or "Snapshot" in policy
    if kind in HOLD_DATA and not is_kept:
        return "loses data", "what is in it is lost"
    if kind in HOLD_DATA:
        return "", "it stays, outside of the stack" if word == "remove" else "a new one, empty; the old one stays"
    if kind in _ADDRESSES:
        return "breaks clients", "it goes" if word == "remove" else _ADDRESSES[kind]
    return "", ""


def _properties(details: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """By name, without values: they may be secret."""
    targets = [detail.get("Target", {}) for detail in details]
    names = (target.get("Name") or target.get("Attribute", "") for target in targets)
    return tuple(dict.fromkeys(name for name in names if name))
