"""A template's values as CloudFormation fills them in, for one account and region, where roles are looked at."""

import re
from collections.abc import Mapping
from typing import Any

ACCOUNT, REGION = "111122223333", "eu-west-1"
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": "stack",
}
_ARNS = {  # docs.aws.amazon.com/service-authorization/latest/reference, and what Fn::GetAtt gives of each
    "AWS::Logs::LogGroup": ("logs", "log-group:{LogGroupName}:*"),
    "AWS::DynamoDB::Table": ("dynamodb", "table/{TableName}"),
    "AWS::EFS::FileSystem": ("elasticfilesystem", "file-system/fs-1"),
    "AWS::EFS::AccessPoint": ("elasticfilesystem", "access-point/fsap-1"),
}


def resolved(template: Mapping[str, Any], value: Any) -> Any:
    """`value` without intrinsic functions."""
    match value:
        case {"Fn::Sub": str(text)}:
            filled = re.sub(r"\$\{([A-Za-z:]+)\}", lambda found: PSEUDO[found[1]], text)
            return filled.replace("${!", "${")
        case {"Fn::GetAtt": [str(name), "Arn"]}:
            return arn(template["Resources"][name])
        case dict():
            return {name: resolved(template, each) for name, each in value.items()}
        case list():
            return [resolved(template, each) for each in value]
    return value


def arn(resource: Mapping[str, Any]) -> str:
    service, path = _ARNS[resource["Type"]]
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{path.format(**resource['Properties'])}"
