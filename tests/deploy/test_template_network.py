"""EFS and its VPC in whole templates: what is there, when, in which order, and who may do what with it."""

import ipaddress
from pathlib import Path
from typing import Any

import pytest
from modes import of_kind
from wholes import deployment, direct, needs, whole

from pilotlight.deploy import network
from pilotlight.deploy.unit import Deployment
from pilotlight.errors import ProjectError

CACHED = """
    [cache]
    folder = "/mnt/models"
    [functions.show]
    model = "s3://bucket/models/qa"
"""


@pytest.fixture
def cached(tmp_path: Path) -> Deployment:
    """One function with models on EFS, and one without a model."""
    return deployment(tmp_path, CACHED, "show", "other")


def test_no_network_where_no_model_is_on_efs(tmp_path: Path) -> None:
    for number, toml in enumerate(('[cache]\nfolder = "/mnt/models"', '[functions.show]\nmodel = "s3://bucket/qa"')):
        made = whole(deployment(tmp_path / str(number), toml))
        kinds = {each["Type"].split("::")[1] for each in made["Resources"].values()}
        assert not kinds & {"EC2", "EFS"}
        assert "VpcConfig" not in made["Resources"]["ShowFunction"]["Properties"]


def test_a_folder_below_tmp_is_no_efs(tmp_path: Path) -> None:
    toml = '[cache]\nfolder = "/tmp/models"\n[functions.show]\nmodel = "s3://bucket/qa"'
    assert of_kind(whole(deployment(tmp_path, toml)), "EFS::FileSystem") == {}


def test_the_file_system(cached: Deployment) -> None:
    found = whole(cached)["Resources"]
    files = found["ModelsFileSystem"]["Properties"]
    assert (files["Encrypted"], files["ThroughputMode"]) == (True, "elastic")
    point = found["ModelsAccessPoint"]["Properties"]
    assert point["PosixUser"] == {"Uid": "1001", "Gid": "1001"}
    created = {"OwnerUid": "1001", "OwnerGid": "1001", "Permissions": "750"}
    assert point["RootDirectory"] == {"Path": "/export/models", "CreationInfo": created}


def test_the_function_mounts_it_in_the_vpc(cached: Deployment) -> None:
    found = whole(cached)["Resources"]
    properties = found["ShowFunction"]["Properties"]
    mounted = {"Arn": {"Fn::GetAtt": ["ModelsAccessPoint", "Arn"]}, "LocalMountPath": "/mnt/models"}
    assert properties["FileSystemConfigs"] == [mounted]
    group = {"Fn::GetAtt": ["FunctionsSecurityGroup", "GroupId"]}
    subnets = [{"Ref": "SubnetA"}, {"Ref": "SubnetB"}]
    assert properties["VpcConfig"] == {"SubnetIds": subnets, "SecurityGroupIds": [group]}
    assert not {"VpcConfig", "FileSystemConfigs"} & found["OtherFunction"]["Properties"].keys()


def test_a_folder_deeper_below_mnt_is_in_what_is_mounted(tmp_path: Path) -> None:
    toml = CACHED.replace("/mnt/models", "/mnt/shared/models")
    [mounted] = whole(deployment(tmp_path, toml))["Resources"]["ShowFunction"]["Properties"]["FileSystemConfigs"]
    assert mounted["LocalMountPath"] == "/mnt/shared"


def test_mount_targets_are_in_the_two_zones_of_the_function(cached: Deployment) -> None:
    made = whole(cached)
    targets = [each["Properties"]["SubnetId"]["Ref"] for each in of_kind(made, "EFS::MountTarget").values()]
    subnets = [made["Resources"][name]["Properties"] for name in targets]
    assert [subnet["AvailabilityZone"] for subnet in subnets] == [
        {"Fn::Select": [0, {"Fn::GetAZs": ""}]},
        {"Fn::Select": [1, {"Fn::GetAZs": ""}]},
    ]
    used = made["Resources"]["ShowFunction"]["Properties"]["VpcConfig"]["SubnetIds"]
    assert [each["Ref"] for each in used] == targets


