"""What must hold in every template and cfn-lint does not look at, or has no data for.

cfn-lint's schemas bound memory and /tmp at 32,768 MB, take an image's URI beside a handler, a TTL without its
attribute and a file system without a VPC, know nothing of what must wait for what, and read neither RouteSettings nor
permissions.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import openapi
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from modes import of_kind

from pilotlight import limits

Template = Mapping[str, Any]


def violations(template: Template) -> list[str]:
    """What is not as it must be, one line for each thing."""
    found = [f"{check.__name__.strip('_')}: {line}" for check in _CHECKS for line in check(template)]
    return sorted(found)


def _package(template: Template) -> Iterator[str]:
    """docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html."""
    for name, each in of_kind(template, "Lambda::Function").items():
        properties = each["Properties"]
        of_zip = {"Runtime", "Handler"} & properties.keys()
        wanted = {"Image": (["ImageUri"], set()), "Zip": (["S3Bucket", "S3Key"], {"Runtime", "Handler"})}
        if (sorted(properties["Code"]), of_zip) != wanted[properties["PackageType"]]:
            yield f"{name} is {properties['PackageType']} with {sorted(properties['Code'])} and {sorted(of_zip)}"


def _sizes(template: Template) -> Iterator[str]:
    for name, each in of_kind(template, "Lambda::Function").items():
        properties = each["Properties"]
        sizes = (
            ("MemorySize", properties["MemorySize"], limits.MEMORY_MAX),
            ("Timeout", properties["Timeout"], limits.TIMEOUT_MAX),
            ("EphemeralStorage", properties["EphemeralStorage"]["Size"], limits.TMP_MAX),
            ("Environment", _bytes(properties["Environment"]["Variables"]), limits.ENVIRONMENT_VARIABLES),
        )
        yield from (f"{name} has {what} {size}" for what, size, most in sizes if size > most)


def _bytes(variables: Mapping[str, Any]) -> int:
    values = [value if isinstance(value, str) else value["Fn::Sub"] for value in variables.values()]
    return sum(len(each.encode()) for each in [*variables, *values])


def _file_systems(template: Template) -> Iterator[str]:
    """Mount targets are in different zones, and a function that mounts waits for all of them, inside the VPC."""
    targets = of_kind(template, "EFS::MountTarget")
    zones = [_zone(template, each["Properties"]["SubnetId"]["Ref"]) for each in targets.values()]
    if len(set(zones)) < len(zones):
        yield f"mount targets are in the zones {sorted(zones)}"
    for name, each in of_kind(template, "Lambda::Function").items():
        if "FileSystemConfigs" in each["Properties"]:
            if "VpcConfig" not in each["Properties"]:
                yield f"{name} mounts and is in no VPC"
            if not targets.keys() <= set(each.get("DependsOn", ())):
                yield f"{name} does not wait for {sorted(targets)}"


def _zone(template: Template, subnet: str) -> str:
    return json.dumps(template["Resources"][subnet]["Properties"]["AvailabilityZone"])


def _snapstart(template: Template) -> Iterator[str]:
    """docs.aws.amazon.com/lambda/latest/dg/snapstart.html."""
    for name, each in of_kind(template, "Lambda::Function").items():
        if each["Properties"]["SnapStart"] != {"ApplyOn": "None"}:
            alias = template["Resources"][name.removesuffix("Function") + "Alias"]["Properties"]
            if {"FileSystemConfigs"} & each["Properties"].keys() or "ProvisionedConcurrencyConfig" in alias:
                yield f"{name} has SnapStart with EFS or provisioned concurrency"
            if each["Properties"]["EphemeralStorage"]["Size"] > limits.TMP_MIN:
                yield f"{name} has SnapStart with a large /tmp"


def _tables(template: Template) -> Iterator[str]:
    for name, each in of_kind(template, "DynamoDB::Table").items():
        properties = each["Properties"]
        if not properties.get("TimeToLiveSpecification", {"AttributeName": "none"}).get("AttributeName"):
            yield f"{name} expires by no attribute"
        keys = [key["AttributeName"] for key in properties["KeySchema"]]
        if keys != [attribute["AttributeName"] for attribute in properties["AttributeDefinitions"]]:
            yield f"{name} has other attributes than its key {keys}"
        if not properties.get("SSESpecification", {}).get("SSEEnabled"):
            yield f"{name} is not encrypted with a key of the account"


def _versions(template: Template) -> Iterator[str]:
    """The alias leads to the one version of its own function, and what is called by the alias's name waits for it."""
    versions = of_kind(template, "Lambda::Version")
    for name, each in of_kind(template, "Lambda::Alias").items():
        version = each["Properties"]["FunctionVersion"]["Fn::GetAtt"][0]
        if versions.get(version, {}).get("Properties", {}).get("FunctionName") != each["Properties"]["FunctionName"]:
            yield f"{name} leads to {version}, which is no version of its function"
    for name, each in {**of_kind(template, "Lambda::Url"), **of_kind(template, "Lambda::EventInvokeConfig")}.items():
        if each["Properties"]["Qualifier"] == "live" and not any(
            awaited.endswith("Alias") for awaited in each["DependsOn"]
        ):
            yield f"{name} does not wait for the alias"


