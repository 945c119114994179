"""Tags on everything that takes some: whose it is, and what `[deploy] tags` says."""

from collections.abc import Mapping

from pilotlight.deploy.cloudformation import Resource
from pilotlight.deploy.unit import Deployment

_MAPS = {"AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Stage"}
_NAMED = {"AWS::EFS::FileSystem": "FileSystemTags", "AWS::EFS::AccessPoint": "AccessPointTags"}
_NONE = (  # as the schemas of CloudFormation's registry say
    *("Alias", "EventInvokeConfig", "Permission", "Url", "Version"),
    *("Authorizer", "Integration", "Route"),
    *("Deployment", "UsagePlanKey"),
    *("MountTarget", "SubnetRouteTableAssociation", "VPCGatewayAttachment"),
    *("ScalingPolicy", "MetricFilter", "Subscription", "TopicPolicy"),
)


def of(deployment: Deployment) -> dict[str, str]:
    """Name and value of each."""
    stage = {"pilotlight:stage": deployment.stage} if deployment.stage else {}
    return {"pilotlight:service": deployment.project.name, **stage, **deployment.project.deploy.tags}


def tagged(deployment: Deployment, resources: Mapping[str, Resource]) -> dict[str, Resource]:
    """The resources with the tags, next to those that they have; `[deploy] tags` goes before a name of ours."""
    own = of(deployment)
    return {name: _tagged(resource, own) for name, resource in resources.items()}


def _tagged(resource: Resource, tags: Mapping[str, str]) -> Resource:
    kind = resource["Type"]
    if kind.rpartition(":")[2] in _NONE:
        return resource
    name = _NAMED.get(kind, "Tags")
    properties = resource.get("Properties", {})
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    kept = [] if kind in _MAPS else [each for each in properties.get(name, []) if each["Key"] not in tags]
    given = {**properties.get(name, {}), **tags} if kind in _MAPS else [*kept, *listed]
    return {**resource, "Properties": {**properties, name: given}}
