"""Which settings a deployed service can be given: from every mode to every other, what CloudFormation would have to
replace without being able to.

It makes the new resource before the old one goes, so what has a name of its own is not replaced while it keeps that
name. Which properties are given once is the registry's word, as cfn-lint has it.
"""

import itertools
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from modes import MODES, of_mode

from pilotlight.deploy.template import template

# What AWS does not do: `packed.check` and `changes.impossible` refuse it before anything is changed
REFUSED = {("AWS::Lambda::Function", "PackageType"), ("AWS::DynamoDB::Table", "KeySchema")}

Template = Mapping[str, Any]


@cache
def made(name: str) -> Template:
    with tempfile.TemporaryDirectory() as folder:
        return template(of_mode(name, Path(folder)))


@cache
def schema(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    return found


def given_once(kind: str) -> list[str]:
    listed = [
        path
        for where in ("createOnlyProperties", "conditionalCreateOnlyProperties")
        for path in schema(kind).get(where, ())
    ]
    return [path.removeprefix("/properties/") for path in listed]


def name(resource: Mapping[str, Any]) -> tuple[str, ...]:
    """Type and identity, where the template says all of that; () where AWS chooses a part of it."""
    own = schema(resource["Type"])
    identity = own["primaryIdentifier"]
    values = [value(resource, path.removeprefix("/properties/")) for path in identity]
    chosen = set(identity) & set(own.get("readOnlyProperties", ()))
    return () if chosen or "None" in values else (resource["Type"], *values)


def value(resource: Mapping[str, Any], path: str) -> str:
    """As text, "None" for what is not said."""
    found: Any = resource.get("Properties", {})
    for step in path.split("/"):
        found = found.get(step) if isinstance(found, dict) else None
    return str(found)


def stuck(before: Template, after: Template) -> Iterator[tuple[str, str]]:
    """Type and property of what would have to be replaced and keeps its name, or becomes another type."""
    names = {name(each): logical_id for logical_id, each in before["Resources"].items() if name(each)}
    for logical_id, new in after["Resources"].items():
        old = before["Resources"].get(logical_id)
        if names.get(name(new), logical_id) != logical_id:
            yield new["Type"], f"the name that {names[name(new)]} has had, for {logical_id}"
        if old and old["Type"] != new["Type"]:
            yield new["Type"], f"{logical_id}, which was {old['Type']}"
        elif old and name(old) and name(old) == name(new):
            properties = given_once(new["Type"])
            yield from ((new["Type"], each) for each in properties if value(old, each) != value(new, each))


def test_every_mode_can_become_every_other_but_for_what_is_refused() -> None:
    of_one_stack = [pair for pair in itertools.permutations(MODES, 2) if MODES[pair[0]].stage == MODES[pair[1]].stage]
    found = {each: pair for pair in of_one_stack for each in stuck(*map(made, pair))}
    assert found.keys() == REFUSED, found


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ("nothing set", "image", ("AWS::Lambda::Function", "PackageType")),
        ("image", "nothing set", ("AWS::Lambda::Function", "PackageType")),
        ("table", "table with another key", ("AWS::DynamoDB::Table", "KeySchema")),
    ],
)
def test_what_cannot_be_is_found(before: str, after: str, what: tuple[str, str]) -> None:
    assert [*stuck(made(before), made(after))] == [what]


def test_a_name_that_moves_to_another_resource_is_found() -> None:
    before = made("nothing set")
    after = {"Resources": {f"Other{name}": each for name, each in before["Resources"].items()}}
    assert "AWS::Logs::LogGroup" in {kind for kind, _ in stuck(before, after)}


def test_a_resource_that_becomes_another_type_is_found() -> None:
    before = {"Resources": {"Front": {"Type": "AWS::ApiGateway::RestApi", "Properties": {}}}}
    after = {"Resources": {"Front": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {}}}}
    assert [*stuck(before, after)] == [("AWS::ApiGatewayV2::Api", "Front, which was AWS::ApiGateway::RestApi")]


def test_another_name_is_a_way_out() -> None:
    before = made("nothing set")
    after = {"Resources": {**before["Resources"]}}
    function = before["Resources"]["QaFunction"]
    renamed = {**function["Properties"], "FunctionName": "vision--other", "PackageType": "Image"}
    after["Resources"]["QaFunction"] = {**function, "Properties": renamed}
    assert [*stuck(before, after)] == []
