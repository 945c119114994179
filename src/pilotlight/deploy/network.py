"""EFS for the models that functions fetch, and the VPC that it needs: where `[cache] folder` is below /mnt.

Each function in the VPC waits for both mount targets, since Lambda refuses one whose file system it cannot mount, and
for the ways to S3 and DynamoDB, since its init phase may fetch a model at once. CloudFormation deletes in the opposite
order, so a function's network interfaces are gone before their subnets.
"""

import posixpath
import re

from pilotlight import prices
from pilotlight.deploy import names
from pilotlight.deploy.cloudformation import Resource, function_arn, get, ref, resource, sub
from pilotlight.deploy.unit import Deployment, Unit
from pilotlight.errors import ProjectError
from pilotlight.project import Function
from pilotlight.settings import FILE

# LocalMountPath of docs.aws.amazon.com/lambda/latest/api/API_FileSystemConfig.html
_MOUNT = re.compile(r"/mnt/[a-zA-Z0-9_.-]+(?=/|$)")
_OWNER, _FOLDER, _MODE = "1001", "/export/models", "750"
_NFS, _HTTPS = 2049, 443
_NETWORK = "10.0.0.0/16"
_BLOCKS = {"A": "10.0.0.0/20", "B": "10.0.16.0/20"}  # an interface serves many environments, so few addresses are taken
_PUBLIC_BLOCK = "10.0.32.0/28"  # the smallest that a subnet may have: the NAT gateway is alone in it
_INTERFACES = (  # docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
    *("ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"),
    *("ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"),
)


def mount(function: Function) -> str:
    """As `place`. Raises `ProjectError` for SnapStart, too, which knows no EFS:
    docs.aws.amazon.com/lambda/latest/dg/snapstart.html.
    """
    found = place(function)
    if found and function.snapstart:
        reason = f"SnapStart and EFS exclude each other, and the models of {function.name} are kept on EFS"
        hint = f"set snapstart = false for {function.name}, or leave folder in [cache] out"
        raise ProjectError(f"{function.root / FILE}: cache.folder: {reason}", hint)
    return found


def is_mounted(function: Function) -> bool:
    """Whether EFS is mounted in the function, and it is in a VPC therefore."""
    try:
        return place(function) != ""
    except ProjectError:
        return False


def place(function: Function) -> str:
    """Where EFS is mounted in the function: the folder below /mnt in which its models are kept, or above that one; ""
    where they are in /tmp, or are not fetched. Raises `ProjectError` for a folder that Lambda has not.
    """
    folder = posixpath.normpath(function.cache.folder) if function.cache.folder else "/tmp"
    if not function.fetches or folder == "/tmp" or folder.startswith("/tmp/"):
        return ""
    found = _MOUNT.match(folder)
    if found is None:
        reason = f"on Lambda {function.name} cannot write to {function.cache.folder}"
        hint = "name a folder below /mnt, where EFS is mounted, or one below /tmp, or leave it out"
        raise ProjectError(f"{function.root / FILE}: cache.folder: {reason}", hint)
    return found[0]


def resources(deployment: Deployment) -> dict[str, Resource]:
    """The VPC and the file system, where a function asks for them.

    Raises `ProjectError` as `mount` does, and where a NAT gateway would stand in no VPC.
    """
    nat = deployment.project.network.nat
    if not any([mount(unit.function) for unit in deployment.units]):
        if nat:
            reason = "network.nat: no function is in a VPC, so all of them reach the internet without it"
            raise ProjectError(f"{deployment.project.root / FILE}: {reason}", "leave it out")
        return {}
    return {**_vpc(), **_endpoints(), **_security_groups(nat), **_files(), **(_nat() if nat else {})}


def function_properties(deployment: Deployment, unit: Unit) -> Resource:
    """VpcConfig and FileSystemConfigs of the function."""
    path = mount(unit.function)
    if not path:
        return {}
    return {
        "VpcConfig": {
            "SubnetIds": [ref(f"Subnet{zone}") for zone in _BLOCKS],
            "SecurityGroupIds": [get("FunctionsSecurityGroup", "GroupId")],
        },
        "FileSystemConfigs": [{"Arn": get("ModelsAccessPoint", "Arn"), "LocalMountPath": path}],
    }