def test_a_function_waits_for_what_it_mounts_and_for_its_ways_out(cached: Deployment) -> None:
    made = whole(cached)
    awaited = {"MountTargetA", "MountTargetB", "S3Endpoint", "DynamoDbEndpoint", "SubnetRoutesA", "SubnetRoutesB"}
    assert awaited <= direct(made, "ShowFunction")
    assert "ShowRole" in direct(made, "ShowFunction")  # with it Lambda takes its interfaces away again
    assert needs(made, "OtherFunction").isdisjoint(awaited)
    assert all("ShowFunction" not in needs(made, name) for name in awaited)


def test_without_nat_the_ways_out_are_s3_and_dynamodb(cached: Deployment) -> None:
    made = whole(cached)
    endpoints = of_kind(made, "EC2::VPCEndpoint").values()
    assert {each["Properties"]["VpcEndpointType"] for each in endpoints} == {"Gateway"}
    services = {each["Properties"]["ServiceName"]["Fn::Sub"].rpartition(".")[2] for each in endpoints}
    assert services == {"s3", "dynamodb"}
    tables = {
        each["Properties"]["RouteTableId"]["Ref"] for each in of_kind(made, "EC2::SubnetRouteTableAssociation").values()
    }
    assert all([table["Ref"] for table in each["Properties"]["RouteTableIds"]] == [*tables] for each in endpoints)
    for kind in ("EC2::Route", "EC2::NatGateway", "EC2::EIP", "EC2::InternetGateway"):
        assert of_kind(made, kind) == {}
    assert network.monthly(cached) == 0


def test_who_reaches_whom(cached: Deployment) -> None:
    found = whole(cached)["Resources"]
    functions, models = (found[f"{name}SecurityGroup"]["Properties"] for name in ("Functions", "Models"))
    assert "SecurityGroupIngress" not in functions
    block = found["Vpc"]["Properties"]["CidrBlock"]
    assert [(each["FromPort"], each["CidrIp"]) for each in functions["SecurityGroupEgress"]] == [
        (2049, block),
        (443, "0.0.0.0/0"),
    ]
    [ingress] = models["SecurityGroupIngress"]
    assert ingress["SourceSecurityGroupId"] == {"Fn::GetAtt": ["FunctionsSecurityGroup", "GroupId"]}
    assert (ingress["FromPort"], ingress["ToPort"]) == (2049, 2049)
    for target in ("MountTargetA", "MountTargetB"):
        assert found[target]["Properties"]["SecurityGroups"] == [{"Fn::GetAtt": ["ModelsSecurityGroup", "GroupId"]}]


