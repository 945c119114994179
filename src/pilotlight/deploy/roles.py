"""A role for each function, which allows what the function's settings ask for and nothing else.

Sources: docs.aws.amazon.com/service-authorization/latest/reference, one page a service.
"""

import re

from pilotlight.deploy import network, tables
from pilotlight.deploy.cloudformation import Resource, get, resource, sub
from pilotlight.deploy.unit import Deployment, Unit
from pilotlight.function import cache

_VERSION = "2012-10-17"


def resources(deployment: Deployment) -> dict[str, Resource]:
    return {f"{unit.id}Role": _role(deployment, unit) for unit in deployment.units}


def _role(deployment: Deployment, unit: Unit) -> Resource:
    policy = {"Version": _VERSION, "Statement": statements(deployment, unit)}
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    return resource(
        "IAM::Role",
        AssumeRolePolicyDocument={"Version": _VERSION, "Statement": [trust]},
        Policies=[{"PolicyName": "function", "PolicyDocument": policy}],
    )


def statements(deployment: Deployment, unit: Unit) -> list[Resource]:
    """Everything that the role allows."""
    return [
        _allow(["logs:CreateLogStream", "logs:PutLogEvents"], get(f"{unit.id}Logs", "Arn")),
        *tables.statements(unit.function),
        *_inputs(unit),
        *(each for uri in unit.function.fetches for each in _model(unit, uri)),
        *network.role_statements(deployment, unit),
    ]


def _allow(actions: list[str], on: object, **condition: object) -> Resource:
    return {"Effect": "Allow", "Action": actions, "Resource": on, **({"Condition": condition} if condition else {})}


def _inputs(unit: Unit) -> list[Resource]:
    """Objects that requests may name."""
    buckets = unit.function.inputs.buckets
    return [_allow(["s3:GetObject"], [_object(f"{bucket}/*") for bucket in buckets])] if buckets else []


def _model(unit: Unit, uri: str) -> list[Resource]:
    """The objects below a prefix, or the one of that name, as function/s3_folder.py asks for them."""
    place = unit.models[uri] if uri in unit.models else _literal(uri)
    if not place.startswith(cache.S3):
        return []
    bucket, _, prefix = place.removeprefix(cache.S3).rstrip("/").partition("/")
    listed = {"s3:prefix": [_text(each) for each in (prefix, f"{prefix}/")]}
    objects = [_object(f"{bucket}/{each}") for each in (prefix, f"{prefix}/*")]
    return [_allow(["s3:GetObject"], objects), _allow(["s3:ListBucket"], _object(bucket), StringEquals=listed)]


def _object(path: str) -> Resource:
    return sub(f"arn:${{AWS::Partition}}:s3:::{path}")


def _text(text: str) -> Resource | str:
    return sub(text) if "${" in text else text


def _literal(uri: str) -> str:
    """For Fn::Sub, and for policies after it, where *, ? and $ mean something:
    docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#policy-vars-specialchars."""
    return re.sub(r"[$*?]", lambda found: f"${{!{found[0]}}}", uri)
