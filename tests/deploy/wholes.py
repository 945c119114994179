"""Whole templates of given settings, and what in them waits for what."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import units
from units import HANDLER

from pilotlight.deploy import template
from pilotlight.deploy.unit import Deployment


def deployment(folder: Path, toml: str, *functions: str, stage: str = "") -> Deployment:
    """Functions of these names, with what the settings say."""
    sources = dict.fromkeys(functions or ("show",), HANDLER)
    return units.deployment(units.service(folder / "service", f'name = "service"\n{toml}', **sources), stage=stage)


def whole(deployment: Deployment) -> dict[str, Any]:
    """The template, as CloudFormation reads it."""
    made: dict[str, Any] = json.loads(json.dumps(template.template(deployment)))
    return made


def needs(made: dict[str, Any], name: str) -> set[str]:
    """Everything that is there before that resource is made: CloudFormation deletes it after it."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        new = {each for each in direct(made, waiting.pop()) if each not in found}
        found |= new
        waiting += new
    return found


def direct(made: dict[str, Any], name: str) -> set[str]:
    each = made["Resources"][name]
    named = {*each.get("DependsOn", ()), *_named(each.get("Properties", {})), *_named(each.get("UpdatePolicy", {}))}
    return named & made["Resources"].keys()


def _named(value: object) -> Iterator[str]:
    match value:
        case {"Ref": str(name)}:
            yield name
        case {"Fn::GetAtt": [str(name), *_]}:
            yield name
        case {"Fn::Sub": str(text)}:
            yield from (piece.partition("}")[0].partition(".")[0] for piece in text.split("${")[1:])
        case dict():
            for each in value.values():
                yield from _named(each)
        case list():
            for each in value:
                yield from _named(each)
