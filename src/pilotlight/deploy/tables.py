"""The tables of a service in DynamoDB, where functions find them, and what their roles may do with them."""

from pilotlight.deploy import names
from pilotlight.deploy.cloudformation import Resource, get, ref, resource
from pilotlight.deploy.unit import Deployment, camel
from pilotlight.function.table import Address, variable
from pilotlight.project import Function
from pilotlight.settings import Table
from pilotlight.values import RECORDS

_ACTIONS = {  # what function/dynamodb.py sends for each of a table's methods
    "get": ("BatchGetItem",),
    "put": ("PutItem", "BatchWriteItem"),
    "delete": ("BatchWriteItem",),
    "scan": ("Scan",),
}


def resources(deployment: Deployment) -> dict[str, Resource]:
    """One for each table of the settings."""
    return {_id(name): _table(deployment, table) for name, table in deployment.project.tables.items()}


def outputs(deployment: Deployment) -> dict[str, Resource]:
    return {f"{_id(name)}Name": {"Value": ref(_id(name))} for name in deployment.project.tables}


def variables(deployment: Deployment, function: Function) -> dict[str, str]:
    """The environment variables that tell a function where its tables are."""
    return {
        variable(name): str(Address("dynamodb", names.table(table, deployment.stage), table.key, table.expires))
        for name, table in function.tables.items()
    }


def statements(function: Function) -> list[Resource]:
    """What its role allows, a statement for each table. Who records invocations may store a record and read none."""
    return [
        {
            "Effect": "Allow",
            "Action": [f"dynamodb:{each}" for each in _actions(function, name, table)],
            "Resource": get(_id(name), "Arn"),
        }
        for name, table in function.tables.items()
    ]


def _actions(function: Function, name: str, table: Table) -> list[str]:
    is_recorded = name == RECORDS and function.records is not None
    allowed = table.allow if table.allow else () if is_recorded else tuple(_ACTIONS)
    wanted = [*(("PutItem",) if is_recorded else ()), *(each for method in allowed for each in _ACTIONS[method])]
    return list(dict.fromkeys(wanted))


def _id(name: str) -> str:
    return f"{camel(name)}Table"


def _table(deployment: Deployment, table: Table) -> Resource:
    """On demand; encrypted with the account's own key for DynamoDB, which costs nothing but its requests."""
    expiry = {"TimeToLiveSpecification": {"AttributeName": table.expires, "Enabled": True}} if table.expires else {}
    made = resource(
        "DynamoDB::Table",
        TableName=names.table(table, deployment.stage),
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": table.key, "AttributeType": "S"}],
        KeySchema=[{"AttributeName": table.key, "KeyType": "HASH"}],
        SSESpecification={"SSEEnabled": True},
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": table.recovery},
        **expiry,
    )
    policy = "Retain" if table.keep else "Delete"
    return {**made, "DeletionPolicy": policy, "UpdateReplacePolicy": policy}
