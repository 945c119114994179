"""Checks of a function that is deployed, by what AWS says of it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pilotlight.deploy import names
from pilotlight.deploy.doctor import template_checks
from pilotlight.deploy.doctor.finding import Finding, Problem, Status, finding, looked, unchecked
from pilotlight.deploy.session import Session, asking
from pilotlight.project import Function

CHECKS = (
    "deployed",
    "deployed architecture",
    "deployed URL permissions",
    "deployed EFS",
    "deployed SnapStart",
    "stale versions",
)
_DEPLOY = "run `pilotlight deploy`"

ACTIONS, ENDPOINTS = template_checks.URL_ACTIONS, template_checks.ENDPOINTS

Configuration = Mapping[str, Any]


def checks(session: Session, function: Function, stage: str, architecture: str) -> list[Finding]:
    """`architecture` is what the settings ask for."""
    deployed, name = names.function(function, stage), function.name
    client = session.client("lambda")
    found: list[Configuration] = []

    def look() -> Finding:
        with asking(f"asking for {deployed}"):
            try:
                found.append(client.get_function_configuration(FunctionName=deployed, Qualifier=names.ALIAS))
            except client.exceptions.ResourceNotFoundException:
                return unchecked("deployed", name, f"there is no {deployed} in {session.region}", _DEPLOY)
        return finding("deployed", name, f"{deployed} is active", _state(found[0], function))

    first = looked("deployed", name, look)
    if not found:
        reason = "the function is not deployed" if first.remedy == _DEPLOY else first.seen
        return [first, *(unchecked(check, name, reason) for check in CHECKS[1:])]
    [configuration] = found
    return [
        first,
        finding("deployed architecture", name, architecture, _architecture(configuration, architecture)),
        looked("deployed URL permissions", name, lambda: _url(session, deployed, name)),
        looked("deployed EFS", name, lambda: _efs(session, configuration, name)),
        finding("deployed SnapStart", name, "with nothing that it excludes", _snapstart(configuration)),
        looked("stale versions", name, lambda: _versions(session, deployed, name, configuration)),
    ]


def _state(configuration: Configuration, function: Function) -> Iterator[Problem]:
    for field, fine in (("State", ("Active", "Inactive")), ("LastUpdateStatus", ("Successful", None))):
        if configuration.get(field) not in fine:
            reason = configuration.get(f"{field}Reason") or configuration.get(f"{field}ReasonCode") or ""
            status: Status = "warning" if configuration.get(field) in ("Pending", "InProgress") else "failed"
            yield Problem(f"{field} is {configuration.get(field)}: {reason}".removesuffix(": "), _DEPLOY, status)
    deployed = {"memory": configuration["MemorySize"], "timeout": configuration["Timeout"]}
    for setting, value in deployed.items():
        if value != getattr(function, setting):
            yield Problem(f"{setting} is {value}, the settings say {getattr(function, setting)}", _DEPLOY, "warning")


def _architecture(configuration: Configuration, wanted: str) -> Iterator[Problem]:
    [found] = configuration.get("Architectures", ["x86_64"])
    if found != wanted:
        yield Problem(f"{found}, and [build] says {wanted}", _DEPLOY, "warning")


def _url(session: Session, deployed: str, name: str) -> Finding:
    client, check = session.client("lambda"), "deployed URL permissions"
    with asking(f"asking for the URL of {deployed}"):
        try:
            url = client.get_function_url_config(FunctionName=deployed, Qualifier=names.ALIAS)
        except client.exceptions.ResourceNotFoundException:
            return finding(check, name, "it has no function URL", ())
        if url["AuthType"] != "NONE":
            return finding(check, name, f"requests are signed: {url['AuthType']}", ())
        try:
            policy = client.get_policy(FunctionName=deployed, Qualifier=names.ALIAS)["Policy"]
        except client.exceptions.ResourceNotFoundException:
            policy = '{"Statement": []}'
    granted = _granted(json.loads(policy))
    remedy = f"{_DEPLOY}: both permissions are in the template; without them requests are answered with 403"
    missing = [action for action in ACTIONS if action not in granted]
    return finding(check, name, "both are granted to all", [Problem(f"nobody may {each}", remedy) for each in missing])


def _granted(policy: Mapping[str, Any]) -> set[str]:
    """What the policy lets everybody do."""
    everybody = ("*", {"AWS": "*"})
    allowed = [each for each in policy["Statement"] if each["Effect"] == "Allow" and each["Principal"] in everybody]
    return {action for each in allowed for action in _list(each["Action"])}


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value


def _efs(session: Session, configuration: Configuration, name: str) -> Finding:
    points = [each["Arn"].rpartition("/")[2] for each in configuration.get("FileSystemConfigs", [])]
    if not points:
        return finding("deployed EFS", name, "it mounts none", ())
    network = configuration["VpcConfig"]
    with asking(f"asking for the network of {name}"):
        problems = [*_mounts(session, points, network), *_endpoints(session, network["VpcId"])]
    return finding("deployed EFS", name, "mount targets and gateway endpoints are there", problems)


def _mounts(session: Session, points: list[str], network: Mapping[str, Any]) -> Iterator[Problem]:
    """An environment in a zone without a mount target cannot start."""
    efs, ec2 = session.client("efs"), session.client("ec2")
    subnets = ec2.describe_subnets(SubnetIds=network["SubnetIds"])["Subnets"]
    for point in points:
        [found] = efs.describe_access_points(AccessPointId=point)["AccessPoints"]
        targets = efs.describe_mount_targets(FileSystemId=found["FileSystemId"])["MountTargets"]
        ready = {each["AvailabilityZoneName"] for each in targets if each["LifeCycleState"] == "available"}
        for zone in sorted({each["AvailabilityZone"] for each in subnets} - ready):
            yield Problem(f"{found['FileSystemId']} has no mount target in {zone}, where the function runs", _DEPLOY)


def _endpoints(session: Session, vpc: str) -> Iterator[Problem]:
    wanted = [{"Name": "vpc-id", "Values": [vpc]}]
    found = session.client("ec2").describe_vpc_endpoints(Filters=wanted)["VpcEndpoints"]
    there = {each["ServiceName"].rpartition(".")[2] for each in found if each["State"] == "available"}
    for service in ENDPOINTS:
        if service not in there:
            yield Problem(f"{vpc} has no endpoint for {service}: requests to it never end", _DEPLOY)


def _snapstart(configuration: Configuration) -> Iterator[Problem]:
    if configuration.get("SnapStart", {}).get("ApplyOn") != "PublishedVersions":
        return
    if configuration.get("FileSystemConfigs"):
        yield Problem("with EFS, which SnapStart excludes", "take folder out of [cache], or set snapstart = false")
    if configuration["SnapStart"].get("OptimizationStatus") == "Off":
        yield Problem("it is asked for, and off for this version", _DEPLOY, "warning")


def _versions(session: Session, deployed: str, name: str, configuration: Configuration) -> Finding:
    """Versions that no alias names. Each of a function with SnapStart has a snapshot, which is billed until it goes."""
    client = session.client("lambda")
    with asking(f"listing the versions of {deployed}"):
        versions = _all(client, "list_versions_by_function", "Versions", deployed)
        aliases = _all(client, "list_aliases", "Aliases", deployed)
    named = {each["FunctionVersion"] for each in aliases} | {"$LATEST"}
    for each in aliases:
        named |= set(each.get("RoutingConfig", {}).get("AdditionalVersionWeights", {}))
    stale = [each["Version"] for each in versions if each["Version"] not in named]
    cached = configuration.get("SnapStart", {}).get("ApplyOn") == "PublishedVersions"
    cost = ", each with a snapshot that is billed" if cached else ""
    remedy = (
        f"{_DEPLOY}, which deletes them; or aws lambda delete-function --function-name {deployed} --qualifier VERSION"
    )
    problems = [Problem(f"no alias names {', '.join(stale)}{cost}", remedy, "warning")] if stale else []
    return finding("stale versions", name, f"{len(versions) - 1} published, each behind an alias", problems)


def _all(client: Any, operation: str, field: str, deployed: str) -> list[Any]:
    pages = client.get_paginator(operation).paginate(FunctionName=deployed)
    return [each for page in pages for each in page[field]]
