"""CloudFormation's words as plain values."""

from typing import Any

Resource = dict[str, Any]


def resource(kind: str, **properties: object) -> Resource:
    """`kind` without AWS:: in front of it."""
    return {"Type": f"AWS::{kind}", "Properties": properties}


def ref(name: str) -> Resource:
    return {"Ref": name}


def get(name: str, attribute: str) -> Resource:
    return {"Fn::GetAtt": [name, attribute]}


def sub(text: str) -> Resource:
    return {"Fn::Sub": text}


def function_arn(name: str) -> Resource:
    """Of a function by its name, so that what it needs to exist may name it."""
    return sub(f"arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:{name}")