def _permissions(template: Template) -> Iterator[str]:
    """Whatever calls an alias may; of URLs, docs.aws.amazon.com/lambda/latest/dg/urls-auth.html."""
    granted = {
        (each["Properties"]["FunctionName"]["Ref"], each["Properties"]["Principal"], each["Properties"]["Action"])
        for each in of_kind(template, "Lambda::Permission").values()
    }
    called = set(re.findall(r"functions/\$\{(\w+)\}/", json.dumps(of_kind(template, "ApiGateway::RestApi"))))
    called |= {
        each["Properties"]["IntegrationUri"]["Ref"] for each in of_kind(template, "ApiGatewayV2::Integration").values()
    }
    wanted = {(alias, "apigateway.amazonaws.com", "lambda:InvokeFunction") for alias in called}
    for name, each in of_kind(template, "Lambda::Url").items():
        if each["Properties"]["AuthType"] == "NONE":
            alias = name.removesuffix("Url") + "Alias"
            wanted |= {(alias, "*", f"lambda:{action}") for action in ("InvokeFunctionUrl", "InvokeFunction")}
    yield from (f"nobody lets {each[1]} do {each[2]} with {each[0]}" for each in sorted(wanted - granted))
    yield from (f"{each[1]} may do {each[2]} with {each[0]} for nothing" for each in sorted(granted - wanted))
    for name, each in of_kind(template, "Lambda::Permission").items():
        if each["Properties"]["Principal"] != "*" and "SourceArn" not in each["Properties"]:
            yield f"{name} is for the APIs of anybody"
        open_to_all = {"FunctionUrlAuthType", "InvokedViaFunctionUrl"} & each["Properties"].keys()
        if each["Properties"]["Principal"] == "*" and not open_to_all:
            yield f"{name} is for anybody, without the function's URL"


def _routes(template: Template) -> Iterator[str]:
    """A stage knows settings of routes alone that are there; what a token is needed for has an authorizer."""
    routes = of_kind(template, "ApiGatewayV2::Route")
    keys = {each["Properties"]["RouteKey"]: name for name, each in routes.items()}
    for name, each in of_kind(template, "ApiGatewayV2::Stage").items():
        for key in each["Properties"].get("RouteSettings", {}):
            if keys.get(key) not in each.get("DependsOn", ()):
                yield f"{name} does not wait for {key}"
    for name, each in routes.items():
        properties = each["Properties"]
        if (properties["AuthorizationType"] == "JWT") != ("AuthorizerId" in properties):
            yield f"{name} has {properties['AuthorizationType']} and {properties.get('AuthorizerId')}"


def _deployments(template: Template) -> Iterator[str]:
    """A deployment is a copy of what is there when it is made; its stage answers from then on."""
    allowed = {name for name in of_kind(template, "Lambda::Permission") if name.endswith("RestPermission")}
    for name, each in of_kind(template, "ApiGateway::Deployment").items():
        if each["Properties"]["RestApiId"] != {"Ref": "RestApi"} or allowed - set(each["DependsOn"]):
            yield f"{name} does not wait for {sorted(allowed)} and the API"


def _bodies(template: Template) -> Iterator[str]:
    """What API Gateway imports: its own extensions, and OpenAPI 3.0 as far as it is used."""
    for name, each in of_kind(template, "ApiGateway::RestApi").items():
        properties = each["Properties"]
        if (properties.get("Mode"), properties.get("FailOnWarnings")) != ("overwrite", True):
            yield f"{name} keeps what its document has no longer, or hides warnings"
        if {"BinaryMediaTypes", "Policy"} & properties.keys():
            yield f"{name} says beside its document what is of the document"
        yield from (f"{name}: {line}" for line in openapi.faults(properties["Body"]))


def _roles(template: Template) -> Iterator[str]:
    """No wildcard in an action, and none alone as a resource but where AWS has no resource."""
    without_resource = ("ec2:", "cloudwatch:DescribeAlarms")
    for name, each in of_kind(template, "IAM::Role").items():
        for policy in each["Properties"]["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                if any("*" in action for action in actions):
                    yield f"{name} allows {actions}"
                if statement["Resource"] == "*" and not all(each.startswith(without_resource) for each in actions):
                    yield f"{name} allows {actions} on everything"
        if "ManagedPolicyArns" in each["Properties"]:
            yield f"{name} has policies that are not listed here"


def _logs(template: Template) -> Iterator[str]:
    for name, each in of_kind(template, "Lambda::Function").items():
        logs = template["Resources"][each["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]]["Properties"]
        if logs["LogGroupName"] != f"/aws/lambda/{each['Properties']['FunctionName']}" or not logs["RetentionInDays"]:
            yield f"{name} logs to {logs}"


def _account(template: Template) -> Iterator[str]:
    """Accounts, regions and partitions are pseudo parameters."""
    text = json.dumps(template)
    for found in re.findall(r"\b\d{12}\b|\b(?:us|eu|ap)-[a-z]+-\d\b|arn:aws[:a-z]", text):
        yield f"it names {found}"


def _tags(template: Template) -> Iterator[str]:
    """What can have tags has the service's, by the registry's own word on what can."""
    for name, each in template["Resources"].items():
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", each["Type"]).schema
        tagging = schema.get("tagging", {"taggable": schema.get("taggable", True)})
        where = str(tagging.get("tagProperty", "/properties/Tags")).rpartition("/")[2]
        given = json.dumps(each.get("Properties", {}).get(where, ""))
        tags = each.get("Properties", {}).get(where, ())
        keys = [tag["Key"] for tag in tags if isinstance(tag, dict)]
        yield from (f"{name} has the tag {key} twice" for key in {key for key in keys if keys.count(key) > 1})
        if where in schema["properties"] and tagging.get("taggable") and "pilotlight:service" not in given:
            yield f"{name} ({each['Type']}) has no tag"


_CHECKS = (
    *(
        _package,
        _sizes,
        _file_systems,
        _snapstart,
        _tables,
        _versions,
        _permissions,
        _routes,
        _deployments,
        _bodies,
        _roles,
    ),
    *(_logs, _account, _tags),
)