def depends_on(deployment: Deployment, unit: Unit) -> list[str]:
    """What has to be there before the function, as the module says."""
    if not mount(unit.function):
        return []
    per_zone = [f"{each}{zone}" for each in ("MountTarget", "SubnetRoutes") for zone in _BLOCKS]
    return [*per_zone, "S3Endpoint", "DynamoDbEndpoint", *(["NatRoute"] if deployment.project.network.nat else [])]


def role_statements(deployment: Deployment, unit: Unit) -> list[Resource]:
    """What its role allows: Lambda makes network interfaces with it, and mounts the folder of the access point.

    The function's own code may do nothing with interfaces: requests that come from it carry the function's ARN
    (docs.aws.amazon.com/lambda/latest/dg/permissions-source-function-arn.html), those of Lambda for it do not.
    """
    if not mount(unit.function):
        return []
    name = names.function(unit.function, deployment.stage)
    point = {"StringEquals": {"elasticfilesystem:AccessPointArn": get("ModelsAccessPoint", "Arn")}}
    own_code = {"ArnEquals": {"lambda:SourceFunctionArn": function_arn(name)}}
    write = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
    return [
        {"Effect": "Allow", "Action": [*_INTERFACES], "Resource": "*"},
        {"Effect": "Deny", "Action": [*_INTERFACES], "Resource": "*", "Condition": own_code},
        {"Effect": "Allow", "Action": write, "Resource": get("ModelsFileSystem", "Arn"), "Condition": point},
    ]


def monthly(deployment: Deployment) -> float:
    """Dollars a month that the network costs while nobody calls, in us-east-1. The endpoints cost nothing."""
    return prices.HOURS * (prices.NAT_HOUR + prices.ADDRESS_HOUR) if "Nat" in resources(deployment) else 0.0


def _vpc() -> dict[str, Resource]:
    """Two subnets in two zones, whose one table of routes leads out by the endpoints alone."""
    names_of_hosts = {"EnableDnsHostnames": True, "EnableDnsSupport": True}  # mount targets are found by name
    subnets = {f"Subnet{zone}": _subnet(number, block) for number, (zone, block) in enumerate(_BLOCKS.items())}
    routes = {f"SubnetRoutes{zone}": _routes(f"Subnet{zone}", "Routes") for zone in _BLOCKS}
    return {
        "Vpc": resource("EC2::VPC", CidrBlock=_NETWORK, **names_of_hosts, Tags=_tag("Name")),
        **subnets,
        "Routes": resource("EC2::RouteTable", VpcId=ref("Vpc")),
        **routes,
    }


def _subnet(zone: int, block: str) -> Resource:
    where = {"Fn::Select": [zone, {"Fn::GetAZs": ""}]}
    return resource("EC2::Subnet", VpcId=ref("Vpc"), AvailabilityZone=where, CidrBlock=block)


def _routes(subnet: str, table: str) -> Resource:
    return resource("EC2::SubnetRouteTableAssociation", SubnetId=ref(subnet), RouteTableId=ref(table))


def _endpoints() -> dict[str, Resource]:
    """Gateway endpoints, which cost nothing: docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html."""
    return {"S3Endpoint": _endpoint("s3"), "DynamoDbEndpoint": _endpoint("dynamodb")}


def _endpoint(service: str) -> Resource:
    return resource(
        "EC2::VPCEndpoint",
        VpcEndpointType="Gateway",
        VpcId=ref("Vpc"),
        ServiceName=sub(f"com.amazonaws.${{AWS::Region}}.{service}"),
        RouteTableIds=[ref("Routes")],
    )