def test_nobody_comes_in_without_tls_and_a_role(cached: Deployment) -> None:
    policy = whole(cached)["Resources"]["ModelsFileSystem"]["Properties"]["FileSystemPolicy"]
    assert [each["Effect"] for each in policy["Statement"]] == ["Deny"]
    assert policy["Statement"][0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_what_the_role_allows(cached: Deployment) -> None:
    mounting, *rest = network.role_statements(cached, cached.units[1])[::-1]
    assert mounting == {
        "Effect": "Allow",
        "Action": ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"],
        "Resource": {"Fn::GetAtt": ["ModelsFileSystem", "Arn"]},
        "Condition": {
            "StringEquals": {"elasticfilesystem:AccessPointArn": {"Fn::GetAtt": ["ModelsAccessPoint", "Arn"]}}
        },
    }
    denied, allowed = rest
    assert (allowed["Effect"], denied["Effect"]) == ("Allow", "Deny")
    assert allowed["Action"] == denied["Action"]
    assert {each.partition(":")[0] for each in allowed["Action"]} == {"ec2"}
    arn = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:service--show"
    assert denied["Condition"] == {"ArnEquals": {"lambda:SourceFunctionArn": {"Fn::Sub": arn}}}
    assert network.role_statements(cached, cached.units[0]) == []


# With a NAT gateway


@pytest.fixture
def nat(tmp_path: Path) -> Deployment:
    return deployment(tmp_path, f"{CACHED}\n[network]\nnat = true\n")


def test_a_nat_gateway_and_its_ways(nat: Deployment) -> None:
    made = whole(nat)
    routes = {name: each["Properties"] for name, each in of_kind(made, "EC2::Route").items()}
    assert routes["NatRoute"]["NatGatewayId"] == {"Ref": "Nat"}
    assert routes["InternetRoute"]["GatewayId"] == {"Ref": "InternetGateway"}
    assert routes["NatRoute"]["RouteTableId"] != routes["InternetRoute"]["RouteTableId"]
    public = made["Resources"]["PublicSubnetRoutes"]["Properties"]
    assert public["SubnetId"] == made["Resources"]["Nat"]["Properties"]["SubnetId"] == {"Ref": "PublicSubnet"}
    assert public["RouteTableId"] == routes["InternetRoute"]["RouteTableId"]
    assert {"Nat", "NatRoute", "InternetRoute", "InternetGatewayAttachment"} <= needs(made, "ShowFunction")
    assert {"InternetGatewayAttachment"} <= direct(made, "NatAddress")
    [egress] = made["Resources"]["FunctionsSecurityGroup"]["Properties"]["SecurityGroupEgress"]
    assert (egress["IpProtocol"], egress["CidrIp"]) == ("-1", "0.0.0.0/0")


def test_what_it_costs(nat: Deployment) -> None:
    """730 hours of $0.045 for the gateway and $0.005 for its address."""
    assert network.monthly(nat) == pytest.approx(36.5)


def test_subnets_share_no_address(nat: Deployment) -> None:
    made = whole(nat)
    blocks = [ipaddress.ip_network(each["Properties"]["CidrBlock"]) for each in of_kind(made, "EC2::Subnet").values()]
    vpc = ipaddress.ip_network(made["Resources"]["Vpc"]["Properties"]["CidrBlock"])
    assert len(blocks) == 3
    assert all(block.subnet_of(vpc) for block in blocks)  # type: ignore[arg-type]
    assert not any(a.overlaps(b) for a in blocks for b in blocks if a is not b)


# What cannot be


def refused(tmp_path: Path, toml: str) -> tuple[str, str]:
    made = deployment(tmp_path, toml)
    with pytest.raises(ProjectError) as error:
        network.resources(made)
    return str(error.value).removeprefix(f"{made.project.root / 'pilotlight.toml'}: "), error.value.hint


@pytest.mark.parametrize("folder", ["/srv/models", "/mnt", "/mnt/../var", "/mnt/mod els", "/var/task/models"])
def test_a_folder_that_lambda_cannot_write(tmp_path: Path, folder: str) -> None:
    reason, hint = refused(tmp_path, CACHED.replace("/mnt/models", folder))
    assert reason == f"cache.folder: on Lambda show cannot write to {folder}"
    assert hint == "name a folder below /mnt, where EFS is mounted, or one below /tmp, or leave it out"


def test_snapstart_with_efs(tmp_path: Path) -> None:
    reason, hint = refused(tmp_path, f"{CACHED}\nsnapstart = true\n")
    assert reason == "cache.folder: SnapStart and EFS exclude each other, and the models of show are kept on EFS"
    assert hint == "set snapstart = false for show, or leave folder in [cache] out"


def test_nat_without_a_vpc(tmp_path: Path) -> None:
    reason, hint = refused(tmp_path, "[network]\nnat = true\n")
    assert reason == "network.nat: no function is in a VPC, so all of them reach the internet without it"
    assert hint == "leave it out"


def test_a_function_of_another_stage_has_a_network_of_its_own(tmp_path: Path) -> None:
    beta: dict[str, Any] = whole(deployment(tmp_path, CACHED, "show", stage="beta"))["Resources"]
    denied = beta["ShowRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    arns = [each["Condition"]["ArnEquals"] for each in denied if each["Effect"] == "Deny"]
    arn = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:service-beta--show"
    assert arns == [{"lambda:SourceFunctionArn": {"Fn::Sub": arn}}]
