"""Checks of a template, as it would be deployed: whether what belongs together is all there."""

from collections.abc import Iterator, Mapping
from typing import Any

from pilotlight.deploy.doctor.finding import Finding, Problem, finding, unchecked

Resources = Mapping[str, Mapping[str, Any]]

# docs.aws.amazon.com/lambda/latest/dg/urls-auth.html: since October 2025 a function URL needs both
URL_ACTIONS = ("lambda:InvokeFunctionUrl", "lambda:InvokeFunction")
ENDPOINTS = ("s3", "dynamodb")
_REPORT = "this is a defect of Pilotlight: please report it with the output of `pilotlight template`"


def checks(template: Mapping[str, Any] | str) -> list[Finding]:
    """Of the service. `template` as text is why there is none."""
    if isinstance(template, str):
        return [unchecked(name, "", template) for name in ("function-URL permissions", "EFS without endpoint")]
    resources: Resources = template["Resources"]
    urls = sum(each["Type"] == "AWS::Lambda::Url" for each in resources.values())
    return [
        finding("function-URL permissions", "", f"{urls} function URLs, with both permissions", _urls(resources)),
        finding("EFS without endpoint", "", "what is on EFS is reached, or nothing is", _efs(resources)),
    ]


def _of(resources: Resources, kind: str) -> list[Mapping[str, Any]]:
    return [each.get("Properties", {}) for each in resources.values() if each["Type"] == kind]


def _urls(resources: Resources) -> Iterator[Problem]:
    for name, url in resources.items():
        if url["Type"] != "AWS::Lambda::Url" or url["Properties"].get("AuthType") != "NONE":
            continue
        open_to_all = [each for each in _of(resources, "AWS::Lambda::Permission") if each.get("Principal") == "*"]
        granted = {each["Action"] for each in open_to_all if _is_for(resources, each, url["Properties"])}
        for action in URL_ACTIONS:
            if action not in granted:
                yield Problem(f"{name}: anybody may call it, and no permission grants {action}", _REPORT)


def _is_for(resources: Resources, permission: Mapping[str, Any], url: Mapping[str, Any]) -> bool:
    """Whether the permission is on the very alias that has the URL: one on the function itself does not hold for it."""
    target, qualifier = _ids(url["TargetFunctionArn"]), url.get("Qualifier")
    for name in _ids(permission["FunctionName"]):
        each = resources.get(name, {"Type": ""})
        if each["Type"] == "AWS::Lambda::Alias" and each["Properties"]["Name"] == qualifier:
            return bool(_ids(each["Properties"]["FunctionName"]) & target)
    return qualifier is None and bool(_ids(permission["FunctionName"]) & target)


def _ids(value: object) -> set[str]:
    """The logical ids, or names, that a value refers to."""
    match value:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]}:
            return {name}
        case {"Fn::Sub": str(name)} | str(name):
            return {name}
        case dict():
            return set[str]().union(*map(_ids, value.values()))
        case list():
            return set[str]().union(*map(_ids, value))
    return set()


def _efs(resources: Resources) -> Iterator[Problem]:
    mounted = {name: each for name, each in resources.items() if each.get("Properties", {}).get("FileSystemConfigs")}
    targets = {name for name, each in resources.items() if each["Type"] == "AWS::EFS::MountTarget"}
    for name, each in mounted.items():
        subnets = each["Properties"].get("VpcConfig", {}).get("SubnetIds", [])
        if not subnets:
            yield Problem(f"{name}: it mounts EFS and is in no VPC", _REPORT)
        if len(targets) < len(subnets):
            yield Problem(f"{name}: {len(subnets)} subnets, and {len(targets)} mount targets", _REPORT)
        if targets - _ids(each.get("DependsOn", [])):
            yield Problem(f"{name}: it does not wait for its mount targets", _REPORT)
    if mounted:
        yield from _endpoints(resources)


def _endpoints(resources: Resources) -> Iterator[Problem]:
    names = [str(each.get("ServiceName")) for each in _of(resources, "AWS::EC2::VPCEndpoint")]
    for service in ENDPOINTS:
        if not any(f".{service}'" in name or name.endswith(f".{service}") for name in names):
            yield Problem(f"no gateway endpoint for {service}: models would never arrive", _REPORT)
