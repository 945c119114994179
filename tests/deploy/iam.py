"""Roles of a template, evaluated offline by principalmapper."""

import collections
import collections.abc
from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock

from resolved import ACCOUNT, resolved

from pilotlight.deploy.template import template
from pilotlight.deploy.unit import Deployment

with mock.patch.multiple(  # principalmapper 1.1.5 looks for them where Python has had them until 3.9
    collections, create=True, Mapping=collections.abc.Mapping, MutableMapping=collections.abc.MutableMapping
):
    from principalmapper.common import Node, Policy
    from principalmapper.querying.query_interface import local_check_authorization


def role(deployment: Deployment, name: str = "QaRole") -> Callable[..., bool]:
    """Whether that role may do an action with a resource, under conditions."""
    return allows(template(deployment), name)


def allows(made: Mapping[str, Any], name: str) -> Callable[..., bool]:
    """The same of a template."""
    properties = resolved(made, made["Resources"][name]["Properties"])
    arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
    policies = [Policy(arn, each["PolicyName"], each["PolicyDocument"]) for each in properties["Policies"]]
    trust = properties["AssumeRolePolicyDocument"]
    node = Node(arn, "AROA", policies, [], trust, None, 0, False, False, None, False, {})
    return lambda action, on, **conditions: bool(local_check_authorization(node, action, on, _keys(conditions)))


def _keys(conditions: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("__", ":"): value for name, value in conditions.items()}