def _security_groups(nat: bool) -> dict[str, Resource]:
    """Functions speak to mount targets, to AWS, and with a NAT gateway to whomever they like; nobody to functions."""
    anyone: Resource = {"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}
    out = [anyone] if nat else [_tcp(_NFS, CidrIp=_NETWORK), _tcp(_HTTPS, CidrIp="0.0.0.0/0")]
    functions = get("FunctionsSecurityGroup", "GroupId")
    return {
        "FunctionsSecurityGroup": _group("Functions whose models are on EFS", SecurityGroupEgress=out),
        "ModelsSecurityGroup": _group(
            "The file system with their models", SecurityGroupIngress=[_tcp(_NFS, SourceSecurityGroupId=functions)]
        ),
    }


def _group(description: str, **rules: object) -> Resource:
    return resource("EC2::SecurityGroup", GroupDescription=description, VpcId=ref("Vpc"), **rules)


def _tcp(port: int, **peer: object) -> Resource:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **peer}


def _files() -> dict[str, Resource]:
    """What it holds can be fetched again, so it goes with the stack. Nobody comes in without a role that allows it.

    Without a policy EFS lets in whoever reaches a mount target; with one, whom it or a role allows:
    docs.aws.amazon.com/efs/latest/ug/iam-access-control-nfs-efs.html.
    """
    unencrypted = {"Bool": {"aws:SecureTransport": "false"}}
    refused = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "*", "Condition": unencrypted}
    files = resource(
        "EFS::FileSystem",
        Encrypted=True,
        ThroughputMode="elastic",
        BackupPolicy={"Status": "DISABLED"},
        FileSystemPolicy={"Version": "2012-10-17", "Statement": [refused]},
        FileSystemTags=_tag("Name"),
    )
    return {
        "ModelsFileSystem": {**files, "DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete"},
        "ModelsAccessPoint": _access_point(),
        **{f"MountTarget{zone}": _mount_target(f"Subnet{zone}") for zone in _BLOCKS},
    }


def _access_point() -> Resource:
    owner = {"OwnerUid": _OWNER, "OwnerGid": _OWNER, "Permissions": _MODE}
    return resource(
        "EFS::AccessPoint",
        FileSystemId=ref("ModelsFileSystem"),
        PosixUser={"Uid": _OWNER, "Gid": _OWNER},
        RootDirectory={"Path": _FOLDER, "CreationInfo": owner},
    )


def _mount_target(subnet: str) -> Resource:
    return resource(
        "EFS::MountTarget",
        FileSystemId=ref("ModelsFileSystem"),
        SubnetId=ref(subnet),
        SecurityGroups=[get("ModelsSecurityGroup", "GroupId")],
    )


def _nat() -> dict[str, Resource]:
    """One gateway, in the first zone: two would cost twice as much, and a zone's loss would still lose half."""
    attached = {"DependsOn": ["InternetGatewayAttachment"]}
    everywhere = {"DestinationCidrBlock": "0.0.0.0/0"}
    return {
        "InternetGateway": {"Type": "AWS::EC2::InternetGateway"},
        "InternetGatewayAttachment": resource(
            "EC2::VPCGatewayAttachment", VpcId=ref("Vpc"), InternetGatewayId=ref("InternetGateway")
        ),
        "PublicSubnet": _subnet(0, _PUBLIC_BLOCK),
        "PublicRoutes": resource("EC2::RouteTable", VpcId=ref("Vpc")),
        "PublicSubnetRoutes": _routes("PublicSubnet", "PublicRoutes"),
        "InternetRoute": attached
        | resource("EC2::Route", RouteTableId=ref("PublicRoutes"), GatewayId=ref("InternetGateway"), **everywhere),
        "NatAddress": attached | resource("EC2::EIP", Domain="vpc"),
        "Nat": {"DependsOn": ["InternetRoute", "PublicSubnetRoutes"]}
        | resource("EC2::NatGateway", SubnetId=ref("PublicSubnet"), AllocationId=get("NatAddress", "AllocationId")),
        "NatRoute": resource("EC2::Route", RouteTableId=ref("Routes"), NatGatewayId=ref("Nat"), **everywhere),
    }


def _tag(key: str) -> list[Resource]:
    """What consoles show."""
    return [{"Key": key, "Value": ref("AWS::StackName")}]
