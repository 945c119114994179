"""What a change set says, as it is shown."""

from typing import Any

import pytest

from cloudformation import FUNCTION, TABLE, change
from pilotlight.deploy import changes
from pilotlight.deploy.changes import Change

API = ("HttpApi", "AWS::ApiGatewayV2::Api")
VERSION = ("QaVersion1a2b3c4d", "AWS::Lambda::Version")
PLANNED = ("PlannedKeyAcme", "AWS::ApiGateway::UsagePlanKey")


def read(*found: dict[str, Any]) -> tuple[Change, ...]:
    return changes.read([{"Type": "Resource", "ResourceChange": each} for each in found])


def target(name: str, attribute: str = "Properties") -> dict[str, Any]:
    return {"Target": {"Attribute": attribute, "Name": name}, "Evaluation": "Static"}


def test_properties_are_named_once_and_without_values() -> None:
    details = [target("Code"), target("Environment"), target("Code"), {"Target": {"Attribute": "Tags"}}]
    [found] = read(change(FUNCTION, "Modify", Replacement="False", PhysicalResourceId="qa--qa", Details=details))
    assert found == Change(
        action="change",
        logical_id="QaFunction",
        kind="AWS::Lambda::Function",
        physical_id="qa--qa",
        properties=("Code", "Environment", "Tags"),
        harm="",
        note="",
    )


@pytest.mark.parametrize(
    ("of", "fields", "shown"),
    [
        (TABLE, {"Action": "Add"}, ("add", "", "")),
        (TABLE, {"Action": "Import"}, ("take over", "", "")),
        (TABLE, {"Action": "Modify", "Replacement": "False"}, ("change", "", "")),
        (
            TABLE,
            {"Action": "Modify", "Replacement": "True", "PolicyAction": "ReplaceAndDelete"},
            ("replace", "loses data", "what is in it is lost"),
        ),
        (
            TABLE,
            {"Action": "Modify", "Replacement": "Conditional"},
            ("replace?", "loses data", "what is in it is lost"),
        ),
        (
            TABLE,
            {"Action": "Modify", "Replacement": "True", "PolicyAction": "ReplaceAndRetain"},
            ("replace", "", "a new one, empty; the old one stays"),
        ),
        (
            TABLE,
            {"Action": "Remove", "PolicyAction": "Delete"},
            ("remove", "loses data", "what is in it is lost"),
        ),
        (
            TABLE,
            {"Action": "Remove", "PolicyAction": "Retain"},
            ("remove", "", "it stays, outside of the stack"),
        ),
        (API, {"Action": "Modify", "Replacement": "True"}, ("replace", "breaks clients", "its URL changes")),
        (FUNCTION, {"Action": "Remove"}, ("remove", "breaks clients", "it goes")),
        (
            FUNCTION,
            {"Action": "Modify", "Replacement": "True"},
            (
                "replace",
                "breaks clients",
                "AWS makes no image of a zip, nor a zip of an image: rename the function's file",
            ),
        ),
        (VERSION, {"Action": "Remove", "PolicyAction": "Delete"}, ("remove", "", "")),
        (VERSION, {"Action": "Add"}, ("add", "", "")),
    ],
)
def test_what_hurts(of: tuple[str, str], fields: dict[str, Any], shown: tuple[str, str, str]) -> None:
    [found] = read(change(of, **{"action": fields["Action"], **{k: v for k, v in fields.items() if k != "Action"}}))
    assert (found.action, found.harm, found.note) == shown


def test_a_key_that_moves_to_another_plan_is_remarked_on() -> None:
    [found] = read(change(PLANNED, "Modify", Replacement="True"))
    assert (found.harm, found.note) == (
        "",
        "API Gateway may refuse it while the key is in its old plan; the failure says what to do",
    )


def test_what_hurts_comes_first() -> None:
    found = read(change(FUNCTION, "Modify"), change(VERSION, "Add"), change(TABLE, "Remove", PolicyAction="Delete"))
    assert [each.logical_id for each in found] == ["RecordsTable", "QaFunction", "QaVersion1a2b3c4d"]
    assert [each.logical_id for each in changes.harmful(found)] == ["RecordsTable"]


def replaced(of: tuple[str, str], *properties: str) -> Change:
    details = [{"Target": {"Attribute": "Properties", "Name": name}} for name in properties]
    [found] = read(change(of, "Modify", Replacement="True", Details=details))
    return found


def test_what_keeps_a_fixed_name_cannot_be_replaced() -> None:
    packed, keyed = replaced(FUNCTION, "PackageType", "Code"), replaced(TABLE, "KeySchema")
    assert changes.impossible([packed, keyed]) == (packed, keyed)
    assert {each.kind for each in (packed, keyed)} == changes.WHY_NOT.keys()


def test_what_gets_another_name_can_be_replaced() -> None:
    """As where a file's _ becomes a -, or a table is given another name with its other key."""
    named = replaced(FUNCTION, "FunctionName", "PackageType")
    assert (named.harm, named.note) == ("breaks clients", "its name changes")
    assert changes.impossible([named, replaced(TABLE, "TableName", "KeySchema"), replaced(API, "Body")]) == ()
